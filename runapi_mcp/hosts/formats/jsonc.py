"""JSON, with or without comments and trailing commas: our member goes in, our member comes out.

The text is scanned into a tree that knows where each member stands, its comma too.
"""

import json
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from runapi_mcp.errors import ConfigError
from runapi_mcp.hosts.formats import CORRECT_IT, DEEPEST, Format, Path, Splice, newline_of, splice
from runapi_mcp.wire.types import JsonObject, JsonValue

_UNIT: Final = "  "
_GAP: Final = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_GAP_STARTS: Final = frozenset(" \t\r\n\ufeff/")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")


@dataclass(frozen=True, slots=True)
class _Member:
    """One `key: value` of an object; `comma` is where the comma after it is, -1 without one."""

    key: str
    start: int
    node: "_Node"
    comma: int = -1


@dataclass(frozen=True, slots=True)
class _Node:
    """A value: what it is, and where it starts and ends."""

    start: int
    end: int
    value: JsonValue
    members: tuple[_Member, ...] = field(default=())

    def member(self, key: str) -> _Member | None:
        """Return the last member of that key, which is the one that counts."""
        return next((member for member in reversed(self.members) if member.key == key), None)


def _scan(text: str) -> _Node:
    """Return the tree of a text.

    Raises:
        ConfigError: It is broken; the message says where.
    """
    scanner = _Scanner(text)
    node = scanner.value(scanner.gap(0), 0)
    if (end := scanner.gap(node.end)) != len(text):
        raise scanner.broken(end, "the end of the file")
    return node


def _describe(char: str) -> str:
    """Return a character as a person can look for it: by its name if it looks like another, or like none."""
    if char.isprintable() and char.isascii():
        return repr(char)
    return f"{unicodedata.name(char, 'a character that is not seen').lower()} (U+{ord(char):04X})"


def _gap_end(text: str, at: int) -> int:
    """Return where the white space and comments that start at `at` end."""
    if text[at : at + 1] not in _GAP_STARTS:
        return at
    found = _GAP.match(text, at)
    return found.end() if found else at


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text

    def gap(self, at: int) -> int:
        return _gap_end(self._text, at)

    def broken(self, at: int, wanted: str) -> ConfigError:
        seen = _describe(self._text[at]) if at < len(self._text) else "the end of the file"
        return ConfigError(
            f"It is broken at {_place(self._text, at)}: {wanted} should be there, not {seen}.",
            advice=CORRECT_IT,
        )

    def value(self, at: int, depth: int) -> _Node:
        if depth > DEEPEST:
            raise ConfigError(f"It is nested too deeply at {_place(self._text, at)}.", advice=CORRECT_IT)
        match self._text[at : at + 1]:
            case "{":
                return self._object(at, depth)
            case "[":
                return self._array(at, depth)
        found = _STRING.match(self._text, at) or _SCALAR.match(self._text, at)
        if not found:
            raise self.broken(at, "a value")
        return _Node(at, found.end(), self._read(found[0], at))

    def _read(self, source: str, at: int) -> JsonValue:
        try:
            value: JsonValue = json.loads(source)
        except ValueError:
            raise self.broken(at, "a proper string") from None
        return value

    def _object(self, start: int, depth: int) -> _Node:
        members: list[_Member] = []
        at = self.gap(start + 1)
        while self._text[at : at + 1] != "}":
            member = self._member(at, depth)
            members.append(member)
            at = self.gap(member.node.end if member.comma < 0 else member.comma + 1)
            if member.comma < 0 and self._text[at : at + 1] != "}":
                raise self.broken(at, "a comma or }")
        return _Node(start, at + 1, {m.key: m.node.value for m in members}, tuple(members))

    def _member(self, at: int, depth: int) -> _Member:
        found = _STRING.match(self._text, at)
        if not found:
            raise self.broken(at, "a name in double quotes")
        colon = self.gap(found.end())
        if self._text[colon : colon + 1] != ":":
            raise self.broken(colon, "a colon")
        node = self.value(self.gap(colon + 1), depth + 1)
        comma = self.gap(node.end)
        return _Member(
            str(self._read(found[0], at)), at, node, comma if self._text[comma : comma + 1] == "," else -1
        )

    def _array(self, start: int, depth: int) -> _Node:
        values: list[JsonValue] = []
        at = self.gap(start + 1)
        while self._text[at : at + 1] != "]":
            node = self.value(at, depth + 1)
            values.append(node.value)
            at = self.gap(node.end)
            if self._text[at : at + 1] == ",":
                at = self.gap(at + 1)
            elif self._text[at : at + 1] != "]":
                raise self.broken(at, "a comma or ]")
        return _Node(start, at + 1, values)


def _place(text: str, at: int) -> str:
    """Return where an offset is, as people count: line and column from 1."""
    line = text.count("\n", 0, at) + 1
    return f"line {line}, column {at - text.rfind(chr(10), 0, at)}"


# ---------------------------------------------------------------- what comes and goes


def _read(text: str) -> JsonObject:
    """Return what a text says; a blank one says nothing."""
    if not text.strip("\ufeff \t\r\n"):
        return {}
    return _an_object(_scan(text).value)


def _read_strict(text: str) -> JsonObject:
    """Return what a text says, where its host takes neither comments nor trailing commas."""
    if not text.strip("\ufeff \t\r\n"):
        return {}
    try:
        return _an_object(json.loads(text.removeprefix("\ufeff")))
    except json.JSONDecodeError as error:
        where = _place(text.removeprefix("\ufeff"), error.pos)
        _read(text)  # says in plainer words what no reader would take
        what = f"It is broken at {where}: this host reads no comments, and no comma after the last of a list."
        raise ConfigError(what, advice=CORRECT_IT) from None


def _insert(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text with a new member at `path`; objects on the way are made."""
    if not text.strip("\ufeff \t\r\n"):
        nested: JsonObject = entry
        for key in reversed(path):
            nested = {key: nested}
        newline = newline_of(text)
        return text + _write(nested, "", _UNIT, newline) + newline
    node, depth = _deepest(_scan(text), path)
    value = entry
    for key in reversed(path[depth + 1 :]):
        value = {key: value}
    there = node.member(path[depth])
    if there is not None:  # null, which a host may write for no servers
        return _replace(text, path[: depth + 1], value)
    return splice(text, _insertion(text, node, path[depth], value))


def _replace(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text in which the member at `path` has another value."""
    member = _find(_scan(text), path)
    line = text[text.rfind("\n", 0, member.start) + 1 : member.start]
    indent = line if not line.strip() else None
    written = _write(entry, indent, _unit(text), newline_of(text))
    return splice(text, [Splice(member.node.start, member.node.end, written)])


def _remove(text: str, path: Path) -> str:
    """Return a text without the member at `path`, as it was before :func:`_insert`."""
    root = _scan(text)
    parent = _find(root, path[:-1]).node if path[1:] else root
    return splice(text, _removal(text, parent, parent.members.index(_find(root, path))))


def _an_object(value: JsonValue) -> JsonObject:
    if not isinstance(value, dict):
        raise ConfigError("It is not a JSON object.", advice=CORRECT_IT)
    return value


def _deepest(node: _Node, path: Path) -> tuple[_Node, int]:
    """Return the deepest object that is there on the way to `path`, and how deep it is; null is none."""
    for depth, key in enumerate(path[:-1]):
        member = node.member(key)
        if member is None or member.node.value is None:
            return node, depth
        if not isinstance(member.node.value, dict):
            raise ConfigError(f"“{key}” is not an object.", advice="Correct it by hand first.")
        node = member.node
    return node, len(path) - 1


def _find(root: _Node, path: Path) -> _Member:
    node, member = root, None
    for key in path:
        member = node.member(key)
        if member is None:
            raise ConfigError(f"“{key}” is not there.")
        node = member.node
    if member is None:
        raise ConfigError("There is nothing to find.")
    return member


def _insertion(text: str, node: _Node, key: str, value: JsonObject) -> list[Splice]:
    """Return the splices that put a member at the end of an object."""
    closing = node.end - 1
    last = node.members[-1] if node.members else None
    after = max(last.node.end, last.comma + 1) if last else node.start + 1
    at = _content_end(text, after, closing)
    inner, unit, newline = _indent_inside(text, node), _unit(text), newline_of(text)
    one_line = bool(node.members) and "\n" not in text[node.start : node.end]
    if one_line:
        new = f" {_quote(key)}: {_write(value, None, unit, newline)}"
    else:
        new = f"{newline}{inner}{_quote(key)}: {_write(value, inner, unit, newline)}"
    if not node.members and "\n" not in text[at:closing]:
        new += newline + inner.removesuffix(unit)
    if last and last.comma >= 0:
        return [Splice(at, at, new + ",")]
    if last and at != last.node.end:
        # A comment follows the last member: the comma goes before it, the new member after it.
        return [Splice(last.node.end, last.node.end, ","), Splice(at, at, new)]
    return [Splice(at, at, ("," if last else "") + new)]


def _removal(text: str, parent: _Node, index: int) -> list[Splice]:
    """Return the splices that take a member out of an object."""
    member, closing = parent.members[index], parent.end - 1
    before = parent.members[index - 1] if index else None
    start = _content_end(text, before.node.end if before else parent.start + 1, member.start)
    end = member.node.end if member.comma < 0 else member.comma + 1
    if (
        not before
        and len(parent.members) == 1
        and not text[start:closing].replace(text[start:end], "").strip()
    ):
        return [Splice(start, closing if start == parent.start + 1 else end, "")]
    splices = [Splice(start, end, "")]
    if before and member.comma < 0 and before.comma < start:
        splices.append(Splice(before.comma, before.comma + 1, ""))
    elif before and member.comma < 0:
        splices = [Splice(before.comma, end, "")]
    return splices


def _content_end(text: str, start: int, end: int) -> int:
    """Return where the last comment or comma between two offsets ends; `start` if there is none."""
    at, content = start, start
    while at < end:
        if text[at] in " \t\r\n":
            at += 1
        elif text[at] == ",":
            at = content = at + 1
        else:
            at = content = _comment_end(text, at)
    return min(content, end)


def _comment_end(text: str, at: int) -> int:
    if text.startswith("//", at):
        line_end = text.find("\n", at)
        return len(text[: line_end if line_end >= 0 else len(text)].rstrip("\r"))
    return max(text.find("*/", at) + 2, at + 1)


def _indent_inside(text: str, node: _Node) -> str:
    """Return the indentation of an object's members: as they have it, else one unit more than its line."""
    for member in node.members:
        lead = text[text.rfind("\n", 0, member.start) + 1 : member.start]
        if not lead.strip(" \t"):
            return lead
    line = text[text.rfind("\n", 0, node.start) + 1 : node.start]
    return line[: len(line) - len(line.lstrip(" \t"))] + _unit(text)


def _unit(text: str) -> str:
    """Return one step of a text's indentation."""
    first = _gap_end(text, text.find("{") + 1)
    lead = text[text.rfind("\n", 0, first) + 1 : first]
    return lead if lead and not lead.strip(" \t") else _UNIT


def _quote(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _write(value: JsonObject, indent: str | None, unit: str, newline: str) -> str:
    """Return a value as text, on one line without an indentation to go by."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return f"{newline}{indent}".join(lines)


JSON: Final = Format("JSON", _read_strict, _insert, _replace, _remove)
JSONC: Final = Format("JSON with comments", _read, _insert, _replace, _remove)
