"""What a POST holds, as far as the transport must know, and the reading of its body within limits."""

from dataclasses import dataclass
from typing import Final, cast

import anyio
from mcp_types import JSONRPCMessage, JSONRPCNotification, JSONRPCRequest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.messages import Refused, encode, read

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
