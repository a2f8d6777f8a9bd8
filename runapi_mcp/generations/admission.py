"""What each caller may take: turns to run, and bytes of memory."""

from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeAlias

import anyio

from runapi_mcp.errors import MemoryFull
from runapi_mcp.settings import MIB

_MOST_NAMED: Final = 5
"""Handles that a refusal names; once those are fetched, it names others."""


class Reservation:
    """Bytes that a caller holds of a :class:`MemoryBudget`, until they are released.

    As a context manager it releases them at the end of the block.

    Attributes:
        owner: Whose they are.
        size: How many.
        spare: Whether whoever holds them would give them up for others; see :attr:`MemoryBudget.reclaim`.
    """

    __slots__ = ("_budget", "_released", "owner", "size", "spare")

    def __init__(self, budget: "MemoryBudget", owner: str, size: int) -> None:
        self._budget = budget
        self.owner = owner
        self.size = size
        self.spare = False
        self._released = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.release()

    @property
    def room(self) -> int:
        """How many bytes more its owner may hold."""
        return self._budget.room(self.owner)

    @property
    def share(self) -> int:
        """How many bytes one owner could hold if nobody else held any."""
        return self._budget.most // 2

    def resize(self, size: int) -> None:
        """Make it another size, and no longer spare.

        Raises:
            MemoryFull: It would be larger, and there is no room; it stays as it was.
        """
        more = size if self.spare else size - self.size
        if more > 0:
            self._budget.check(self.owner, more)
        self._budget.count(self, size)

    def settle(self, size: int, *, spare: bool) -> None:
        """Make it what has come of it, whatever room there is, and spare or not; nothing once released."""
        if not self._released:
            self._budget.count(self, size, spare=spare)

    def release(self) -> None:
        """Give all of it back, for good."""
        self._budget.count(self, 0)
        self._released = True


class MemoryBudget:
    """One budget in bytes over all that callers make the server hold.

    That is bodies being read, questions and answers that run or wait, and those that are kept. What
    is kept and owed to nobody is spare: it counts, and is dropped when the room is needed.

    No caller may hold more than would still be free for others. One alone can have half of it, two a
    third each: however much some hold, a newcomer gets something.

    Attributes:
        most: Bytes in all.
        reclaim: Called when there is too much, to have spare bytes released until there is not.
        owed: Returns the handles of what a caller has still to fetch, which is named when it is refused.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.reclaim: Callable[[], None] = lambda: None
        self.owed: Callable[[str], Sequence[str]] = lambda _owner: ()
        self._held: Counter[str] = Counter()
        self._firm = 0
        self._spare = 0

    @property
    def used(self) -> int:
        """Bytes in use, spare ones included."""
        return self._firm + self._spare

    @property
    def spare(self) -> int:
        """Bytes that can be taken back."""
        return self._spare

    @property
    def firm(self) -> int:
        """Bytes that cannot."""
        return self._firm

    def held(self, owner: str) -> int:
        """Return the bytes that `owner` holds, without what is spare."""
        return self._held[owner]

    def room(self, owner: str) -> int:
        """Return how many bytes more `owner` may hold."""
        return max((self.most - self._firm - self._held[owner]) // 2, 0)

    def reserve(self, owner: str, size: int) -> Reservation:
        """Hold `size` bytes for `owner`.

        Raises:
            MemoryFull: There is no room, or the caller's share is used up.
        """
        self.check(owner, size)
        reservation = Reservation(self, owner, 0)
        self.count(reservation, size)
        return reservation

    def check(self, owner: str, size: int) -> None:
        """See that `owner` may hold so many bytes more.

        Raises:
            MemoryFull: There is no room, or the caller's share is used up.
        """
        if size <= self.room(owner):
            return
        self.reclaim()  # what was firm may have become spare since
        if size > self.room(owner):
            handles = self.owed(owner)
            more = ", …" if len(handles) > _MOST_NAMED else ""
            named = f" They are: {', '.join(handles[:_MOST_NAMED])}{more}." if handles else ""
            raise MemoryFull(
                f"It would take {_mib(size)} MiB more of this server's memory; your calls and answers that "
                f"are not fetched yet hold {_mib(self._held[owner])} MiB, and {_mib(self.room(owner))} MiB "
                f"are left.{named}"
            )

    def count(self, reservation: Reservation, size: int, *, spare: bool = False) -> None:
        """Note that a reservation is of this size now, and whether it is spare."""
        # What has just become spare can be taken back, where there was too much before.
        reclaimable = size > reservation.size or (spare and not reservation.spare)
        if reservation.spare:
            self._spare -= reservation.size
        else:
            self._firm -= reservation.size
            self._held[reservation.owner] -= reservation.size
        reservation.size, reservation.spare = size, spare
        if spare:
            self._spare += size
        else:
            self._firm += size
            self._held[reservation.owner] += size
        if not self._held[reservation.owner]:
            del self._held[reservation.owner]
        if reclaimable and self.used > self.most:
            self.reclaim()


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f}"


# ---------------------------------------------------------------- turns to run

Tell: TypeAlias = Callable[[int | None], None]
"""Told how many are ahead in the queue; `None` once it is one's turn."""


@dataclass(eq=False, slots=True)
class _Ticket:
    owner: str
    tell: Tell
    called: anyio.Event = field(default_factory=anyio.Event)
    place: int = -1


class Queue:
    """Lets `most` run at once; of those that wait each owner has a turn, and then each has another."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._waiting: OrderedDict[str, deque[_Ticket]] = OrderedDict()

    @property
    def running(self) -> int:
        """How many run."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, owner: str, tell: Tell) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for as long as the block lasts."""
        await self._wait(owner, tell)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, owner: str, tell: Tell) -> None:
        if self._running < self._most:
            self._running += 1
            return
        ticket = _Ticket(owner, tell)
        self._waiting.setdefault(owner, deque()).append(ticket)
        self._tell_places()
        try:
            await ticket.called.wait()
        except BaseException:
            # Left before its turn, or in the very moment it came: then the turn is another's.
            if ticket.called.is_set():
                self._pass_on()
            else:
                self._remove(ticket)
                self._tell_places()
            raise
        tell(None)

    def _pass_on(self) -> None:
        ticket = next(self._in_order(), None)
        if ticket is None:
            self._running -= 1
            return
        self._remove(ticket)
        if ticket.owner in self._waiting:
            self._waiting.move_to_end(ticket.owner)
        ticket.called.set()
        self._tell_places()

    def _remove(self, ticket: _Ticket) -> None:
        own = self._waiting[ticket.owner]
        own.remove(ticket)
        if not own:
            del self._waiting[ticket.owner]

    def _in_order(self) -> Iterator[_Ticket]:
        """Yield those that wait in the order of their turns."""
        lines = deque(iter(tuple(line)) for line in self._waiting.values())
        while lines:
            line = lines.popleft()
            for ticket in line:
                yield ticket
                lines.append(line)
                break

    def _tell_places(self) -> None:
        for ahead, ticket in enumerate(tuple(self._in_order())):
            if ticket.place != ahead:
                ticket.place = ahead
                ticket.tell(ahead)
