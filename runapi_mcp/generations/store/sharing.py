"""What several processes share beside their generations: places of each principal, waits and budgets."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Final

import anyio

from runapi_mcp.errors import TooManyCalls
from runapi_mcp.generations.admission import LocalTokenBudget, utc_today
from runapi_mcp.generations.store.protocol import Down, Engine, Get, Held, Hold, Join, Leave, Op, Put
from runapi_mcp.signalling import Signal
from runapi_mcp.upstream.pacing import LONGEST, MemoryPacing

LEASE: Final = 9.0
"""Seconds after which a place is free again that nobody renews."""
_TRIES: Final = 5
_PAUSE: Final = 0.1
_TWO_DAYS_MS: Final = 2 * 24 * 3600 * 1000
_MOST_UNSHARED: Final = 10_000


class Places:
    """The places of this server's generations among those of all.

    Args:
        engine: Where they are.
        most: How many places each principal has; 0 is any number, and then nothing is counted.
        lease: Seconds for which a place is held at a time.
    """

    def __init__(self, engine: Engine, most: int, lease: float = LEASE) -> None:
        self._engine = engine
        self._most = most
        self._lease = lease
        self._taken: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._freed = Signal()

    async def take(self, owner: str, name: str) -> None:
        """Take a place for the generation of a name.

        Raises:
            TooManyCalls: `owner` has no place left.
            Down: The engine cannot be reached; the place is taken as soon as it can.
        """
        if not self._most:
            return
        key, running = self._key(owner), 0
        for _ in range(_TRIES):
            try:
                [running] = await self._engine.run(Join(key, name, int(self._lease * 1000), self._most))
            except Down:
                self._taken[name] = key
                raise
            if not running:
                self._taken[name] = key
                return
            # A server may be about to write that one has ended, whose answer is here already.
            await anyio.sleep(_PAUSE)
        raise TooManyCalls(
            f"{running} of your calls run on {self._engine.place}, as many as each caller may have."
        )

    def leave(self, owner: str, name: str) -> None:
        """Give a place back, be it taken or only asked for; the others know it at once."""
        if self._most:
            self._taken.pop(name, None)
            self._left[name] = self._key(owner)
            self._freed.send()

    async def forever(self) -> None:
        """Renew the leases, and write at once which places are free."""
        while self._most:
            with anyio.move_on_after(self._lease / 3):
                await self._freed.until(lambda: bool(self._left))
            with suppress(Down):
                await self.write()

    async def write(self) -> None:
        """Write which places are free and which are still taken.

        Raises:
            Down: The engine cannot be reached.
        """
        left, ms = tuple(self._left.items()), int(self._lease * 1000)
        ops: list[Op] = [Leave(key, name) for name, key in left]
        ops += [Join(key, name, ms, 0) for name, key in self._taken.items()]
        if not ops:
            return
        try:
            await self._engine.run(*ops)
        except Down:
            self._left.clear()  # they lapse
            raise
        for name, _ in left:
            del self._left[name]

    def _key(self, owner: str) -> str:
        return f"calls:{self._engine.name(owner)}"


class SharedBudget:
    """What principals used of all servers; see :class:`TokenBudget`.

    Each server writes its own count of the day, never what is to be added to one of all: so it can
    write it again whenever it is not sure that it got through.
    """

    def __init__(self, engine: Engine, server: str, today: Callable[[], date] = utc_today) -> None:
        self._engine = engine
        self._server = server
        self._today = today
        self._own = LocalTokenBudget(today)
        self._unshared: set[str] = set()
        # One after the other: a count that was read earlier must not be written later.
        self._turn = anyio.Lock()

    async def used(self, owner: str) -> int:
        """Return today's tokens; while the engine is away, those of this server."""
        own = await self._own.used(owner)
        try:
            [counts] = await self._engine.run(Get(self._key(owner)))
        except Down:
            return own
        if int(counts.pop(self._server, 0)) < own:
            self._note(owner)  # it was lost there, or is not there yet
        return own + sum(map(int, counts.values()))

    def use(self, owner: str, tokens: int) -> None:
        """Note tokens; see :meth:`TokenBudget.use`."""
        self._own.use(owner, tokens)
        self._note(owner)

    async def share(self) -> None:
        """Write what was noted; what did not get through, for whatever reason, is kept for later."""
        async with self._turn:
            noted = {owner: await self._own.used(owner) for owner in tuple(self._unshared)}
            if not noted:
                return
            puts = [Put(self._key(o), self._server, str(n), _TWO_DAYS_MS) for o, n in noted.items()]
            try:
                await self._engine.run(*puts)
            except Down:
                return
            for owner, tokens in noted.items():
                if await self._own.used(owner) == tokens:
                    self._unshared.discard(owner)

    def _note(self, owner: str) -> None:
        if len(self._unshared) < _MOST_UNSHARED:
            self._unshared.add(owner)

    def _key(self, owner: str) -> str:
        return f"used:{self._today().isoformat()}:{self._engine.name(owner)}"


class SharedPacing:
    """Who has been asked to wait, by whichever server; see :class:`Pacing`."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._own = MemoryPacing(clock)

    async def left(self, name: str) -> float:
        """Return the seconds still to wait; see :meth:`Pacing.left`."""
        own, held = await self._own.left(name), None
        with suppress(Down), anyio.move_on_after(self._engine.patience):
            [held] = await self._engine.run(Held(self._key(name)))
        # No longer than any wait is: clocks jump.
        return max(own, min(held[1] / 1000, LONGEST)) if held else own

    async def ask(self, name: str, seconds: float) -> None:
        """Note a wait; see :meth:`Pacing.ask`. The longer of two waits counts."""
        if await self.left(name) >= seconds:
            return
        await self._own.ask(name, seconds)
        with suppress(Down), anyio.move_on_after(self._engine.patience):
            await self._engine.run(Hold(self._key(name), "1", int(seconds * 1000), "*"))

    def _key(self, name: str) -> str:
        return f"pace:{self._engine.name(name)}"
