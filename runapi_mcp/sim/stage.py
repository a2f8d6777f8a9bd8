"""What is played next, who may come in, and what was seen: the state one simulator has. Thread-safe."""

import hashlib
import hmac
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from runapi_mcp.sim.asked import Asked, Refused
from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.record import Journal
from runapi_mcp.sim.roster import Roster
from runapi_mcp.sim.scenarios import Scenario, chosen

QUEUED_NAMES = 10_000
REMEMBERED_QUESTIONS = 10_000


@dataclass
class Stage:
    """The settings, the queue and the journals of one simulator."""

    default: str = "default"
    pace: float = 0.0
    """Seconds between chunks where neither scenario nor marker says."""
    stall_seconds: float = 3.0
    """Seconds the waiting scenarios wait where no marker says."""
    bridge: bool = False
    """Whether every Gemini model is accepted on the native path."""
    key_digest: bytes | None = None
    """SHA-256 of the only key accepted; `None` accepts any that is not empty."""
    roster: Roster = field(default_factory=Roster)
    """How it stands with the models."""
    calls: Journal = field(default_factory=Journal)
    lists: Journal = field(default_factory=Journal)
    _queue: deque[Cue] = field(default_factory=deque)
    _times: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admits(self, key: str) -> bool:
        """Whether this key opens the door."""
        if self.key_digest is None:
            return bool(key.strip())
        return hmac.compare_digest(digest(key), self.key_digest)

    def play(self, names: tuple[str | Cue, ...]) -> None:
        """Queue scenarios for the next calls.

        Raises:
            ValueError: One is unknown, or more than 10,000 are waiting.
        """
        cues = [chosen(name)[1] for name in names]
        with self._lock:
            if len(self._queue) + len(cues) > QUEUED_NAMES:
                raise ValueError(f"more than {QUEUED_NAMES} scenarios are waiting")
            self._queue.extend(cues)

    def reset(self) -> None:
        """Forget the queue, the calls and how often questions were asked; every model is back."""
        self.roster = Roster()
        with self._lock:
            self._queue.clear()
            self._times.clear()
        self.calls.clear()
        self.lists.clear()

    def choose(self, asked: Asked) -> tuple[Scenario, Cue]:
        """The marker in the last user text, else the queue's next, else the default.

        Raises:
            Refused: The marker names no scenario, or none of this dialect.
        """
        try:
            scenario, cue = chosen(Cue.in_text(asked.last_user_text) or self._next())
        except ValueError as error:
            raise Refused(400, f"Simulator: {error}") from None
        if asked.dialect not in scenario.dialects:
            raise Refused(400, f"Simulator: {scenario.name} is not for the {asked.dialect} dialect.")
        return scenario, cue

    def count(self, scenario: Scenario, asked: Asked) -> int:
        """How often this question was played with this scenario, now included."""
        seen = (scenario.name, hashlib.sha256(asked.question.encode(errors="replace")).hexdigest())
        with self._lock:
            self._times[seen] = self._times.pop(seen, 0) + 1
            while len(self._times) > REMEMBERED_QUESTIONS:
                self._times.popitem(last=False)
            return self._times[seen]

    def _next(self) -> Cue:
        with self._lock:
            return self._queue.popleft() if self._queue else chosen(self.default)[1]


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode(errors="replace")).digest()
