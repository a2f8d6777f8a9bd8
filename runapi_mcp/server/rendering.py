"""Replies and errors → MCP results. What the host reads is complete in whichever half it reads."""

from dataclasses import asdict
from typing import Any, Final

import mcp_types as types

from runapi_mcp.errors import RunapiError
from runapi_mcp.tools import Reply
from runapi_mcp.wire.documents import without_surrogates

RECEIPT: Final = "ai.runapi/receipt"
"""The `_meta` key of a result's receipt, for programs; models do not see it."""
ERROR: Final = "ai.runapi/error"
"""The `_meta` key of an error's stable code."""


def rendered(reply: Reply) -> types.CallToolResult:
    """Return a tool's reply as MCP."""
    return types.CallToolResult(
        content=[types.TextContent(text=without_surrogates(reply.text))],
        structured_content=reply.structured,
        is_error=reply.is_error,
        _meta=_meta(reply) or None,
    )


def rendered_error(error: RunapiError) -> types.CallToolResult:
    """Return an error of ours as a result that a model can read and act on."""
    return types.CallToolResult(
        content=[types.TextContent(text=without_surrogates(str(error)))],
        is_error=True,
        _meta={ERROR: error.code},
    )


def rendered_bug(name: str) -> types.CallToolResult:
    """Return the result of a call that ran into a bug of ours; details are in the log."""
    text = (
        f"{name} failed because of a bug in runapi-mcp; it is not caused by the arguments. "
        "Whoever runs the server finds the details in its log (RUNAPI_MCP_LOG=info)."
    )
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True, _meta={ERROR: "bug"})


def _meta(reply: Reply) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    if reply.receipt is not None:
        meta[RECEIPT] = asdict(reply.receipt) | {"handle": reply.handle}
    return meta
