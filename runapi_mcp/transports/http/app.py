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

from runapi_mcp.server.app import App
from runapi_mcp.transports.http.auth import Auth, FailedLogins, credentials_advice, open_auth
from runapi_mcp.transports.http.bodies import Bodies
from runapi_mcp.transports.http.connections import Connections
from runapi_mcp.transports.http.exchange import McpEndpoint
from runapi_mcp.transports.http.front import MCP_PATH, Front
from runapi_mcp.transports.http.metrics import metrics_of, probe_routes
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.readiness import Readiness
from runapi_mcp.transports.http.sessions import IDLE_SECONDS
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.http.sse import sse_routes
from runapi_mcp.transports.http.tokens import TokenFile


@asynccontextmanager
async def web_app(
    app: App,
    server: Server[Any],
    options: HttpOptions,
    auth: Auth | None,
    *,
    connections: Connections,
    shutdown: Shutdown,
) -> AsyncIterator[ASGIApp]:
    """Give the ASGI app over `server`, which serves `app`; its sessions last as long as the block."""
    server.middleware.append(shutdown.count)
    readiness = Readiness(app, auth, options.ready_grace)
    failed = FailedLogins()
    metrics = metrics_of(shutdown, app.generations, failed)
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
    bodies = Bodies(options, app.generations.memory)
    endpoint = McpEndpoint(sessions.asgi_app, options, bodies, shutdown)
    if isinstance(auth, TokenFile):
        auth.on_revoked.append(endpoint.end_sessions)
    async with sessions.run(), open_auth(auth, failed) as way:
        routes = [
            Route(MCP_PATH, endpoint, methods=["GET", "POST", "DELETE"], middleware=way.middleware),
            *sse_routes(server, options, bodies, shutdown, way.middleware),
            *probe_routes(shutdown, readiness, metrics),
            *way.routes,
        ]
        yield Front(Starlette(routes=routes), options, connections, shutdown, credentials_advice(auth))
