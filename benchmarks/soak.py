"""An hour of mixed traffic, squeezed: a call a second's worth, 32 at a time; it ends where it began.

Every tool, both dialects, all scenarios of the simulator at random,
and hosts that go away. The server is real and in this process, so that its tasks can be counted; the
simulator has a process of its own, since a scenario of it makes an event of 20 MB, whose memory is not
the server's. Memory is read when all is quiet, every 200 calls: what it is at the end is the median of the
last third, and where it began that of the first, once the first 400 have brought all that is brought once.
"""

import asyncio
import gc
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client

from benchmarks.table import Row, Section, at_most, median
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import SCENARIOS

CALLS: Final = 3_600
AT_ONCE: Final = 32
EACH: Final = 200
SETTLED: Final = 2
"""Lots of calls that are made before it counts."""
SECONDS: Final = 240.0
MOST_GROWTH: Final = 0.1
_SCHEMA: Final = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
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


@contextmanager
def simulated() -> Iterator[str]:
    """Run the simulator; gives its base URL."""
    command = [sys.executable, "-m", "runapi_mcp", "sim", "--port", "0", "--pace", "0.001"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            said = process.stdout.readline()
            yield next(word for word in said.split() if word.startswith("http")).rstrip(".,")
        finally:
            process.kill()


async def call(client: Client, dice: random.Random, number: int) -> None:
    name = dice.choice(list(SCENARIOS))
    marker = f"{name} seconds=1" if "seconds" in SCENARIOS[name].params else name
    words = f"[[sim:{marker}]] call {number}"
    arguments: dict[str, Any]
    match tool := dice.choice(["ask_gemini"] * 4 + ["search_web", "extract_json", "list_models"]):
        case "ask_gemini":
            arguments = {"prompt": words, "model": dice.choice(["gemini-3-flash-preview", "gemini-2.5-pro"])}
        case "search_web":
            arguments = {"query": words}
        case "extract_json":
            arguments = {"text": words, "schema": _SCHEMA}
        case _:
            arguments = {}
    if tool == "ask_gemini" and dice.random() < 0.3:
        arguments["wait_seconds"] = 0.05
    with anyio.move_on_after(dice.choice([0.02, 5.0, 5.0, 5.0])):  # some hosts go away
        await client.call_tool(tool, arguments)


class Soak:
    """The calls that were made."""

    def __init__(self, client: Client) -> None:
        self._client = client
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
        print(f"{self.done} calls, {self.seconds:.0f} s, {resident() / 2**20:.0f} MiB", flush=True)
        return resident()

    async def _calls(self) -> None:
        for number in self._numbers:
            if self.seconds > SECONDS:
                return
            await call(self._client, self._dice, number)
            self.done += 1


async def quiet(tasks: int) -> int:
    """Return how many tasks are left; generations that were handed over may go on to their deadline."""
    for _ in range(120):
        if len(asyncio.all_tasks()) <= tasks:
            break
        await anyio.sleep(0.05)
    gc.collect()
    return max(len(asyncio.all_tasks()) - tasks, 0)


def section(*, quick: bool) -> Section:
    with simulated() as base:
        return anyio.run(soak, base, CALLS // 4 if quick else CALLS)


async def soak(base: str, calls: int) -> Section:
    files = descriptors()
    settings = from_env(_ENV | {"RUNAPI_BASE_URL": base})
    async with open_app(settings) as app, Client(build_server(app)) as client:
        tasks = len(asyncio.all_tasks())
        made = Soak(client)
        levels = [await made.run(EACH, tasks) for _ in range(calls // EACH)][SETTLED:]
        left = await quiet(tasks)  # a generation that runs is a task
    third = max(len(levels) // 3, 1)
    began, ended = median(levels[:third]) / 2**20, median(levels[-third:]) / 2**20
    made_all = made.done == calls // EACH * EACH
    return Section(
        f"{calls:,} calls of all tools, scenarios at random, {AT_ONCE} at a time",
        [
            Row("calls that were made", f"{made.done:,}", [("seconds", f"{made.seconds:.0f}")], "", made_all),
            at_most("tasks left", left, 0),
            # A helper of extract_json stays until the process ends, with two pipes; there are two at most.
            at_most("descriptors left", max(descriptors() - files, 0), 4),
            at_most(
                "memory: the end beside the beginning, % more",
                (ended / began - 1) * 100,
                10,
                [("MiB at the beginning", f"{began:.0f}"), ("at the end", f"{ended:.0f}")],
                form="+.1f",
            ),
        ],
    )
