"""Replies → MCP results. What the host reads is complete in whichever half it reads."""

import json
from dataclasses import asdict
from typing import Any, Final

import mcp_types as types

from runapi_mcp.server.boundary import ERROR
from runapi_mcp.tools import Reply
from runapi_mcp.wire.documents import without_surrogates
from runapi_mcp.wire.types import JsonObject

RECEIPT: Final = "ai.runapi/receipt"
"""The `_meta` key of a result's receipt, for programs; models do not see it."""


def rendered(reply: Reply) -> types.CallToolResult:
    """Return a tool's reply as MCP."""
    return types.CallToolResult(
        content=[types.TextContent(text=without_surrogates(reply.text))],
        structured_content=None if reply.structured is None else _encodable(reply.structured),
        is_error=reply.is_error,
        _meta=_meta(reply) or None,
    )


def _encodable(facts: JsonObject) -> JsonObject:
    """Return facts without lone surrogates, which JSON that a model wrote may hold and UTF-8 may not."""
    text = json.dumps(facts, ensure_ascii=False)
    if (clean := without_surrogates(text)) is text:
        return facts
    cleaned: JsonObject = json.loads(clean)
    return cleaned


def _meta(reply: Reply) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    if reply.receipt is not None:
        meta[RECEIPT] = asdict(reply.receipt) | {"handle": reply.handle}
    if reply.code:
        meta[ERROR] = reply.code
    return meta
