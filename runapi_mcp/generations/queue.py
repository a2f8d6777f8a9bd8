"""The queue: so many at once, the rest wait their turn, and no caller's many keep another's one waiting."""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio

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
