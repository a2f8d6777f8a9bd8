"""Whether a stream has said that it is over; the one place that decides it."""

from runapi_mcp.wire.types import Done, Event, Finish, FunctionCallDelta, PromptBlocked, TextDelta, Usage


class Ending:
    """What the events fed so far say about the end.

    A bridge may say ``STOP`` before the text (wire notes §6.3), so text takes a finish back until
    another finish, a usage with no text after it, or ``[DONE]`` confirms it.
    """

    def __init__(self) -> None:
        self._said = False
        self._gone_on = False
        self._metered = False
        self._wrote = False

    @property
    def finished(self) -> bool:
        """Whether the end was said and nothing has been written since."""
        return self._said and not self._gone_on

    @property
    def settled(self) -> bool:
        """Whether nothing more is due: finished, metered, and with something written."""
        return self.finished and self._metered and self._wrote

    def feed(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case TextDelta():
                self._wrote, self._gone_on = True, self._said
            case FunctionCallDelta():
                self._wrote = True
            case Finish() | PromptBlocked():
                self._said, self._gone_on = True, False
            case Usage():
                self._metered, self._gone_on = True, False
            case Done():
                self._gone_on = False
            case _:
                pass
