"""How a frame is decoded in either dialect: what is no chunk here, a chunk the short way or the long."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from runapi_mcp.wire.faults import read_failure_body
from runapi_mcp.wire.json_text import Model, read_documents
from runapi_mcp.wire.types import Done, Event, Frame


class _Numbered(Protocol):
    @property
    def index(self) -> int | None: ...


Choice = TypeVar("Choice", bound=_Numbered)


class Followed:
    """Which of a stream's choices is read: one, however many come and in which order.

    Attributes:
        index: Its number: the lowest in the first chunk that has a choice; none before that.
    """

    def __init__(self) -> None:
        self.index: int | None = None

    def among(self, choices: Sequence[Choice | None] | None) -> Choice | None:
        """Return the choice that is read, if it is among these; one without a number is taken for it."""
        present = [choice for choice in choices or () if choice is not None]
        if self.index is None and present:
            self.index = min(choice.index or 0 for choice in present)
        return next((choice for choice in present if choice.index in (None, self.index)), None)


def decoded(
    frame: Frame,
    plainly: Callable[[str], Sequence[Event] | None],
    model: type[Model],
    events: Callable[[Model], Iterable[Event]],
) -> Sequence[Event]:
    """Return the events of one frame.

    Args:
        frame: It; may be no chunk at all.
        plainly: Gives the events of a chunk that holds no more than most do, `None` for any other.
        model: What any chunk of the dialect is.
        events: Gives the events of such a chunk.

    Raises:
        ProtocolError: It is not of the dialect.
    """
    text = frame.text.strip()
    if text == "[DONE]":
        return (Done(),)
    if frame.event == "error":
        return (read_failure_body(text),)
    if not text:
        return ()
    plain = plainly(text)
    if plain is not None:
        return plain
    return [event for chunk in read_documents(model, text) for event in events(chunk)]
