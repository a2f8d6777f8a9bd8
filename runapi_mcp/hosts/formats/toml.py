"""TOML: our table is a block of lines of its own, put at the end and taken out from where it is.

What is a header and what only looks like one, inside a string or an array, is told by the standard
library's parser: what comes before a true header is a whole TOML document by itself.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from typing import Final, cast

from runapi_mcp.errors import ConfigError
from runapi_mcp.hosts.formats import CORRECT_IT, Format, Path, Splice, newline_of, splice
from runapi_mcp.wire.types import JsonObject, JsonValue

_HEADER_LINE: Final = re.compile(r"^\ufeff?[ \t]*\[.*$", re.MULTILINE)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def _read(text: str) -> JsonObject:
    """Return what a text says."""
    try:
        return cast("JsonObject", tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n")))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"It is broken: {error}.", advice=CORRECT_IT) from None


def _insert(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text with a new table at its end."""
    newline = newline_of(text)
    lead = "" if not text.strip() else newline if text.endswith("\n") else newline * 2
    return text + lead + _block(path, entry, newline)


def _replace(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text in which a table has other contents."""
    blocks = _blocks(text, path)
    if not blocks:
        raise ConfigError(f"[{'.'.join(path)}] is not a table of its own.", advice="Change it by hand.")
    block = _block(path, entry, newline_of(text))
    rest = [Splice(_with_blank_line(text, b.start), b.end, "") for b in blocks[1:]]
    return splice(text, [Splice(blocks[0].start, blocks[0].end, block), *rest])


def _remove(text: str, path: Path) -> str:
    """Return a text without a table and those inside it."""
    return splice(text, [Splice(_with_blank_line(text, b.start), b.end, "") for b in _blocks(text, path)])


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    end: int


def _blocks(text: str, path: Path) -> list[_Block]:
    """Return the lines of the table at `path` and of those inside it."""
    # Codex writes a table for each folder it was ever run in: only what may be ours is looked at closely, for
    # that takes as long as all that stands before it.
    lines = list(_HEADER_LINE.finditer(text))
    blocks = []
    for number, found in enumerate(lines):
        start = found.end() - len(found[0].removeprefix("\ufeff"))
        if _path_of(found[0])[: len(path)] == path and _is_header(text, start):
            later = (line.start() for line in lines[number + 1 :])
            end = next((at for at in later if _is_header(text, at)), len(text))
            blocks.append(_Block(start, _content_end(text, start, end)))
    return blocks


def _is_header(text: str, at: int) -> bool:
    try:
        tomllib.loads(text[:at].removeprefix("\ufeff").replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _path_of(header: str) -> Path:
    """Return the keys of a header line."""
    try:
        node: object = tomllib.loads(header.strip("\ufeff \t\r"))
    except tomllib.TOMLDecodeError:
        return ()
    keys: list[str] = []
    while isinstance(node, dict) and len(node) == 1:
        key, node = next(iter(node.items()))
        keys.append(key)
    return tuple(keys)


def _content_end(text: str, start: int, end: int) -> int:
    """Return where a block ends: blank lines and comments behind its last key are not its own."""
    lines = text[start:end].splitlines(keepends=True)
    while not lines[-1].strip() or lines[-1].lstrip().startswith("#"):
        lines.pop()
    return start + sum(map(len, lines))


def _with_blank_line(text: str, start: int) -> int:
    """Return `start`, or where the one blank line before it starts."""
    for blank in ("\r\n", "\n"):
        before = text[:start].removesuffix(blank)
        if len(before) < start and (not before or before.endswith("\n")):
            return len(before)
    return start


def _block(path: Path, entry: JsonObject, newline: str) -> str:
    lines = [f"[{'.'.join(map(_key, path))}]", *(f"{_key(key)} = {_value(v)}" for key, v in entry.items())]
    return newline.join([*lines, ""])


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: JsonValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            inside = ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items())
            return f"{{ {inside} }}" if inside else "{}"
    raise ConfigError("A table holds a value that cannot be written again.", advice="Change it by hand.")


def _text(text: str) -> str:
    # JSON's escapes are TOML's too, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


TOML: Final = Format("TOML", _read, _insert, _replace, _remove)
