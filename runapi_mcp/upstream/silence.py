"""How long a body may be silent, and what it means when it is silent for longer."""

from runapi_mcp.errors import Stalled


class Silence:
    """Counts the seconds spent waiting since the last event.

    Only waiting counts: a caller that takes its time between two events does not make a stream stall.

    Attributes:
        usual: Seconds after which a stream has stalled.
        means_end: Whether silence now means the end rather than a stall.
        since: When the last event came, by the clock.
    """

    def __init__(self, usual: float, now: float) -> None:
        self.usual = usual
        self.means_end = False
        self.since = now
        self._allowed = usual
        self._waited = 0.0

    @property
    def left(self) -> float:
        """Seconds of it that are still allowed."""
        return max(self._allowed - self._waited, 0.0)

    def waited(self, seconds: float) -> None:
        """Count seconds of waiting."""
        self._waited += seconds

    def broken(self, now: float) -> None:
        """Begin anew: an event has come."""
        self._waited = 0.0
        self.since = now

    def end_within(self, seconds: float) -> None:
        """From now on that much silence means the end."""
        self.means_end = True
        self._allowed = min(self.usual, seconds)

    def go_on(self) -> None:
        """Take that back: more is to come after all."""
        self.means_end = False
        self._allowed = self.usual

    def stalled(self, heard_at: float | None) -> Stalled:
        """Return the error for one that took too long; `heard_at` is when the last byte came."""
        if heard_at is not None and heard_at - self.since > self._allowed / 2:
            return Stalled(f"RunAPI sent keep-alives but no content for {self._allowed:g} s.")
        return Stalled(f"RunAPI sent nothing for {self._allowed:g} s.")
