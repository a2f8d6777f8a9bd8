"""Progress: what to say, and when. Pure; the clock is passed in.

A line is evidence: the phase, what has been received, how long it has been silent when that is
long, and the last line of thought or text. Nothing is invented: there is no total.
"""

from collections import deque
from typing import Final

from runapi_mcp.generations.values import Evidence, Phase
from runapi_mcp.printable import one_line

LINE_CHARS: Final = 200
HEARTBEAT: Final = 5.0
"""Seconds of silence after which something is said, whether or not there is news."""
_PHASES: Final[dict[Phase, str]] = {
    "queued": "queued, {ahead} ahead",
    "connecting": "connecting",
    "waiting": "waiting {left} s as RunAPI asked",
    "open": "connected, nothing written yet",
    "thinking": "thinking",
    "writing": "writing",
}
PATIENT: Final[frozenset[Phase]] = frozenset({"connecting", "open"})
"""Phases that can wait a second to be told."""
_LONG_SILENCE: Final = 3.0
_WINDOW: Final = 1.0
_MOST_IN_WINDOW: Final = 2


def progress_line(evidence: Evidence) -> str:
    """Return the evidence as one line of at most 200 characters."""
    parts = [
        _doing(evidence),
        one_line(evidence.described, 120) or _count_received(evidence),
        _silence(evidence),
    ]
    line = " · ".join(part for part in parts if part)
    tail = "" if evidence.described else _last_line(evidence.tail)
    room = LINE_CHARS - len(line) - 3
    return f"{line} · {_end_of(tail, room)}" if tail and room > 10 else line[:LINE_CHARS]


class Cadence:
    """Decides when to speak: at most twice in any second, and at least every five.

    While it only connects, once a second: the other place is kept for what a host waits to hear of,
    the first piece above all. Times are seconds since the call began; they strictly increase, and so
    does what is reported.
    """

    def __init__(self) -> None:
        self._spoken: deque[float] = deque(maxlen=_MOST_IN_WINDOW)
        self._reported = 0.0

    def due(self, now: float, *, news: bool, pressing: bool) -> float:
        """Return how many seconds to wait before speaking; with `news`, no longer than the pace asks."""
        if not self._spoken:
            return 0.0
        wanted = now if news else self._spoken[-1] + HEARTBEAT
        return max(self._earliest(now, pressing=pressing), wanted, now) - now

    def _earliest(self, now: float, *, pressing: bool) -> float:
        if not pressing:
            return self._spoken[-1] + _WINDOW
        return self._spoken[0] + _WINDOW if len(self._spoken) == _MOST_IN_WINDOW else now

    def spoke(self, now: float) -> float:
        """Note that something is said at `now`; return the time to report, later than any before."""
        self._spoken.append(now)
        # Rounded before it is compared: two that differ must still differ on the wire.
        self._reported = max(round(now, 3), round(self._reported + 0.001, 3))
        return self._reported


def _doing(evidence: Evidence) -> str:
    doing = _PHASES[evidence.phase].format(ahead=evidence.ahead, left=f"{evidence.wait_left:.0f}")
    if evidence.searching and evidence.phase in ("open", "thinking"):
        doing = "searching" if evidence.phase == "open" else "searching, thinking"
    if evidence.stage:
        return f"{evidence.stage}, {doing}"
    return doing if evidence.round == 1 else f"{doing} (try {evidence.round})"


def _count_received(evidence: Evidence) -> str:
    if not evidence.characters:
        return ""
    if evidence.phase == "writing" and evidence.tokens:
        return f"{evidence.tokens:,} tokens"
    return f"{evidence.characters:,} characters"


def _silence(evidence: Evidence) -> str:
    quiet = evidence.silent > _LONG_SILENCE and evidence.phase not in ("queued", "waiting")
    return f"no byte for {evidence.silent:.0f} s" if quiet else ""


def _last_line(tail: str) -> str:
    lines = [line for line in tail.splitlines() if line.strip()]
    return one_line(lines[-1], LINE_CHARS * 2) if lines else ""


def _end_of(line: str, room: int) -> str:
    return line if len(line) <= room else "…" + line[-(room - 1) :].lstrip()
