"""What the servers of a fleet share: orders to each other, places of each principal, waits and budgets."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Final, Literal

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio.client import Pipeline

from runapi_mcp.errors import TooManyCalls
from runapi_mcp.generations.admission import LocalTokenBudget, utc_today
from runapi_mcp.generations.fleet.link import (
    LONGER,
    PLACE,
    RAISE,
    Down,
    Link,
    calls_key,
    digest,
    pace_key,
    tell_key,
    used_key,
)
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


class FleetBudget:
    """What principals used of all servers; see :class:`TokenBudget`.

    Each server writes its own count of the day, never what is to be added to one of all: so it can
    write it again whenever it is not sure that it got through.
    """

    def __init__(self, link: Link, server: str, today: Callable[[], date] = utc_today) -> None:
        self._link = link
        self._server = server
        self._today = today
        self._own = LocalTokenBudget(today)
        self._unshared: set[str] = set()

    async def used(self, owner: str) -> int:
        """Return today's tokens; while Redis is away, those of this server."""
        own, key = await self._own.used(owner), self._key(owner)
        try:
            [counts] = await self._link.run(lambda pipe: pipe.hgetall(key))
        except Down:
            return own
        if int(counts.pop(self._server, 0)) < own:
            self._note(owner)  # Redis has lost it, or has not heard of it yet
        return own + sum(map(int, counts.values()))

    def use(self, owner: str, tokens: int) -> None:
        """Note tokens; see :meth:`TokenBudget.use`."""
        self._own.use(owner, tokens)
        self._note(owner)

    async def share(self) -> None:
        """Write what was noted; what did not get through, for whatever reason, is kept for later."""
        noted = {owner: await self._own.used(owner) for owner in tuple(self._unshared)}
        if not noted:
            return

        def commands(pipe: Pipeline) -> None:
            for owner, tokens in noted.items():
                pipe.eval(RAISE, 1, self._key(owner), self._server, tokens, _TWO_DAYS_MS)

        try:
            await self._link.run(commands)
        except Down:
            return
        for owner, tokens in noted.items():
            if await self._own.used(owner) == tokens:
                self._unshared.discard(owner)

    def _note(self, owner: str) -> None:
        if len(self._unshared) < _MOST_UNSHARED:
            self._unshared.add(owner)

    def _key(self, owner: str) -> str:
        return used_key(self._today().isoformat(), digest(owner))


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
