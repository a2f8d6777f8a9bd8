"""Tell thinking from answering in chat content, where both come as ``content``.

Google's chat layer sends thoughts as text between literal ``<thought>`` tags and flags each such
chunk in ``extra_content``; the closing tag arrives at the start of the first answer chunk (wire
notes §5.3). Some relays drop the flags, some the tags. A tag is believed only where a thought
can be: at the start of the answer, or around flagged text. An answer about ``<thought>`` tags
keeps its own.
"""

from collections.abc import Iterator
from enum import Enum, auto

from runapi_mcp.wire.types import TextDelta, ThoughtDelta

_OPEN = "<thought>"
_CLOSE = "</thought>"
_MOST_HELD = 64


class _Phase(Enum):
    START = auto()
    OPENING = auto()
    FLAGGED = auto()
    TAGGED = auto()
    ANSWER = auto()


class ThoughtTags:
    """Splits the content of one stream; keeps back at most a partial tag and 64 characters."""

    def __init__(self) -> None:
        self._phase = _Phase.START
        self._flagged_tail = ""
        self._held = ""

    def feed(self, content: str, *, flagged: bool) -> Iterator[TextDelta | ThoughtDelta]:
        """Return the deltas in `content`; `flagged` is the chunk's own word that it is thought."""
        if flagged:
            return self._flagged(content)
        match self._phase:
            case _Phase.ANSWER:
                return _text(content)
            case _Phase.START:
                return self._start(self._held + content)
            case _Phase.OPENING | _Phase.FLAGGED:
                return self._after_flagged(content)
            case _Phase.TAGGED:
                return self._tagged(self._held + content)

    def end(self) -> Iterator[TextDelta | ThoughtDelta]:
        """Yield what was held back as a possible tag and turned out not to be one."""
        tail, held = self._let_go()
        yield from _thought(tail.removeprefix(_CLOSE))
        yield from _thought(held) if self._phase is _Phase.TAGGED else _text(held)

    def _flagged(self, content: str) -> Iterator[ThoughtDelta]:
        thought = "".join(self._let_go()) + content
        if self._phase is not _Phase.FLAGGED:
            if thought != _OPEN and _OPEN.startswith(thought):
                self._phase, self._flagged_tail = _Phase.OPENING, thought
                return
            thought = thought.removeprefix(_OPEN)
            self._phase = _Phase.FLAGGED
        keep = _partial_tag(thought, len(_CLOSE))
        self._flagged_tail = thought[len(thought) - keep :]
        yield from _thought(thought[: len(thought) - keep])

    def _start(self, content: str) -> Iterator[TextDelta | ThoughtDelta]:
        bare = content.lstrip()
        if bare.startswith(_OPEN):
            self._phase, self._held = _Phase.TAGGED, ""
            yield from self._tagged(bare.removeprefix(_OPEN))
        elif _OPEN.startswith(bare) and len(content) <= _MOST_HELD:
            self._held = content
        else:
            self._phase, self._held = _Phase.ANSWER, ""
            yield from _text(content)

    def _after_flagged(self, content: str) -> Iterator[TextDelta | ThoughtDelta]:
        answer = self._held + content
        whole = self._flagged_tail + answer
        if any(begun != _CLOSE and _CLOSE.startswith(begun) for begun in (whole, answer)):
            self._held = answer
            return
        tail, _ = self._let_go()
        self._phase = _Phase.ANSWER
        if whole.startswith(_CLOSE):
            yield from _text(whole.removeprefix(_CLOSE))
        else:
            yield from _thought(tail)
            yield from _text(answer.removeprefix(_CLOSE))

    def _tagged(self, content: str) -> Iterator[TextDelta | ThoughtDelta]:
        thought, closed, answer = content.partition(_CLOSE)
        if closed:
            self._phase, self._held = _Phase.ANSWER, ""
            yield from _thought(thought)
            yield from _text(answer)
            return
        keep = _partial_tag(content, len(_CLOSE) - 1)
        self._held = content[len(content) - keep :]
        yield from _thought(content[: len(content) - keep])

    def _let_go(self) -> tuple[str, str]:
        """Return what was held back, flagged and not, and hold nothing any more."""
        tail, held = self._flagged_tail, self._held
        self._flagged_tail = self._held = ""
        return tail, held


def _partial_tag(content: str, longest: int) -> int:
    longest = min(longest, len(content))
    return next((n for n in range(longest, 0, -1) if content.endswith(_CLOSE[:n])), 0)


def _text(content: str) -> Iterator[TextDelta]:
    if content:
        yield TextDelta(content)


def _thought(content: str) -> Iterator[ThoughtDelta]:
    if content:
        yield ThoughtDelta(content)
