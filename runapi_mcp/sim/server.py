"""The simulator on a real socket: in a thread for tests, in the foreground for the command line."""

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import anyio
import uvicorn
from uvicorn.server import ServerState

from runapi_mcp.sim.app import build_app
from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.protocol import DroppableProtocol
from runapi_mcp.sim.record import SeenCall
from runapi_mcp.sim.roster import Roster
from runapi_mcp.sim.scenarios import chosen
from runapi_mcp.sim.stage import Stage, digest

_GOODBYE = 0.5
"""Seconds that open responses get to notice the end."""


class Simulator:
    """A running simulated RunAPI, seen from the outside."""

    def __init__(self, base_url: str, stage: Stage) -> None:
        self.base_url = base_url
        """`http://HOST:PORT`, without a slash at the end."""
        self._stage = stage

    @property
    def calls(self) -> list[SeenCall]:
        """The generation calls seen, oldest first: a copy, of at most the last 10,000."""
        return self._stage.calls.snapshot()

    @property
    def lists(self) -> list[SeenCall]:
        """The requests for the model lists seen, oldest first."""
        return self._stage.lists.snapshot()

    @property
    def pace(self) -> float:
        """Seconds between chunks where neither scenario nor marker says."""
        return self._stage.pace

    @pace.setter
    def pace(self, seconds: float) -> None:
        self._stage.pace = seconds

    @property
    def stall_seconds(self) -> float:
        """Seconds the waiting scenarios wait where no `seconds=` says."""
        return self._stage.stall_seconds

    @stall_seconds.setter
    def stall_seconds(self, seconds: float) -> None:
        self._stage.stall_seconds = seconds

    @property
    def bridge(self) -> bool:
        """Whether every Gemini model is accepted on the native path, not only the seed's."""
        return self._stage.bridge

    @bridge.setter
    def bridge(self, accepted: bool) -> None:
        self._stage.bridge = accepted

    @property
    def roster(self) -> Roster:
        """How it stands with the models, and where they are served; it may be changed."""
        return self._stage.roster

    def play(self, *names: str | Cue) -> None:
        """Play these scenarios (`NAME key=value …`, or a cue) for the next calls, then the default again.

        Raises:
            ValueError: One of them is unknown.
        """
        self._stage.play(names)

    def reset(self) -> None:
        """Forget the queue and everything seen; every model is back."""
        self._stage.reset()

    async def wait_for_call(self, n: int = 1, timeout: float = 30.0) -> SeenCall:  # noqa: ASYNC109
        """The n-th generation call since the start or `reset()`, once it was seen.

        Raises:
            TimeoutError: Fewer were seen within `timeout` seconds.
        """
        return await self._stage.calls.wait_for(n, timeout)


@contextlib.asynccontextmanager
async def simulate(
    *,
    scenario: str = "default",
    host: str = "127.0.0.1",
    port: int = 0,
    pace: float = 0.0,
    key: str | None = None,
    bridge: bool = False,
    own_thread: bool = True,
) -> AsyncIterator[Simulator]:
    """A simulator in a thread and event loop of its own; leaving closes every connection at once.

    Args:
        scenario: Played where neither a marker nor `play()` says otherwise.
        host: Address to listen on.
        port: Port to listen on, 0 for any free one.
        pace: Seconds between chunks.
        key: The only key accepted; without it any that is not empty.
        bridge: Accept every Gemini model on the native path.
        own_thread: Otherwise it serves on the running loop, and goes by its clock.

    Raises:
        ValueError: The scenario is unknown.
        OSError: The address cannot be had.
    """
    chosen(scenario)
    stage = Stage(scenario, pace, bridge=bridge, key_digest=digest(key) if key else None)
    listener = _listener(host, port)
    if not own_thread:
        async with _listening(listener, stage):
            yield Simulator(_url(listener, host), stage)
        return
    thread = _ServerThread(listener, stage)
    thread.start()
    try:
        yield Simulator(_url(listener, host), stage)
    finally:
        with anyio.CancelScope(shield=True):
            thread.ask_to_leave()
            await anyio.to_thread.run_sync(thread.join)


async def serve(
    *,
    host: str,
    port: int,
    scenario: str,
    pace: float,
    announce: Callable[[str], None],
    roster: Roster | None = None,
) -> None:
    """Serve until cancelled.

    Args:
        host: Address to listen on.
        port: Port to listen on, 0 for any free one.
        scenario: Played where no marker says otherwise.
        pace: Seconds between chunks.
        announce: Told the base URL once the socket listens.
        roster: How it stands with the models; by default, all are there.

    Raises:
        ValueError: The scenario is unknown.
        OSError: The address cannot be had.
    """
    chosen(scenario)
    listener = _listener(host, port)
    async with _listening(listener, Stage(scenario, pace, roster=roster or Roster())):
        announce(_url(listener, host))
        await anyio.sleep_forever()


class _ServerThread(threading.Thread):
    """Serves on a listening socket until asked to leave."""

    def __init__(self, listener: socket.socket, stage: Stage) -> None:
        super().__init__(name="simulated-runapi", daemon=True)
        self._listener = listener
        self._stage = stage
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def ask_to_leave(self) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)

    async def _serve(self) -> None:
        async with _listening(self._listener, self._stage):
            await self._leave.wait()


@contextlib.asynccontextmanager
async def _listening(listener: socket.socket, stage: Stage) -> AsyncGenerator[None]:
    """Serve on the running loop; leaving drops every connection and waits for the responses to notice."""
    config = uvicorn.Config(
        build_app(stage), lifespan="off", ws="none", log_config=None, timeout_keep_alive=30
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: DroppableProtocol(config, state, {}), sock=listener
    )
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        open_responses = list(state.tasks)
        if open_responses:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(open_responses, timeout=_GOODBYE)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that say they are TCP: without it, every answer on a
    # kept connection waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":  # where a port that is reused may be another's that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
