"""Pacing: after RunAPI asks one caller to wait, others with the key and model wait too, not to hammer."""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from pydantic import SecretStr

_MOST_KEYS: Final = 10_000


LONGEST: Final = 60.0
"""Seconds that one answer may keep the others waiting; then one of them may see whether it still holds."""


def paced_name(key: SecretStr, model: str) -> str:
    """Return a name for a key and a model that says nothing of the key."""
    return hashlib.sha256(f"{key.get_secret_value()} {model}".encode()).hexdigest()[:32]


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
