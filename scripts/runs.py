"""Write what a run shows into README.md and docs: ``python scripts/runs.py`` (``--check`` only compares).

Each block is the outcome of a real run against the simulated RunAPI. Times, and how much had come by then,
differ from run to run; the comparison leaves them out (:func:`shape`).
"""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from anyio.streams.text import TextReceiveStream
from mcp import Client, StdioServerParameters
from mcp.shared.dispatcher import ProgressFnT
from tools_page import HANDLE, INVOICE, SCHEMA, clean_env

from runapi_mcp.sim import simulate

ROOT = Path(__file__).parent.parent
SIM = ("sim", "--scenario", "silent-thinking", "--pace", "0.2")
LONG = "silent-thinking seconds=7"
PROGRESS = re.compile(r" *\d+\.\d\d s  (.*)")
WIDTH = 110


async def progress() -> str:
    """A call whose model is silent for a while, until the host's time is up."""
    lines: list[str] = []
    async with simulate(pace=0.2) as sim, _client(sim.base_url) as client:
        await client.call_tool("get_result", {"handle": "g_nobody"})  # a fresh server says "starting" first
        sim.play(LONG)
        asked = {"prompt": "Why is the sky blue?", "wait_seconds": 8}
        result = await client.call_tool("ask_gemini", asked, progress_callback=_noted(lines))
    return "\n".join([*lines, "", _text(result)])


def _noted(lines: list[str]) -> ProgressFnT:
    async def note(progress: float, total: float | None, message: str | None) -> None:
        del total  # never invented
        lines.append(f"{progress:6.2f} s  {message}")

    return note


async def called(tool: str, arguments: dict[str, Any]) -> str:
    """A call, and what it answers."""
    async with simulate() as sim, _client(sim.base_url) as client:
        result = await client.call_tool(tool, arguments)
    return f"{tool} {json.dumps(arguments, ensure_ascii=False)}\n\n{_text(result)}"


async def first_terminal() -> str:
    """What the simulated RunAPI prints when it is started."""
    async with await _started(*SIM) as sim:
        said = await _first(sim)
        sim.terminate()
    return said


async def second_terminal() -> str:
    """What the example prints beside it, when the server may hold its host for two seconds."""
    async with await _started(*SIM) as sim:
        found = re.search(r"http://127\.0\.0\.1:\d+", await _first(sim))
        assert found
        env = {"RUNAPI_BASE_URL": found[0], "RUNAPI_TOKEN": "simulated-key", "RUNAPI_MCP_HOLD": "2"}
        command = [sys.executable, "examples/python_host.py"]
        # Both in one stream, in the order in which a terminal shows them.
        env |= {"PYTHONUNBUFFERED": "1"}
        done = await anyio.run_process(command, stderr=subprocess.STDOUT, env=clean_env() | env, cwd=ROOT)
        sim.terminate()
    return done.stdout.decode()


async def _started(*arguments: str) -> anyio.abc.Process:
    command = [sys.executable, "-m", "runapi_mcp", *arguments, "--port", "0"]
    return await anyio.open_process(command, env=clean_env(), stderr=None)


async def _first(process: anyio.abc.Process) -> str:
    """Return the two lines that the simulated RunAPI begins with."""
    assert process.stdout is not None
    said = ""
    async for text in TextReceiveStream(process.stdout):
        said += text
        if said.count("\n") == 2:
            break
    return said


def _client(base_url: str) -> Client:
    env = {**clean_env(), "RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": base_url}
    return Client(StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=env))


def _text(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


RUNS: dict[str, dict[str, Callable[[], Awaitable[str]]]] = {
    "README.md": {
        "progress": progress,
        "search": partial(called, "search_web", {"query": "Who won the Lake Vättern regatta?"}),
        "extraction": partial(called, "extract_json", {"schema": SCHEMA, "text": INVOICE}),
    },
    "docs/never-held.md": {"first terminal": first_terminal, "second terminal": second_terminal},
}


async def shown(page: str, name: str) -> str:
    """Return the block of one run."""
    with anyio.fail_after(60):
        text = (await RUNS[page][name]()).strip("\n")
    text = re.sub(r"g_[A-Za-z0-9_-]{20,}", HANDLE, re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8765", text))
    lines = "\n".join(map(narrow, text.splitlines()))
    return f"\n\n```text\n{lines}\n```\n\n"


def narrow(line: str) -> str:
    """Return a line that fits the page: progress is cut, as by a terminal, all else goes on below."""
    if not PROGRESS.match(line):
        return textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def parts(page: str, name: str) -> tuple[str, str, str]:
    """Return what comes before a block, the block, and what comes after."""
    begin, end = f"<!-- run {name}:begin -->", f"<!-- run {name}:end -->"
    head, found, rest = (ROOT / page).read_text(encoding="utf-8").partition(begin)
    block, ended, tail = rest.partition(end)
    assert found, f"{page} has no {begin}"
    assert ended, f"{page} has no {end}"
    return head + begin, block, end + tail


def shape(block: str) -> list[str]:
    """Return a block without what differs between two runs: times, counts, how often a thing is said."""
    said: list[str] = []
    for line in block.splitlines():
        if found := PROGRESS.match(line):
            steps = found[1].split(" · ")
            line = "progress: " + steps[0] + (" · silent" if "no byte for" in found[1] else "")
        line = re.sub(r"\d+", "0", line[:60])
        if line and line not in said:
            said.append(line)
    return said


async def differing() -> list[str]:
    """Return the blocks that a run now would not show."""
    found = []
    for page, runs in RUNS.items():
        for name in runs:
            old, new = shape(parts(page, name)[1]), await shown(page, name)
            # Once more: on a busy machine a line may come too late to be seen.
            if old != shape(new) and old != shape(new := await shown(page, name)):
                found.append(f"{page}: {name}\n{new}")
    return found


async def write() -> None:
    for page, runs in RUNS.items():
        for name in runs:
            new = await shown(page, name)
            before, _, after = parts(page, name)
            (ROOT / page).write_text(before + new + after, encoding="utf-8")


def main() -> int:
    os.chdir(ROOT)
    if "--check" in sys.argv:
        wrong = anyio.run(differing)
        print("\n".join(wrong), end="")
        return int(bool(wrong))
    anyio.run(write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
