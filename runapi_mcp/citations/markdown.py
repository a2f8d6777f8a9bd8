"""Where in an answer's Markdown a citation marker may stand, and where it goes instead.

Models write Markdown, and hosts render it. A marker behind a closing fence leaves the fence open, one in
a table's rule takes the table apart, one at the head of a line eats its bullet, one in a URL makes
another URL. This reads just as much of CommonMark and GFM as it takes to keep out of all that, once
through the text: every construct is found in time linear in the answer, whatever a model repeats.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_QUOTED: Final = re.compile(r"[ \t]{0,3}(?:>[ \t]?)*+")
_ITEM: Final = re.compile(r"[ \t]*+(?:[-*+]|\d{1,9}[.)])(?=\s|\Z)[ \t]*+")
_FENCE: Final = re.compile(r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?(`{3,}+(?=[^`\n]*+$)|~{3,}+)")
_DEFINITION: Final = re.compile(r"[ \t]{0,3}\[([^\[\]\n]{1,200})\]:")
_CODE_INDENTS: Final = ("    ", "\t")
_HEADING_END: Final = re.compile(r"[ \t]++#++[ \t]*+\Z")
_HEADING: Final = re.compile(r"[ \t]{0,3}#{1,6}(?:[ \t]|\Z)")
_TOKEN: Final = re.compile(r"\\[\s\S]|`+|\$\$?|<|!?\[|\]|(?:https?://|www\.)[^\s<>\"'\])|`]++")
_TAG: Final = re.compile(
    r"<(?:/?[A-Za-z][A-Za-z0-9-]*+(?:\s[^<>]*+)?/?|[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*+|[^\s<>@]++@[^\s<>]++|![^<>]*+|\?[^<>]*+)>"
)
_TARGET: Final = re.compile(
    r"\(\s*+(?:<[^<>\n]*+>|(?:[^()\s\\]|\\[\s\S]|\([^()\s]*+\))*+)(?:\s++\"[^\"]*+\"|\s++'[^']*+')?\s*+\)"
)
_LONGEST_LABEL: Final = 200
_LABEL: Final = re.compile(r"\[[^\[\]\n]{0,200}\]")


class Zone(NamedTuple):
    """A stretch that a marker must not stand in: between its characters, or right behind if `own_line`.

    Attributes:
        start: Where it begins, in characters.
        end: Where it ends.
        exit: Where the marker of what ends in it goes; `None` if there is no place for one.
        own_line: Whether it stands on a line of its own there.
        spaced: Whether it needs a space before it there.
    """

    start: int
    end: int
    exit: int | None
    own_line: bool = False
    spaced: bool = False


@dataclass(slots=True)
class Layout:
    """What matters of a text's Markdown.

    Attributes:
        zones: In order; none overlaps another.
        code: Stretches of code, in order: what stands there is no mark of the model's.
        rows: The body rows of tables: where each begins and ends.
        definitions: Where a link definition begins whose label is a number: `[1]: …` would make a link
            of every marker with that number.
    """

    zones: list[Zone] = field(default_factory=list)
    code: list[tuple[int, int]] = field(default_factory=list)
    rows: list[tuple[int, int]] = field(default_factory=list)
    definitions: list[int] = field(default_factory=list)

    def zone_at(self, at: int) -> Zone | None:
        """Return the zone that a marker at `at` would stand in."""
        place = bisect_left(self.zones, (at,)) - 1
        if place < 0:
            return None
        zone = self.zones[place]
        inside = at < zone.end or (at == zone.end and (zone.own_line or zone.spaced or zone.exit != zone.end))
        return zone if zone.start < at and inside else None

    def follows_url(self, text: str, at: int) -> bool:
        """Whether a bare URL ends before `at` and no space comes between: renderers would go on with it."""
        place = bisect_right(self.zones, (at,)) - 1
        while place >= 0 and at - self.zones[place].end < 16:
            zone = self.zones[place]
            if zone.spaced and zone.end <= at:
                return not any(character.isspace() for character in text[zone.end : at])
            place -= 1
        return False

    def row_at(self, at: int) -> tuple[int, int] | None:
        """Return the body row of a table in which `at` is."""
        place = bisect_right(self.rows, (at, at)) - 1
        row = self.rows[place] if place >= 0 else None
        return row if row is not None and row[0] < at <= row[1] else None

    def in_code(self, at: int) -> bool:
        """Whether the character at `at` is code."""
        place = bisect_right(self.code, (at, 1 << 62)) - 1
        return place >= 0 and at < self.code[place][1]


class _Line(NamedTuple):
    start: int
    end: int
    bare: str
    """The line without the marks of quotations before it."""


def read_layout(text: str) -> Layout:
    """Return what matters of `text` as Markdown, in time linear in its length."""
    layout = Layout()
    lines = list(_lines(text))
    position, prose = 0, _Prose(text, layout)
    listed, blank = False, True
    while position < len(lines):
        line = lines[position]
        began, block = position, _find_closing(line.bare)
        if not line.bare.strip():
            position += 1
        elif block:
            position = _read_block(text, lines, position, block, layout)
        elif _is_table(lines, position):
            position = _read_table(text, lines, position, layout)
        elif blank and not listed and line.bare.startswith(_CODE_INDENTS):
            position = _read_indented(lines, position, layout)
        elif zone := _find_textless(line, layout):
            layout.zones.append(zone)
            position += 1
        else:
            # In a list, four spaces are the item's own and no code.
            listed = bool(_ITEM.match(line.bare)) or (listed and not (blank and line.bare[:1].strip()))
            if listed and _ITEM.match(line.bare):
                prose.end()
            prose.add(line)
            blank = False
            position += 1
            continue
        prose.end()
        blank = position == began + 1 and not line.bare.strip()
    prose.end()
    layout.zones.sort()
    layout.code.sort()
    return layout


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        quoted = _QUOTED.match(text, start, end)
        begin = quoted.end() if quoted and ">" in quoted.group() else start
        yield _Line(start, end, text[begin:end])
        start = end + 1


def _find_closing(bare: str) -> str:
    """Return what closes the block that a line opens: a fence, or a formula set apart; empty if none."""
    fence = _FENCE.match(bare)
    if fence:
        return fence.group(1)
    return {"$$": "$$", "\\[": "\\]"}.get(bare.strip(), "")


def _closes(bare: str, closing: str) -> bool:
    said = bare.strip()
    if closing[0] in "`~":
        return len(said) >= len(closing) and not said.strip(closing[0])
    return said == closing


def _read_block(text: str, lines: list[_Line], first: int, closing: str, layout: Layout) -> int:
    """Note a block that goes from line `first` to its closing; return the line after it."""
    last = first + 1
    while last < len(lines) and not _closes(lines[last].bare, closing):
        last += 1
    closed = last < len(lines)
    end = lines[last].end if closed else len(text)
    layout.zones.append(Zone(lines[first].start, end, end if closed else None, own_line=True))
    layout.code.append((lines[first].start, end))
    return last + 1


def _is_rule(bare: str) -> bool:
    said = bare.strip()
    return "-" in said and "|" in said and not said.strip("|-: \t")


def _is_table(lines: list[_Line], position: int) -> bool:
    following = position + 1 < len(lines)
    return following and "|" in lines[position].bare and _is_rule(lines[position + 1].bare)


def _read_table(text: str, lines: list[_Line], first: int, layout: Layout) -> int:
    """Note a table's head, rule and rows; return the line after it."""
    last = first + 1
    while last + 1 < len(lines) and lines[last + 1].bare.strip():
        last += 1
    head = Zone(lines[first].start, lines[first + 1].end, lines[last].end, own_line=True)
    layout.zones.append(head)
    for line in lines[first + 2 : last + 1]:
        layout.rows.append((line.start, line.end))
        inline = _Prose(text, layout)
        inline.add(line)
        inline.end()
    return last + 1


def _read_indented(lines: list[_Line], first: int, layout: Layout) -> int:
    """Note a block that is code by its indent alone; return the line after it."""
    last = first
    while last + 1 < len(lines) and lines[last + 1].bare.startswith(_CODE_INDENTS):
        last += 1
    start, end = lines[first].start, lines[last].end
    layout.code.append((start, end))
    layout.zones.append(Zone(start, end, end, own_line=True))
    return last + 1


def _find_textless(line: _Line, layout: Layout) -> Zone | None:
    """Return the zone of a line that holds no text of its own: a rule, an underline, a link definition."""
    said = line.bare.strip()
    kinds = set(said.replace(" ", ""))
    underline = len(kinds) == 1 and (kinds <= {"="} or (kinds <= {"-", "*", "_"} and len(said) > 1))
    definition = _DEFINITION.match(line.bare)
    if definition and not definition.group(1).startswith("^"):
        if definition.group(1).strip().isdecimal():
            layout.definitions.append(line.end - len(line.bare) + definition.start(1) - 1)
    elif not underline:
        return None
    return Zone(line.start, line.end, max(line.start - 1, 0))


class _Prose:
    """A paragraph's lines, read for what stands in them when it is over."""

    def __init__(self, text: str, layout: Layout) -> None:
        self._text = text
        self._layout = layout
        self._start: int | None = None
        self._end = 0

    def add(self, line: _Line) -> None:
        """Add a line; a heading is a paragraph of its own."""
        if _HEADING.match(line.bare):
            self.end()
            closing = _HEADING_END.search(self._text[line.end - len(line.bare) : line.end])
            self._start, self._end = line.start, line.end
            self.end()
            if closing:
                place = line.end - len(line.bare) + closing.start()
                self._layout.zones.append(Zone(place, line.end, place))
            return
        if self._start is None:
            self._start = line.start
        self._end = line.end

    def end(self) -> None:
        """Read the paragraph, if there is one."""
        if self._start is not None:
            _read_inline(self._text, self._start, self._end, self._layout)
        self._start = None


def _read_inline(text: str, start: int, end: int, layout: Layout) -> None:
    """Note the code, formulas, links, tags and bare URLs of one paragraph."""
    tokens = [(found.start(), found.group()) for found in _TOKEN.finditer(text, start, end)]
    ticks: dict[int, list[int]] = {}
    dollars, doubles = [], []
    for at, mark in tokens:
        if mark[0] == "`":
            ticks.setdefault(len(mark), []).append(at)
        elif mark == "$$":
            doubles.append(at)
        elif (
            mark == "$"
            and at > start
            and not text[at - 1].isspace()
            and not text[at + 1 : at + 2].isdecimal()
        ):
            dollars.append(at)
    brackets: list[int] = []
    until, no_more = start, set[str]()
    for at, mark in tokens:
        if at < until:
            continue
        zone: Zone | None = None
        if mark[0] == "`":
            zone = _pair(at, len(mark), ticks[len(mark)])
            if zone:
                layout.code.append((zone.start, zone.end))
        elif mark == "$$":
            zone = _pair(at, 2, doubles)
        elif mark == "$":
            opens = at + 1 < end and not text[at + 1].isspace()
            zone = _pair(at, 1, dollars) if opens else None
        elif mark in ("\\(", "\\["):
            closing = "\\)" if mark == "\\(" else "\\]"
            stop = -1 if closing in no_more else text.find(closing, at + 2, end)
            if stop < 0:
                no_more.add(closing)
            zone = Zone(at, stop + 2, stop + 2) if stop >= 0 else None
        elif mark == "<":
            tag = _TAG.match(text, at, end)
            zone = Zone(at, tag.end(), tag.end()) if tag else None
        elif mark in ("[", "!["):
            brackets.append(at)
        elif mark == "]":
            opened = brackets.pop() if brackets else None
            target = _TARGET.match(text, at + 1, end) or (
                _LABEL.match(text, at + 1, end) if opened is not None else None
            )
            if opened is not None and (target or at - opened <= _LONGEST_LABEL):
                # A label alone may be a reference. What stands inside, an image say, is part of the link.
                while layout.zones and layout.zones[-1].start > opened and layout.zones[-1].start >= start:
                    layout.zones.pop()
                stop = target.end() if target else at + 1
                zone = Zone(opened, stop, stop)
        elif mark[0] == "\\" and mark != "\\\n":
            zone = Zone(at, at + 2, at + 2)
        elif mark[0] in "hw":
            stop = at + len(mark)
            zone = Zone(at, stop, stop, spaced=True)
        if zone:
            layout.zones.append(zone)
            until = zone.end


def _pair(at: int, size: int, places: list[int]) -> Zone | None:
    """Return the zone from a mark at `at` to the next of its kind; the places of all are in order."""
    following = bisect_right(places, at + size - 1)
    if following == len(places):
        return None
    end = places[following] + size
    return Zone(at, end, end)
