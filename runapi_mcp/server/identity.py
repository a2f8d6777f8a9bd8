"""Who this server says it is: its name, and an icon that is sent once, not with every result."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

LOGO = files("runapi_mcp") / "assets" / "logo.svg"


def icon() -> types.Icon:
    """Return our logo as a data URI: hosts show it without fetching anything."""
    encoded = base64.b64encode(LOGO.read_bytes()).decode("ascii")
    return types.Icon(src=f"data:image/svg+xml;base64,{encoded}", mime_type="image/svg+xml", sizes=["any"])


async def without_icons(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Keep the icon out of every result but the introduction (middleware).

    From 2026-07-28 on the SDK stamps each result with who made it; the icon there would weigh more
    than many answers.
    """
    result = await call_next(ctx)
    if ctx.method != "server/discover" and isinstance(result, dict):
        meta = result.get("_meta")
        stamp = meta.get(types.SERVER_INFO_META_KEY) if isinstance(meta, Mapping) else None
        if isinstance(stamp, dict):
            stamp.pop("icons", None)
    return result
