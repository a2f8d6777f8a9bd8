"""The older HTTP+SSE transport: one long GET for everything the server says, and POSTs to it."""

from collections.abc import Sequence
from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from runapi_mcp.transports.http.options import HttpOptions

MESSAGES: Final = "/messages/"


def sse_routes(
    server: Server[Any], options: HttpOptions, middleware: Sequence[Middleware]
) -> list[BaseRoute]:
    """Return the routes of the transport, ``/sse`` and ``/messages/``, each behind `middleware`."""
    # Host and Origin are judged in front of every route.
    transport = SseServerTransport(MESSAGES, max_request_body_size=options.max_body)
    return [
        Route("/sse", _Stream(server, transport), methods=["GET"], middleware=middleware),
        Mount(MESSAGES, transport.handle_post_message, middleware=middleware),
    ]


class _Stream:
    """One client: a session for as long as its GET is open. Closing it cancels its calls."""

    def __init__(self, server: Server[Any], transport: SseServerTransport) -> None:
        self._server = server
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = self._server
        async with self._transport.connect_sse(scope, receive, send) as (from_client, to_client):
            await server.run(from_client, to_client, server.create_initialization_options())
