"""Adds the events of one stream up to an answer; a stream without an ending is an error here.

This is also the one place that judges whether a stream has said that it is over.
"""

from dataclasses import replace
from typing import assert_never

from runapi_mcp.errors import Blocked, EmptyAnswer, StreamCut, UpstreamError
from runapi_mcp.wire.refusals import midway
from runapi_mcp.wire.types import (
    Answer,
    Done,
    Event,
    Failure,
    Finish,
    FunctionCall,
    FunctionCallDelta,
    Grounding,
    PromptBlocked,
    Served,
    TextDelta,
    ThoughtDelta,
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


class _Pieces:
    """Text that grows at its end."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.length = 0

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.length += len(piece)

    def joined(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def tail(self, characters: int) -> str:
        found: list[str] = []
        missing = characters
        for piece in reversed(self._pieces):
            found.append(piece[-missing:])
            missing -= len(piece)
            if missing <= 0:
                break
        return "".join(reversed(found))


class _GrowingCall:
    """A function call whose arguments grow at their end."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments = _Pieces()
        self._signature = ""

    @property
    def size(self) -> int:
        return len(self._id) + len(self._name) + self._arguments.length + len(self._signature)

    def add(self, delta: FunctionCallDelta) -> None:
        self._id = delta.id or self._id
        self._name = delta.name or self._name
        self._arguments.add(delta.arguments)
        self._signature = delta.signature or self._signature

    def joined(self) -> FunctionCall:
        return FunctionCall(self._id, self._name, self._arguments.joined(), self._signature)


class Fold:
    """The sum of the events fed so far."""

    def __init__(self) -> None:
        self._text = _Pieces()
        self._thoughts = _Pieces()
        self._grounding = Grounding()
        self._grounding_size = 0
        self._calls: dict[int, _GrowingCall] = {}
        self._calls_size = 0
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._ending = Ending()
        self._blocked: str | None = None
        self._failure: Failure | None = None
        self._model: str | None = None

    @property
    def characters(self) -> int:
        """How long the answer text is so far."""
        return self._text.length

    @property
    def thought_characters(self) -> int:
        """How long the summary of the thinking is so far."""
        return self._thoughts.length

    @property
    def size(self) -> int:
        """Characters of all it holds: text, thoughts, function calls and grounding."""
        return self._text.length + self._thoughts.length + self._calls_size + self._grounding_size

    @property
    def empty(self) -> bool:
        """Whether neither text nor a function call has come."""
        return not self._text.length and not self._calls

    @property
    def usage(self) -> Usage | None:
        """Tokens so far, if upstream has said."""
        return self._usage

    @property
    def finished(self) -> bool:
        """Whether a finish has come, with no text after it that would take it back."""
        return self._ending.finished

    def tail(self, characters: int) -> str:
        """Return the end of the text, or of the thoughts while there is no text."""
        return self._text.tail(characters) if self._text.length else self._thoughts.tail(characters)

    def feed(self, event: Event) -> None:
        """Add one event."""
        self._ending.feed(event)
        match event:
            case TextDelta(text):
                self._text.add(text)
            case ThoughtDelta(text):
                self._thoughts.add(text)
            case Grounding():
                self._grounding = _richer(self._grounding, event)
                self._grounding_size = _characters(self._grounding)
            case FunctionCallDelta():
                self._call(event)
            case Usage():
                self._usage = _updated(self._usage, event)
            case Finish():
                self._finish = event
            case Done():
                pass
            case PromptBlocked(reason):
                self._blocked = reason
            case Served(model):
                self._model = model
            case Failure():
                self._failure = self._failure or event
            case _:
                assert_never(event)

    def partial(self) -> Answer:
        """Return what there is, finished or not."""
        calls = tuple(self._calls[index].joined() for index in sorted(self._calls))
        finish = self._finish
        if finish is None and self._blocked is not None:
            finish = Finish(self._blocked, "filtered")
        if calls and finish and finish.reason in ("stop", "unknown"):
            # Both dialects may say "stop" of a stream that ends in a call (wire notes §10 no. 22).
            finish = replace(finish, reason="tool")
        return Answer(
            text=self._text.joined(),
            thoughts=self._thoughts.joined(),
            grounding=self._grounding,
            function_calls=calls,
            usage=self._usage,
            finish=finish,
            model=self._model,
        )

    def answer(self) -> Answer:
        """Return the whole answer.

        An answer cut by the output limit, or filtered after some text, is returned: its
        `finish` says so.

        Raises:
            FailedMidway: Upstream reported an error inside the stream.
            StreamCut: The stream ended without saying why.
            Blocked: The prompt was blocked, or the answer before it had any text.
            EmptyAnswer: The stream finished and there is nothing in it.
        """
        error = self.error()
        if error is not None:
            raise error
        return self.partial()

    def error(self) -> UpstreamError | None:
        """Return what :meth:`answer` would raise, now that no more events come."""
        if self._failure:
            return midway(self._failure, partial=self._text.joined())
        if self._blocked is not None and not self._text.length:
            return Blocked(f"RunAPI blocked the prompt ({_label(self._blocked)}).")
        if not self.finished:
            return _cut(self._text.joined())
        if not self.empty or self._finish is None:
            return None
        return _nothing(self._finish)

    def _call(self, delta: FunctionCallDelta) -> None:
        call = self._calls.setdefault(delta.index, _GrowingCall())
        before = call.size
        call.add(delta)
        self._calls_size += call.size - before


def _nothing(finish: Finish) -> UpstreamError:
    if finish.reason == "filtered":
        return Blocked(f"The answer was blocked before it had any text ({_label(finish.raw)}).")
    if finish.reason == "length":
        return EmptyAnswer(
            "Thinking used up the whole output limit; no answer was written.",
            advice="Raise max_output_tokens, leave it out, or lower reasoning_effort.",
        )
    explained = f": {_label(finish.message)}" if finish.message else ""
    return EmptyAnswer(f"The model finished ({_label(finish.raw)}) without writing an answer{explained}.")


def _cut(partial: str) -> StreamCut:
    if partial:
        return StreamCut(
            "The answer stopped in the middle: the stream ended without a finish.", partial=partial
        )
    return StreamCut(
        "The stream ended before any answer came.", advice="It is not caused by the arguments; ask again."
    )


def _richer(known: Grounding, new: Grounding) -> Grounding:
    """Return the grounding to keep: the new one, unless it says less than what is known."""
    if not new.sources and known.sources:
        return replace(known, queries=new.queries or known.queries)
    return replace(new, queries=new.queries or known.queries)


def _characters(grounding: Grounding) -> int:
    sources = sum(len(s.url) + len(s.title) + len(s.snippet) for s in grounding.sources)
    return sources + sum(len(s.text) for s in grounding.supports) + sum(map(len, grounding.queries))


def _updated(known: Usage | None, new: Usage) -> Usage:
    if known is None:
        return new
    return Usage(
        known.input if new.input is None else new.input,
        known.output if new.output is None else new.output,
        known.thinking if new.thinking is None else new.thinking,
        known.cached if new.cached is None else new.cached,
    )


def _label(raw: str) -> str:
    """Return upstream's word for something, short and harmless."""
    return "".join(c for c in raw[:60] if c.isalnum() or c in "_- .,'") or "no reason given"
