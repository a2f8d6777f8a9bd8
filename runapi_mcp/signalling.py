"""Waking who waits for something to change."""

from collections.abc import Callable

import anyio


class Signal:
    """Wakes everybody who waits for it; who comes later waits for the next one."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def send(self) -> None:
        """Wake all who wait."""
        self._next.set()
        self._next = anyio.Event()

    async def wait(self) -> None:
        """Wait until it is sent next."""
        await self._next.wait()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true` says so, which is asked now and each time that it is sent."""
        while not true():
            await self._next.wait()
