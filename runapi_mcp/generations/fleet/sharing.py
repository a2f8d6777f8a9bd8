"""Waits and budgets that the servers of a fleet share. While Redis is away, each keeps its own."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Final

from redis.asyncio.client import Pipeline

from runapi_mcp.generations.budget import MemoryBudget, utc_today
from runapi_mcp.generations.fleet.keys import digest, pace_key, spent_key
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.upstream.pacing import MemoryPacing

_LONGER: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 1
"""


_TWO_DAYS_MS: Final = 2 * 24 * 3600 * 1000
_MOST_UNSHARED: Final = 10_000


class FleetBudget:
    """What principals used of all servers; see :class:`Budget`."""

    def __init__(self, link: Link, today: Callable[[], date] = utc_today) -> None:
        self._link = link
        self._today = today
        self._own = MemoryBudget(today)
        self._unshared: Counter[str] = Counter()

    async def used(self, owner: str) -> int:
        """Return today's tokens; while Redis is away, those of this server."""
        own, key = await self._own.used(owner), self._key(owner)
        try:
            [shared] = await self._link.run(lambda pipe: pipe.get(key))
        except Down:
            return own
        return max(own, int(shared or 0) + self._unshared[key])

    def use(self, owner: str, tokens: int) -> None:
        """Note tokens; see :meth:`Budget.use`."""
        self._own.use(owner, tokens)
        if len(self._unshared) < _MOST_UNSHARED:
            self._unshared[self._key(owner)] += tokens

    async def share(self) -> None:
        """Add what was noted to what all have; while Redis is away it is kept for later."""
        noted, self._unshared = self._unshared, Counter()

        def commands(pipe: Pipeline) -> None:
            for key, tokens in noted.items():
                pipe.incrby(key, tokens)
                pipe.pexpire(key, _TWO_DAYS_MS)

        try:
            await self._link.run(commands, atomic=True)
        except Down:
            self._unshared += noted

    def _key(self, owner: str) -> str:
        return spent_key(self._today().isoformat(), digest(owner))


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
            await self._link.run(lambda pipe: pipe.eval(_LONGER, 1, pace_key(name), int(seconds * 1000)))
        except Down:
            return
