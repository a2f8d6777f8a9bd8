"""The threads between a host's pipes and the event loop: one reads, one writes, one looks whether it is gone.

They are daemon threads, for each may be blocked in its pipe for good when the process leaves.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, checkpoint, current_token
from mcp_types import JSONRPCMessage

from runapi_mcp.transports.messages import LineSplitter, ProgressKey, Refused, decode
from runapi_mcp.transports.process_exit import LEAVE_SECONDS, SIGNALS, leave_at_the_latest
from runapi_mcp.transports.stdio.pipes import wait_until_gone, write_all

QUEUE_BYTES: Final = 1 << 20
_BETWEEN_TURNS: Final = 0.1  # seconds


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


class Outbox:
    """Lines on their way to the host: a bounded queue, and a thread that writes all it holds at once.

    When the host stops reading, the queue fills and senders wait. Progress does not
    wait: a newer report takes the place of the older one still queued for the same
    token, and one that finds no room is dropped, since the next says more. Answers
    are never dropped.

    Args:
        fd: where the host reads.
        limit: bytes that may be queued or under way before senders wait; one line
            larger than that passes when it is alone. Progress may fill half as much again.
    """

    def __init__(self, fd: int, limit: int = QUEUE_BYTES) -> None:
        self._fd = fd
        self._limit = limit
        self._token = current_token()
        self._changed = threading.Condition()
        self._lines: dict[ProgressKey | int, bytes] = {}
        self._bytes = 0  # queued or being written
        self._progress_bytes = 0  # queued
        self._sent = 0
        self._room: anyio.Event | None = None
        self._turn = anyio.Lock()
        self._unbounded = False
        self._ending = False
        self._broken = False
        self._finished = anyio.Event()
        # Of its own: a number that was closed and given to another file before the thread gets to wait would
        # have it wait for that one, and keep it open.
        self._watched = os.dup(fd)
        for name, target in (("stdio writer", self._write), ("stdio watch", self._watch)):
            threading.Thread(target=target, name=name, daemon=True).start()

    async def send(self, line: bytes) -> None:
        """Queue a line, waiting for room in order of arrival.

        Raises:
            anyio.BrokenResourceError: the host no longer reads.
        """
        # No pause before the line is queued: an answer that was computed must survive a cancellation.
        in_line = self._turn.locked() and not self._unbounded
        if in_line or self._admit(line) is not None:
            await self._send_in_turn(line)
        await checkpoint()

    async def send_progress(self, line: bytes, key: ProgressKey) -> None:
        """Queue a progress report in place of the last one; never waits for the host.

        Raises:
            anyio.BrokenResourceError: the host no longer reads.
        """
        with self._changed:
            self._check()
            growth = len(line) - len(self._lines.get(key, b""))
            if self._progress_bytes + growth <= self._limit // 2:
                self._progress_bytes += growth
                self._put(key, line, growth)
        await checkpoint()

    def lift_bound(self) -> None:
        """From now on nobody waits: the session ends, and what is waiting is all there will be."""
        with self._changed:
            self._unbounded = True
            room, self._room = self._room, None
        if room is not None:
            room.set()

    async def finish(self) -> None:
        """Write what is queued, then stop. Returns when that is done or the host is gone."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        await self._finished.wait()

    async def wait_unread(self) -> None:
        """Return when the host has closed its reading end."""
        await self._finished.wait()

    async def _send_in_turn(self, line: bytes) -> None:
        async with self._turn:
            while (room := self._admit(line)) is not None:
                await room.wait()

    def _admit(self, line: bytes) -> anyio.Event | None:
        with self._changed:
            self._check()
            if self._bytes and self._bytes + len(line) > self._limit and not self._unbounded:
                self._room = self._room or anyio.Event()
                return self._room
            self._sent += 1
            self._put(self._sent, line, len(line))
            return None

    def _check(self) -> None:
        if self._broken:
            raise anyio.BrokenResourceError

    def _put(self, key: ProgressKey | int, line: bytes, growth: int) -> None:
        self._lines[key] = line  # a key that is there keeps its place in the queue
        self._bytes += growth
        self._changed.notify()

    def _write(self) -> None:
        try:
            while batch := self._next_batch():
                write_all(self._fd, batch)
                self._note_written(len(batch))
        except OSError:
            pass
        finally:
            with self._changed:
                self._broken = True
            run_on_loop(self._token, self._close)

    def _next_batch(self) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._ending or self._broken)
            batch = b"" if self._broken else b"".join(self._lines.values())
            self._lines.clear()
            self._progress_bytes = 0
            return batch

    def _note_written(self, size: int) -> None:
        with self._changed:
            self._bytes -= size
            room, self._room = self._room, None
        if room is not None:
            run_on_loop(self._token, room.set)

    def _close(self) -> None:
        self._finished.set()
        if self._room is not None:
            self._room.set()

    def _watch(self) -> None:
        try:
            gone = wait_until_gone(self._watched)
        finally:
            os.close(self._watched)
        if gone:
            with self._changed:
                self._broken = True
                self._changed.notify()


# ---------------------------------------------------------------- inbox

Inbound = JSONRPCMessage | Refused


class Inbox:
    """What the host writes, as messages for the event loop on which this is entered.

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


def _batches(chunks: Iterable[bytes]) -> Iterator[list[Inbound]]:
    splitter = LineSplitter()
    for chunk in chunks:
        if batch := _decode_all(splitter.feed(chunk)):
            yield batch
    if batch := _decode_all(splitter.finish()):
        yield batch


def _decode_all(lines: list[bytes | None]) -> list[Inbound]:
    return [decode(line) for line in lines if line is None or line.strip()]


# ---------------------------------------------------------------- watch


@contextmanager
def leaving_even_if_stuck(
    token: EventLoopToken,
    stdin_fd: int | None,
    stdout_fd: int,
    outlives: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Leave in time although the event loop may be stuck in a computation.

    Signals set an alarm before the loop hears of them; it rings in the middle of a
    regular expression, too. Where the platform tells that the host has closed a
    pipe, the process ends when the loop then stands still for 0.9 s. A loop that
    turns is left alone, and so is a process that `outlives` its host. Main thread
    only, inside `signals_received`, whose receiver goes on to hear the signals.
    """
    arguments = (token, stdin_fd, stdout_fd, outlives)
    threading.Thread(target=_watch, args=arguments, name="stdio host watch", daemon=True).start()
    if sys.platform == "win32":
        yield
        return
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    for number in SIGNALS:
        signal.signal(number, lambda *_: signal.setitimer(signal.ITIMER_REAL, LEAVE_SECONDS))
    try:
        yield
    finally:
        # The interpreter's end would give the alarm back its default, which is death with another status.
        signal.signal(signal.SIGALRM, signal.SIG_IGN)


def _watch(token: EventLoopToken, stdin_fd: int | None, stdout_fd: int, outlives: Callable[[], bool]) -> None:
    running = wait_until_gone(stdout_fd, stdin_fd)
    while running and not outlives():
        last_resort = leave_at_the_latest()
        running = run_on_loop(token, _turn)
        last_resort.cancel()
        time.sleep(_BETWEEN_TURNS)


def _turn() -> None:
    """What a loop that is not stuck gets to at once."""
