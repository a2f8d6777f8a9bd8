"""What the two dialects share: bodies and chunks, the choice that is read, what in it is thought, and new.

A stream may say a thing twice. Some relays close it with the whole message, some send the last chunk
again (docs/wire.md §5.2); only what was not given out before is given out then.
"""

import codecs
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar
from zlib import crc32

from pydantic import AliasChoices, ConfigDict, Field

from runapi_mcp.errors import ProtocolError
from runapi_mcp.printable import quote_text
from runapi_mcp.wire.faults import Report, read_failure, read_failure_body
from runapi_mcp.wire.fold import explain_block, read_block
from runapi_mcp.wire.grounding import Citations
from runapi_mcp.wire.json_text import is_crowded
from runapi_mcp.wire.lax import Lax, Maybe, Model, lenient, read_documents
from runapi_mcp.wire.types import (
    Done,
    Event,
    Failure,
    Frame,
    JsonObject,
    PromptBlocked,
    TagOpened,
    TagUnclosed,
    TextDelta,
    ThoughtDelta,
)

_TELLING: Final = 20
"""Characters that no model writes twice in a row by chance, once as the pieces of a text and once as one."""
_LEAST_GIVEN: Final = 3
"""Characters with which a second piece of a text hardly begins by chance, as its first one did."""


class PromptFeedback(Lax):
    """Google's word on the prompt itself, on both dialects."""

    block_reason: Maybe[str] = Field(None, validation_alias=AliasChoices("blockReason", "block_reason"))
    message: Maybe[str] = Field(
        None, validation_alias=AliasChoices("blockReasonMessage", "block_reason_message")
    )
    ratings: object = Field(None, validation_alias=AliasChoices("safetyRatings", "safety_ratings"))

    def read(self) -> Iterator[PromptBlocked]:
        """Yield that the prompt was refused, if it was."""
        if reason := read_block(self.block_reason):
            yield PromptBlocked(reason, explain_block(self.message, self.ratings))


class Beside(Report):
    """What few chunks have beside their choices: a report of an error, a word on the prompt, and the unknown.

    Most have nothing of it, and each field that is looked for costs as much as one that is there.
    """

    model_config = ConfigDict(extra="allow")

    feedback: Maybe[PromptFeedback] = Field(
        None, validation_alias=AliasChoices("promptFeedback", "prompt_feedback")
    )


NOTHING: Final = Beside.model_construct()

_ENVELOPES: Final = ("response", "data", "result")


def unwrap(chunk: Model) -> Model | None:
    """Return the chunk that a relay has put into an envelope of its own; `None` if there is none.

    Google's Code Assist has it under ``response`` (anthonyhaussman/opencode-agy-auth#9), relays under
    ``data``, beside a code and a message that say that all is well.
    """
    extra = chunk.model_extra or {}
    inner = (lenient(type(chunk), extra[name]) for name in _ENVELOPES if isinstance(extra.get(name), dict))
    return next(inner, None)


def read_beside(extra: JsonObject | None) -> Beside:
    """Read what a chunk has that its dialect does not name."""
    return (lenient(Beside, extra) if extra else None) or NOTHING


def tell_media(kind: object) -> TextDelta:
    """Return what stands in the answer for a picture or a sound that the model made, and that is not text."""
    named = kind if isinstance(kind, str) and _MEDIA_TYPE.fullmatch(kind) else "image"
    return TextDelta(f"\n[The model made a file here ({named}), which is not passed on: text alone is.]\n")


_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,20}/[\w.+-]{1,60}")


# ---------------------------------------------------------------- thinking and answer
#
# Google's chat layer sends thoughts as text between literal ``<thought>`` tags and flags each such chunk in
# ``extra_content``; the closing tag arrives at the start of the first answer chunk (docs/wire.md §5.2). Some
# relays drop the flags, some the tags; others, and the models themselves, write ``<think>`` or
# ``<thinking>``, on both dialects. A tag is believed only where a thought can be: at the start
# of the answer, or around flagged text. An answer about ``<thought>`` tags keeps its own, and one that opens
# a tag and never closes it, or has nothing after it, is all there is: text.

_NAMES: Final = ("think", "thinking", "thought")
_OPENINGS: Final = tuple(f"<{name}>" for name in _NAMES)
_OPENING: Final = re.compile(rf"<({'|'.join(_NAMES)})(?:\s[^<>]{{0,1000}})?>", re.IGNORECASE)
"""A model that was shown its thinking in a tag with a relay's attributes writes such tags itself."""
_HALF: Final = re.compile(rf"<(?:{'|'.join(_NAMES)})\s[^<>]{{0,1000}}\Z", re.IGNORECASE)
_CLOSINGS: Final = {name: re.compile(rf"</{name}\s{{0,8}}>", re.IGNORECASE) for name in _NAMES}
_HALF_CLOSE: Final = re.compile(r"</?[a-z]{0,8}\s{0,8}\Z", re.IGNORECASE)
_LONGEST_CLOSE: Final = 18
_MOST_HELD: Final = 64
_MOST_BLOCKS: Final = 8
"""Blocks of thinking that may stand one after the other before the answer; more of them are text."""

_OPEN: Final = "<thought>"
_CLOSE: Final = "</thought>"
"""Google's own, around what it flags."""

_Told: TypeAlias = TextDelta | ThoughtDelta | TagOpened | TagUnclosed


class Phase(Enum):
    """How far the content of a stream has come; from ANSWER on it is the answer as it stands."""

    START = auto()
    OPENING = auto()
    FLAGGED = auto()
    TAGGED = auto()
    CLOSED = auto()
    ANSWER = auto()


class ThoughtTags:
    """Splits the content of one stream; keeps back at most a partial tag and 64 characters of white space.

    Attributes:
        phase: How far the content has come; a chunk may still say of itself that it is thought.
    """

    def __init__(self) -> None:
        self.phase = Phase.START
        self._flagged_tail = ""
        self._held = ""
        self._name = ""
        self._blocks = 0

    def feed(self, content: str, *, flagged: bool = False) -> Iterator[_Told]:
        """Return the deltas in `content`; `flagged` is the chunk's own word that it is thought."""
        if flagged:
            return self._feed_flagged(content)
        match self.phase:
            case Phase.ANSWER:
                return _as_text(content)
            case Phase.START | Phase.CLOSED:
                return self._start(self._held + content)
            case Phase.OPENING | Phase.FLAGGED:
                return self._after_flagged(content)
            case Phase.TAGGED:
                return self._feed_tagged(self._held + content)

    def flush(self) -> Iterator[_Told]:
        """Yield what was held back as a possible tag, now that the model has finished."""
        tail, held = self._let_go()
        yield from _as_thought(tail.removeprefix(_CLOSE))
        if self.phase is Phase.TAGGED:
            yield from _as_thought(held)
        elif held:
            self.phase = Phase.ANSWER
            yield from _as_text(held)

    def end(self, *, followed: bool) -> Iterator[_Told]:
        """Yield what is left at the stream's end; `followed` is whether the model asked for a function."""
        yield from self.flush()
        if self.phase is Phase.TAGGED:
            yield TagUnclosed("")
        elif self.phase is Phase.CLOSED and not followed:
            yield TagUnclosed(f"</{self._name}>")
        self.phase = Phase.ANSWER

    def _feed_flagged(self, content: str) -> Iterator[ThoughtDelta]:
        thought = "".join(self._let_go()) + content
        if self.phase is not Phase.FLAGGED:
            if thought != _OPEN and _OPEN.startswith(thought):
                self.phase, self._flagged_tail = Phase.OPENING, thought
                return
            thought = thought.removeprefix(_OPEN)
            self.phase = Phase.FLAGGED
        keep = _partial_close(thought, len(_CLOSE), _CLOSE)
        self._flagged_tail = thought[len(thought) - keep :]
        yield from _as_thought(thought[: len(thought) - keep])

    def _start(self, content: str) -> Iterator[_Told]:
        """Read the start of the answer, or what comes after a closed tag, where another may open."""
        bare = content.lstrip()
        if (tag := _OPENING.match(bare)) and self._blocks < _MOST_BLOCKS:
            self.phase, self._held, self._name = Phase.TAGGED, "", tag[1]
            self._blocks += 1
            yield TagOpened(tag[0])
            yield from self._feed_tagged(bare[tag.end() :])
        elif _could_open(content, bare):
            # After a closed tag white space is only the gap between the thinking and the answer.
            self._held = bare if self.phase is Phase.CLOSED else content
        elif self.phase is not Phase.CLOSED or bare:
            content = bare if self.phase is Phase.CLOSED else content
            self.phase, self._held = Phase.ANSWER, ""
            yield from _as_text(content)

    def _after_flagged(self, content: str) -> Iterator[_Told]:
        answer = self._held + content
        whole = self._flagged_tail + answer
        if any(begun != _CLOSE and _CLOSE.startswith(begun) for begun in (whole, answer)):
            self._held = answer
            return
        tail, _ = self._let_go()
        self.phase = Phase.ANSWER
        if whole.startswith(_CLOSE):
            yield from _as_text(whole.removeprefix(_CLOSE))
        else:
            yield from _as_thought(tail)
            yield from _as_text(answer.removeprefix(_CLOSE))

    def _feed_tagged(self, content: str) -> Iterator[_Told]:
        if closing := _CLOSINGS[self._name.lower()].search(content):
            self.phase, self._held = Phase.CLOSED, ""
            yield from _as_thought(content[: closing.start()])
            yield from self._start(content[closing.end() :])
            return
        half = _HALF_CLOSE.search(content, max(len(content) - _LONGEST_CLOSE, 0))
        begun = half[0].rstrip().lower() if half else ""
        keep = len(half[0]) if half and f"</{self._name.lower()}".startswith(begun) else 0
        self._held = content[len(content) - keep :]
        yield from _as_thought(content[: len(content) - keep])

    def _let_go(self) -> tuple[str, str]:
        """Return what was held back, flagged and not, and hold nothing any more."""
        tail, held = self._flagged_tail, self._held
        self._flagged_tail = self._held = ""
        return tail, held


def _could_open(content: str, bare: str) -> bool:
    """Whether a text may be the beginning of a tag; `bare` is it without white space before it."""
    if len(content) <= _MOST_HELD and any(tag.startswith(bare.lower()) for tag in _OPENINGS):
        return True
    return bool(_HALF.match(bare))


def split_thoughts(content: str) -> tuple[str, str]:
    """Return the thinking and the answer in the whole content of a message."""
    tags = ThoughtTags()
    told = [*tags.feed(content), *tags.end(followed=False)]
    if any(isinstance(event, TagUnclosed) for event in told):
        return "", content
    thoughts = "".join(event.text for event in told if isinstance(event, ThoughtDelta))
    return thoughts, "".join(event.text for event in told if isinstance(event, TextDelta))


def _partial_close(content: str, longest: int, close: str) -> int:
    end = content[-longest:].lower()
    return next((n for n in range(len(end), 0, -1) if close.startswith(end[len(end) - n :])), 0)


def _as_text(content: str) -> Iterator[TextDelta]:
    if content:
        yield TextDelta(content)


def _as_thought(content: str) -> Iterator[ThoughtDelta]:
    if content:
        yield ThoughtDelta(content)


class _Given:
    """What has been given out of a text, as far as it takes to know it again: its length and a checksum."""

    __slots__ = ("_checksum", "length", "pieces")

    def __init__(self) -> None:
        self.length = 0
        self.pieces = 0
        self._checksum = 0

    def add(self, piece: str) -> int:
        """Add a piece; return its bytes."""
        octets = piece.encode("utf-8", "surrogatepass")
        self.length += len(piece)
        self.pieces += 1
        self._checksum = crc32(octets, self._checksum)
        return len(octets)

    def rest_of(self, whole: str) -> str | None:
        """Return what `whole` has beyond what was given out; `None` if it does not begin with that."""
        begun = whole[: self.length]
        same = len(begun) == self.length and crc32(begun.encode("utf-8", "surrogatepass")) == self._checksum
        return whole[self.length :] if same else None


class Written:
    """The answer and the thinking of one stream, as they are given out: told apart, and each once.

    Attributes:
        octets: UTF-8 bytes of the answer so far.
        tagged: Whether thinking was taken out of the answer, so that upstream counts more of it.
    """

    def __init__(self) -> None:
        self._tags = ThoughtTags()
        self._text = _Given()
        self._thoughts = _Given()
        self._unfinished = False
        self.octets = 0
        self.tagged = False

    def add_text(self, content: str, *, flagged: bool = False, last: bool = False) -> Iterable[Event]:
        """Return more of the answer, or of the thinking in it.

        Args:
            content: The text of a chunk.
            flagged: Whether the chunk itself says that it is thought.
            last: Whether the chunk says that the model has finished, so that it may hold all again.
        """
        self._unfinished = self._unfinished or not last
        if len(content) >= self._text.length >= _TELLING and self._text.pieces > 1 and not flagged:
            rest = self._text.rest_of(content)
            # Before the end only the whole of a long text is taken for what came already.
            if rest is not None and (last or (not rest and len(content) >= 2 * _TELLING)):
                content = rest
        if content and self._tags.phase is Phase.ANSWER and not flagged:
            self.octets += self._text.add(content)
            return (TextDelta(content),)
        return self._note(self._tags.feed(content, flagged=flagged))

    def begins(self, whole: str) -> bool:
        """Whether a text begins with all of the answer that was given out."""
        return self._text.rest_of(split_thoughts(whole)[1]) is not None

    def grows_into(self, whole: str) -> bool:
        """Whether a text is all of the answer that was given out, and more."""
        answer = split_thoughts(whole)[1]
        return _LEAST_GIVEN <= self._text.length < len(answer) and self._text.rest_of(answer) is not None

    def could_repeat(self, text: str) -> bool:
        """Whether a finished chunk that says the same as the one before it repeats it.

        Google's older streams say ``STOP`` in every chunk, and then a short text may well come twice.
        """
        return self._unfinished or len(text) >= _TELLING

    def add_thought(self, content: str) -> Iterator[Event]:
        """Yield more of the thinking, which came as such."""
        if content:
            yield from self._note((ThoughtDelta(content),))

    def add_message(self, content: str, thoughts: str) -> Iterator[Event]:
        """Yield what a whole message has beyond what was given out; nothing if it is another one."""
        yield from self._note(self._tags.flush())
        before, text = split_thoughts(content)
        for piece in (before, thoughts):
            if piece and (rest := self._thoughts.rest_of(piece)):
                yield from self._note((ThoughtDelta(rest),))
        if rest := self._text.rest_of(text):
            yield from self._note((TextDelta(rest),))

    def flush(self) -> Iterator[Event]:
        """Yield what was held back as a possible tag, now that the model has finished."""
        return self._note(self._tags.flush())

    def end(self, *, followed: bool) -> Iterator[Event]:
        """Yield what is left at the stream's end; `followed` is whether the model asked for a function."""
        return self._note(self._tags.end(followed=followed))

    def _note(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case TextDelta(text):
                    self.octets += self._text.add(text)
                case ThoughtDelta(text):
                    self._thoughts.add(text)
                case _:
                    self.tagged = True
            yield event


class _Numbered(Protocol):
    @property
    def index(self) -> int | None: ...


Choice = TypeVar("Choice", bound=_Numbered)


class ChunkDecoder(ABC, Generic[Model]):
    """What the decoders of both dialects share; :class:`~runapi_mcp.wire.dialects.Decoder` says what they do.

    Args:
        model: What any chunk of the dialect is.
    """

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._written = Written()
        self._citations = Citations()
        self._served: str | None = None
        self._called = False
        self._index: int | None = None

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Return the events of one frame, which may be no chunk at all.

        Raises:
            ProtocolError: It is not of the dialect.
        """
        text = frame.text.strip()  # blanks may stand around [DONE] (docs/wire.md §7.1)
        if text.startswith("data:"):
            # A gateway has put an event into an event (openclaw/openclaw#97474).
            text = text.removeprefix("data:").lstrip()
        if text == "[DONE]":
            return (*self.end(), Done())
        # Whatever its data looks like (docs/wire.md §3.2).
        if frame.event == "error":
            return (read_failure_body(text),)
        if not text:
            return ()
        found: list[Event] = []
        for chunk in read_documents(self._model, text):
            self._read(chunk, found)
        return found

    def end(self) -> Sequence[Event]:
        """Return what was held back, at the word that nothing more comes."""
        return [*self._written.end(followed=self._called), *self._citations.end()]

    @abstractmethod
    def _read(self, chunk: Model, found: list[Event]) -> None:
        """Add the events of a chunk to what was found."""

    def _choose(self, choices: Sequence[Choice | None]) -> Choice | None:
        """Return the choice that is read, if it is among these: one, however many a stream has.

        It is the one of the lowest number in the first chunk that has any; one without a number is
        taken for it.
        """
        if self._index is None:
            self._index = min((choice.index or 0 for choice in choices if choice is not None), default=None)
        for choice in choices:
            if choice is not None and choice.index in (None, self._index):
                return choice
        return None


# ---------------------------------------------------------------- bodies

Kind: TypeAlias = Literal["events", "json", "page", "unknown"]

_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
TELLING: Final = len(codecs.BOM_UTF8 + b"event:")
"""Bytes that tell an event stream from another body."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_MOST_CANDIDATES = 8
_MOST_VALUES: Final = 200_000
"""About how many values a whole body may hold: more than any answer's chunks have together."""
_BETWEEN = re.compile(r"[\s,\[\]]*")
"""What stands between documents: native without alt=sse comes as one array of them (docs/wire.md §6.2)."""
_FIELD_LINE = re.compile(r"(?:data|event|id|retry)?:|\s*$")


def body_kind(content_type: str, first: bytes) -> Kind:
    """Return what a body is, by its content type and its first bytes.

    `first` must be at least :data:`TELLING` bytes, white space aside, if the body has that many. A
    body that begins as an event stream is one, whatever a proxy calls it.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/event-stream" or _FIELD.match(first):
        return "events"
    if media_type.endswith(("json", "ndjson")):
        return "json"
    if media_type == "text/html":
        return "page"
    start = first.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return "json" if start in (b"{", b"[") else "page" if start == b"<" else "unknown"


def json_frames(text: str) -> Iterator[Frame]:
    """Yield the documents of a JSON body: one object, an array of them, or one a line.

    A document that the end of the body cuts is left out when others came before it; the fold then
    sees a stream without an ending.

    Raises:
        ProtocolError: Nothing in it is JSON, or it holds far too many values.
    """
    if is_crowded(text, _MOST_VALUES):
        raise ProtocolError(f"RunAPI's answer holds more than {_MOST_VALUES:,} values.")
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    found = False
    while position < len(text):
        try:
            _, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            if found:
                return
            raise ProtocolError(
                f"RunAPI's answer is not the JSON it says it is: {quote_text(text)}."
            ) from None
        yield Frame(text[position:end])
        found = True
        position = _skip(text, end)


def stray_failure(tail: str) -> Failure | None:
    """Return the error report that stands among a stream's lines without being an event.

    Google's stream may end in raw, pretty-printed JSON (docs/wire.md §6.2), which the rules of SSE
    drop line by line.
    """
    stray = [line for line in _LINE_END.split(tail) if not _FIELD_LINE.match(line)]
    starts = [place for place, line in enumerate(stray) if line.startswith(("{", "["))]
    for start in starts[:_MOST_CANDIDATES]:
        try:
            failure = read_failure(json.loads("\n".join(stray[start:])))
        except (ValueError, RecursionError):
            continue
        if failure and failure.message:
            return failure
    return None


def _skip(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    return found.end() if found else position
