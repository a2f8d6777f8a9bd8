"""Where citation markers go: after whole words and sentences, in every script, where Markdown lets them.

Google's segments count UTF-8 bytes, leave out a start of 0, and are a byte off now and then; annotations on
chat may count characters instead. A place is believed only if the support's own text stands there, or stands
exactly once elsewhere. Markers are put between the answer's characters and never in place of one. All of it
is linear in the answer, however many supports come.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from runapi_mcp.citations.markdown import Layout
from runapi_mcp.wire.types import Support

ENDERS: Final = frozenset(".!?…。！？｡؟۔।॥")
CLOSERS: Final = frozenset("\"'”’»)]}」』】）*_~")
UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
"""Scripts written without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_SAYING: Final = re.compile(r"[^\W_]")
"""What `str.isalnum` holds for."""
_LEAD: Final = re.compile(
    r"[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]*+(?:\[[ xX]?\]?[ \t]*+)?|#{1,6}[ \t]*+|[|:\-= \t]++)?\Z"
)
"""What stands at the head of a line before its text: a bullet, a number, a heading's mark, a cell's."""
_LONGEST_LEAD: Final = 60
_STRIDE: Final = 4_096
_CONTINUING: Final = bytes(range(0x80, 0xC0))
_MOST_SEARCHED: Final = 50_000_000
"""Characters gone through, for all supports together, to find texts that do not stand where they should."""
_LONGEST_FLAG_ROW: Final = 64


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the answer, in characters, and the indices of the sources behind it."""

    start: int
    end: int
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a marker goes: before the character `at`, on a line of its own if need be."""

    at: int
    own_line: bool = False


class _Encoded:
    """A text as UTF-8, and the way from its bytes to its characters without decoding it each time."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode()
        self._steps: list[int] | None = None if len(self.bytes) == len(text) else []

    def characters(self, end: int) -> int | None:
        """Return an offset in bytes as one in characters; `None` if it is inside of one or past all."""
        encoded = self.bytes
        if not 0 <= end <= len(encoded) or (end < len(encoded) and encoded[end] in _CONTINUING):
            return None
        if self._steps is None:
            return end
        if not self._steps:
            total, self._steps = 0, [0]
            for start in range(0, len(encoded), _STRIDE):
                total += len(encoded[start : start + _STRIDE].translate(None, _CONTINUING))
                self._steps.append(total)
        step = end // _STRIDE
        return self._steps[step] + len(encoded[step * _STRIDE : end].translate(None, _CONTINUING))


def find_spans(text: str, supports: Iterable[Support]) -> list[Span]:
    """Return the supports whose place in `text` is certain, in their order."""
    supports = tuple(supports)
    encoded = _Encoded(text)
    unit = _count_unit(text, encoded, [support for support in supports if not support.text])
    search_left = _MOST_SEARCHED
    spans = []
    for support in supports:
        if support.text:
            span = _find_told(support, text, encoded)
            if span is None and search_left > 0:
                search_left -= len(text)
                span = _find_once(support.text, text)
        else:
            span = _find_counted(support, text, encoded, unit)
        if span is not None:
            spans.append(Span(*span, support.sources))
    return _leave_markup_out(text, spans)


def _leave_markup_out(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans that hold a letter or a digit.

    Google may name a stretch of markup alone, such as `**` (CherryHQ/cherry-studio#13646).
    """
    first: dict[int, int] = {}
    at = -1
    for start in sorted({span.start for span in spans}):
        if at < start:
            found = _SAYING.search(text, start)
            at = found.start() if found else len(text)
        first[start] = at
    return [span for span in spans if first[span.start] < span.end]


def find_places(text: str, spans: Iterable[Span], layout: Layout) -> dict[Place, set[int]]:
    """Return where the markers of `spans` go, and the indices of the sources each of them names."""
    placer = _Placer(text, layout)
    places: dict[Place, set[int]] = {}
    for span in sorted(spans, key=lambda span: span.end):
        place = placer.place(span.start, span.end)
        if place is not None:
            places.setdefault(place, set()).update(span.sources)
    return places


def write_markers(
    text: str, marks: Mapping[Place, Iterable[int]], layout: Layout, removed: Iterable[tuple[int, int]] = ()
) -> str:
    """Return `text` with `[n]` at each place of `marks`, and without the stretches `removed`.

    Every other character of it stays. A link definition whose label is a number is made harmless by a
    backslash: it would make links of the markers with that number.
    """
    edits = [
        (place.at, 1, place.at, _write(text, place, numbers, layout)) for place, numbers in marks.items()
    ]
    edits += [(at, 2, at, "\\") for at in layout.definitions]
    edits += [(start, 0, end, "") for start, end in removed]
    pieces, start = [], 0
    for at, _, end, inserted in sorted(edits):
        pieces += [text[start:at], inserted]
        start = max(start, end)
    return "".join([*pieces, text[start:]])


def _write(text: str, place: Place, numbers: Iterable[int], layout: Layout) -> str:
    marker = "".join(f"[{number}]" for number in sorted(set(numbers)))
    before, after = text[place.at - 1 : place.at], text[place.at : place.at + 1]
    if place.own_line:
        # The same quotation and indent as the line before, or the list around it would end here.
        line = text[text.rfind("\n", 0, place.at) + 1 : place.at]
        margin = line[: len(line) - len(line.lstrip(" \t>"))]
        following = text[
            place.at + 1 : text.find("\n", place.at + 1) if "\n" in text[place.at + 1 :] else None
        ]
        blank_after = f"\n{margin.rstrip()}" if after and following.strip(" \t>") else ""
        return f"\n{margin.rstrip()}\n{margin}{marker}{blank_after}"
    # A label right before it would make a reference of both, a backslash take the bracket.
    space_before = " " if before in ("]", "\\", "!") or layout.follows_url(text, place.at) else ""
    # What follows it in brackets would make a link of it.
    return f"{space_before}{marker}{' ' if after in ('(', '[') else ''}"


class _Placer:
    """Finds the places of markers, for stretches that are asked for in the order of their ends."""

    def __init__(self, text: str, layout: Layout) -> None:
        self._text = text
        self._layout = layout
        self._walked = (0, 0)
        self._backed = (0, 0)

    def place(self, start: int, end: int) -> Place | None:
        """Return where the marker of a stretch goes: at its end, or as near as Markdown and words allow."""
        end = self._back(start, end)
        if end == 0 or self._is_lead(end):
            return None  # it says nothing: white space, or a bullet
        if self._walked[0] <= end <= self._walked[1]:
            end = self._walked[1]
        first = end
        while 0 < end <= len(self._text):
            zone = self._layout.zone_at(end)
            if zone is not None:
                if zone.exit is None:
                    return None
                if zone.own_line:
                    return Place(zone.exit, own_line=True)
                if zone.exit <= end:
                    end = zone.exit
                    break
                end = zone.exit
                if zone.spaced:
                    break
            elif end < len(self._text) and (_is_inside_word(self._text, end) or _belongs(self._text, end)):
                end += 1
            else:
                break
        self._walked = (first, end) if end > first else self._walked
        return None if self._is_lead(end) else Place(end)

    def _back(self, start: int, end: int) -> int:
        """Return the end of what a stretch says: before white space, bullets, cell walls, definitions."""
        least, first = max(start, 0), end
        while end > least:
            low, high = self._backed
            before = low if low < end <= high else self._step_back(end)
            if before == end:
                break
            end = max(before, least)
        if end < first:
            self._backed = (end, first)
        return end

    def _is_lead(self, end: int) -> bool:
        """Whether nothing but what makes it an item, a heading or a row stands in a line before `end`."""
        line = self._text.rfind("\n", max(0, end - _LONGEST_LEAD), end) + 1
        return (line > 0 or end <= _LONGEST_LEAD) and bool(_LEAD.match(self._text, line, end))

    def _step_back(self, end: int) -> int:
        """Return the next place before `end` at which something may be said; `end` if that is one."""
        text = self._text
        if text[end - 1].isspace():
            return end - 1
        if text[end - 1] == "\\" and text[end : end + 1] == "\n":
            return end - 1
        if self._is_lead(end):
            return max(text.rfind("\n", 0, end), 0)
        zone = self._layout.zone_at(end)
        if zone is not None and not zone.own_line and zone.exit is not None and zone.exit < end:
            return zone.exit
        row = self._layout.row_at(end)
        wall = row is not None and text[end - 1] == "|" and text[end - 2 : end - 1] != "\\"
        return end - 1 if row is not None and wall and row[0] < end - 1 else end


def _count_unit(text: str, encoded: _Encoded, bare: list[Support]) -> str:
    """Return what supports without a text count: the unit in which they end where sentences do."""
    if text.isascii() or not bare:
        return "bytes"
    ends = [support.end for support in bare]
    in_bytes = sum(_fit(text, encoded.characters(end)) for end in ends)
    in_characters = sum(_fit(text, end if end <= len(text) else None) for end in ends)
    return "characters" if in_characters > in_bytes else "bytes"


def _fit(text: str, end: int | None) -> int:
    """Return how well a stretch may end at `end`: 2 for a sentence, 1 for a word, -1 for nowhere."""
    if end is None or end <= 0:
        return -1
    if text[end - 1] in ENDERS or end == len(text) or text[end] in ENDERS or text[end] == "\n":
        return 2
    return 0 if _is_inside_word(text, end) or text[end - 1].isspace() else 1


def _find_counted(support: Support, text: str, encoded: _Encoded, unit: str) -> tuple[int, int] | None:
    """Return the stretch that a support without a text counts off."""
    start, end = support.start, support.end
    if unit == "bytes":
        first, last = encoded.characters(start) if start > 0 else 0, encoded.characters(end)
        return (first or 0, last) if last else None
    return (start, end) if 0 <= start < end <= len(text) else None


def _find_told(support: Support, text: str, encoded: _Encoded) -> tuple[int, int] | None:
    """Return where a support's text stands: where it says, or a byte beside it."""
    wanted = support.text.encode(errors="replace")
    for shift in (0, -1, 1):
        start = support.start + shift
        if start >= 0 and encoded.bytes.startswith(wanted, start):
            first = encoded.characters(start)
            if first is not None:
                return first, first + len(support.text)
    if support.start >= 0 and text.startswith(support.text, support.start):
        return support.start, support.start + len(support.text)
    return None


def _find_once(wanted: str, text: str) -> tuple[int, int] | None:
    """Return the only place at which a text stands."""
    first = text.find(wanted)
    once = first >= 0 and text.find(wanted, first + 1) < 0
    return (first, first + len(wanted)) if once else None


def _is_inside_word(text: str, at: int) -> bool:
    """Whether `at` parts what belongs together: a word, a number, a character and its marks."""
    before, after = text[at - 1], text[at]
    if is_joined(text, at):
        return True
    # A letter may have its accent apart, behind it.
    letter = next(
        (sign for sign in reversed(text[max(at - 4, 0) : at]) if not unicodedata.combining(sign)), before
    )
    if letter.isalnum() and after.isalnum():
        return not (UNSPACED.match(before) or UNSPACED.match(after))
    if before in "$€£¥#@&" and after.isalnum():
        return True
    # 3.5, 1,000, don't, l'été
    inner = after in ".,'’" and before.isalnum() and at + 1 < len(text) and text[at + 1].isalnum()
    outer = before in ".,'’" and after.isalnum() and at > 1 and text[at - 2].isalnum()
    return inner or outer


def is_joined(text: str, at: int) -> bool:
    """Whether the characters on both sides of `at` are seen as one: marks, joiners, skin tones, flags."""
    before, after = text[at - 1], text[at]
    if after in "\u200d\ufe0e\ufe0f\u20e3" or before == "\u200d":
        return True
    if unicodedata.category(after) in ("Mn", "Mc", "Me") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if before == "\r" and after == "\n":
        return True
    return _is_flag(before) and _is_flag(after) and _count_flags(text, at) % 2 == 1


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _count_flags(text: str, at: int) -> int:
    # A row longer than any flags stand in is a model that repeats itself; it is not counted to its start.
    count = 0
    while count < min(at, _LONGEST_FLAG_ROW) and _is_flag(text[at - 1 - count]):
        count += 1
    return count


def _belongs(text: str, at: int) -> bool:
    """Whether the character at `at` closes the sentence or word before it."""
    return not text[at - 1].isspace() and (text[at] in ENDERS or text[at] in CLOSERS)
