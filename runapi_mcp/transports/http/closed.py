"""A closed response cancels its call, in 2025-era sessions too.

In the 2026 era the protocol says so and the SDK does it. In a 2025-era session the SDK lets the call
go on, for a client that may come back for the answer; this server keeps no events to replay, so
nobody can, and a call that goes on would only cost its caller. The cancel is posted into the session
as the client itself would have posted it.
"""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.envelope import envelope_of
from runapi_mcp.transports.http.sessions import session_of


class CancelWhenClosed:
    """Cancels the request of a 2025-era session when its response is closed before it is whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and a cancellation after it if the client has left."""
        envelope = envelope_of(scope)
        if envelope is None or envelope.id is None or session_of(scope) is None:
            return await self._app(scope, receive, send)
        response = _Response(receive, send)
        await self._app(scope, response.receive, response.send)
        if response.abandoned:
            await self._app(scope, _once(_cancellation(envelope.id)), _nowhere)
        return None


class _Response:
    """Watches whether the client leaves before the response is whole."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._whole = False
        self.abandoned = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._whole:
            self.abandoned = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._whole = True
        await self._send(message)


def _cancellation(request_id: str | int) -> bytes:
    params = {"requestId": request_id, "reason": "The response was closed."}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).encode()


def _once(body: bytes) -> Receive:
    unread: list[Message] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": body, "more_body": False},
    ]

    async def receive() -> Message:
        return unread.pop() if len(unread) > 1 else unread[0]

    return receive


async def _nowhere(_message: Message) -> None:
    """Drop the response to a message that no client sent."""
