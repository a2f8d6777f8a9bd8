"""A server that answers with exactly these bytes: for what no well-behaved server does."""

import atexit
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = EVENTS + b"transfer-encoding: chunked\r\n\r\n"
UNTIL_CLOSED = EVENTS + b"connection: close\r\n\r\n"


@dataclass
class RawServer:
    """Where it listens and what it saw."""

    base_url: str
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


class Peer:
    """One connection, from the server's side."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._unread = b""

    async def request(self) -> bytes:
        """Return the next request, head and body; nothing once the client has left."""
        try:
            while b"\r\n\r\n" not in self._unread:
                self._unread += await self._stream.receive()
            head, _, rest = self._unread.partition(b"\r\n\r\n")
            told = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            wanted = int(told[1]) if told else 0
            while len(rest) < wanted:
                rest += await self._stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return b""
        self._unread = rest[wanted:]
        return head + b"\r\n\r\n" + rest[:wanted]

    async def say(self, octets: bytes) -> None:
        await self._stream.send(octets)

    async def chunk(self, octets: bytes) -> None:
        await self._stream.send(b"%x\r\n%b\r\n" % (len(octets), octets))

    async def left(self) -> None:
        """Return once the client has closed its side."""
        try:
            while await self._stream.receive():
                pass
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass

    def reset(self) -> None:
        """Close with a TCP RST."""
        raw: socket.socket = self._stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def raw_server(answer: Callable[[Peer, bytes], Awaitable[None]]) -> AsyncIterator[RawServer]:
    """Answer every request on a connection with `answer`, which may return to serve the next."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    server = RawServer(f"http://127.0.0.1:{port}")

    async def serve(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            peer = Peer(stream)
            while asked := await peer.request():
                server.requests.append(asked)
                try:
                    await answer(peer, asked)
                except Closed:
                    return

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        try:
            yield server
        finally:
            tasks.cancel_scope.cancel()


class Closed(Exception):
    """Raised by an answer to close the connection."""


_BOUND = ExitStack()
"""Nobody listens on what it closes at the end, and nobody else can as long as the tests run."""
atexit.register(_BOUND.close)


def refused_url() -> str:
    """Return the URL of a port at which every connection is refused, another one at each call."""
    bound = _BOUND.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
