"""Connections that cost nothing while nothing is asked on them: uvicorn's, with limits of their own.

uvicorn times a connection out between two requests, but not before the first, nor in the middle of
a head; and it refuses requests beyond a limit, but keeps the connections.
"""

import asyncio
from functools import partial
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

KEEP_ALIVE_SECONDS: Final = 30
"""How long a connection may stay unused between two requests."""


class BoundedProtocol(H11Protocol):
    """Closes a connection that sends no request in time, and the oldest unused ones if there are too many."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        head_seconds: float,
        most: int,
        unused: "dict[BoundedProtocol, None]",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_seconds = head_seconds
        self._most = most
        self._unused = unused
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        """Begin to wait for a request; make room if there is none."""
        super().connection_made(transport)
        self._unused[self] = None
        self._await_head()
        if len(self.connections) > self._most and self._unused:
            oldest = next(iter(self._unused))
            del self._unused[oldest]  # before it has closed, for the next one to take another
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the time for a head runs while there is a part of one."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._unused.pop(self, None)
            self._stop_timer()
        elif self._head_timer is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """Count the connection as unused again, the youngest of them."""
        self._unused.pop(self, None)
        self._unused[self] = None
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._unused.pop(self, None)
        self._stop_timer()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self in self._unused:
            self.transport.close()


def bounded(*, head_seconds: float, most: int) -> type[asyncio.Protocol]:
    """Return the protocol with these limits, for uvicorn's configuration."""
    unused: dict[BoundedProtocol, None] = {}
    # uvicorn calls it as it would call the class.
    return partial(  # type: ignore[return-value]
        BoundedProtocol, head_seconds=head_seconds, most=most, unused=unused
    )
