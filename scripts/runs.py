"""Write what a run shows into README.md and docs: ``python scripts/runs.py`` (``--check`` only compares).

Each block is the outcome of a real run against the simulated RunAPI; where it shows seconds, they are
those of a scripted clock, so that it is the same on every machine.
"""

import importlib
import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import anyio
import mcp_types as types
from anyio.streams.text import TextReceiveStream
from mcp import StdioServerParameters
from mcp.shared.dispatcher import ProgressFnT
from parts import only_compares
from scripted_clock import client_here, run, simulate_here
from tools_page import HANDLE, INVOICE, SCHEMA, clean_env

from runapi_mcp.generations.store.sqlite import SqliteEngine
from runapi_mcp.sim import Simulator

ROOT = Path(__file__).parent.parent
SCENARIO, PACE = "silent-thinking", 0.2
LONG, SHORT = "silent-thinking seconds=7.03", "silent-thinking seconds=3.03"
"""What is played: a bit more than whole seconds, or two things would happen at once, in any order."""
PROGRESS = re.compile(r" *\d+\.\d\d s  (.*)")
WIDTH = 110


async def progress() -> str:
    """A call whose model is silent for a while, until the host's time is up."""
    lines: list[str] = []
    async with simulate_here(pace=PACE) as sim, client_here(_server(sim.base_url)) as client:
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
    async with simulate_here() as sim, client_here(_server(sim.base_url)) as client:
        result = await client.call_tool(tool, arguments)
    return f"{tool} {json.dumps(arguments, ensure_ascii=False)}\n\n{_text(result)}"


async def conversation() -> str:
    """Three turns about a file, and one more after the server was ended and another started."""
    lines: list[str] = []
    with TemporaryDirectory() as folder:
        more = {"RUNAPI_MCP_STORE": str(Path(folder, "state")), "RUNAPI_MCP_ALLOW_DIR": folder}
        asked: dict[str, Any] = {"files": ["plan.md"]}
        # A busy machine may take longer to open a file than a call waits for it.
        with patch.object(SqliteEngine, "patience", 10.0):
            async with simulate_here() as sim:
                for turns in (("What could break?", "Which first?", "How would I notice?"), ("And then?",)):
                    async with client_here(_server(sim.base_url, **more)) as client:
                        for prompt in turns:
                            sim.play("default words=9")
                            given = {"prompt": prompt, **asked}
                            real = given | ({"files": [_plan(folder)]} if "files" in given else {})
                            told = _text(await client.call_tool("ask_gemini", real))
                            lines += [f"ask_gemini {json.dumps(given)}", "", told, _sent(sim), ""]
                            [handle] = re.findall(r"g_[\w-]{20,}", told)
                            asked = {"continue_from": handle}
                    lines += ["--- The server ends, and another is started. ---", ""]
    handles = dict.fromkeys(re.findall(r"g_[\w-]{20,}", text := "\n".join(lines[:-2])))
    for number, handle in enumerate(handles, 1):
        text = text.replace(handle, f"g_TURN_{number}")
    return text


def _plan(folder: str) -> str:
    """Return the path of a file to ask about."""
    plan = Path(folder, "plan.md")
    plan.write_text("1. Copy the table.\n2. Switch the readers.\n3. Drop the old one.\n" * 40)
    return str(plan)


def _sent(sim: Simulator) -> str:
    """Say what went upstream with the last turn, and how it begins."""
    bodies: list[Any] = [call.body for call in sim.calls[-2:]]
    said = [json.dumps(body.get("contents") or body["messages"])[:-1] for body in bodies]
    if len(said) == 1:
        return f"Upstream: {len(said[0]):,} bytes."
    assert said[1].startswith(said[0]), "it does not begin with the request before"
    return f"Upstream: {len(said[1]):,} bytes, the first {len(said[0]):,} of them those of the turn before."


async def first_terminal() -> str:
    """What the simulated RunAPI prints when it is started."""
    sim = ["sim", "--scenario", SCENARIO, "--pace", str(PACE), "--port", "0"]
    command, said = [sys.executable, "-m", "runapi_mcp", *sim], ""
    async with await anyio.open_process(command, env=clean_env(), stderr=None) as process:
        assert process.stdout is not None
        async for text in TextReceiveStream(process.stdout):
            said += text
            if said.count("\n") == 2:
                break
        process.terminate()
    return said


async def second_terminal() -> str:
    """What the example prints beside it, when the server may hold its host for two seconds."""
    sys.path.insert(0, "examples")
    example = importlib.import_module("python_host")
    # Both in one stream, in the order in which a terminal shows them.
    terminal = io.StringIO()
    async with simulate_here(scenario=SHORT, pace=PACE) as sim:
        server = _server(sim.base_url, RUNAPI_MCP_HOLD="2")
        with (
            patch.multiple(example, SERVER=server, Client=client_here),
            redirect_stdout(terminal),
            redirect_stderr(terminal),
        ):
            await example.main()
    return terminal.getvalue()


def _server(base_url: str, **more: str) -> StdioServerParameters:
    env = {**clean_env(), "RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": base_url, **more}
    return StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=env)


def _text(result: types.CallToolResult) -> str:
    return "\n\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


RUNS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "progress": partial(run, progress),
        "search": partial(run, partial(called, "search_web", {"query": "Who won the Lake Vättern regatta?"})),
        "conversation": partial(anyio.run, conversation),
        "extraction": partial(run, partial(called, "extract_json", {"schema": SCHEMA, "text": INVOICE})),
    },
    "docs/never-held.md": {
        "first terminal": partial(anyio.run, first_terminal),
        "second terminal": partial(run, second_terminal),
    },
}


def show(page: str, name: str) -> str:
    """Return the block of one run."""
    text = RUNS[page][name]().strip("\n")
    text = re.sub(r"g_[A-Za-z0-9_-]{20,}", HANDLE, re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8765", text))
    text = re.sub(r"\(g_[A-Za-z0-9_-]{6}\)", f"({HANDLE[:8]})", text)
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


def main() -> int:
    check = only_compares()
    os.chdir(ROOT)
    wrong = []
    for page, runs in RUNS.items():
        for name in runs:
            before, old, after = parts(page, name)
            new = show(page, name)
            if not check:
                (ROOT / page).write_text(before + new + after, encoding="utf-8")
            elif old != new:
                wrong.append(f"{page}: {name}\n{new}")
    print("\n".join(wrong), end="")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
