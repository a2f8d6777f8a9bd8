"""Text with line ends kept, and JSON with comments and trailing commas → a tree that knows its places."""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from runapi_mcp.errors import RunapiError
from runapi_mcp.wire.types import JsonObject, JsonValue

Path: TypeAlias = tuple[str, ...]
"""The keys that lead from the root of a config to a value."""
CORRECT_IT: Final = "Correct it first."
"""What mends a text that cannot be read."""


class ConfigError(RunapiError):
    """A host's config that cannot be read or changed; it was not touched. Its owner can fix it."""

    code = "bad_config"


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace `text[start:end]` by `new`."""

    start: int
    end: int
    new: str


def splice(text: str, splices: Iterable[Splice]) -> str:
    """Return `text` with every splice made; they must not overlap."""
    for splice in sorted(splices, key=lambda s: (s.start, s.end), reverse=True):
        text = text[: splice.start] + splice.new + text[splice.end :]
    return text


def newline_of(text: str) -> str:
    """Return the line end that a text uses; LF if it has none."""
    return "\r\n" if "\r\n" in text else "\n"


def place(text: str, at: int) -> str:
    """Return where an offset is, as people count: line and column from 1."""
    line = text.count("\n", 0, at) + 1
    return f"line {line}, column {at - text.rfind(chr(10), 0, at)}"


def lookup(document: JsonValue, path: Path) -> JsonValue:
    """Return the value at a path, or `None` if there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def with_value(document: JsonObject, path: Path, value: JsonValue) -> JsonObject:
    """Return a copy of a document in which `path` holds `value`, making objects on the way.

    Raises:
        ConfigError: Something on the way is there and is no object.
    """
    first, rest = path[0], path[1:]
    if not rest:
        return {**document, first: value}
    inner = document.get(first)
    if inner is not None and not isinstance(inner, dict):
        raise ConfigError(f"“{first}” is not a table of names.", advice="Correct it by hand first.")
    return {**document, first: with_value(inner or {}, rest, value)}


def without_value(document: JsonObject, path: Path) -> JsonObject:
    """Return a copy of a document without what is at `path`; emptied objects on the way stay."""
    first, rest = path[0], path[1:]
    if not rest:
        return {key: value for key, value in document.items() if key != first}
    inner = document.get(first)
    return {**document, first: without_value(inner, rest)} if isinstance(inner, dict) else document


def without_empty(document: JsonValue) -> JsonValue:
    """Return a document without its empty objects: what two texts that say the same have in common."""
    if not isinstance(document, dict):
        return document
    kept = {key: without_empty(value) for key, value in document.items()}
    return {key: value for key, value in kept.items() if value not in ({}, None)}


_GAP: Final = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_GAP_STARTS: Final = frozenset(" \t\r\n\ufeff/")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
DEEPEST: Final = 200
"""Levels of objects and arrays that a config may have inside its own."""


@dataclass(frozen=True, slots=True)
class Member:
    """One `key: value` of an object; `comma` is where the comma after it is, -1 without one."""

    key: str
    start: int
    node: "Node"
    comma: int = -1


@dataclass(frozen=True, slots=True)
class Node:
    """A value: what it is, and where it starts and ends."""

    start: int
    end: int
    value: JsonValue
    members: tuple[Member, ...] = field(default=())

    def member(self, key: str) -> Member | None:
        """Return the last member of that key, which is the one that counts."""
        return next((member for member in reversed(self.members) if member.key == key), None)


def scan(text: str) -> Node:
    """Return the tree of a text.

    Raises:
        ConfigError: It is broken; the message says where.
    """
    scanner = _Scanner(text)
    node = scanner.value(scanner.gap(0), 0)
    if (end := scanner.gap(node.end)) != len(text):
        raise scanner.broken(end, "the end of the file")
    return node


def _named(char: str) -> str:
    """Return a character as a person can look for it: by its name if it looks like another, or like none."""
    if char.isprintable() and char.isascii():
        return repr(char)
    return f"{unicodedata.name(char, 'a character that is not seen').lower()} (U+{ord(char):04X})"


def gap_end(text: str, at: int) -> int:
    """Return where the white space and comments that start at `at` end."""
    if text[at : at + 1] not in _GAP_STARTS:
        return at
    found = _GAP.match(text, at)
    return found.end() if found else at


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text

    def gap(self, at: int) -> int:
        return gap_end(self._text, at)

    def broken(self, at: int, wanted: str) -> ConfigError:
        seen = _named(self._text[at]) if at < len(self._text) else "the end of the file"
        return ConfigError(
            f"It is broken at {place(self._text, at)}: {wanted} should be there, not {seen}.",
            advice=CORRECT_IT,
        )

    def value(self, at: int, depth: int) -> Node:
        if depth > DEEPEST:
            raise ConfigError(f"It is nested too deeply at {place(self._text, at)}.", advice=CORRECT_IT)
        match self._text[at : at + 1]:
            case "{":
                return self._object(at, depth)
            case "[":
                return self._array(at, depth)
        found = _STRING.match(self._text, at) or _SCALAR.match(self._text, at)
        if not found:
            raise self.broken(at, "a value")
        return Node(at, found.end(), self._read(found[0], at))

    def _read(self, source: str, at: int) -> JsonValue:
        try:
            value: JsonValue = json.loads(source)
        except ValueError:
            raise self.broken(at, "a proper string") from None
        return value

    def _object(self, start: int, depth: int) -> Node:
        members: list[Member] = []
        at = self.gap(start + 1)
        while self._text[at : at + 1] != "}":
            member = self._member(at, depth)
            members.append(member)
            at = self.gap(member.node.end if member.comma < 0 else member.comma + 1)
            if member.comma < 0 and self._text[at : at + 1] != "}":
                raise self.broken(at, "a comma or }")
        return Node(start, at + 1, {m.key: m.node.value for m in members}, tuple(members))

    def _member(self, at: int, depth: int) -> Member:
        found = _STRING.match(self._text, at)
        if not found:
            raise self.broken(at, "a name in double quotes")
        colon = self.gap(found.end())
        if self._text[colon : colon + 1] != ":":
            raise self.broken(colon, "a colon")
        node = self.value(self.gap(colon + 1), depth + 1)
        comma = self.gap(node.end)
        return Member(
            str(self._read(found[0], at)), at, node, comma if self._text[comma : comma + 1] == "," else -1
        )

    def _array(self, start: int, depth: int) -> Node:
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
        return Node(start, at + 1, values)
