"""What is counted on all servers together: calls that run, what is taken of a day, and what was used."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from itertools import count
from typing import Final

import anyio

from runapi_mcp.errors import BudgetSpent, TooManyCalls
from runapi_mcp.generations.spending import (
    KEEP_DAYS,
    DayBook,
    DayCounts,
    Key,
    Kind,
    Row,
    Taken,
    sort_rows,
    utc_today,
)
from runapi_mcp.generations.store.engine import LOST, Add, Down, Engine, Get, Take
from runapi_mcp.generations.values import Job, Receipt
from runapi_mcp.signalling import Signal

LEASE: Final = 9.0
"""Seconds after which the calls of a server that died do not count any more."""
_TRIES: Final = 5
_PAUSE: Final = 0.1
_TWO_DAYS_MS: Final = 2 * 24 * 3600 * 1000
_MONTH_MS: Final = (KEEP_DAYS + 1) * 24 * 3600 * 1000
_MOST_ADDED: Final = 2_000
"""Counts that are written at once."""
_PACE: Final = 0.5
"""Seconds between two writings of what was used."""
_MOST_UNSHARED: Final = 10_000
_SETTLING_SECONDS: Final = 2.0
"""After an outage nothing is taken for so long: what the others wrote may be lost until they do again."""


class Places:
    """How many of each principal's generations run on all servers, each of which writes its own number.

    Args:
        engine: Where they are.
        server: This process's own name there.
        most: How many may run of each principal; 0 is: nobody counts them.
        lease: Seconds for which a number counts that nobody writes again.
    """

    def __init__(self, engine: Engine, server: str, most: int, lease: float = LEASE) -> None:
        self._engine = engine
        self._server = server
        self._most = most
        self._lease = lease
        self._running: dict[str, set[str]] = {}
        self._fewer = False
        self._turns = count(1)
        self._changed = Signal()

    async def take(self, owner: str, handle: str) -> None:
        """Take a place for a generation.

        Raises:
            TooManyCalls: `owner` has no place left.
            Down: The engine cannot be reached; the place is taken as soon as it can.
        """
        if not self._most:
            return
        self._running.setdefault(owner, set()).add(handle)
        self._changed.send()
        others = 0
        for _ in range(_TRIES):
            [others] = await self._engine.run(self._write_op(owner, self._most))
            if others is None:
                return
            # A server may be about to write that one has ended, whose answer is here already.
            await anyio.sleep(_PAUSE)
        self.leave(owner, handle)
        running = others + len(self._running[owner])
        raise TooManyCalls(
            f"{running} of your calls run on {self._engine.place}, as many as each caller may have."
        )

    def leave(self, owner: str, handle: str) -> None:
        """Give a place back, if it was taken; the others know it at once."""
        if handle in self._running.get(owner, ()):
            self._running[owner].discard(handle)
            self._fewer = True
            self._changed.send()

    async def forever(self) -> None:
        """Write the numbers anew before they lapse, and at once where one is smaller."""
        while True:
            await self._changed.until(lambda: bool(self._running))
            with anyio.move_on_after(self._lease / 3):
                await self._changed.until(lambda: self._fewer)
            with suppress(Down):
                await self.write()

    async def write(self) -> None:
        """Write all numbers.

        Raises:
            Down: The engine cannot be reached.
        """
        self._fewer = False  # what does not get through is written later, or lapses
        written = {owner: self._write_op(owner, -1) for owner in self._running}
        if written:
            await self._engine.run(*written.values())
        for owner, op in written.items():
            if not op.count and not self._running[owner]:
                del self._running[owner]

    def _write_op(self, owner: str, limit: int) -> Take:
        key, ms = f"calls:{self._engine.name(owner)}", int(self._lease * 1000)
        return Take(key, self._server, len(self._running[owner]), next(self._turns), limit, ms)


class SharedDayCounts(DayCounts):
    """What principals have taken of a day on all servers; see :class:`DayCounts`.

    Each server writes its own count, whole, never what is to be added to one of all: so it can write it
    again whenever it is not sure that it got through. A server that died leaves its last count, with what
    it had reserved: nobody knows what became of that.
    """

    def __init__(
        self,
        engine: Engine,
        server: str,
        today: Callable[[], date] = utc_today,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        super().__init__(today)
        self._engine = engine
        self._server = server
        self._clock = clock
        self._turns = count(1)
        self._locks: dict[tuple[date, str, Kind], anyio.Lock] = {}
        self._known: dict[tuple[date, str, Kind], None] = {}
        self._unshared: dict[tuple[date, str, Kind], None] = {}
        self._was_away = False
        self._wait_until = 0.0
        self._begun = anyio.Event()

    async def take(self, owner: str, kind: Kind, amount: int, limit: int) -> Taken | int:
        """Take so much of today; see :meth:`DayCounts.take`.

        Raises:
            BudgetSpent: the engine is away, and what the others have taken cannot be known.
        """
        self._begun.set()
        key = (self._today(), owner, kind)
        async with self._locks.setdefault(key, anyio.Lock()):  # its own counts arrive in their order
            try:
                others = await self._take_when_settled(key, limit, amount)
            except BaseException as error:
                if isinstance(error, Down) and error.for_good:  # nobody else counts there either
                    return await super().take(owner, kind, amount, limit)
                self._remember(key)  # it may have got through: what is right is written as soon as it can be
                if isinstance(error, Down):
                    raise BudgetSpent(
                        "What is left of today cannot be counted: the store of this server does not answer.",
                        advice="Try again in a moment.",
                    ) from None
                raise
            return self.note(Taken(*key, amount)) if others is None else others + self.of(*key)

    def settle(self, taken: Taken, used: int) -> None:
        """Give back what was not used; see :meth:`DayCounts.settle`. The others know it once it is shared."""
        super().settle(taken, used)
        self._remember((taken.day, taken.owner, taken.kind))

    async def used(self, owner: str, kind: Kind) -> int:
        """Return what is taken of today; while the engine is away, on this server."""
        key = (self._today(), owner, kind)
        own = self.of(*key)
        try:
            [counts] = await self._engine.run(Get(self._name(key)))
        except Down:
            return own
        return own + sum(int(held.split()[0]) for server, held in counts.items() if server != self._server)

    async def share(self) -> None:
        """Write what was given back; what does not get through is written later."""
        for key in tuple(self._unshared):
            async with self._locks.setdefault(key, anyio.Lock()):
                self._unshared.pop(key, None)
                try:
                    await self._write_count(key, -1)
                except BaseException as error:
                    self._remember(key)
                    if isinstance(error, Down):
                        return
                    raise

    async def forever(self) -> None:
        """Write everything anew whenever the engine was away: it may have lost it."""
        await self._begun.wait()  # where there is no limit, nothing is ever taken
        while True:
            await anyio.sleep(_SETTLING_SECONDS / 8)
            self._notice_outages()
            if self._unshared:
                await self.share()

    def _notice_outages(self) -> None:
        """Have everything written anew if the engine was away; nothing is taken until all have."""
        away = self._engine.away > 0
        if self._was_away and not away:
            self._note_loss()
        self._was_away = away

    def _note_loss(self) -> None:
        self._wait_until = self._clock() + _SETTLING_SECONDS
        self._unshared |= dict.fromkeys(self._known)

    async def _take_when_settled(self, key: tuple[date, str, Kind], limit: int, amount: int) -> int | None:
        """Take an amount once all servers have written what the engine may have lost; see `_write_count`.

        Raises:
            Down: the engine does not answer.
        """
        while True:
            self._notice_outages()
            if self._was_away:
                await self._engine.run(Get(self._name(key)))  # whether it is back
                self._notice_outages()
            if self._wait_until > self._clock():
                await self._write_count(key, -1)
                await anyio.sleep(max(self._wait_until - self._clock(), 0))
            answer = await self._write_count(key, limit, amount)
            if answer != LOST:
                return answer
            self._note_loss()

    async def _write_count(self, key: tuple[date, str, Kind], limit: int, more: int = 0) -> int | None:
        """Write this server's count and `more`; return what the others have taken if it does not fit.

        Raises:
            Down: the engine does not answer.
        """
        mine, turn = self.of(*key) + more, next(self._turns)
        take = Take(self._name(key), self._server, mine, turn, limit, _TWO_DAYS_MS, there=key in self._known)
        [answer] = await self._engine.run(take)
        if answer is None:
            self._known[key] = None
            self._forget_days(key[0])
            return None
        return int(answer)

    def _forget_days(self, today: date) -> None:
        """Let other days go."""
        if next(iter(self._known))[0] < today - timedelta(days=1):
            self._known = {key: None for key in self._known if key[0] >= today - timedelta(days=1)}
            self._locks = {key: lock for key, lock in self._locks.items() if key in self._known}

    def _remember(self, key: tuple[date, str, Kind]) -> None:
        if len(self._unshared) < _MOST_UNSHARED:
            self._unshared[key] = None

    def _name(self, key: tuple[date, str, Kind]) -> str:
        day, owner, kind = key
        return f"taken:{day.isoformat()}:{kind}:{self._engine.name(owner)}"


class SharedDayBook(DayBook):
    """What was used of all servers, on the engine; while that is away, of this one.

    What this server adds is written at the pace of progress, and again where nobody knows whether it got
    through; it counts once.
    """

    def __init__(self, engine: Engine, server: str, today: Callable[[], date] = utc_today) -> None:
        super().__init__(today)
        self._engine = engine
        self._server = server
        self._turns = count(1)
        self._news: dict[str, Counter[str]] = {}
        self._writing: Add | None = None
        self._added = Signal()
        self._lock = anyio.Lock()

    def add(self, job: Job, receipt: Receipt) -> Row:
        """Note a generation that has ended; see :meth:`DayBook.add`. The others know it soon."""
        row = super().add(job, receipt)
        of = f"{row.model} {row.principal}"
        news = {f"{name} {of}": number for name, number in row.counts.items()}
        self._news.setdefault(row.day, Counter()).update(news)
        self._added.send()
        return row

    async def rows(self, days: int, owner: str | None = None) -> list[Row]:
        """Return what was used of all servers; see :meth:`DayBook.rows`."""
        try:
            return sort_rows(await self.read(days), owner)
        except Down:
            return await super().rows(days, owner)

    async def read(self, days: int) -> list[Row]:
        """Return what the engine holds of the last so many days.

        Raises:
            Down: It does not answer.
        """
        await self.write()
        found: dict[Key, Counter[str]] = {}
        wanted = self.days(days)
        held = await self._engine.run(*(Get(self._key(day)) for day in wanted))
        for day, fields in zip(wanted, held, strict=True):
            for of, number in fields.items():
                with suppress(ValueError):  # what others wrote may be anything
                    name, model, whose = of.split(" ", 2)
                    found.setdefault((day, whose, model), Counter())[name] += int(number)
        return [Row(*key, counts) for key, counts in found.items()]

    async def forever(self) -> None:
        """Write what was used."""
        while True:
            await self._added.until(lambda: bool(self._news or self._writing))
            await anyio.sleep(_PACE)
            with suppress(Down):
                await self.write()

    async def write(self) -> None:
        """Write what was used since it was written last.

        Raises:
            Down: The engine does not answer; what it may have been told is told again.
        """
        async with self._lock:
            while self._writing or self._news:
                self._writing = self._writing or self._next()
                try:
                    await self._engine.run(self._writing)
                except Down as down:
                    if down.for_good:
                        self._news, self._writing = {}, None
                    raise
                self._writing = None

    def _next(self) -> Add:
        day, counts = next(iter(self._news.items()))
        now = dict(list(counts.items())[:_MOST_ADDED])
        for name in now:
            del counts[name]
        if not counts:
            del self._news[day]
        return Add(self._key(day), now, self._server, next(self._turns), _MONTH_MS)

    def _key(self, day: str) -> str:
        """Return where it stands what was used on a day; on one machine, by this base URL and key alone."""
        return f"used:{day}:{self._engine.name(day)}"
