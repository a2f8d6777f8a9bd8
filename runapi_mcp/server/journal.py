"""One line in the log for every call, however it ends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import anyio

from runapi_mcp import logs
from runapi_mcp.tools import Reply


class Entry:
    """What becomes of one call."""

    def __init__(self) -> None:
        self.outcome: dict[str, object] = {"outcome": "cancelled"}

    def replied(self, reply: Reply) -> None:
        """Note the reply."""
        receipt = reply.receipt
        self.outcome = {
            "outcome": "error" if reply.is_error else "ok",
            "status": receipt.status if receipt else None,
            "generation": logs.shortened(reply.handle) if reply.handle else None,
        }


@contextmanager
def logged(tool: str, request_id: object, arguments: Mapping[str, object]) -> Iterator[Entry]:
    """Log the beginning of a call for those who debug, and its end for everybody."""
    entry, began = Entry(), anyio.current_time()
    logs.debug("call begun", tool=tool, request=request_id)
    logs.content("arguments", tool=tool, request=request_id, arguments=arguments)
    try:
        yield entry
    finally:
        seconds = round(anyio.current_time() - began, 3)
        logs.info("call", tool=tool, request=request_id, seconds=seconds, **entry.outcome)
