"""How long anybody waits while a request of 85 MB is written as JSON.

The longest wait of a task that wakes each millisecond, as a ping's would: written at one stroke on the event
loop, and as the product does it. What is promised is 50 ms on a machine that does nothing else.
"""

import base64
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from benchmarks.table import Row, Section, at_most
from runapi_mcp.upstream.stream import encode_body
from runapi_mcp.wire.json_text import dump
from runapi_mcp.wire.types import JsonObject, Request

FILES: Final = 4
FILE_BYTES: Final = 16_000_000


def body() -> JsonObject:
    """A question with four images, as the chat dialect writes it."""
    image = base64.b64encode(os.urandom(FILE_BYTES)).decode()
    return {"messages": [{"content": [{"image_url": {"url": image}} for _ in range(FILES)]}]}


async def longest_wait(during: Callable[[], Awaitable[object]]) -> float:
    """The longest that a task had to wait for its turn, in milliseconds."""
    waits: list[float] = [0.0]

    async def wake() -> None:
        while True:
            before = time.perf_counter()
            await anyio.sleep(0.001)
            waits.append(time.perf_counter() - before)

    async with anyio.create_task_group() as group:
        group.start_soon(wake)
        await anyio.sleep(0.05)
        waits.clear()
        await during()
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    return max(waits) * 1_000


def section() -> Section:
    return Section("A large body", [anyio.run(measure)])


async def measure() -> Row:
    made = body()

    async def at_one_stroke() -> None:
        dump(made)

    async def as_it_is() -> None:
        await encode_body(Request("/", "bearer", made))

    at_once, ours = await longest_wait(at_one_stroke), await longest_wait(as_it_is)
    what = f"others' longest wait while a body of {len(dump(made)) / 1e6:.0f} MB is written, ms"
    return at_most(what, ours, 50, [("written at one stroke", f"{at_once:.0f}")])
