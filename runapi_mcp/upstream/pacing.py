"""Waits that RunAPI asks for: a 429 or 503 is waited out here, and others do not hammer meanwhile."""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

import anyio
from pydantic import SecretStr

from runapi_mcp.errors import RateLimited, Unavailable, UpstreamError
from runapi_mcp.upstream.http import Trace

_MOST_KEYS: Final = 10_000
_MOST_WAITS: Final = 2

LONGEST: Final = 60.0
"""Seconds that one answer may keep the others waiting; then one of them may see whether it still holds."""


def name_pace(key: SecretStr, model: str) -> str:
    """Return a name for a key and a model that says nothing of the key."""
    return hashlib.sha256(f"{key.get_secret_value()} {model}".encode()).hexdigest()[:32]


class Pacing(Protocol):
    """Who has been asked to wait, and how much longer. Names are those of :func:`name_pace`."""

    async def left(self, name: str) -> float:
        """Return the seconds that calls under `name` should still wait; 0 if none."""

    async def ask(self, name: str, seconds: float) -> None:
        """Note that calls under `name` were asked to wait `seconds` from now."""


class MemoryPacing:
    """Pacing within this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    async def left(self, name: str) -> float:
        """Return the seconds still to wait; see :meth:`Pacing.left`."""
        return max(self._until.get(name, 0.0) - self._clock(), 0.0)

    async def ask(self, name: str, seconds: float) -> None:
        """Note a wait; see :meth:`Pacing.ask`. The longer of two waits counts."""
        now = self._clock()
        if len(self._until) >= _MOST_KEYS:
            self._until = {known: until for known, until in self._until.items() if until > now}
        if len(self._until) < _MOST_KEYS or name in self._until:
            self._until[name] = max(self._until.get(name, 0.0), now + seconds)


class Waits:
    """The waits of one call: how many there were, and until when it has patience for more.

    Args:
        pacing: Who else was asked to wait.
        name: Under which name the call waits with others; see :func:`name_pace`.
        trace: Where its waits are noted.
        patience: Seconds that may go into them, from now on.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, pacing: Pacing, name: str, trace: Trace, patience: float, clock: Callable[[], float]
    ) -> None:
        self._pacing = pacing
        self._name = name
        self._trace = trace
        self._clock = clock
        self._until = clock() + patience
        self._count = 0

    async def keep_pace(self) -> None:
        """Wait out what RunAPI asked of another call with this key and model.

        Raises:
            RateLimited: That would take longer than there is patience for; nothing was sent.
        """
        seconds = await self._pacing.left(self._name)
        if seconds and self._clock() + seconds > self._until:
            raise RateLimited(
                f"RunAPI asked calls of this key and model to wait, {seconds:.0f} s more; nothing was sent.",
                advice="Call again after that.",
                retry_after=seconds,
            )
        if seconds:
            await self._wait(seconds)

    async def wait_out(self, error: UpstreamError) -> None:
        """Wait as a refusal asks, twice at most.

        Raises:
            UpstreamError: The refusal itself: it asks for no wait, one too many, or too long a one.
        """
        seconds = read_wait(error)
        if seconds and isinstance(error, RateLimited):
            await self._pacing.ask(self._name, min(seconds, LONGEST))
        if seconds is None or self._count == _MOST_WAITS or self._clock() + seconds > self._until:
            raise error
        self._count += 1
        await self._wait(seconds)

    async def _wait(self, seconds: float) -> None:
        self._trace.waiting_until = self._clock() + seconds
        self._trace.enter("waiting")
        await anyio.sleep(seconds)
        self._trace.waited += seconds


def read_wait(error: UpstreamError) -> float | None:
    """Return the wait that a refusal asks for, in seconds; `None` if waiting is not what it asks for."""
    # After another 5xx the work may have been done (docs/wire.md §7.2).
    waits = isinstance(error, RateLimited) or (isinstance(error, Unavailable) and error.status == 503)
    return error.retry_after if waits and not error.hopeless else None
