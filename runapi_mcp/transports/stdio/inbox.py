"""The reader: a daemon thread turns what the host writes into messages for the event loop.

It also counts which requests the host still waits for, so that a closed stdin does not cut off a
short answer.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Self

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from mcp_types import JSONRPCMessage

from runapi_mcp.transports.messages import LineSplitter, Refused, decode

Inbound = JSONRPCMessage | Refused


class Inbox:
    """A context manager, entered on the event loop that takes the messages.

    Args:
        chunks: the bytes from the host, in pieces of any size; iterated in a daemon
            thread, which may stay blocked in it when the process leaves.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._token = current_token()
        self._slot = threading.Semaphore(1)
        self._send, self._receive = anyio.create_memory_object_stream[list[Inbound]](1)

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, name="stdio reader", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._receive.close()
        self._send.close()

    async def receive(self) -> list[Inbound] | None:
        """The next messages, in order; None when the host has closed its writing end."""
        try:
            batch = await self._receive.receive()
        except anyio.EndOfStream:
            return None
        self._slot.release()
        return batch

    def _read(self) -> None:
        try:
            for batch in _batches(self._chunks):
                self._slot.acquire()
                if not run_on_loop(self._token, self._deliver, batch):
                    return
        finally:
            # However the thread ends, the loop hears of it: a server must never be deaf.
            run_on_loop(self._token, self._send.close)

    def _deliver(self, batch: list[Inbound]) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # the session is over
            self._send.send_nowait(batch)


def run_on_loop(token: EventLoopToken, step: Callable[..., None], *args: object) -> bool:
    """Call ``step`` on the event loop from another thread, and wait for it.

    Returns:
        False when the loop is no longer running.
    """
    try:
        from_thread.run_sync(step, *args, token=token)
    except RuntimeError:  # anyio.RunFinishedError, or asyncio's own when the loop closes meanwhile
        return False
    return True


def _batches(chunks: Iterable[bytes]) -> Iterator[list[Inbound]]:
    splitter = LineSplitter()
    for chunk in chunks:
        if batch := _decoded(splitter.feed(chunk)):
            yield batch
    if batch := _decoded(splitter.finish()):
        yield batch


def _decoded(lines: list[bytes | None]) -> list[Inbound]:
    return [decode(line) for line in lines if line is None or line.strip()]
