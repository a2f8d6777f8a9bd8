"""A way to a server on this machine that can be made slow."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio.abc import SocketAttribute, SocketStream


@dataclass
class SlowLine:
    """Reaches a server at another port.

    Attributes:
        answering: Seconds by which each piece of what the server says comes later.
        asking: Seconds that each piece of what it is told takes, 64 KiB at most.
    """

    port: int
    answering: float = 0.0
    asking: float = 0.0


@asynccontextmanager
async def slow_line(server_port: int) -> AsyncIterator[SlowLine]:
    """A line to the server at a port, which can be made slow at any time."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    line = SlowLine(listener.extra(SocketAttribute.local_port))

    async def connected(client: SocketStream) -> None:
        async with client:
            with suppress(OSError):
                async with (
                    await anyio.connect_tcp("127.0.0.1", server_port) as server,
                    anyio.create_task_group() as tasks,
                ):
                    both = tasks.cancel_scope
                    tasks.start_soon(_copied, client, server, lambda: line.asking, both)
                    tasks.start_soon(_copied, server, client, lambda: line.answering, both)

    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, connected)
        yield line
        serving.cancel_scope.cancel()


async def _copied(
    source: SocketStream, sink: SocketStream, pause: Callable[[], float], both: anyio.CancelScope
) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for piece in source:
            await anyio.sleep(pause())
            await sink.send(piece)
    both.cancel()
