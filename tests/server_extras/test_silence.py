"""A model that is silent for more than ten minutes: every host gets its whole answer, with default settings.

By a clock that goes straight to what is waited for next; sockets, server and simulated RunAPI are real.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from mcp import Client, StdioServerParameters
from scripted_clock import client_here, run, simulate_here

SILENCE: Final = 620.0
FIGURES: Final = Path(__file__).parents[2] / "benchmarks" / "README.md"
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


async def _hear(progress: float, total: float | None, message: str | None) -> None:
    """Listen, as hosts do that ask for progress."""


async def _asked(client: Client, tool: str, arguments: dict[str, Any], *, heard: bool) -> tuple[str, float]:
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
        env = {"RUNAPI_TOKEN": "sk-canary-0123456789", "RUNAPI_BASE_URL": sim.base_url}
        server = StdioServerParameters(command="runapi-mcp", env=env | {"RUNAPI_MCP_STORE": "memory"})
        async with client_here(server, host=host) as client:
            cue = f"[[sim:silent-thinking seconds={SILENCE}]]"
            text, seconds = await _asked(client, "ask_gemini", {"prompt": f"Why? {cue}"}, heard=heard)
            took = [seconds]
            while running := re.search(r'Call get_result with handle "(g_[\w-]+)"', text):
                text, seconds = await _asked(client, "get_result", {"handle": running[1]}, heard=heard)
                took.append(seconds)
            asked = len(sim.calls)
            at_once, _ = await _asked(client, "ask_gemini", {"prompt": "Why?"}, heard=heard)
    return took, text, at_once, asked


@pytest.mark.parametrize("host", PATIENCE)
def test_a_silence_of_more_than_ten_minutes_brings_every_host_the_whole_answer(host: str) -> None:
    cells = [host]
    for heard in (True, False):
        took, text, at_once, asked = run(partial(_ask, host, heard=heard), grace=0.001)
        assert sum(took) >= SILENCE
        assert asked == 1, "RunAPI is asked once, however often the host comes back"
        assert text.split("[")[0].strip() == at_once.split("[")[0].strip()
        if (patience := PATIENCE[host]) is not None:
            assert max(took) < patience
        cells += [f"{len(took)}", f"{max(took):.0f}"]
    row = f"| {' | '.join(cells)} |"
    assert row in FIGURES.read_text(encoding="utf-8").splitlines(), row
