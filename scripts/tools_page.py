"""Write docs/tools.md from real runs: ``python scripts/tools_page.py`` (``--check`` only compares).

Each example is a call to the server on the simulated RunAPI, by a scripted clock. What differs between two
runs (handles, times, request ids) is replaced by an example of it.
"""

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp import Client, StdioServerParameters
from parts import only_compares
from scripted_clock import client_here, run, simulate_here

from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS

PAGE = Path(__file__).parent.parent / "docs" / "tools.md"
HANDLE = "g_EXAMPLE"
INVOICE = "Invoice 2026-117. To: Northwind Ltd, name: Ada Example. Total: 129.50 EUR."
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "total": {"type": "number"}},
    "required": ["name", "total"],
}

HEAD = """# Every tool, as it answers

Generated from real calls to the server on the simulated RunAPI (`python scripts/tools_page.py`); a test
makes the calls again and compares. Handles, times and request ids are examples. The simulator understands
nothing: its pages are made up, and what it extracts is what stands in the text as `name: value`.

`ask_gemini` answers with text alone; when the model asks for functions, with `text` and `calls` for
programs beside it. `search_web`, `extract_json` and `list_models` answer with text and with structured
content, each complete by itself: some hosts give their model only the one, some only the other.
What a call cost is in the result's `_meta` under `ai.runapi/receipt`, for programs:

"""


@dataclass(frozen=True)
class Example:
    """One call: what it shows, and what RunAPI plays for it."""

    title: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    plays: str = ""
    about: str = ""


EXAMPLES = (
    Example("A question", "ask_gemini", {"prompt": "Why is the sky blue?"}),
    Example(
        "A question, with the model's thinking",
        "ask_gemini",
        {"prompt": "Why is the sky blue?", "include_thoughts": True, "reasoning_effort": "high"},
        plays="thinking",
    ),
    Example(
        "A call that takes longer than the host may wait",
        "ask_gemini",
        {"prompt": "Compare these two designs.", "wait_seconds": 0},
        plays="silent-thinking seconds=1",
        about="It comes back with a handle, and the generation goes on.",
    ),
    Example("The rest of it", "get_result", {"handle": HANDLE}),
    Example(
        "A stream that was cut",
        "ask_gemini",
        {"prompt": "Name the moons of Jupiter."},
        plays="cut-clean",
        about="What had arrived is kept.",
    ),
    Example("A search", "search_web", {"query": "Who won the Lake Vättern regatta?"}),
    Example(
        "A search that found nothing to rest on",
        "search_web",
        {"query": "What is the meaning of it all?"},
        plays="no-sources",
    ),
    Example(
        "A search as JSON, each value with its sources",
        "search_web",
        {
            "query": "Who won the Lake Vättern regatta, and with which boat?",
            "schema": {
                "type": "object",
                "properties": {"winner": {"type": "string"}, "boat": {"type": ["string", "null"]}},
                "required": ["winner", "boat"],
            },
        },
        plays='default; default text=\'{"winner": "Zoë Ångström", "boat": null}\'',
    ),
    Example(
        "A research whose third search fails, and whose sources disagree",
        "search_web",
        {"query": "What is new by the water? [[sim:research third=cut-clean]]", "depth": "research"},
        about="The mark in the question has the simulator play it.",
    ),
    Example(
        "A research whose report is cut",
        "search_web",
        {"query": "What is new by the water? [[sim:research report=cut-clean]]", "depth": "research"},
        about="What was found is kept; get_result with resume writes the report from there.",
    ),
    Example("An extraction", "extract_json", {"schema": SCHEMA, "text": INVOICE}),
    Example(
        "An extraction that does not conform, twice",
        "extract_json",
        {"schema": SCHEMA, "text": INVOICE},
        plays="wrong-json; wrong-json",
        about="The model is asked once more; what still does not conform comes back as an error.",
    ),
    Example("The models", "list_models"),
    Example(
        "An argument that is wrong",
        "ask_gemini",
        {"promt": "Why is the sky blue?"},
        about="Nothing is sent.",
    ),
)


def examples() -> tuple[Example, ...]:
    """Return the examples, and each tool's own for one that has none among them."""
    shown = {example.tool for example in EXAMPLES}
    more = (Example(tool.title, name, tool.example) for name, tool in TOOLS.items() if name not in shown)
    return (*EXAMPLES, *more)


async def page() -> str:
    """Return the page."""
    async with simulate_here() as sim:
        env = {**clean_env(), "RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": sim.base_url}
        server = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=env)
        async with client_here(server) as client:
            shown, handle, receipt = [], "", ""
            for example in examples():
                result = await _called(client, sim, example, handle)
                told = (result.meta or {}).get("ai.runapi/receipt", {})
                handle = told.get("handle", handle)
                receipt = receipt or _json(told)
                shown.append(_section(example, result))
    return settled(HEAD + f"```json\n{receipt}\n```\n\n" + "\n".join(shown))


def clean_env() -> dict[str, str]:
    """The environment without settings of ours, which would change the answers."""
    return {
        name: value for name, value in os.environ.items() if "RUNAPI" not in name and "GOOGLE" not in name
    }


async def _called(client: Client, sim: Simulator, example: Example, handle: str) -> types.CallToolResult:
    if example.plays:
        sim.play(*example.plays.split("; "))
    given = {key: handle if value == HANDLE else value for key, value in example.arguments.items()}
    return await client.call_tool(example.tool, given)


def _section(example: Example, result: types.CallToolResult) -> str:
    lines = [f"## {example.title}", "", *([example.about, ""] if example.about else [])]
    request = {"name": example.tool, "arguments": example.arguments}
    lines += ["```json", _json(request), "```", ""]
    text = "\n\n".join(block.text for block in result.content if isinstance(block, types.TextContent))
    lines += [f"answers with{' an error' if result.is_error else ''}", "", "````text", text, "````", ""]
    if result.structured_content is not None:
        lines += ["and, as structured content,", "", "```json", _json(result.structured_content), "```", ""]
    return "\n".join(lines)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def settled(text: str) -> str:
    """Replace what differs between two runs."""
    for pattern, example in (
        (r"g_[A-Za-z0-9_-]{20,}", HANDLE),
        (r"\(g_[A-Za-z0-9_-]{6}\)", f"({HANDLE[:8]})"),
        (r"runapi-mcp-[0-9a-f]{32}", "runapi-mcp-EXAMPLE"),
        (r'("seconds(?:_to_first_byte)?": )[\d.]+', r"\g<1>0.5"),
        (r"Still running after [\d.]+ s", "Still running after 0 s"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:8765"),
    ):
        text = re.sub(pattern, example, text)
    return text


def main() -> int:
    check = only_compares()
    after = run(page)
    if check:
        return int(PAGE.read_text(encoding="utf-8") != after)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
