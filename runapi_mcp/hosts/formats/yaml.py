"""YAML: ruamel.yaml says where things are; lines go in and come out.

Imported only where a host writes YAML: few do, and the server never.
"""

import json
from typing import TYPE_CHECKING, Any, Final, cast

from runapi_mcp.errors import ConfigError
from runapi_mcp.hosts.formats import CORRECT_IT, Format, Path, Splice, newline_of, splice
from runapi_mcp.wire.types import JsonObject

if TYPE_CHECKING:
    import ruamel.yaml
    from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

_UNIT: Final = "  "


def _read(text: str) -> JsonObject:
    """Return what a text says; a blank one says nothing."""
    yaml = _library("safe")
    from ruamel.yaml.error import YAMLError

    try:
        value = yaml.load(text)
    except YAMLError as error:
        raise ConfigError(f"It is broken: {_where(error)}.", advice=CORRECT_IT) from None
    if value is not None and not isinstance(value, dict):
        raise ConfigError("It is not a YAML mapping.", advice=CORRECT_IT)
    return cast("JsonObject", value or {})


def _insert(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text with a new key in the mapping that `path` names, which is made if need be."""
    outer, name = path[0], path[-1]
    newline = newline_of(text)
    root = _root(text) if text.strip() else None
    pair = _pair(root, outer) if root else None
    if pair is None:
        lead = "" if not text or text.endswith("\n") else newline
        return text + lead + f"{outer}:{newline}" + _lines(name, entry, _UNIT, newline)
    key, value = pair
    if not value.value or not isinstance(value.value, list):
        return splice(text, [_into_empty(text, key, value, _lines(name, entry, _UNIT, newline))])
    if value.flow_style:
        at = _end(value.value[-1][1])
        return splice(text, [Splice(at, at, f", {name}: {json.dumps(entry, ensure_ascii=False)}")])
    indent = " " * value.value[-1][0].start_mark.column
    at, lead = _next_line(text, _end(value))
    return splice(text, [Splice(at, at, lead + _lines(name, entry, indent, newline))])


def _replace(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text in which a key of the mapping has another value."""
    value = _mapping(text, path)
    key, old = _must(value, path[-1])
    if value.flow_style:
        return splice(text, [Splice(old.start_mark.index, _end(old), json.dumps(entry, ensure_ascii=False))])
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    end, _ = _next_line(text, _end(old))
    lines = _lines(path[-1], entry, " " * key.start_mark.column, newline_of(text))
    return splice(text, [Splice(start, end, lines)])


def _remove(text: str, path: Path) -> str:
    """Return a text without a key of the mapping."""
    value = _mapping(text, path)
    key, old = _must(value, path[-1])
    if value.flow_style:
        position = [k.value for k, _ in value.value].index(path[-1])
        if position:
            return splice(text, [Splice(_end(value.value[position - 1][1]), _end(old), "")])
        after = value.value[1][0].start_mark.index if len(value.value) > 1 else _end(old)
        return splice(text, [Splice(key.start_mark.index, after, "")])
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    end, _ = _next_line(text, _end(old))
    emptied = [Splice(start, end, "")]
    if len(value.value) == 1:
        outer, _ = _must(_root(text), path[0])
        colon = text.index(":", _end(outer)) + 1
        emptied.append(Splice(colon, colon, " {}"))
    return splice(text, emptied)


def _library(kind: str | None) -> "ruamel.yaml.YAML":
    try:
        import ruamel.yaml
    except ModuleNotFoundError:
        raise ConfigError(
            "It is YAML, and ruamel.yaml, which comes with runapi-mcp, is not installed.",
            advice="Install it again: uv tool upgrade --reinstall runapi-mcp, pipx reinstall runapi-mcp, or "
            "pip install ruamel.yaml beside it.",
        ) from None
    return ruamel.yaml.YAML(typ=kind, pure=True)


def _root(text: str) -> "MappingNode | None":
    return cast("MappingNode | None", _library(None).compose(text))


def _mapping(text: str, path: Path) -> "MappingNode":
    return _must(_root(text), path[0])[1]


def _pair(node: "MappingNode", key: str) -> "tuple[Node, MappingNode] | None":
    return next(((k, v) for k, v in node.value if k.value == key), None)


def _must(node: "MappingNode | None", key: str) -> "tuple[Node, MappingNode]":
    pair = _pair(node, key) if node is not None else None
    if pair is None:
        raise ConfigError(f"“{key}” is not there.")
    return pair


def _end(node: "Node") -> int:
    """Return where a value's last character is; a block's own mark lies behind what follows it."""
    if isinstance(node.value, list) and node.value and not cast("CollectionNode", node).flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return cast("int", node.end_mark.index)


def _next_line(text: str, at: int) -> tuple[int, str]:
    """Return where the line after `at` starts, and the line end that is missing there."""
    if at and text[at - 1] == "\n":
        return at, ""
    found = text.find("\n", at)
    return (found + 1, "") if found >= 0 else (len(text), newline_of(text))


def _into_empty(text: str, key: "Node", value: "Node", lines: str) -> Splice:
    """Return the splice that fills an empty mapping, written as nothing or as {}."""
    colon = text.index(":", _end(key)) + 1
    end, lead = _next_line(text, max(_end(value), colon))
    comment = text[max(_end(value), colon) : end].rstrip("\r\n")
    return Splice(colon, end, comment.rstrip() + (lead or newline_of(text)) + lines)


def _lines(name: str, entry: JsonObject, indent: str, newline: str) -> str:
    """Return an entry as a block; its values are JSON, which is YAML that needs no rules of quoting."""
    inside = [
        f"{indent}{_UNIT}{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()
    ]
    return newline.join([f"{indent}{name}:", *inside, ""])


def _where(error: Any) -> str:  # noqa: ANN401  # which attributes it has differs by its class
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or "it cannot be read")
    # Of a key that is there twice it shows both values, which may be secrets.
    what = what.partition(" with value ")[0]
    return f"{what} at line {mark.line + 1}, column {mark.column + 1}" if mark else what


YAML: Final = Format("YAML", _read, _insert, _replace, _remove)
