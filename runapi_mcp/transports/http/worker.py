"""One of several worker processes: the server as it runs alone, but for where its connections come from.

A session of the 2025 era, or of the older SSE transport, lives in one process, and a proxy sends requests of
many clients over one connection: so not connections but requests have to find their worker. (Public reports
of "Session not found" with several uvicorn or gunicorn workers are this.) The id of a session carries
the worker's number, the path of the older transport too, and a request that came to another worker is passed
to it over a stream, as ASGI's own messages. What is told of all workers is asked of each in the same way.
"""

import asyncio
import logging
import math
import mmap
import pickle
import re
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.abc import UNIXSocketStream
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.front import MESSAGES_PATH, refuse
from runapi_mcp.transports.http.shutdown import Shutdown

logger = logging.getLogger(__name__)

HURRY: Final = getattr(signal, "SIGUSR1", signal.SIGTERM)
"""Tells a worker to end the time that live calls are given.

Not a second SIGTERM: systemd and Ctrl-C send theirs to all processes of a service, so that a worker gets two.
"""
BEAT: Final = 0.05
"""Seconds between two notes of a worker about what it has to do."""
CLIENT, SIBLING = b"c", b"s"
"""What a worker is handed: a client's connection, or the end of a stream to another worker."""
READY: Final = b"r"
"""What a worker tells its parent once; else it is the number of the worker it would speak to."""
_HERE: Final = b"h"
_SESSION: Final = MCP_SESSION_ID_HEADER.encode()
_MESSAGES: Final = re.compile(rf"{MESSAGES_PATH}/(\d{{1,2}})")
_TAGGED: Final = re.compile(rb"(.*)\.(\d{1,2})", re.DOTALL)
_PASSED_ON: Final = "runapi_mcp.passed_on"
_LENGTH: Final = struct.Struct("!I")
_PIECE_BYTES: Final = 65_536
_ASK_SECONDS: Final = 1.0


class Handed(socket.socket):
    """A listening socket, as far as a server can tell; its connections are handed over by the parent.

    Attributes:
        taken: How many were.
        on_sibling: Given the end of a stream to another worker.
    """

    def __init__(self, channel: socket.socket, address: Any) -> None:  # noqa: ANN401  # as sockets have it
        super().__init__(fileno=channel.detach())
        self._address = address
        self.taken = 0
        self.on_sibling: Callable[[socket.socket], None] = socket.socket.close

    def listen(self, _backlog: int = 0, /) -> None:
        """Do nothing: the parent listens."""

    def getsockname(self) -> Any:  # noqa: ANN401
        """Return the address that the parent listens at."""
        return self._address

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, and who is at its other end.

        Raises:
            BlockingIOError: None is there.
            ConnectionAbortedError: It is over already.
        """
        if sys.platform == "win32":
            raise OSError("nothing is handed over here")
        while True:
            kind, fds, _, _ = socket.recv_fds(self, 1, 1)
            if not kind:
                asyncio.get_running_loop().remove_reader(self)
                signal.raise_signal(signal.SIGTERM)  # nobody would start this worker again, or end it
                raise BlockingIOError
            connection = socket.socket(fileno=fds[0])
            if kind == SIBLING:
                self.on_sibling(connection)
                continue
            self.taken += 1
            try:
                return connection, connection.getpeername()
            except OSError:
                connection.close()
                raise ConnectionAbortedError from None


class Notes:
    """What each worker has to do, in memory that all of them share: nobody is woken to write or read it."""

    _NOTE: Final = struct.Struct("dQQQ")

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * self._NOTE.size)

    def write(self, number: int, at: float, taken: int, load: int, open_: int) -> None:
        """Write of a worker: when, how many connections it took, its calls, its open connections."""
        self._NOTE.pack_into(self._memory, number * self._NOTE.size, at, taken, load, open_)

    def read(self, number: int) -> tuple[float, int, int, int]:
        """Return what was written of a worker last."""
        at, taken, load, open_ = self._NOTE.unpack_from(self._memory, number * self._NOTE.size)
        return at, taken, load, open_


@dataclass(frozen=True, eq=False, slots=True)
class Worker:
    """One worker, as it sees itself.

    Attributes:
        number: Its number, from 0; the one that takes its place when it dies has the same.
        count: How many there are.
        announces: Whether it is the one that says where the server listens.
        listener: What gives it connections.
        notes: Where it says what it has to do.
    """

    number: int
    count: int
    announces: bool
    listener: Handed
    notes: Notes

    async def note_load(self, load: Callable[[], tuple[int, int]]) -> None:
        """Say again and again how many calls run here, and how many connections are open; for ever."""
        self.listener.send(READY)
        while True:
            self.notes.write(self.number, time.monotonic(), self.listener.taken, *load())
            await anyio.sleep(BEAT)

    async def connect(self, number: int) -> UNIXSocketStream | None:
        """Return a stream to another worker; `None` if it is not there."""
        if sys.platform == "win32":
            return None
        end, other = socket.socketpair()
        stream = await UNIXSocketStream.from_socket(end)
        with other:
            while True:
                try:
                    socket.send_fds(self.listener, [bytes([number])], [other.fileno()])
                    break
                except BlockingIOError:
                    await anyio.wait_writable(self.listener)
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive(1)
            return stream
        await stream.aclose()
        return None

    @staticmethod
    async def greet(end: socket.socket) -> UNIXSocketStream:
        """Return a stream to a worker that wants to speak to this one, and tell it that somebody is there."""
        stream = await UNIXSocketStream.from_socket(end)
        await stream.send(_HERE)
        return stream


# ---------------------------------------------------------------- requests of another's


def is_passed_on(scope: Scope) -> bool:
    """Whether a request came by way of another worker, which answers for all."""
    return _PASSED_ON in scope


class Siblings:
    """Passes requests on to the workers whose they are; an ASGI app.

    Args:
        app: Answers what is this worker's.
        worker: This one.
        shutdown: Told what is being passed on.
    """

    def __init__(self, app: ASGIApp, worker: Worker, shutdown: Shutdown) -> None:
        self._app = app
        self._worker = worker
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have its worker do so; of one that is gone its sessions are unknown here."""
        tag = b".%d" % self._worker.number
        scope, owner = _read_owner(scope, self._worker.count)
        if owner is not None and owner != self._worker.number and not is_passed_on(scope):
            stream = await self._worker.connect(owner)
            if stream is not None:
                return await self._pass_on(scope, receive, send, stream)

        async def send_tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (name, value + tag if name == _SESSION else value) for name, value in message["headers"]
                ]
                message = {**message, "headers": headers}
            await send(message)

        return await self._app(scope, receive, send_tagged)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, stream: UNIXSocketStream) -> None:
        line = _Line(stream)
        left = begun = whole = False

        async def pass_request() -> None:
            nonlocal left
            while not left:
                message = await receive()
                left = message["type"] == "http.disconnect"
                await (stream.send_eof() if left else line.send(message))

        with self._shutdown.passing_on(scope):
            async with stream, anyio.create_task_group() as tasks:
                await line.send({**scope, _PASSED_ON: True})
                tasks.start_soon(pass_request)
                while not whole and (message := await line.read()) is not None:
                    begun = True
                    await send(message)
                    whole = message["type"] == "http.response.body" and not message.get("more_body", False)
                tasks.cancel_scope.cancel()
        if left or whole:
            return None
        if begun:  # a response that is cut off, as a client of a server that dies gets it
            raise ConnectionAbortedError("the worker of this session died")
        text = "This session is gone, and what served it with it. Begin a new one."
        return await refuse(404, "not_found", text)(scope, receive, send)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Siblings"]:
        """Answer what the others pass on, too, for as long as the block lasts."""
        arrive, arrived = anyio.create_memory_object_stream[socket.socket](math.inf)
        self._worker.listener.on_sibling = arrive.send_nowait

        async def answer_all() -> None:
            async for end in arrived:
                tasks.start_soon(self._answer, end)

        with arrive, arrived:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer_all)
                yield self
                tasks.cancel_scope.cancel()

    async def _answer(self, end: socket.socket) -> None:
        async with await self._worker.greet(end) as stream:
            line = _Line(stream)
            scope = await line.read()
            if scope is None:
                return
            try:
                await self._shutdown.answer(self, scope, line.receive, line.send)
            except Exception:  # as an HTTP server does: it ends this request alone
                logger.exception("A request that was passed on failed")


def _read_owner(scope: Scope, count: int) -> tuple[Scope, int | None]:
    """Return a request as its worker is to see it, and that worker's number, if it names one of so many."""
    found = _MESSAGES.fullmatch(scope["path"])
    if found and int(found[1]) < count:
        return {**scope, "path": MESSAGES_PATH}, int(found[1])
    owner, headers = None, []
    for name, value in scope["headers"]:
        tagged = _TAGGED.fullmatch(value) if name == _SESSION else None
        if tagged and int(tagged[2]) < count:
            value, owner = tagged[1], int(tagged[2])
        headers.append((name, value))
    return scope if owner is None else {**scope, "headers": headers}, owner


class _Line:
    """ASGI's messages over a stream between two workers, which are the same program."""

    def __init__(self, stream: UNIXSocketStream) -> None:
        self._stream = stream
        self._unread = bytearray()
        self._sending = anyio.Lock()

    async def send(self, message: Message) -> None:
        """Send a message; to whoever has gone, none."""
        body = pickle.dumps(message)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with self._sending:
                await self._stream.send(_LENGTH.pack(len(body)) + body)

    async def read(self) -> Message | None:
        """Return the next message, or `None` when there are no more; who stops waiting loses nothing."""
        while True:
            if len(self._unread) >= _LENGTH.size:
                end = _LENGTH.size + _LENGTH.unpack_from(self._unread)[0]
                if len(self._unread) >= end:
                    message: Message = pickle.loads(self._unread[_LENGTH.size : end])  # noqa: S301  # of the same program
                    del self._unread[:end]
                    return message
            try:
                self._unread += await self._stream.receive(_PIECE_BYTES)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return None

    async def receive(self) -> Message:
        """Return the next message of a client, which has left when there are no more."""
        return await self.read() or {"type": "http.disconnect"}


async def ask_siblings(worker: Worker, path: str) -> dict[int, bytes]:
    """Return what each other worker answers to a GET of a probe, by its number, if it does in time."""
    answers: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        with anyio.move_on_after(_ASK_SECONDS):
            stream = await worker.connect(number)
            if stream is None:
                return
            async with stream:
                line, body = _Line(stream), b""
                await line.send(scope)
                while (message := await line.read()) is not None:
                    body += message.get("body", b"")
                    if message["type"] == "http.response.body" and not message.get("more_body", False):
                        answers[number] = body
                        return

    scope: Scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    scope[_PASSED_ON] = True
    async with anyio.create_task_group() as tasks:
        for number in range(worker.count):
            if number != worker.number:
                tasks.start_soon(ask, number)
    return answers
