"""One Starlette app: /mcp for both eras, /sse for older clients, and the probes.

A request passes :class:`Front` (path, Host, page), on the MCP routes the bearer of a token
(:mod:`auth`), and is answered by :class:`McpEndpoint` or the routes of :mod:`sse`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from runapi_mcp.generations.budget import MemoryBudget
from runapi_mcp.transports.http.auth import Auth, credentials_advice, open_auth
from runapi_mcp.transports.http.bodies import Bodies
from runapi_mcp.transports.http.connections import Connections
from runapi_mcp.transports.http.exchange import McpEndpoint
from runapi_mcp.transports.http.front import MCP_PATH, Front
from runapi_mcp.transports.http.metrics import metrics_of, probe_routes
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.sessions import IDLE_SECONDS
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.http.sse import sse_routes


@asynccontextmanager
async def web_app(
    server: Server[Any],
    options: HttpOptions,
    auth: Auth | None,
    *,
    connections: Connections,
    memory: MemoryBudget,
    shutdown: Shutdown,
) -> AsyncIterator[ASGIApp]:
    """Give the ASGI app over `server`; its sessions last as long as the block."""
    server.middleware.append(shutdown.count)
    metrics = metrics_of(shutdown)
    if metrics is not None:
        server.middleware.append(metrics.count)
    # Never json_response: it drops progress, and a closed connection would not cancel.
    sessions = StreamableHTTPSessionManager(
        server,
        stateless=options.stateless,
        session_idle_timeout=IDLE_SECONDS,
        max_request_body_size=options.max_body,
        max_sessions=None,  # they are counted by whose they are
    )
    bodies = Bodies(options, memory)
    endpoint = McpEndpoint(sessions.asgi_app, options, bodies, shutdown)
    async with sessions.run(), open_auth(auth) as way:
        routes = [
            Route(MCP_PATH, endpoint, methods=["GET", "POST", "DELETE"], middleware=way.middleware),
            *sse_routes(server, options, bodies, shutdown, way.middleware),
            *probe_routes(shutdown, metrics),
            *way.routes,
        ]
        yield Front(Starlette(routes=routes), options, connections, shutdown, credentials_advice(auth))
