"""Who is asking, as far as a request tells."""

from typing import Any

from mcp.server.context import ServerRequestContext

from runapi_mcp.run import Caller


def caller_of(ctx: ServerRequestContext[Any, Any]) -> Caller:
    """Return the caller of a request."""
    params = ctx.session.client_params
    return Caller(
        host=params.client_info.name if params else None,
        wants_progress=ctx.meta is not None and "progress_token" in ctx.meta,
    )
