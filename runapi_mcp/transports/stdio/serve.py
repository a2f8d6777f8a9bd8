"""Serve one host over stdin and stdout, and never be wedged by it.

The SDK's own `stdio_server` is not used. It stays blocked in its read on Ctrl-C (python-sdk#3551) and when
the host no longer reads; it drops what is no JSON, and a request with half a surrogate pair, and the host
waits for an answer; and it hands each line it writes to a thread and back.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from signal import Signals
from threading import Timer
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import anyio
from anyio.lowlevel import current_token
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from runapi_mcp import logs
from runapi_mcp.generations.store import store_folder
from runapi_mcp.key import OwnKey
from runapi_mcp.server.app import build_server, open_app, warm_up
from runapi_mcp.settings import Settings
from runapi_mcp.transports.messages import OpenCalls, Refused, encode, progress_key
from runapi_mcp.transports.process_exit import ignore_signals, leave_at_the_latest, signals_received
from runapi_mcp.transports.stdio.detached import Apart, finish
from runapi_mcp.transports.stdio.pipes import claim_stdio, read_chunks
from runapi_mcp.transports.stdio.threads import Inbound, Inbox, Outbox, leaving_even_if_stuck

LifespanT = TypeVar("LifespanT")

_FLUSH_SECONDS: Final = 0.4
_WARM_AFTER: Final = 1.0
"""Seconds of serving after which what no call has needed yet is built for the next."""


async def serve_stdio(
    server: Server[LifespanT],
    *,
    stdin_fd: int | None = None,
    stdout_fd: int | None = None,
    preread: bytes = b"",
    answered: Collection[RequestId] = (),
    owns_process: bool = True,
) -> None:
    """Serve the host that started this process until it goes.

    Args:
        server: its lifespan is entered once.
        stdin_fd: where the host writes; claimed from the process when not given.
        stdout_fd: where the host reads; claimed from the process when not given.
        preread: bytes of the host that were read already, in front of the rest.
        answered: ids of requests in ``preread`` that were answered already; the
            server sees them, and its own answers to them are not written.
        owns_process: leave on SIGINT and SIGTERM, and end the process 0.9 s after
            the host has gone even if a worker thread or the event loop is still
            blocked. False for a server inside another program.

    Raises:
        ExceptionGroup: around whatever the server's lifespan raised.
        OSError: the descriptors cannot be claimed.
    """
    wire_in = claim_stdio().stdin_fd if stdin_fd is None else stdin_fd
    wire_out = claim_stdio().stdout_fd if stdout_fd is None else stdout_fd
    chunks = chain([preread], read_chunks(wire_in))
    await serve_chunks(
        server, chunks, wire_out, stdin_fd=wire_in, answered=answered, owns_process=owns_process
    )


async def serve_chunks(
    server: Server[LifespanT],
    chunks: Iterable[bytes],
    stdout_fd: int,
    *,
    stdin_fd: int | None = None,
    answered: Collection[RequestId] = (),
    owns_process: bool = True,
    outlives: Callable[[], bool] = lambda: False,
) -> None:
    """The same for input that something else is reading already.

    Args:
        server: its lifespan is entered once.
        chunks: the host's bytes in pieces of any size, iterated in a thread.
        stdout_fd: where the host reads.
        stdin_fd: where the host writes; only watched for its end.
        answered: see `serve_stdio`.
        owns_process: see `serve_stdio`.
        outlives: whether the process is to go on without the host, when that has gone.

    Raises:
        ExceptionGroup: around whatever the server's lifespan raised.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(signals_received()) if owns_process else None
        if owns_process:
            stack.enter_context(leaving_even_if_stuck(current_token(), stdin_fd, stdout_fd, outlives))
        inbox, outbox = stack.enter_context(Inbox(chunks)), Outbox(stdout_fd)
        session = _Session(inbox, outbox, answered, owns_process=owns_process, outlives=outlives)
        try:
            await session.run(server, signals)
        finally:
            with anyio.move_on_after(_FLUSH_SECONDS, shield=True):
                await outbox.finish()
    if owns_process and session.leaving and not outlives():
        ignore_signals()


class _Session:
    """One host and one run of the server."""

    def __init__(
        self,
        inbox: Inbox,
        outbox: Outbox,
        answered: Collection[RequestId],
        *,
        owns_process: bool,
        outlives: Callable[[], bool],
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._calls = OpenCalls()
        self._replies = _Replies(outbox, self._calls, answered)
        self._owns_process = owns_process
        self._outlives = outlives
        self.leaving = False

    async def run(self, server: Server[LifespanT], signals: AsyncIterator[Signals] | None) -> None:
        to_server, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with anyio.create_task_group() as tasks:
            scope = tasks.cancel_scope
            tasks.start_soon(self._pump, to_server)
            tasks.start_soon(self._leave_after, self._outbox.wait_unread, scope)
            if signals is not None:
                tasks.start_soon(self._leave_after, signals.__anext__, scope)
            with from_host:
                await server.run(from_host, self._replies, server.create_initialization_options())
            scope.cancel()

    async def _pump(self, to_server: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        with suppress(anyio.BrokenResourceError):  # the server has stopped, or the host reads no more
            async with to_server:
                while (batch := await self._inbox.receive()) is not None:
                    for arrival in batch:
                        await self._deliver(arrival, to_server)
                self._leave()
                await self._calls.settle()

    async def _deliver(
        self, arrival: Inbound, to_server: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        match arrival:
            case Refused(reply):
                await self._outbox.send(encode(reply))
                return
            case JSONRPCRequest():
                refused = self._calls.admit(arrival)
                if refused is not None:
                    await self._outbox.send(encode(refused))
                    return
            case JSONRPCNotification(method="notifications/cancelled", params={"requestId": request_id}):
                if not self._calls.close(request_id):
                    return  # the SDK would take "7" for 7, and stop the wrong one
            case _:
                pass
        await to_server.send(SessionMessage(arrival))

    async def _leave_after(self, sign: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> None:
        await sign()
        self._leave()
        scope.cancel()

    def _leave(self) -> None:
        if not self.leaving and self._owns_process and not self._outlives():
            leave_at_the_latest()
        self.leaving = True
        self._outbox.lift_bound()


class _Replies:
    """The write stream the server sees."""

    def __init__(self, outbox: Outbox, calls: OpenCalls, answered: Collection[RequestId]) -> None:
        self._outbox = outbox
        self._calls = calls
        self._answered = set(answered)

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        line = encode(message)
        key = progress_key(message)
        if key is not None:
            await self._outbox.send_progress(line, key)
        elif not isinstance(message, JSONRPCResponse | JSONRPCError):
            await self._outbox.send(line)
        else:
            await self._answer(message.id, line)

    async def _answer(self, request_id: RequestId | None, line: bytes) -> None:
        if request_id in self._answered:
            self._answered.discard(request_id)
        else:
            await self._outbox.send(line)
        self._calls.close(request_id)

    async def aclose(self) -> None:
        """Nothing to do: the outbox outlives the server's run, to write what it left."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Opening(Protocol):
    """Something that has read from the host already, and may have answered."""

    def take_over(self) -> tuple[Iterable[bytes], Collection[str | int]]:
        """Return the host's bytes from its first, and the ids of the requests answered among them."""


@contextmanager
def _warm_meanwhile() -> Iterator[None]:
    """Once a call that came at once has had its way, have the first that comes later wait for nothing."""
    # No daemon: it ends in a moment, and what it is in the middle of must not lose its interpreter.
    timer = Timer(_WARM_AFTER, warm_up)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


async def serve_local(
    settings: Settings,
    opening: Opening | None = None,
    own_key: OwnKey | None = None,
    env: Mapping[str, str] | None = None,
    apart: Apart | None = None,
) -> None:
    """Serve the host that started this process until it goes.

    Args:
        settings: What can be set.
        opening: Where to go on.
        own_key: Finds the key, if a keyring has it.
        env: The environment, which says where this user's state is kept.
        apart: What lets this process go on without its host, where it may.
    """
    folder = store_folder(settings, env) if apart else None
    async with open_app(settings, own_key=own_key, env=env) as app:

        def outlives() -> bool:
            return isinstance(folder, Path) and bool(app.generations.promised)

        logs.debug("opened")
        server = build_server(app)
        logs.debug("serving")
        wire = claim_stdio()
        chunks, answered = opening.take_over() if opening else (read_chunks(wire.stdin_fd), ())
        with _warm_meanwhile():
            await serve_chunks(
                server,
                chunks,
                wire.stdout_fd,
                stdin_fd=wire.stdin_fd,
                answered=answered,
                outlives=outlives,
            )
        if apart is not None and isinstance(folder, Path):
            await finish(apart, app.generations, folder)
            leave_at_the_latest()
