"""Pacing: after RunAPI asks one caller of a key to wait, the others wait too instead of hammering."""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from pydantic import SecretStr

_MOST_KEYS: Final = 10_000


def paced_name(key: SecretStr) -> str:
    """Return a name for a key that says nothing of it."""
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:32]


class Pacing(Protocol):
    """Who has been asked to wait, and how much longer. Names are those of :func:`paced_name`."""

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
