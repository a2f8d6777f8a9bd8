"""Waking who waits for something to change."""

from collections.abc import Callable

import anyio


class Signal:
    """Wakes everybody who waits for it; who comes later waits for the next one."""

    def __init__(self) -> None:
        # Made when somebody waits: most of what is sent nobody waits for, and an event costs a few µs.
        self._next: anyio.Event | None = None

    def send(self) -> None:
        """Wake all who wait."""
        if self._next is not None:
            self._next.set()
            self._next = None

    async def wait(self) -> None:
        """Wait until it is sent next."""
        self._next = self._next or anyio.Event()
        await self._next.wait()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true` says so, which is asked now and each time that it is sent."""
        while not true():
            await self.wait()
