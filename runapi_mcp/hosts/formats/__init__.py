"""Config formats: one entry put into a text or taken out of it, and not a byte else changed.

Each format finds where its text must be cut, and cuts it; a parser that knows nothing of the cutting
then reads the result, which must say what the old text said plus or minus the entry. What fails that
is refused. Round-tripping libraries were tried first: ruamel.yaml folds long lines it was not asked
to touch, tomlkit leaves a line behind, json-five takes seconds for a file of the size that Claude
Code's grows to.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from runapi_mcp.errors import ConfigError
from runapi_mcp.wire.types import JsonObject, JsonValue

Path: TypeAlias = tuple[str, ...]
"""The keys that lead from the root of a config to a value."""
CORRECT_IT: Final = "Correct it first."
"""What mends a text that cannot be read."""
DEEPEST: Final = 200
"""Levels of objects and arrays that a config may have inside its own."""


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


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: What people call it.
        parse: Reads a whole text; raises `ConfigError` that says where it is broken.
        insert: Puts a value that is not there yet.
        replace: Puts a value in the place of one that is there.
        remove: Takes a value out.
    """

    name: str
    parse: Callable[[str], JsonObject]
    insert: Callable[[str, Path, JsonObject], str]
    replace: Callable[[str, Path, JsonObject], str]
    remove: Callable[[str, Path], str]

    def read(self, text: str) -> JsonObject:
        """Return what a text says.

        Raises:
            ConfigError: It is broken, or nested too deeply; the message says where if that is known.
        """
        with _not_too_deep():
            try:
                document = self.parse(text)
            except ValueError:
                # A date that is none, a number of thousands of digits; the parser's words may show the value.
                raise ConfigError("It holds a value that cannot be read.", advice=CORRECT_IT) from None
            _check_depth(document)
        return document

    def merge(self, text: str, path: Path, entry: JsonObject) -> str:
        """Return `text` with `entry` at `path`; all else stays byte for byte.

        Raises:
            ConfigError: The text is broken, or cannot be changed without touching something else.
        """
        before = self.read(text)
        wanted = with_value(before, path, entry)
        above = lookup(before, path[:-1])
        # A null is there, too: a second entry of the same name is what some hosts refuse the file for.
        change = self.replace if isinstance(above, dict) and path[-1] in above else self.insert
        with _not_too_deep():
            return self._prove(change(text, path, entry), wanted, "Add the entry by hand; --print shows it.")

    def unmerge(self, text: str, path: Path) -> str:
        """Return `text` without what is at `path`; all else stays byte for byte.

        Raises:
            ConfigError: See :meth:`merge`.
        """
        before = self.read(text)
        if lookup(before, path) is None:
            return text
        with _not_too_deep():
            left = without_value(before, path)
            return self._prove(self.remove(text, path), left, "Take the entry out by hand.")

    def _prove(self, text: str, wanted: JsonObject, by_hand: str) -> str:
        """Return a changed text if it says what it should."""
        try:
            said = self.read(text)
        except ConfigError:
            said = {"": "broken"}
        if without_empty(said) != without_empty(wanted):
            raise ConfigError(
                f"This {self.name} is written in a way that cannot be changed here without touching more.",
                advice=by_hand,
            )
        return text


def _check_depth(document: JsonObject) -> None:
    """Check that a document is nested no deeper than any config is, whatever its parser bears.

    The json module of Python 3.13 reads thousands of levels, that of 3.11 goes down at one thousand.

    Raises:
        RecursionError: It is.
    """
    level: list[object] = [document]
    for _ in range(DEEPEST + 1):
        # Each once: aliases of YAML can name one list a thousand times, or from within itself.
        inner = {id(part): part for holder in level for part in _parts(holder)}
        level = list(inner.values())
        if not level:
            return
    raise RecursionError


def _parts(holder: object) -> Iterable[object]:
    match holder:
        case dict():
            return holder.values()
        case list():
            return holder
        case _:
            return ()


@contextmanager
def _not_too_deep() -> Iterator[None]:
    # A parser may go down before it has read all; how far it gets depends on the Python that runs it.
    try:
        yield
    except RecursionError:
        raise ConfigError("It is nested too deeply to be read.", advice=CORRECT_IT) from None
