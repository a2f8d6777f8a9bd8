"""What a JSON answer amounts to while it is still being written."""

import re
from typing import Final, cast

from pydantic_core import from_json

from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_FIELDS: Final = 200
_DEEPEST: Final = 6
_PROSE: Final = 1_500
"""Characters without a bracket after which an answer is prose; a preface is shorter."""
_THOUGHTS: Final = re.compile(r"<(?:think|thinking|thought|reasoning)>")
_ALL_KINDS: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
Path = tuple[str | int, ...]


def read_partial(text: str) -> JsonValue:
    """Return the JSON that `text` begins with, as far as it goes; `None` if there is none."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        value: JsonValue = from_json(text[start:], allow_partial=True, allow_inf_nan=False)
    except ValueError:
        return None
    return value


def describe_progress(text: str, fields: tuple[Path, ...]) -> str:
    """Return how far an answer is: "7 of 12 fields: … invoice.lines[3]"; empty if that cannot be said."""
    value = read_partial(text)
    if value is None:
        return ""
    at = last_place(value)
    if isinstance(value, list):
        return f"{len(value)} items: … {spell_path(at)}"
    open_field = next((field for field in fields if at[: len(field)] == field and len(at) > len(field)), None)
    done = sum(field != open_field and _holds(value, field) for field in fields)
    where = f": … {spell_path(at)}" if at else ""
    return f"{done} of {len(fields)} fields{where}" if fields else spell_path(at)


def fields_of(schema: JsonObject) -> tuple[Path, ...]:
    """Return the fields of a rewritten schema, nested objects opened, at most 200; an array is one."""
    definitions = schema.get("$defs")
    found: list[Path] = []
    todo: list[tuple[Path, JsonValue]] = [((), schema)]
    while todo and len(found) < _MOST_FIELDS:
        path, part = todo.pop(0)
        part = _open(part, definitions) if len(path) < _DEEPEST else part
        properties = part.get("properties") if isinstance(part, dict) else None
        if isinstance(properties, dict) and len(path) < _DEEPEST:
            todo += [((*path, name), below) for name, below in properties.items()]
        elif path:
            found.append(path)
    return tuple(found)


def kinds_of(schema: JsonObject, depth: int = 0) -> frozenset[str]:
    """Return the JSON types that a rewritten schema allows at its top; all of them if it does not say."""
    kind, options = schema.get("type"), schema.get("anyOf")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(map(str, kind))
    if isinstance(options, list) and options and depth < _DEEPEST:
        parts = [kinds_of(o, depth + 1) if isinstance(o, dict) else _ALL_KINDS for o in options]
        return frozenset().union(*parts)
    return _ALL_KINDS


def hopeless(text: str, kinds: frozenset[str]) -> str | None:
    """Return why an answer that begins with `text` cannot become JSON of one of `kinds`, or `None`."""
    bare = text.lstrip("\ufeff \t\r\n")
    if kinds - {"object", "array"} or _THOUGHTS.match(bare):
        return None
    if bare.startswith("["):
        # A list of one may be read as its item.
        several = "array" not in kinds and len(cast("list[JsonValue]", read_partial(bare) or [])) > 1
        return "it is a list of several where the schema wants one object" if several else None
    if any(sign in bare for sign in ("{", "[", "```")):
        return None
    return "it is prose where JSON was asked for" if len(bare) > _PROSE else None


def last_place(value: JsonValue) -> Path:
    """Return the path of what was written last."""
    path: list[str | int] = []
    while value and len(path) < 50:
        if isinstance(value, dict):
            path.append(next(reversed(value)))
            value = value[str(path[-1])]
        elif isinstance(value, list):
            path.append(len(value) - 1)
            value = value[-1]
        else:
            break
    return tuple(path)


def spell_path(path: Path) -> str:
    """Return a path as people write it: `invoice.lines[3]`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:40]}" for part in path)
    return words.removeprefix(".")


def _open(part: JsonValue, definitions: JsonValue) -> JsonValue:
    reference = part.get("$ref") if isinstance(part, dict) else None
    if isinstance(reference, str) and isinstance(definitions, dict):
        return definitions.get(reference.removeprefix("#/$defs/"))
    return part


def _holds(value: JsonValue, path: Path) -> bool:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[str(part)]
    return True
