"""What is known of one upstream stream while it runs: evidence for progress, facts for receipts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["connecting", "waiting", "open"]


def _nobody() -> None:
    """Tell no one."""


@dataclass(slots=True)
class Trace:
    """Written by the upstream while it works, read by whoever follows. Times are the clock's.

    Attributes:
        phase: What the upstream is doing.
        heard_at: When the last byte of any kind came, a keep-alive included.
        first_byte_at: When the first byte of a stream came.
        waiting_until: When the wait that RunAPI asked for ends, in phase "waiting".
        requests: How many requests were sent.
        waited: Seconds spent in waits that RunAPI asked for.
        request_id: The `X-Client-Request-Id` of the last request.
        received: Bytes of the stream so far.
        on_phase: Called at each change of phase.
    """

    phase: Phase = "connecting"
    heard_at: float | None = None
    first_byte_at: float | None = None
    waiting_until: float | None = None
    requests: int = 0
    waited: float = 0.0
    request_id: str | None = None
    received: int = 0
    on_phase: Callable[[], None] = field(default=_nobody, repr=False)

    def enter(self, phase: Phase) -> None:
        """Change the phase and say so."""
        self.phase = phase
        self.on_phase()

    def heard(self, size: int, now: float) -> None:
        """Note `size` bytes."""
        self.received += size
        self.heard_at = now
        if self.first_byte_at is None:
            self.first_byte_at = now
