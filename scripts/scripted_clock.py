"""Runs of the real product on a clock that no machine's speed touches: ``run(main)``.

Host, server and simulated RunAPI share one event loop; between server and simulator there are real sockets.
The loop's clock stands still while anything is to be done, and goes straight to the next moment that
somebody waits for when nothing is. So a run shows the same figures on every machine, in less time than it
tells of.
"""

import asyncio
import selectors
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar
from unittest.mock import patch

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import Implementation

from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import simulate

T = TypeVar("T")

_GRACE: Final = 0.02
"""Real seconds without an event after which nothing is on its way; loopback delivers within the call."""
_TODAY: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
"""The day of every run: models end, and what is said of them changes."""
_PATIENCE: Final = 60.0
"""Real seconds that a thread's work is waited for, such as that of the process which checks answers."""


class _Waiting(selectors.DefaultSelector):
    """Waits for sockets and threads, never for the time."""

    now = 0.0
    grace = _GRACE
    in_threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # A thread's end comes as an event; on a busy machine it takes longer than bytes on their way.
        events = super().select(_PATIENCE if self.in_threads else min(timeout, self.grace))
        if not events:
            self.now += timeout
        return events


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, grace: float = _GRACE) -> None:
        self._waiting = _Waiting()
        self._waiting.grace = grace
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.now

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let no time pass, by this clock, until the block ends."""
        self._waiting.in_threads += 1
        try:
            yield
        finally:
            self._waiting.in_threads -= 1


_RUN_IN_THREAD: Final[Callable[..., Awaitable[object]]] = anyio.to_thread.run_sync


async def _run_in_thread(*args: object, **options: object) -> object:
    """What anyio's own does, in no time by the loop's clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    with loop.standing_still():
        return await _RUN_IN_THREAD(*args, **options)


def run(main: Callable[[], Awaitable[T]], *, grace: float = _GRACE) -> T:
    """Return what `main` gives on such a clock, which begins at 0; see `_GRACE`."""
    with patch.object(anyio.to_thread, "run_sync", _run_in_thread):
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
    async with (
        open_app(settings, clock=anyio.current_time, today=lambda: _TODAY) as app,
        # In one process the SDK gives a call of the newer era no progress token.
        Client(
            build_server(app), mode="legacy", client_info=Implementation(name=host, version="1")
        ) as client,
    ):
        yield client
