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

from runapi_mcp.hosts.formats import jsonc, toml, yaml
from runapi_mcp.hosts.formats.text import (
    CORRECT_IT,
    DEEPEST,
    ConfigError,
    Path,
    lookup,
    with_value,
    without_empty,
    without_value,
)
from runapi_mcp.wire.types import JsonObject

__all__ = ["JSON", "JSONC", "TOML", "YAML", "ConfigError", "Format", "lookup"]


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


JSON = Format("JSON", jsonc.read_strict, jsonc.insert, jsonc.replace, jsonc.remove)
JSONC = Format("JSON with comments", jsonc.read, jsonc.insert, jsonc.replace, jsonc.remove)
TOML = Format("TOML", toml.read, toml.insert, toml.replace, toml.remove)
YAML = Format("YAML", yaml.read, yaml.insert, yaml.replace, yaml.remove)
