"""One request to /mcp, from its envelope to its response: read, opened in time, watched for being closed.

What the SDK's transports leave to us: a message that is none is refused as over stdio; a client that
closes a response cancels its request, in 2025-era sessions too; a 2026-era response begins before a
proxy in between gives it up; a session that is gone is no dead end for a client that initializes.
"""

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel
from mcp.server.streamable_http import LAST_EVENT_ID_HEADER, MCP_SESSION_ID_HEADER
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import (
    INVALID_REQUEST,
    UNSUPPORTED_PROTOCOL_VERSION,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.beside import beside
from runapi_mcp.printable import one_line
from runapi_mcp.server.boundary import WHOLE_REQUEST
from runapi_mcp.transports.http.auth import token_of
from runapi_mcp.transports.http.bodies import Bodies, Unreadable, principal_of, says_json
from runapi_mcp.transports.http.connections import RETRY_SECONDS
from runapi_mcp.transports.http.front import refuse
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.sessions import Session, Sessions
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.messages import Refused, encode, read, refusal
from runapi_mcp.wire.json_text import PIECE

CANCELLED: Final = "notifications/cancelled"
_VERSIONS: Final = [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS]
_ENVELOPE: Final = "io.modelcontextprotocol/protocolVersion"
_BEGINNINGS: Final = frozenset({"tools/call", "initialize", "subscriptions/listen"})
_VERSION: Final = MCP_PROTOCOL_VERSION_HEADER.encode()
_SESSION: Final = MCP_SESSION_ID_HEADER.encode()
_RESUMED: Final = LAST_EVENT_ID_HEADER.encode()
_MOST_INTRODUCTION: Final = 131_072
"""Bytes of what a client says of itself: a session keeps that for as long as it lasts."""
_VALUE_BYTES: Final = 64
_PIECE_BYTES: Final = 4 << 20
_MOST_HERE: Final = 262_144
"""Bytes of a message that is read on the event loop; it takes some milliseconds."""
_STREAM: Final = b"text/event-stream"
_BOTH: Final = b"application/json, " + _STREAM
_STREAM_HEADERS: Final = [
    (b"content-type", _STREAM),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True)
class Post:
    """A message that was posted.

    Attributes:
        body: Bytes in which anyone can read it; none once they were passed on.
        method: What it is about; "" for an answer.
        id: Its id, if it is a request.
        cancels: The id that it names, if it cancels one.
        enveloped: Whether it says in itself which version it is of, as since 2026-07-28.
    """

    body: bytes
    method: str = ""
    id: str | int | None = None
    cancels: object = None
    enveloped: bool = False

    @property
    def begins(self) -> bool:
        """Whether it begins something that a server on its way out does not take on."""
        return self.method in _BEGINNINGS

    def replayed(self, receive: Receive) -> Receive:
        """Return what receives the message first, and then goes on with `receive`; once."""
        # Whoever reads it has a copy for as long as the call lasts; it need not be here as well.
        body, self.body = self.body, b""
        return _replay(body, receive)


@asynccontextmanager
async def read_post(
    bodies: Bodies, shutdown: Shutdown, scope: Scope, receive: Receive, send: Send
) -> AsyncIterator[Post | None]:
    """Give the message that a request brings, with its bytes reserved until the block ends.

    `None` if there is none, or no room for it: then the request is answered.
    """
    with bodies.hold(scope) as body:
        post: Post | Response | None
        try:
            message, octets, lacks = await _read(await bodies.read(body, scope, receive))
            post = _post(message, octets, lacks=lacks)
            if lacks:
                scope[WHOLE_REQUEST] = message
        except Unreadable as unreadable:
            post = unreadable.response
        if isinstance(post, Post) and post.begins and shutdown.begun:
            post = refuse_beginning(shutdown, post.id)
        if isinstance(post, Response):
            await post(scope, receive, send)
        yield post if isinstance(post, Post) else None


def refuse_beginning(shutdown: Shutdown, request_id: str | int | None = None) -> Response:
    """Return the refusal of what would begin while the server is on its way out; the rest is answered.

    A client may need the rest to take in the answer of a live call: some list the tools after it.
    """
    error = {"code": 503, "message": "This server is shutting down; call again, elsewhere or later."}
    answer = {"jsonrpc": "2.0", "id": request_id, "error": error}
    return JSONResponse(answer, 503, {"Retry-After": str(shutdown.retry_after)})


class McpEndpoint:
    """Answers /mcp, by the SDK's own app and with what it lacks.

    Args:
        app: The SDK's.
        options: The limits.
        bodies: All bodies of the server.
        shutdown: The server's way out.
    """

    def __init__(self, app: ASGIApp, options: HttpOptions, bodies: Bodies, shutdown: Shutdown) -> None:
        self._app = app
        self._bodies = bodies
        self._shutdown = shutdown
        self._first_byte = options.first_byte
        self._most_sessions = options.max_sessions
        self._sessions = None if options.stateless else Sessions(options.max_sessions, self._end_session)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # Nothing is kept to be sent again, so that a stream which is to be resumed begins anew.
        scope = _as_meant(_without_header(scope, _RESUMED))
        with self._bodies.sending(scope, send) as counted:
            await self._answer_method(scope, receive, counted)

    async def _answer_method(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            async with read_post(self._bodies, self._shutdown, scope, receive, send) as post:
                if post is not None:
                    await self._answer(post, scope, receive, send)
        elif scope["method"] == "HEAD":
            headers = {"Allow": "GET, POST, DELETE"}
            text = "This path is for GET, POST and DELETE."
            await refuse(405, "method_not_allowed", text, headers)(scope, receive, send)
        elif scope["method"] == "GET" and self._shutdown.begun:
            await refuse_beginning(self._shutdown)(scope, receive, send)
        else:
            await self._answer_without_body(scope, receive, send)

    async def _answer(self, post: Post, scope: Scope, receive: Receive, send: Send) -> None:
        if post.id is None:
            # What is not answered needs no leave for the form of an answer (f/mcptools#69).
            scope = _with_header(scope, b"accept", _BOTH)
        refused = _refuse_headers(post, scope)
        if refused is not None:
            await refused(scope, receive, send)
        elif _era(scope) not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._answer_2026(post, scope, receive, send)
        elif self._sessions is None:
            await self._app(scope, post.replayed(receive), send)
        else:
            session = self._sessions.find(_header(scope, _SESSION), principal_of(scope))
            if session is not None:
                session.token = token_of(scope)
                await self._answer_in_session(session, self._sessions, post, scope, receive, send)
            elif post.method == "initialize":  # whatever session it names: that one is gone
                await self._open_session(
                    self._sessions, post, _without_header(scope, _SESSION), receive, send
                )
            else:
                await self._app(scope, post.replayed(receive), send)  # 400 or 404

    async def _answer_2026(self, post: Post, scope: Scope, receive: Receive, send: Send) -> None:
        if post.method != "tools/call" or _era(scope) not in MODERN_PROTOCOL_VERSIONS:
            return await self._app(scope, post.replayed(receive), send)
        response = _EarlyResponse(send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(response.begin_after, self._first_byte)
            await self._app(scope, post.replayed(receive), response.send)
            tasks.cancel_scope.cancel()
        return None

    async def _open_session(
        self, sessions: Sessions, post: Post, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if not await sessions.make_room(principal_of(scope)):
            text = (
                f"{self._most_sessions:,} sessions are in use, as many as this server keeps. End one of "
                f"yours, or try again in {RETRY_SECONDS} s."
            )
            headers = {"Retry-After": str(RETRY_SECONDS)}
            return await refuse(503, "busy", text, headers)(scope, receive, send)

        async def note_session(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                opened = dict(message["headers"]).get(_SESSION)
                if opened is not None:
                    sessions.add(opened, scope)
            await send(message)

        return await self._app(scope, post.replayed(receive), note_session)

    async def _answer_in_session(
        self, session: Session, sessions: Sessions, post: Post, scope: Scope, receive: Receive, send: Send
    ) -> None:
        with sessions.in_use(session):
            if post.id is not None:
                return await self._answer_request(session, post, post.id, scope, receive, send)
            if post.method == CANCELLED and not _names_one(session, post.cancels):
                # The SDK takes "7" for 7, and would stop the wrong one.
                return await Response(status_code=202)(scope, receive, send)
            return await self._app(scope, post.replayed(receive), send)

    async def _answer_request(
        self, session: Session, post: Post, request_id: str | int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # The SDK keeps streams by the text of an id, so that 7 and "7" would be given each other's answers.
        key = str(request_id)
        if key in session.requests:
            reason = "A request with this id is in progress: each request needs an id of its own."
            return await _refuse(refusal(INVALID_REQUEST, reason, request_id))(scope, receive, send)
        session.requests[key] = request_id
        response = _WatchedResponse(post.replayed(receive), send)
        try:
            await self._app(scope, response.receive, response.send)
        finally:
            del session.requests[key]
        if response.abandoned:
            await self._app(scope, _replay(_cancellation(request_id), _say_gone), _nowhere)
        return None

    async def _answer_without_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        sessions, session_id = self._sessions, _header(scope, _SESSION)
        with ExitStack() as stack:
            session = sessions.find(session_id, principal_of(scope)) if sessions else None
            if sessions and session:
                if scope["method"] == "DELETE":
                    sessions.forget(session)
                else:
                    stack.enter_context(sessions.in_use(session, stream=True))
            await self._app(scope, receive, send)

    async def end_sessions(self, token_ids: frozenset[str]) -> None:
        """End the sessions that were used last with tokens that are revoked."""
        for session in self._sessions.of_tokens(token_ids) if self._sessions else []:
            assert self._sessions is not None, "it has some"
            self._sessions.forget(session)
            await self._end_session(session)

    async def _end_session(self, session: Session) -> None:
        headers = [(_SESSION, session.id), (b"accept", b"application/json")]
        scope: Scope = {
            "type": "http",
            "method": "DELETE",
            "path": "/mcp",
            "query_string": b"",
            "headers": headers,
        }
        if session.user is not None:
            scope["user"] = session.user
        await self._app(scope, _say_gone, _nowhere)


async def _read(octets: bytearray) -> tuple[JSONRPCMessage | Refused, bytes, bool]:
    """Read a message, a large one beside the event loop; see :func:`read`."""
    if len(octets) <= _MOST_HERE:
        return read(octets)
    return await beside(read, octets)


def _post(message: JSONRPCMessage | Refused, body: bytes, *, lacks: bool) -> Post | Response:
    match message:
        case Refused():
            return _refuse(message)
        case JSONRPCRequest(method="initialize") if _weighs_more(message.params, _MOST_INTRODUCTION):
            reason = f"What a client says of itself may have {_MOST_INTRODUCTION >> 10} KiB."
            return _refuse(refusal(INVALID_REQUEST, reason, message.id))
        case JSONRPCRequest():
            meta = (message.params or {}).get("_meta")
            enveloped = isinstance(meta, dict) and _ENVELOPE in meta
            return Post(body, message.method, message.id, enveloped=enveloped)
        case _ if lacks:
            reason = f"Only in a request may a text have more than {PIECE >> 10} KiB."
            return _refuse(refusal(INVALID_REQUEST, reason))
        case JSONRPCNotification():
            return Post(body, message.method, cancels=(message.params or {}).get("requestId"))
        case _:
            return Post(body)


def _weighs_more(value: object, most: int) -> bool:
    """Whether a JSON value takes more than about `most` bytes of memory."""
    left, waiting = most, [value]
    while waiting and left >= 0:
        match waiting.pop():
            case str() as text:
                left -= len(text)
            case list() as items:
                left -= _VALUE_BYTES * len(items)
                waiting += items
            case dict() as members:
                left -= sum(map(len, members)) + _VALUE_BYTES * len(members)
                waiting += members.values()
    return left < 0


def _refuse(message: Refused, status: int = 400) -> Response:
    return Response(encode(message.reply), status_code=status, media_type="application/json")


def _refuse_headers(post: Post, scope: Scope) -> Response | None:
    """Refuse a request whose headers ask for what this server does not give."""
    accepts, era = _accepted(scope), _era(scope)
    if not accepts & {_STREAM.decode(), "*/*"} and not accepts >= {"application/*", "text/*"}:
        reason = f"Send Accept: {_BOTH.decode()}. A call takes time, and is answered as a stream of events."
        return _refuse(refusal(INVALID_REQUEST, reason, post.id), 406)
    if post.enveloped or era in _VERSIONS:
        return None
    reason = "This server does not speak the version of MCP that MCP-Protocol-Version names."
    about = {"supported": _VERSIONS, "requested": one_line(era, 80)}
    error = {"code": UNSUPPORTED_PROTOCOL_VERSION, "message": reason, "data": about}
    return JSONResponse({"jsonrpc": "2.0", "id": post.id, "error": error}, 400)


def _as_meant(scope: Scope) -> Scope:
    """Return a request whose headers say in the SDK's words what they say in others.

    Without Accept anything is taken (RFC 9110, 12.5.1), and a client that takes events reads what comes:
    errors are JSON, and have the status of one (modelcontextprotocol/python-sdk#2349). A version that two
    proxies wrote is one all the same.
    """
    accepts = _accepted(scope)
    if not accepts or _STREAM.decode() in accepts:
        scope = _with_header(scope, b"accept", _BOTH)
    if says_json(scope):
        scope = _with_header(scope, b"content-type", b"application/json")
    versions = {part.strip() for part in (_header(scope, _VERSION) or b"").split(b",")}
    if len(versions) == 1:
        only = versions.pop()
        scope = _with_header(scope, _VERSION, only) if only else _without_header(scope, _VERSION)
    return scope


def _accepted(scope: Scope) -> set[str]:
    """Return the media types that a request's Accept names, in small letters."""
    lines = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"accept"]
    named = {part.partition(";")[0].strip() for line in lines for part in line.split(",")}
    return named - {""}


def _with_header(scope: Scope, name: bytes, value: bytes) -> Scope:
    scope = _without_header(scope, name)
    return {**scope, "headers": [*scope["headers"], (name, value)]}


def _era(scope: Scope) -> str:
    """Return the protocol version that a request names; one that names none is of the older era."""
    version = _header(scope, _VERSION)
    return HANDSHAKE_PROTOCOL_VERSIONS[-1] if version is None else version.decode("latin-1")


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


def _without_header(scope: Scope, unwanted: bytes) -> Scope:
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != unwanted]}


def _names_one(session: Session, named: object) -> bool:
    known = session.requests.get(str(named))
    return known is not None and (type(known), known) == (type(named), named)


def _cancellation(request_id: str | int) -> bytes:
    params = {"requestId": request_id, "reason": "The response was closed."}
    return json.dumps({"jsonrpc": "2.0", "method": CANCELLED, "params": params}).encode()


def _replay(body: bytes, then: Receive) -> Receive:
    """Return what receives a body in pieces, between which others have their turn, and then goes on."""
    unread = [body[at : at + _PIECE_BYTES] for at in range(0, max(len(body), 1), _PIECE_BYTES)][::-1]

    async def receive() -> Message:
        if not unread:
            return await then()
        await anyio.lowlevel.checkpoint()
        piece = unread.pop()
        return {"type": "http.request", "body": piece, "more_body": bool(unread)}

    return receive


async def _say_gone() -> Message:
    return {"type": "http.disconnect"}


async def _nowhere(_message: Message) -> None:
    """Drop the response to a message that no client sent."""


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
            await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
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


class _WatchedResponse:
    """A response of which is known whether its client left before it was whole."""

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
