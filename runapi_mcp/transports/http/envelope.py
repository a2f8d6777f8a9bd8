"""What a POST holds, as far as the transport must know, and the reading of its body within limits."""

from dataclasses import dataclass
from typing import Final, cast

import anyio
import pydantic_core
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.options import HttpOptions

_KEY: Final = "runapi_mcp.envelope"
_DISCARD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """The method of a JSON-RPC message, and its id if it is a request."""

    method: str
    id: str | int | None


def envelope_of(scope: Scope) -> Envelope | None:
    """Return what :class:`Bodies` read; `None` if it is no single message, or no POST."""
    return cast("Envelope | None", scope.get(_KEY))


class Bodies:
    """Reads a POST's body whole, within its size and its time, before anything else is done for it."""

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body read; refuse one that is too large (413) or too slow (408)."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        try:
            body = await self._read(scope, receive)
        except TimeoutError:
            return await _refusal(408, "The request's body did not arrive in time.")(scope, receive, send)
        except _TooLarge:
            await _discard(scope, receive)
            text = f"The request is larger than {self._options.max_body} bytes."
            return await _refusal(413, text)(scope, receive, send)
        except _Left:
            return None
        scope = {**scope, _KEY: _parsed(body)}
        return await self._app(scope, _replayed(body, receive), send)

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


def _parsed(body: bytes) -> Envelope | None:
    try:
        message = pydantic_core.from_json(body)
    except ValueError:
        return None
    match message:
        case {"method": str() as method, "id": (str() | int()) as request_id}:
            return Envelope(method, request_id)
        case {"method": str() as method}:
            return Envelope(method, None)
        case _:
            return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay


def _refusal(status: int, text: str) -> Response:
    # The rest of the body is not read, so the connection cannot be used again.
    return PlainTextResponse(text + "\n", status_code=status, headers={"Connection": "close"})
