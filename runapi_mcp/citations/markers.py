"""Where citation markers go: after whole words and sentences, in every script.

Upstream counts UTF-8 bytes, may leave the start out, and may be a byte off (wire notes §6.4);
annotations may count characters instead (§5.4). A place is believed only if the support's own text
stands there, or stands exactly once elsewhere. Markers are put between the answer's characters and
never in place of one.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runapi_mcp.wire.types import Support

ENDERS: Final = frozenset(".!?…。！？｡؟۔।॥")
CLOSERS: Final = frozenset("\"'”’»)]}」』】）*_")
_TARGET: Final = r"\]\((?:[^()\s]|\([^()\s]*\))*\)"
_WHOLE: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`"
    # Neither part of a link goes past where the next one may begin: else a row of brackets takes for ever.
    rf"|!?\[(?:!\[[^\[\]\n]*{_TARGET}\s*)?[^\[\]\n]*{_TARGET}"
    r"|https?://[^\s<>\"'\])]+",
    re.DOTALL,
)
"""What a marker must not stand in: code, links and bare URLs."""
UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
"""Scripts written without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A stretch of the answer, in characters, and the indices of the sources behind it."""

    start: int
    end: int
    sources: tuple[int, ...]


def placed(text: str, supports: Iterable[Support]) -> list[Placed]:
    """Return the supports whose place in `text` is certain, in their order."""
    supports = tuple(supports)
    encoded = text.encode()
    unit = _unit(text, encoded, [s for s in supports if not s.text])
    spans = ((_span(s, text, encoded, unit), s.sources) for s in supports)
    return [Placed(*span, sources) for span, sources in spans if span is not None]


def marked(text: str, marks: Mapping[int, Iterable[int]]) -> str:
    """Return `text` with `[n]` at each position of `marks`; every character of it stays."""
    pieces, start = [], 0
    for end, numbers in sorted(marks.items()):
        pieces += [text[start:end], "".join(f"[{number}]" for number in sorted(set(numbers)))]
        start = end
    return "".join([*pieces, text[start:]])


def whole_spans(text: str) -> list[tuple[int, int]]:
    """Return the stretches that a marker must not stand in, in order."""
    return [found.span() for found in _WHOLE.finditer(text)]


def marker_place(text: str, end: int, whole: Sequence[tuple[int, int]]) -> int:
    """Return where the marker of a stretch that ends at `end` goes: at `end` or after it."""
    while 0 < end < len(text):
        past = next((stop for start, stop in whole if start < end < stop), None)
        if past is None and not _inside_word(text, end) and not _belongs(text, end):
            break
        end = past or end + 1
    return end


def _unit(text: str, encoded: bytes, bare: list[Support]) -> str:
    """Return what supports without a text count: the unit in which they end where sentences do."""
    if text.isascii() or not bare:
        return "bytes"
    ends = [support.end for support in bare]
    in_bytes = sum(_fit(text, _characters(encoded, end)) for end in ends)
    in_characters = sum(_fit(text, end if 0 < end <= len(text) else None) for end in ends)
    return "characters" if in_characters > in_bytes else "bytes"


def _fit(text: str, end: int | None) -> int:
    """Return how well a stretch may end at `end`: 2 for a sentence, 1 for a word, -1 for nowhere."""
    if end is None:
        return -1
    if text[end - 1] in ENDERS or end == len(text) or text[end] in ENDERS or text[end] == "\n":
        return 2
    return 0 if _inside_word(text, end) or text[end - 1].isspace() else 1


def _span(support: Support, text: str, encoded: bytes, unit: str) -> tuple[int, int] | None:
    if support.text:
        return _found(support, text, encoded)
    start, end = support.start, support.end
    if unit == "bytes":
        first, last = _characters(encoded, start) if start else 0, _characters(encoded, end)
        return (first or 0, last) if last is not None else None
    return (start, end) if 0 <= start < end <= len(text) else None


def _found(support: Support, text: str, encoded: bytes) -> tuple[int, int] | None:
    """Return where a support's text stands: where it says, a byte beside it, or the only place there is."""
    wanted = support.text.encode()
    for shift in (0, -1, 1):
        start = support.start + shift
        if start >= 0 and encoded[start : start + len(wanted)] == wanted:
            first = len(encoded[:start].decode())
            return first, first + len(support.text)
    if support.start >= 0 and text.startswith(support.text, support.start):
        return support.start, support.start + len(support.text)
    first = text.find(support.text)
    once = first >= 0 and text.find(support.text, first + 1) < 0
    return (first, first + len(support.text)) if once else None


def _characters(encoded: bytes, end: int) -> int | None:
    """Return an offset in bytes as one in characters; `None` if it is inside of one, or outside of all."""
    if not 0 < end <= len(encoded):
        return None
    try:
        return len(encoded[:end].decode())
    except UnicodeDecodeError:
        return None


def _inside_word(text: str, at: int) -> bool:
    """Whether `at` parts what belongs together: a word, a number, a character and its marks."""
    before, after = text[at - 1], text[at]
    if joined(text, at):
        return True
    if before.isalnum() and after.isalnum():
        return not (UNSPACED.match(before) or UNSPACED.match(after))
    # 3.5, 1,000, don't, l'été
    inner = after in ".,'’" and before.isalnum() and at + 1 < len(text) and text[at + 1].isalnum()
    outer = before in ".,'’" and after.isalnum() and at > 1 and text[at - 2].isalnum()
    return inner or outer


def joined(text: str, at: int) -> bool:
    """Whether the characters on both sides of `at` are seen as one: marks, joiners, skin tones, flags."""
    before, after = text[at - 1], text[at]
    if after in "\u200d\ufe0e\ufe0f\u20e3" or before == "\u200d":
        return True
    if unicodedata.category(after) in ("Mn", "Mc", "Me") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if before == "\r" and after == "\n":
        return True
    return _is_flag(before) and _is_flag(after) and _flags_before(text, at) % 2 == 1


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    count = 0
    while count < at and _is_flag(text[at - 1 - count]):
        count += 1
    return count


def _belongs(text: str, at: int) -> bool:
    """Whether the character at `at` closes the sentence or word before it."""
    return not text[at - 1].isspace() and (text[at] in ENDERS or text[at] in CLOSERS)
