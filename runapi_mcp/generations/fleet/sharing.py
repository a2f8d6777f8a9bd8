"""Waits and budgets that the servers of a fleet share. While Redis is away, each keeps its own."""

from collections.abc import Callable
from datetime import date
from typing import Final

from redis.asyncio.client import Pipeline

from runapi_mcp.generations.budget import LocalTokenBudget, utc_today
from runapi_mcp.generations.fleet.keys import digest, pace_key, used_key
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.generations.fleet.scripts import LONGER, RAISE
from runapi_mcp.upstream.pacing import MemoryPacing

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
