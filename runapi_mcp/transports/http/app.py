"""One Starlette app: /mcp for both eras, /sse for older clients, and the probes.

A request passes, from the outside in, :class:`EndsWithServer` and :class:`NamedRight` (Host, Origin);
then on the MCP routes :class:`Door` (who), :class:`Bodies` (size, time, what is no message),
:class:`NoNewCalls` and, in 2025-era sessions, :class:`DistinctIds`, :class:`NoReplays` and
:class:`CancelWhenClosed`, in the 2026 era :class:`EarlyBytes`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from runapi_mcp.transports.http.auth import Auth, way_in
from runapi_mcp.transports.http.exchange import (
    Bodies,
    CancelWhenClosed,
    DistinctIds,
    EarlyBytes,
    NamedRight,
    NoReplays,
)
from runapi_mcp.transports.http.metrics import metrics_of, probe_routes
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.shutdown import EndsWithServer, Leaving, NoNewCalls
from runapi_mcp.transports.http.sse import sse_routes

MCP_PATH: Final = "/mcp"


def _for_pages(options: HttpOptions) -> list[Middleware]:
    """Return what lets the web pages that may call read the answers (CORS)."""
    if not options.allowed_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(options.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["Mcp-Session-Id", "WWW-Authenticate", "Retry-After"],
        )
    ]


@asynccontextmanager
async def web_app(
    server: Server[Any], options: HttpOptions, auth: Auth | None, leaving: Leaving
) -> AsyncIterator[ASGIApp]:
    """Give the ASGI app over `server`; its sessions last as long as the block."""
    server.middleware.append(leaving.count)
    metrics = metrics_of(leaving)
    if metrics is not None:
        server.middleware.append(metrics.count)
    # Never json_response: it drops progress, and a closed connection would not cancel.
    sessions = StreamableHTTPSessionManager(
        server,
        stateless=options.stateless,
        max_request_body_size=options.max_body,
        max_sessions=options.max_sessions,
    )
    early = EarlyBytes(sessions.asgi_app, options)
    outside = [Middleware(EndsWithServer, leaving), Middleware(NamedRight, options), *_for_pages(options)]
    async with sessions.run(), way_in(auth) as way:
        inside = [*way.middleware, Middleware(Bodies, options), Middleware(NoNewCalls, leaving)]
        routes = [
            Route(MCP_PATH, DistinctIds(NoReplays(CancelWhenClosed(early))), middleware=inside),
            *sse_routes(server, options, inside),
            *probe_routes(leaving, metrics),
            *way.routes,
        ]
        yield Starlette(routes=routes, middleware=outside)
