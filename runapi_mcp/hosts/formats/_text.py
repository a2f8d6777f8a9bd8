"""What every format shares: a change as a splice of the text, line ends, and how a failure is said."""

from collections.abc import Iterable
from dataclasses import dataclass
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


def spliced(text: str, splices: Iterable[Splice]) -> str:
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
