"""Turns: so many at once, the rest in a queue that knows its places."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

Place = Callable[[int | None], None]
"""Told how many are ahead in the queue; `None` once it is one's turn."""


class Turns:
    """Lets `most` run at once, first come first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._queue: deque[tuple[anyio.Event, Place]] = deque()

    @property
    def running(self) -> int:
        """How many run."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @asynccontextmanager
    async def turn(self, place: Place) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for as long as the block lasts."""
        await self._wait(place)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, place: Place) -> None:
        if self._running < self._most:
            self._running += 1
            return
        ticket = (anyio.Event(), place)
        self._queue.append(ticket)
        place(len(self._queue) - 1)
        try:
            await ticket[0].wait()
        except BaseException:
            # Left before its turn, or in the very moment it came: then the turn is another's.
            if ticket[0].is_set():
                self._pass_on()
            else:
                self._queue.remove(ticket)
                self._tell_places()
            raise
        place(None)

    def _pass_on(self) -> None:
        if self._queue:
            self._queue.popleft()[0].set()
            self._tell_places()
        else:
            self._running -= 1

    def _tell_places(self) -> None:
        for ahead, (_, place) in enumerate(self._queue):
            place(ahead)
