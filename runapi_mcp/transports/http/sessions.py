"""What a 2025-era session needs besides what the SDK does: ids that are told apart, and no replays.

The SDK files a session's answers under the text of the request's id, so that a second request with
the id of one in progress would take over its stream, and leave the first without an answer; a
cancellation of "7" would stop request 7; and a stream that is to be resumed gets no response at all
where no events are kept.
"""

import json
from typing import Final

from mcp.server.streamable_http import LAST_EVENT_ID_HEADER, MCP_SESSION_ID_HEADER
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.transports.http.envelope import Envelope, envelope_of, refused, replayed
from runapi_mcp.transports.messages import refusal

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
