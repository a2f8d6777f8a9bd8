"""The requests of one client that are not answered yet, over stdio and the older SSE transport."""

from typing import Final

import anyio
from mcp.shared.dispatcher import coerce_request_id
from mcp_types import INVALID_REQUEST, JSONRPCError, JSONRPCRequest, RequestId

from runapi_mcp.signalling import Signal
from runapi_mcp.transports.messages import busy, refusal

MAX_OPEN_CALLS: Final = 1024

_OPEN_ENDED: Final = frozenset({"tools/call", "subscriptions/listen"})
_ANY_SECONDS: Final = 0.025  # the upstream must be closed 50 ms after the host has gone
_SHORT_SECONDS: Final = 0.3


class OpenCalls:
    """The requests passed to the server and not yet answered or cancelled.

    7 and "7" are two ids, but one to the SDK, which would stop the wrong one: they are not open at once.
    """

    def __init__(self) -> None:
        self._open: dict[RequestId, tuple[RequestId, str]] = {}
        self._closed = Signal()

    def admit(self, request: JSONRPCRequest) -> JSONRPCError | None:
        """Note a request on its way to the server, or return why it does not get there."""
        if len(self._open) >= MAX_OPEN_CALLS:
            return busy(request.id, MAX_OPEN_CALLS)
        key = coerce_request_id(request.id)
        if key in self._open:
            reason = "A request with this id is in progress: each request needs an id of its own."
            return refusal(INVALID_REQUEST, reason, request.id).reply
        self._open[key] = (request.id, request.method)
        return None

    def close(self, request_id: object) -> bool:
        """Note that the host waits for this one no longer.

        Returns:
            False for what is not the id of an open request.
        """
        if not isinstance(request_id, str | int) or isinstance(request_id, bool):
            return False
        key = coerce_request_id(request_id)
        known = self._open[key][0] if key in self._open else None
        if type(known) is not type(request_id) or known != request_id:
            return False
        del self._open[key]
        self._closed.send()
        return True

    async def settle(self) -> None:
        r"""Give what was asked before the end of the input a moment to be answered.

        The SDK cancels every request at the end of the input, even one that came
        just before it (``printf 'initialize\ntools/list\n' | server`` would print
        one answer). Open-ended ones get 25 ms of grace, the others 0.3 s more.
        """
        with anyio.move_on_after(_ANY_SECONDS):
            await self._closed.until(lambda: not self._open)
        with anyio.move_on_after(_SHORT_SECONDS):
            await self._closed.until(lambda: all(method in _OPEN_ENDED for _, method in self._open.values()))
