"""Which requests the host still waits for, so that a closed stdin does not cut off a short answer."""

from typing import Final

import anyio
from mcp_types import JSONRPCRequest, RequestId

from runapi_mcp.signalling import Signal

MAX_OPEN_CALLS: Final = 1024

_OPEN_ENDED: Final = frozenset({"tools/call", "subscriptions/listen"})
_ANY_SECONDS: Final = 0.025  # the upstream must be closed 50 ms after the host has gone
_SHORT_SECONDS: Final = 0.3


class OpenCalls:
    """The requests passed to the server and not yet answered or cancelled."""

    def __init__(self) -> None:
        self._methods: dict[RequestId, str] = {}  # 7 and "7" are two ids
        self._closed = Signal()

    @property
    def full(self) -> bool:
        """Whether the next request has to be refused."""
        return len(self._methods) >= MAX_OPEN_CALLS

    def open(self, request: JSONRPCRequest) -> None:
        """Note a request on its way to the server."""
        self._methods[request.id] = request.method

    def close(self, request_id: object) -> bool:
        """Note that the host waits for this one no longer.

        Returns:
            False for what is not the id of an open request.
        """
        if not isinstance(request_id, str | int) or isinstance(request_id, bool):
            return False
        if self._methods.pop(request_id, None) is None:
            return False
        self._closed.send()
        return True

    async def settle(self) -> None:
        r"""Give what was asked before the end of the input a moment to be answered.

        The SDK cancels every request at the end of the input, even one that came
        just before it (``printf 'initialize\ntools/list\n' | server`` would print
        one answer). Open-ended ones get 25 ms of grace, the others 0.3 s more.
        """
        with anyio.move_on_after(_ANY_SECONDS):
            await self._closed.until(lambda: not self._methods)
        with anyio.move_on_after(_SHORT_SECONDS):
            await self._closed.until(lambda: _OPEN_ENDED.issuperset(self._methods.values()))
