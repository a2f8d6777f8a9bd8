"""A model that is silent for more than ten minutes: what every host does until it has the whole answer.

By a clock that goes straight to what is waited for next; sockets, server and simulated RunAPI are real.
"""

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client, StdioServerParameters

from benchmarks.table import Row, Section

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from scripted_clock import client_here, run, simulate_here

SILENCE: Final = 620
PATIENCE: Final = {
    "claude-code": None,
    "codex-mcp-client": 300,
    "gemini-cli-mcp-client": 600,
    "opencode": None,  # a minute that each line of progress starts anew
    "Visual Studio Code": None,
    "claude-ai": 60,
    "goose": 300,
    "an agent of somebody's": 60,
}
"""Seconds after which a host gives a call up, whatever it hears."""


def section() -> Section:
    made = Section(
        f"A model thinks for {SILENCE} s without a byte: the host's calls, and the longest of them, s"
    )
    made.rows.extend(map(measure, PATIENCE))
    made.notes.append(
        "By a scripted clock, with default settings, by what a host calls itself; `tests/server_extras/"
        "test_silence.py` holds each row. RunAPI is asked once, and each host has the whole answer."
    )
    return made


def measure(host: str) -> Row:
    figures, holds, patience = [], True, PATIENCE[host]
    for heard in (True, False):
        took, text, at_once, asked = run(partial(_ask, host, heard=heard), grace=0.001)
        whole = text.partition("[")[0].strip() == at_once.partition("[")[0].strip()
        holds = holds and whole and asked == 1 and sum(took) >= SILENCE
        holds = holds and (patience is None or max(took) < patience)
        figures.append(f"{len(took)}; {max(took):.0f}")
    bound = f"each < {patience}" if patience else "whole, asked once"
    return Row(f"{host}, with progress", figures[0], [("without", figures[1])], bound, holds)


async def _hear(progress: float, total: float | None, message: str | None) -> None:
    """Listen, as hosts do that ask for progress."""


async def _call(client: Client, tool: str, arguments: dict[str, Any], *, heard: bool) -> tuple[str, float]:
    began = anyio.current_time()
    result = await client.call_tool(tool, arguments, progress_callback=_hear if heard else None)
    assert not result.is_error
    text = "\n".join(block.text for block in result.content if block.type == "text")
    return text, anyio.current_time() - began


async def _ask(host: str, *, heard: bool) -> tuple[list[float], str, str, int]:
    """Ask as a host would, and ask on as long as the answer is not done.

    Returns how long each call took, the answer, the same without silence, and how often RunAPI was asked.
    """
    async with simulate_here() as sim:
        env = {"RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": sim.base_url}
        server = StdioServerParameters(command="runapi-mcp", env=env | {"RUNAPI_MCP_STORE": "memory"})
        async with client_here(server, host=host) as client:
            cue = f"[[sim:silent-thinking seconds={SILENCE}]]"
            text, seconds = await _call(client, "ask_gemini", {"prompt": f"Why? {cue}"}, heard=heard)
            took = [seconds]
            while running := re.search(r'Call get_result with handle "(g_[\w-]+)"', text):
                text, seconds = await _call(client, "get_result", {"handle": running[1]}, heard=heard)
                took.append(seconds)
            asked = len(sim.calls)
            at_once, _ = await _call(client, "ask_gemini", {"prompt": "Why?"}, heard=heard)
    return took, text, at_once, asked
