"""2,000 calls with scenarios at random, 32 at a time: nothing may be left of them, and memory must not grow.

The server is real and in this process, so that its tasks can be counted; the simulator has its own thread.
"""

import asyncio
import gc
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client

from benchmarks.table import Row, Section, at_most
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import SCENARIOS, Simulator, simulate

CALLS: Final = 2_000
AT_ONCE: Final = 32
SETTLED: Final = 200
SECONDS: Final = 120.0
_ENV: Final = {
    "RUNAPI_TOKEN": "simulated-key",
    "RUNAPI_MCP_IDLE_TIMEOUT": "0.3",
    "RUNAPI_MCP_DEADLINE": "3",
    "RUNAPI_MCP_KEEP_SECONDS": "5",
    "RUNAPI_MCP_KEEP_GENERATIONS": "50",
    "RUNAPI_MCP_KEEP_BYTES": "4194304",
    "RUNAPI_MCP_HOLD": "1",
}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def call(client: Client, dice: random.Random, number: int) -> None:
    scenario = dice.choice(list(SCENARIOS))
    prompt = f"[[sim:{scenario}]] call {number}"
    arguments: dict[str, Any] = {"prompt": prompt}
    if dice.random() < 0.3:
        arguments["wait_seconds"] = 0.05
    with anyio.move_on_after(dice.choice([0.02, 5.0, 5.0, 5.0])):  # some hosts go away
        await client.call_tool("ask_gemini", arguments)


class Soak:
    """The calls that were made."""

    def __init__(self, client: Client, sim: Simulator) -> None:
        self._client = client
        self._sim = sim
        self._numbers: Iterator[int] = iter(())
        self._dice = random.Random(7)  # the same calls every time
        self._began = time.monotonic()
        self.done = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    async def run(self, calls: int, tasks: int) -> int:
        """Make as many calls; return the memory that is in use when all is quiet again."""
        self._numbers = iter(range(self.done, self.done + calls))
        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(self._calls)
        await quiet(tasks)
        return resident()

    async def _calls(self) -> None:
        for number in self._numbers:
            if self.seconds > SECONDS:
                return
            await call(self._client, self._dice, number)
            self._count()

    def _count(self) -> None:
        self.done += 1
        if self.done % 100 == 0:
            self._sim.reset()  # it remembers 10,000 calls, in this same process
        if self.done % 500 == 0:
            print(f"{self.done} calls, {self.seconds:.0f} s, {resident() / 2**20:.0f} MiB", flush=True)


async def quiet(tasks: int) -> int:
    """Return how many tasks are left; generations that were handed over may go on to their deadline."""
    for _ in range(120):
        if len(asyncio.all_tasks()) <= tasks:
            break
        await anyio.sleep(0.05)
    gc.collect()
    return max(len(asyncio.all_tasks()) - tasks, 0)


def section(*, quick: bool) -> Section:
    return anyio.run(soak, CALLS // 4 if quick else CALLS)


async def soak(calls: int) -> Section:
    files = descriptors()
    async with simulate(pace=0.001) as sim:
        sim.stall_seconds = 1.0
        settings = from_env(_ENV | {"RUNAPI_BASE_URL": sim.base_url})
        async with open_app(settings) as app, Client(build_server(app)) as client:
            tasks = len(asyncio.all_tasks())
            made = Soak(client, sim)
            level = await made.run(min(SETTLED, calls), tasks)
            grew = await made.run(calls - SETTLED, tasks) / level - 1
            left = await quiet(tasks)  # a generation that runs is a task
    seconds = [("seconds", f"{made.seconds:.0f}")]
    return Section(
        f"{calls:,} calls with scenarios at random, {AT_ONCE} at a time",
        [
            Row("calls that were made", f"{made.done:,}", seconds, f"{calls:,}", made.done == calls),
            at_most("tasks left", left, 0),
            at_most("descriptors left", max(descriptors() - files, 0), 0),
            at_most(f"memory since call {SETTLED}, % more", grew * 100, 20, form="+.1f"),
        ],
    )
