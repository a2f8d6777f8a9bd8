"""What the simulator saw: one `SeenCall` a request, in order, waitable from any event loop.

The server runs in a thread of its own, tests in another. Everything here is written by the first and read by
the second, so a wait is a callback into the waiter's loop and never a poll.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio

Ended = Literal["complete", "client left", "cut"]
AuthForm = Literal["bearer", "x-goog-api-key", "x-api-key"]

KEPT_CALLS = 10_000
KEPT_BODY_BYTES = 256 * 1024 * 1024


class Moment:
    """Something that happens once, in one thread, and can be awaited from any event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._happened = False
        self._wakers: list[Callable[[], None]] = []

    def happen(self) -> None:
        """Let it have happened; every waiter is woken. A second time changes nothing."""
        with self._lock:
            self._happened = True
            for wake in self._wakers:
                wake()
            self._wakers.clear()

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109  (the limit is part of what a test states)
        """Return once it has happened.

        Raises:
            TimeoutError: It did not happen within `timeout` seconds.
        """
        event = anyio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._lock:
            if self._happened:
                return
            self._wakers.append(wake)
        try:
            with anyio.fail_after(timeout):
                await event.wait()
        finally:
            with self._lock:
                if wake in self._wakers:
                    self._wakers.remove(wake)


@dataclass(eq=False)
class SeenCall:
    """One request as the simulator saw it, and what became of its response. Times are `time.monotonic()`."""

    method: str
    path: str
    query: str
    auth: AuthForm | None
    """Which of the three headers carried a key, `None` when none did."""
    headers: Mapping[str, str] = field(repr=False)
    """Lower-case names; the values of the three auth headers are replaced by `<key>`."""
    body: object = field(repr=False)
    """The JSON body, `None` when there was none or it was not JSON."""
    scenario: str = ""
    """The scenario played; empty when the request was refused before one was chosen."""
    body_bytes: int = 0
    received_at: float = field(default_factory=time.monotonic)
    first_byte_at: float | None = None
    """When the first byte of the response body was written."""
    closed_at: float | None = None
    ended: Ended | None = None
    chunks_sent: int = 0
    _first_byte: Moment = field(default_factory=Moment, repr=False)
    _closed: Moment = field(default_factory=Moment, repr=False)

    def mark_written(self) -> None:
        """Note that body bytes were handed to the socket."""
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
            self._first_byte.happen()

    def mark_closed(self, ended: Ended) -> None:
        """Note how the response ended; the first ending counts."""
        if self.closed_at is None:
            self.ended = ended
            self.closed_at = time.monotonic()
            self._closed.happen()

    async def wait_first_byte(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109
        """Return once the first byte of the body was written.

        Raises:
            TimeoutError: It was not within `timeout` seconds.
        """
        await self._first_byte.wait(timeout)

    async def wait_closed(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109
        """Return once the response is over, by whichever side.

        Raises:
            TimeoutError: It was not over within `timeout` seconds.
        """
        await self._closed.wait(timeout)


class Journal:
    """The last calls in order: at most 10,000 of them and at most 256 MB of bodies. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[SeenCall] = deque()
        self._bytes = 0
        self._dropped = 0
        self._waiting: list[tuple[int, Moment]] = []

    def add(self, call: SeenCall) -> None:
        """Append a call, drop the oldest beyond the limits, wake who waited for it."""
        with self._lock:
            self._calls.append(call)
            self._bytes += call.body_bytes
            while len(self._calls) > 1 and (len(self._calls) > KEPT_CALLS or self._bytes > KEPT_BODY_BYTES):
                self._bytes -= self._calls.popleft().body_bytes
                self._dropped += 1
            seen = self._dropped + len(self._calls)
            due = [moment for n, moment in self._waiting if n <= seen]
            self._waiting = [(n, moment) for n, moment in self._waiting if n > seen]
        for moment in due:
            moment.happen()

    def snapshot(self) -> list[SeenCall]:
        """A copy of what is kept, oldest first."""
        with self._lock:
            return list(self._calls)

    def clear(self) -> None:
        """Forget all calls and count from one again."""
        with self._lock:
            self._calls.clear()
            self._bytes = self._dropped = 0

    async def wait_for(self, n: int, timeout: float) -> SeenCall:  # noqa: ASYNC109
        """The n-th call, counted from one, once it was seen.

        Raises:
            TimeoutError: Fewer were seen within `timeout` seconds.
            LookupError: It was seen but is no longer kept.
        """
        moment = Moment()
        with self._lock:
            if self._dropped + len(self._calls) < n:
                self._waiting.append((n, moment))
            else:
                moment.happen()
        try:
            await moment.wait(timeout)
        finally:
            with self._lock:
                self._waiting = [entry for entry in self._waiting if entry[1] is not moment]
        return self._nth(n)

    def _nth(self, n: int) -> SeenCall:
        with self._lock:
            place = n - 1 - self._dropped
            if not 0 <= place < len(self._calls):
                raise LookupError(f"call {n} is no longer kept")
            return self._calls[place]
