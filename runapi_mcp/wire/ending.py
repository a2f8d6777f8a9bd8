"""Whether a stream has said that it is over; the one place that decides it."""

from runapi_mcp.wire.types import (
    Done,
    Event,
    Failure,
    Finish,
    FunctionCallDelta,
    PromptBlocked,
    Served,
    TextDelta,
    Usage,
)


class Ending:
    """What the events fed so far say about the end.

    A bridge may say ``STOP`` before the text (wire notes §6.3), so text takes a finish back until
    another finish, a usage with no text after it, or ``[DONE]`` confirms it. After a failure nothing
    does: bridges close a broken stream with a finish that looks like any other.

    Attributes:
        begun: Whether anything of an answer has come; a refusal may bring a model's name and usage too.
        failed: Whether upstream reported an error, before the finish or after it.
        done: Whether it said that nothing more comes at all.
    """

    def __init__(self) -> None:
        self.begun = False
        self.failed = False
        self.done = False
        self._said = False
        self._gone_on = False
        self._metered = False
        self._wrote = False
        self._broken = False

    @property
    def finished(self) -> bool:
        """Whether the end was said before anything failed, and nothing has been written since."""
        return self._said and not self._gone_on and not self._broken

    @property
    def settled(self) -> bool:
        """Whether nothing more is due: finished, metered, and with something written."""
        return self.finished and self._metered and self._wrote

    def feed(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case TextDelta():
                self.begun, self._wrote, self._gone_on = True, True, self._said
            case FunctionCallDelta():
                self.begun, self._wrote = True, True
            case Finish() | PromptBlocked():
                self.begun, self._said, self._gone_on = True, True, False
            case Usage():
                self._metered, self._gone_on = True, False
            case Done():
                self.begun, self.done, self._gone_on = True, True, False
            case Failure():
                self.begun, self.failed, self._broken = True, True, not self.finished
            case Served():
                pass
            case _:
                self.begun = True
