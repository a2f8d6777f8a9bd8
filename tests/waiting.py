"""Waiting for what others do, with an end to it."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from runapi_mcp.generations.store import Followable

PATIENCE: Final = 30.0  # seconds; far above anything a passing test needs


async def became(happened: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Look again and again until it has happened: for what tells nobody, in a store or another process."""
    with anyio.fail_after(seconds):
        while True:
            found = happened()
            if found if isinstance(found, bool) else await found:
                return
            await anyio.sleep(0.01)


async def ended(generation: Followable, seconds: float = PATIENCE) -> None:
    """Follow a generation to its end."""
    with anyio.fail_after(seconds):
        async with generation.follow():
            while generation.status == "running":
                await generation.changed()
