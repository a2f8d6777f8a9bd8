"""What the servers of a fleet share: orders to each other, places of each principal, waits and budgets."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from itertools import count
from typing import Final, Literal

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio.client import Pipeline

from runapi_mcp.errors import BudgetSpent, TooManyCalls
from runapi_mcp.generations.admission import utc_today
from runapi_mcp.generations.fleet.link import (
    LONGER,
    PLACE,
    TAKE,
    Down,
    Link,
    calls_key,
    digest,
    pace_key,
    taken_key,
    tell_key,
)
from runapi_mcp.generations.limits import Kind, LocalDayCounts, Taken
from runapi_mcp.signalling import Signal
from runapi_mcp.upstream.pacing import MemoryPacing

logger = logging.getLogger(__name__)

_TOLD_MS: Final = 60_000
_AWAY_SECONDS: Final = 0.5


class Order(BaseModel):
    """What is to be done with the generation of a name.

    Attributes:
        do: `stop` it, or `keep` it though nobody here follows it; or know that its answer was `delivered`.
        name: What :func:`name_of` gave it.
    """

    model_config = ConfigDict(frozen=True)

    do: Literal["stop", "keep", "delivered"]
    name: str


async def tell(link: Link, server: str, order: Order) -> None:
    """Tell a server; it hears it within moments, if it lives.

    Raises:
        Down: Redis cannot be reached.
    """
    key = tell_key(server)

    def commands(pipe: Pipeline) -> None:
        pipe.rpush(key, order.model_dump_json())
        pipe.pexpire(key, _TOLD_MS)

    await link.run(commands, atomic=True)


async def listen(link: Link, server: str, obey: Callable[[Order], None]) -> None:
    """Have `obey` called with whatever `server` is told, until cancelled.

    What is no order is ignored; the log says so once, for whoever writes such things may write many.
    """
    log = logger.warning
    while True:
        try:
            said = await link.pop(tell_key(server))
            order = None if said is None else Order.model_validate_json(said)
        except Down:
            await anyio.sleep(_AWAY_SECONDS)
        except (ValidationError, UnicodeError):
            # Not what it says: it may hold anything.
            log("What is no order was found among those to this server, and ignored.")
            log = logger.debug
        else:
            if order is not None:
                obey(order)


LEASE: Final = 9.0
"""Seconds after which a place is free again that nobody renews."""
_TRIES: Final = 5
_PAUSE: Final = 0.1


class Places:
    """The places of this server's generations among those of all.

    Args:
        link: The way to Redis.
        most: How many places each principal has; 0 is any number, and then nothing is counted.
        lease: Seconds for which a place is held at a time.
    """

    def __init__(self, link: Link, most: int, lease: float = LEASE) -> None:
        self._link = link
        self._most = most
        self._lease = lease
        self._taken: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._freed = Signal()

    async def take(self, owner: str, name: str) -> None:
        """Take a place for the generation of a name.

        Raises:
            TooManyCalls: `owner` has no place left.
            Down: Redis cannot be reached; the place is taken as soon as it can.
        """
        if not self._most:
            return
        key, running = calls_key(digest(owner)), 0
        for _ in range(_TRIES):
            try:
                [running] = await self._link.run(lambda pipe: self._place(pipe, key, name, self._most))
            except Down:
                self._taken[name] = key
                raise
            if not running:
                self._taken[name] = key
                return
            # A server may be about to write that one has ended, whose answer is here already.
            await anyio.sleep(_PAUSE)
        raise TooManyCalls(
            f"{running} of your calls run on the servers of this fleet, as many as each caller may have."
        )

    def leave(self, owner: str, name: str) -> None:
        """Give a place back, be it taken or only asked for; the others know it at once."""
        if self._most:
            self._taken.pop(name, None)
            self._left[name] = calls_key(digest(owner))
            self._freed.send()

    async def forever(self) -> None:
        """Renew the leases, and write at once which places are free."""
        while True:
            with anyio.move_on_after(self._lease / 3):
                await self._freed.until(lambda: bool(self._left))
            with suppress(Down):
                await self.write()

    async def write(self) -> None:
        """Write which places are free and which are still taken.

        Raises:
            Down: Redis cannot be reached.
        """
        left = tuple(self._left.items())
        if not left and not self._taken:
            return

        def commands(pipe: Pipeline) -> None:
            for name, key in left:
                pipe.zrem(key, name)
            for name, key in self._taken.items():
                self._place(pipe, key, name, 0)

        try:
            await self._link.run(commands)
        except Down:
            self._left.clear()  # they lapse
            raise
        for name, _ in left:
            del self._left[name]

    def _place(self, pipe: Pipeline, key: str, name: str, most: int) -> None:
        pipe.eval(PLACE, 1, key, name, int(self._lease * 1000), most)


_TWO_DAYS_MS: Final = 2 * 24 * 3600 * 1000
_MOST_UNSHARED: Final = 10_000
_LOST: Final = -3
_SETTLING_SECONDS: Final = 2.0
"""After an outage nothing is taken for so long: Redis may have lost what the others have to write anew."""


class FleetDayCounts:
    """What principals have taken of a day on all servers; see :class:`DayCounts`.

    Each server writes its own count, whole, never what is to be added to one of all: so it can write it
    again whenever it is not sure that it got through. A server that died leaves its last count, with what
    it had reserved: nobody knows what became of that.
    """

    def __init__(
        self,
        link: Link,
        server: str,
        today: Callable[[], date] = utc_today,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._link = link
        self._server = server
        self._today = today
        self._clock = clock
        self._own = LocalDayCounts(today)
        self._turns = count(1)
        self._locks: dict[tuple[date, str, Kind], anyio.Lock] = {}
        self._known: dict[tuple[date, str, Kind], None] = {}
        self._unshared: dict[tuple[date, str, Kind], None] = {}
        self._outages = 0
        self._wait_until = 0.0

    async def take(self, owner: str, kind: Kind, amount: int, limit: int) -> Taken | int:
        """Take so much of today; see :meth:`DayCounts.take`.

        Raises:
            BudgetSpent: Redis is away, and what the others have taken cannot be known.
        """
        key = (self._today(), owner, kind)
        async with self._locks.setdefault(key, anyio.Lock()):  # its own counts arrive in their order
            try:
                others = await self._settled(key, limit, amount)
            except BaseException as error:
                self._note(key)  # it may have got through: what is right is written as soon as it can be
                if isinstance(error, Down):
                    raise BudgetSpent(
                        "What is left of today cannot be counted: the store of this server does not answer.",
                        advice="Try again in a moment.",
                    ) from None
                raise
            return self._own.note(Taken(*key, amount)) if others is None else others + self._own.of(*key)

    def settle(self, taken: Taken, used: int) -> None:
        """Give back what was not used; see :meth:`DayCounts.settle`. The others know it once it is shared."""
        self._own.settle(taken, used)
        self._note((taken.day, taken.owner, taken.kind))

    async def used(self, owner: str, kind: Kind) -> int:
        """Return what is taken of today; while Redis is away, on this server."""
        key = (self._today(), owner, kind)
        own = self._own.of(*key)
        try:
            [counts] = await self._link.run(lambda pipe: pipe.hgetall(self._name(key)))
        except Down:
            return own
        return own + sum(int(held.split()[0]) for server, held in counts.items() if server != self._server)

    async def share(self) -> None:
        """Write what was given back; what does not get through is written later."""
        for key in tuple(self._unshared):
            async with self._locks.setdefault(key, anyio.Lock()):
                self._unshared.pop(key, None)
                try:
                    await self._written(key, -1)
                except BaseException as error:
                    self._note(key)
                    if isinstance(error, Down):
                        return
                    raise

    async def forever(self) -> None:
        """Write everything anew whenever Redis was away: it may have lost it."""
        while True:
            await anyio.sleep(_SETTLING_SECONDS / 8)
            if self._link.up:
                self._notice_outages()
            if self._unshared:
                await self.share()

    def _notice_outages(self) -> None:
        """Have everything written anew if Redis was away, and nothing taken until the others have, too."""
        if self._link.outages != self._outages:
            self._outages = self._link.outages
            self._lost()

    def _lost(self) -> None:
        self._wait_until = self._clock() + _SETTLING_SECONDS
        self._unshared |= dict.fromkeys(self._known)

    async def _settled(self, key: tuple[date, str, Kind], limit: int, amount: int) -> int | None:
        """Take an amount once all servers have written what Redis may have lost; see :meth:`_written`.

        Raises:
            Down: Redis does not answer.
        """
        while True:
            if not self._link.up:
                await self._link.run(lambda pipe: pipe.ping())
            self._notice_outages()
            if self._wait_until > self._clock():
                await self._written(key, -1)
                await anyio.sleep(max(self._wait_until - self._clock(), 0))
            answer = await self._written(key, limit, amount)
            if answer != _LOST:
                return answer
            self._lost()

    async def _written(self, key: tuple[date, str, Kind], limit: int, more: int = 0) -> int | None:
        """Write this server's count and `more`; return what the others have taken if it does not fit.

        Raises:
            Down: Redis does not answer.
        """
        mine, turn, known = self._own.of(*key) + more, next(self._turns), int(key in self._known)
        arguments = (self._name(key), self._server, mine, turn, limit, _TWO_DAYS_MS, known)
        [answer] = await self._link.run(lambda pipe: pipe.eval(TAKE, 1, *arguments))
        if int(answer) in (-1, -2):
            self._known[key] = None
            self._forget(key[0])
            return None
        return int(answer)

    def _forget(self, today: date) -> None:
        """Let other days go."""
        if next(iter(self._known))[0] < today - timedelta(days=1):
            self._known = {key: None for key in self._known if key[0] >= today - timedelta(days=1)}
            self._locks = {key: lock for key, lock in self._locks.items() if key in self._known}

    def _note(self, key: tuple[date, str, Kind]) -> None:
        if len(self._unshared) < _MOST_UNSHARED:
            self._unshared[key] = None

    def _name(self, key: tuple[date, str, Kind]) -> str:
        day, owner, kind = key
        return taken_key(day.isoformat(), kind, digest(owner))


class FleetPacing:
    """Who has been asked to wait, by whichever server; see :class:`Pacing`."""

    def __init__(self, link: Link, clock: Callable[[], float]) -> None:
        self._link = link
        self._own = MemoryPacing(clock)

    async def left(self, name: str) -> float:
        """Return the seconds still to wait; see :meth:`Pacing.left`."""
        own = await self._own.left(name)
        try:
            [shared] = await self._link.run(lambda pipe: pipe.pttl(pace_key(name)))
        except Down:
            return own
        return max(own, int(shared) / 1000)

    async def ask(self, name: str, seconds: float) -> None:
        """Note a wait; see :meth:`Pacing.ask`. The longer of two waits counts."""
        await self._own.ask(name, seconds)
        try:
            await self._link.run(lambda pipe: pipe.eval(LONGER, 1, pace_key(name), int(seconds * 1000)))
        except Down:
            return
