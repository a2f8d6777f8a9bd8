"""Our tools as MCP lists them: small schemas, honest hints, always in the same order."""

from collections.abc import Iterable
from typing import Any, Final

import mcp_types as types

from runapi_mcp.settings import PAGE_CHARS
from runapi_mcp.tools import TOOLS, Args, Tool
from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_SHOWN: Final = 2 * PAGE_CHARS
"""Characters of a page in both halves of a result, escapes included."""
_NOISE = frozenset({"title", "default"})


def list_tools(tools: Iterable[Tool[Any]] = TOOLS.values(), *, always_load: bool = False) -> list[types.Tool]:
    """Return tools as MCP describes them, in their order; see :func:`_for_claude_code` for `always_load`."""
    return [_list_tool(tool, always_load=always_load) for tool in tools]


def _for_claude_code(tool: Tool[Any], *, always_load: bool) -> dict[str, Any]:
    """Return what Claude Code reads of a tool.

    By default it gives a model the names alone, and finds the rest by a search that looks at hints.
    What is always loaded need not be found; then a page of ours is also not too long to be shown.
    """
    if always_load:
        return {"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": _MOST_SHOWN}
    return {"anthropic/searchHint": tool.hint} if tool.hint else {}


def _list_tool(tool: Tool[Any], *, always_load: bool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=input_schema(tool.args),
        output_schema=tool.output,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.read_only, idempotent_hint=tool.idempotent, open_world_hint=True
        ),
        _meta=_for_claude_code(tool, always_load=always_load) or None,
    )


def input_schema(args: type[Args]) -> JsonObject:
    """Return the JSON Schema of a tool's arguments, without what says nothing to a model."""
    schema: JsonObject = args.model_json_schema(by_alias=True)
    schema.pop("description", None)
    schema["additionalProperties"] = False  # of a tool that ignores what a host adds, too
    slim = _slim(schema)
    assert isinstance(slim, dict), "the schema of a model is an object"
    return slim


def _slim(value: JsonValue, *, names: bool = False) -> JsonValue:
    """Drop titles and defaults, and the null of what may be left out anyway; `names` marks a map of names."""
    match value:
        case list():
            return [_slim(item) for item in value]
        case dict() if names:
            return {name: _slim(item) for name, item in value.items()}
        case dict():
            return {
                key: _slim(item, names=key == "properties")
                for key, item in _without_null(value).items()
                if key not in _NOISE
            }
        case _:
            return value


def _without_null(schema: JsonObject) -> JsonObject:
    match schema.get("anyOf"):
        case [dict(one), {"type": "null"}]:
            return one | {key: value for key, value in schema.items() if key != "anyOf"}
        case _:
            return schema
