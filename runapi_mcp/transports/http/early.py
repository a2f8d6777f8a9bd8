"""The first bytes of every call come at once, whether or not its client asked for progress.

In the 2026 era the SDK begins a response when there is something to say, or after 15 s; a proxy, or
a client that waits for the head of a response, may have given up by then. Here the response begins
after a quarter of a second, as a stream; errors that are found before keep their HTTP status.
"""

from typing import Final

import anyio
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.envelope import envelope_of
from runapi_mcp.transports.http.options import HttpOptions

_VERSION: Final = MCP_PROTOCOL_VERSION_HEADER.encode()
_STREAM: Final = b"text/event-stream"
_HEADERS: Final = [
    (b"content-type", _STREAM),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class EarlyBytes:
    """Begins the response of a 2026-era tool call in time."""

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._app = app
        self._seconds = options.first_byte

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and begin its response if nobody else does."""
        envelope = envelope_of(scope)
        if envelope is None or envelope.method != "tools/call" or not _modern(scope):
            return await self._app(scope, receive, send)
        response = _Response(send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(response.begin_after, self._seconds)
            await self._app(scope, receive, response.send)
            tasks.cancel_scope.cancel()
        return None


class _Response:
    """A response that may begin before its author says how; JSON then becomes an event."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False
        self._early = False
        self._json: bytearray | None = None

    async def begin_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        if not self._begun:
            self._begun = self._early = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send({"type": "http.response.body", "body": b": open\r\n\r\n", "more_body": True})

    async def send(self, message: Message) -> None:
        if not self._early:
            self._begun = True
            await self._send(message)
        elif message["type"] == "http.response.start":
            streams = any(name == b"content-type" and value == _STREAM for name, value in message["headers"])
            self._json = None if streams else bytearray()
        elif self._json is None:
            await self._send(message)
        else:
            self._json += message.get("body", b"")
            if not message.get("more_body", False):
                event = b"event: message\r\ndata: " + bytes(self._json) + b"\r\n\r\n"
                await self._send({"type": "http.response.body", "body": event, "more_body": False})


def _modern(scope: Scope) -> bool:
    era = next((value for name, value in scope["headers"] if name == _VERSION), b"")
    return era.decode("latin-1") in MODERN_PROTOCOL_VERSIONS
