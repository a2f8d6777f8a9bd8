"""One POST from its envelope to its response: read within limits, opened early, watched for being closed."""

import json
from dataclasses import dataclass
from typing import Final, cast

import anyio
from mcp.server.streamable_http import LAST_EVENT_ID_HEADER, MCP_SESSION_ID_HEADER
from mcp.server.transport_security import TransportSecurityMiddleware
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import INVALID_REQUEST, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.messages import Refused, encode, read, refusal

_KEY: Final = "runapi_mcp.envelope"
_DISCARD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """The method of a JSON-RPC message, its id if it is a request, and what it names if it cancels one."""

    method: str
    id: str | int | None = None
    cancels: object = None


def envelope_of(scope: Scope) -> Envelope | None:
    """Return what :class:`Bodies` read; `None` if it is an answer, or no POST."""
    return cast("Envelope | None", scope.get(_KEY))


class Bodies:
    """Reads a POST's body whole, within its size and its time, before anything else is done for it.

    What is no message is refused as it is over stdio, and what can be repaired is passed on repaired.
    """

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; refuse one that is too large (413), too slow (408) or no message (400)."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        try:
            body = await self._read(scope, receive)
        except TimeoutError:
            return await _unread(408, "The request's body did not arrive in time.")(scope, receive, send)
        except _TooLarge:
            await _discard(scope, receive)
            text = f"The request is larger than {self._options.max_body} bytes."
            return await _unread(413, text)(scope, receive, send)
        except _Left:
            return None
        message, body = read(body)
        if isinstance(message, Refused):
            return await refused(message)(scope, receive, send)
        scope = {**scope, _KEY: _envelope(message)}
        return await self._app(scope, replayed(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._options.max_body
        if _declared_length(scope) > limit:
            raise _TooLarge
        body = bytearray()
        with anyio.fail_after(self._options.body_seconds):
            while True:
                with anyio.fail_after(self._options.body_silence):
                    message = await receive()
                if message["type"] != "http.request":
                    raise _Left
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _TooLarge
                if not message.get("more_body", False):
                    return bytes(body)


class _TooLarge(Exception):
    pass


class _Left(Exception):
    pass


async def _discard(scope: Scope, receive: Receive) -> None:
    """Read on for a moment: a client that is still sending when the connection closes never sees why."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # it asks before it sends
    with anyio.move_on_after(_DISCARD_SECONDS):
        while (await receive()).get("more_body", False):
            pass


def _declared_length(scope: Scope) -> int:
    # h11 has checked that it is a number; a chunked body has none.
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def refused(message: Refused) -> Response:
    """Return the HTTP response that says why a message is refused (400)."""
    return Response(encode(message.reply), status_code=400, media_type="application/json")


def _envelope(message: JSONRPCMessage) -> Envelope | None:
    match message:
        case JSONRPCRequest():
            return Envelope(message.method, message.id)
        case JSONRPCNotification():
            return Envelope(message.method, cancels=(message.params or {}).get("requestId"))
        case _:
            return None


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what receives `body` first, and then goes on with `receive`."""
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay


def _unread(status: int, text: str) -> Response:
    # The rest of the body is not read, so the connection cannot be used again.
    return PlainTextResponse(text + "\n", status_code=status, headers={"Connection": "close"})


_VERSION: Final = MCP_PROTOCOL_VERSION_HEADER.encode()
_SESSION: Final = MCP_SESSION_ID_HEADER.encode()
_RESUMED: Final = LAST_EVENT_ID_HEADER.encode()
_CANCELLED: Final = "notifications/cancelled"
_CANCELS_NOTHING: Final = json.dumps(
    {"jsonrpc": "2.0", "method": _CANCELLED, "params": {"requestId": "runapi-mcp: no request"}}
).encode()


def session_of(scope: Scope) -> bytes | None:
    """Return the 2025-era session that a request says it belongs to."""
    headers = dict(scope["headers"])
    era = headers.get(_VERSION)
    in_era = era is None or era.decode("latin-1") in HANDSHAKE_PROTOCOL_VERSIONS
    return headers.get(_SESSION) if in_era else None


class DistinctIds:
    """Refuses an id that is in use in its session (400), and voids cancellations that name no request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: dict[tuple[bytes, str], str | int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or answer it."""
        session, envelope = session_of(scope), envelope_of(scope)
        if session is None or envelope is None:
            await self._app(scope, receive, send)
        elif envelope.id is not None:
            await self._only_one((session, str(envelope.id)), envelope.id)(scope, receive, send)
        elif envelope.method == _CANCELLED and not self._names_one(session, envelope):
            # The SDK is still to say whether there is such a session, and for this caller.
            await self._app(scope, replayed(_CANCELS_NOTHING, receive), send)
        else:
            await self._app(scope, receive, send)

    def _only_one(self, key: tuple[bytes, str], request_id: str | int) -> ASGIApp:
        if key in self._open:
            reason = "A request with this id is in progress: each request needs an id of its own."
            return refused(refusal(INVALID_REQUEST, reason, request_id))

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            self._open[key] = request_id
            try:
                await self._app(scope, receive, send)
            finally:
                del self._open[key]

        return answer

    def _names_one(self, session: bytes, envelope: Envelope) -> bool:
        named = envelope.cancels
        known = self._open.get((session, str(named)))
        return known is not None and (type(known), known) == (type(named), named)


class NoReplays:
    """Begins the stream anew for a client that asks to resume one: nothing is kept to be sent again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, without its Last-Event-ID."""
        headers = [(name, value) for name, value in scope["headers"] if name != _RESUMED]
        await self._app({**scope, "headers": headers}, receive, send)


_OPENING_VERSION: Final = MCP_PROTOCOL_VERSION_HEADER.encode()
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
        response = _EarlyResponse(send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(response.begin_after, self._seconds)
            await self._app(scope, receive, response.send)
            tasks.cancel_scope.cancel()
        return None


class _EarlyResponse:
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
    era = next((value for name, value in scope["headers"] if name == _OPENING_VERSION), b"")
    return era.decode("latin-1") in MODERN_PROTOCOL_VERSIONS


class CancelWhenClosed:
    """Cancels the request of a 2025-era session when its response is closed before it is whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and a cancellation after it if the client has left."""
        envelope = envelope_of(scope)
        if envelope is None or envelope.id is None or session_of(scope) is None:
            return await self._app(scope, receive, send)
        response = _WatchedResponse(receive, send)
        await self._app(scope, response.receive, response.send)
        if response.abandoned:
            await self._app(scope, _once(_cancellation(envelope.id)), _nowhere)
        return None


class _WatchedResponse:
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


PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked by address, and that tell nothing about anyone."""


class NamedRight:
    """Lets a request through whose Host (else 421) and Origin (else 403) are allowed."""

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(options.security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it, before its body is read."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            refusal = await self._check.validate_request(Request(scope), is_post=False)
            if refusal is not None:
                return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)
