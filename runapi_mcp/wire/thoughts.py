"""Tell thinking from answering where both come as the text of the answer.

Google's chat layer sends thoughts as text between literal ``<thought>`` tags and flags each such
chunk in ``extra_content``; the closing tag arrives at the start of the first answer chunk (wire
notes §5.3). Some relays drop the flags, some the tags; others, and the models themselves, write
``<think>`` or ``<thinking>``, on both dialects (§11 row 7). A tag is believed only where a thought can
be: at the start of the answer, or around flagged text. An answer about ``<thought>`` tags keeps its
own, and one that opens a tag and never closes it, or has nothing after it, is all there is: text.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, TypeAlias

from runapi_mcp.wire.types import TagOpened, TagUnclosed, TextDelta, ThoughtDelta

_NAMES: Final = ("think", "thinking", "thought")
_OPENINGS: Final = tuple(f"<{name}>" for name in _NAMES)
_OPENING: Final = re.compile(rf"<({'|'.join(_NAMES)})(?:\s[^<>]{{0,1000}})?>", re.IGNORECASE)
"""A model that was shown its thinking in a tag with a relay's attributes writes such tags itself."""
_HALF: Final = re.compile(rf"<(?:{'|'.join(_NAMES)})\s[^<>]{{0,1000}}\Z", re.IGNORECASE)
_CLOSINGS: Final = {name: re.compile(f"</{name}>", re.IGNORECASE) for name in _NAMES}
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
        close = f"</{self._name.lower()}>"
        keep = _partial_close(content, len(close) - 1, close)
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
