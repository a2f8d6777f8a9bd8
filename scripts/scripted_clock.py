"""Runs of the real product on a clock that no machine's speed touches: ``run(main)``.

Host, server and simulated RunAPI share one event loop; between server and simulator there are real sockets.
The loop's clock stands still while anything is to be done, and goes straight to the next moment that
somebody waits for when nothing is. So a run shows the same figures on every machine, in less time than it
tells of.
"""

import asyncio
import selectors
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import Implementation

from runapi_mcp.extraction.worker import check_elsewhere
from runapi_mcp.server.app import opened
from runapi_mcp.server.handlers import build_server
from runapi_mcp.settings import from_env
from runapi_mcp.sim import simulate

T = TypeVar("T")

_GRACE: Final = 0.02
"""Real seconds without an event after which nothing is on its way; loopback delivers within the call."""
_TODAY: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
"""The day of every run: models end, and what is said of them changes."""


class _Waiting(selectors.DefaultSelector):
    """Waits for sockets, never for the time."""

    now = 0.0
    grace = _GRACE

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(min(timeout, self.grace))
        if not events:
            self.now += timeout
        return events


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, grace: float = _GRACE) -> None:
        self._grace = grace
        self._waiting = _Waiting()
        self._waiting.grace = grace
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.now

    async def start_worker(self) -> None:
        """Have the process that checks answers started: that takes real time, its checks next to none."""
        self._waiting.grace = 30.0
        await check_elsewhere({"schema": {}, "dialect": "chat"}, "local")
        self._waiting.grace = self._grace


def run(main: Callable[[], Awaitable[T]], *, grace: float = _GRACE) -> T:
    """Return what `main` gives on such a clock, which begins at 0; see `_GRACE`."""
    return anyio.run(main, backend_options={"loop_factory": partial(_Loop, grace)})


simulate_here = partial(simulate, own_thread=False)
"""A simulated RunAPI on the running loop, by its clock."""


@asynccontextmanager
async def client_here(server: StdioServerParameters, *, host: str = "scripted") -> AsyncGenerator[Client]:
    """A client of a server on the running loop, with the settings that its process would get.

    Args:
        server: How the server would be started.
        host: What the client calls itself.
    """
    settings = from_env(server.env or {})
    loop = asyncio.get_running_loop()
    if isinstance(loop, _Loop):
        await loop.start_worker()
    async with (
        opened(settings, clock=anyio.current_time, today=lambda: _TODAY) as app,
        # In one process the SDK gives a call of the newer era no progress token.
        Client(
            build_server(app), mode="legacy", client_info=Implementation(name=host, version="1")
        ) as client,
    ):
        yield client
