"""What is counted on all servers together: calls that run, what is taken of a day, and what was used."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from itertools import count, islice
from typing import Final

import anyio

from runapi_mcp.errors import BudgetSpent, TooManyCalls
from runapi_mcp.generations.spending import (
    KEEP_DAYS,
    DayBook,
    DayCounts,
    DayKey,
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
_MOST_AT_ONCE: Final = 500
_LOCKS: Final = 64
"""So many counts of a day can be on their way at once: on a slow line none waits for those of all others."""
_AWAY_SECONDS: Final = 0.25


class Places:
    """How many of each principal's generations run on all servers, each of which writes its own number.

    Args:
        engine: Where they are.
        most: How many may run of each principal; 0 is: nobody counts them.
        lease: Seconds for which a number counts that nobody writes again.
    """

    def __init__(self, engine: Engine, most: int, lease: float = LEASE) -> None:
        self._engine = engine
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
        return Take(key, self._engine.server, len(self._running[owner]), next(self._turns), limit, ms)


class SharedDayCounts(DayCounts):
    """What principals have taken of a day on all servers; see :class:`DayCounts`.

    Each server writes its own count, whole, never what is to be added to one of all: so it can write it
    again whenever it is not sure that it got through. A server that died leaves its last count, with what
    it had reserved: nobody knows what became of that.
    """

    def __init__(self, engine: Engine, today: Callable[[], date] = utc_today) -> None:
        super().__init__(today)
        self._engine = engine
        self._turns = count(1)
        self._locks = [anyio.Lock() for _ in range(_LOCKS)]
        self._unshared: dict[DayKey, None] = {}
        self._changed = Signal()
        engine.on_loss = self._write_anew

    async def take(self, owner: str, kind: Kind, amount: int, limit: int) -> Taken | int:
        """Take so much of today; see :meth:`DayCounts.take`.

        Raises:
            BudgetSpent: the engine is away, and what the others have taken cannot be known.
        """
        key = (self._today(), owner, kind)
        try:
            while True:
                async with self._lock_of(key):
                    if not (self._engine.away or self._engine.settling):
                        [others] = await self._engine.run(self._write_op(key, limit, amount))
                        if others is None:
                            return self.note(Taken(*key, amount))
                        if others != LOST:
                            return int(others) + self.of(*key)
                        self._engine.note_loss()
                # Until all have written what the engine may have lost; this one's shows whether it is back.
                self._remember(key)
                await self.write()
                await anyio.sleep(self._engine.settling)
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

    def settle(self, taken: Taken, used: int) -> None:
        """Give back what was not used; see :meth:`DayCounts.settle`. The others know it soon."""
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
        return own + sum(
            int(held.split()[0]) for server, held in counts.items() if server != self._engine.server
        )

    async def forever(self) -> None:
        """Write what was given back, and everything anew when the engine is back."""
        while True:
            await self._changed.until(lambda: bool(self._unshared))
            try:
                await self.write()
            except Down:
                await anyio.sleep(_AWAY_SECONDS)

    async def write(self) -> None:
        """Write what the others do not know yet.

        Raises:
            Down: The engine cannot be reached; what may not have got through is written later.
        """
        while self._unshared:
            async with (lock := self._lock_of(next(iter(self._unshared)))):
                keys = [key for key in self._unshared if self._lock_of(key) is lock][:_MOST_AT_ONCE]
                for key in keys:
                    del self._unshared[key]
                try:
                    await self._engine.run(*(self._write_op(key, -1) for key in keys))
                except BaseException:
                    self._unshared |= dict.fromkeys(keys)
                    raise

    def _lock_of(self, key: DayKey) -> anyio.Lock:
        """Return what one count is written under: so its writings arrive in their order."""
        return self._locks[hash(key) % _LOCKS]

    def _write_anew(self) -> None:
        """Have everything written soon: the engine may have lost it."""
        self._unshared |= dict.fromkeys(self._taken)
        self._changed.send()

    def _remember(self, key: DayKey) -> None:
        """Have a count written soon; callers can be made up without an end."""
        if len(self._unshared) < _MOST_UNSHARED:
            self._unshared[key] = None
            self._changed.send()

    def _write_op(self, key: DayKey, limit: int, more: int = 0) -> Take:
        mine, there = self.of(*key) + more, key in self._taken
        return Take(self._name(key), self._engine.server, mine, next(self._turns), limit, _TWO_DAYS_MS, there)

    def _name(self, key: DayKey) -> str:
        day, owner, kind = key
        return f"taken:{day.isoformat()}:{kind}:{self._engine.name(owner)}"


class SharedDayBook(DayBook):
    """What was used of all servers, on the engine; while that is away, of this one.

    What this server adds is written at the pace of progress, and again where nobody knows whether it got
    through; it counts once.
    """

    def __init__(self, engine: Engine, today: Callable[[], date] = utc_today) -> None:
        super().__init__(today)
        self._engine = engine
        self._turns = count(1)
        self._news: Counter[tuple[str, str]] = Counter()
        self._writing: Add | None = None
        self._added = Signal()
        self._lock = anyio.Lock()

    def add(self, job: Job, receipt: Receipt) -> Row:
        """Note a generation that has ended; see :meth:`DayBook.add`. The others know it soon."""
        row = super().add(job, receipt)
        for name, number in row.counts.items():
            self._news[row.day, f"{name} {row.model} {row.principal}"] += number
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
                        self._news, self._writing = Counter(), None
                    raise
                self._writing = None

    def _next(self) -> Add:
        day, _ = next(iter(self._news))
        now = [key for key in islice(self._news, _MOST_ADDED) if key[0] == day]
        counts = {name: self._news.pop((day, name)) for _, name in now}
        return Add(self._key(day), counts, self._engine.server, next(self._turns), _MONTH_MS)

    def _key(self, day: str) -> str:
        """Return where it stands what was used on a day; on one machine, by this base URL and key alone."""
        return f"used:{day}:{self._engine.name(day)}"
