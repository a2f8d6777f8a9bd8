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
"""The `_meta` key of the stable code of an error, for programs."""


def rendered(reply: Reply) -> types.CallToolResult:
    """Return a tool's reply as MCP."""
    return types.CallToolResult(
        content=[types.TextContent(text=without_surrogates(reply.text))],
        structured_content=reply.structured,
        is_error=reply.is_error,
        _meta=_meta(reply) or None,
    )


def error_reply(error: RunapiError) -> Reply:
    """Return an error of ours as a reply that a model can read and act on."""
    return Reply(str(error), is_error=True, code=error.code)


def bug_reply(name: str) -> Reply:
    """Return the reply of a call that ran into a bug of ours; details are in the log."""
    text = (
        f"{name} failed because of a bug in runapi-mcp; it is not caused by the arguments. "
        "Whoever runs the server finds the details in its log (RUNAPI_MCP_LOG=info)."
    )
    return Reply(text, is_error=True, code="bug")


def _meta(reply: Reply) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    if reply.receipt is not None:
        meta[RECEIPT] = asdict(reply.receipt) | {"handle": reply.handle}
    if reply.code:
        meta[ERROR] = reply.code
    return meta
