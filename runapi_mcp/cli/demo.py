"""A host in miniature: starts the real server over stdio and calls every tool once.

Without a key it starts the simulated RunAPI first; everything between this client and that socket
is what a host would use.
"""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.shared.dispatcher import ProgressFnT

from runapi_mcp.settings import LOOPBACK, Settings
from runapi_mcp.sim import simulate

Say = Callable[[str], None]

_INVOICE: Final = "Invoice 2026-117 of Northwind Ltd, name: Ada Example, total: 129.50 EUR, due 2026-12-01."
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "total": {"type": "number"},
        "currency": {"enum": ["EUR", "USD", "GBP"]},
    },
    "required": ["name", "total", "currency"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class _Step:
    tool: str
    arguments: dict[str, Any]


_STEPS: Final = (
    _Step("list_models", {}),
    _Step("ask_gemini", {"prompt": "Why is the sky blue?", "include_thoughts": True}),
    _Step("search_web", {"query": "When was the Example Observatory opened?"}),
    _Step("extract_json", {"schema": _SCHEMA, "text": _INVOICE}),
    _Step("ask_gemini", {"prompt": "Tell a long story about a lighthouse.", "wait_seconds": 0.5}),
)


async def demo(env: Mapping[str, str], settings: Settings, say: Say) -> int:
    """Call every tool and say what happens; return 0 if each gave a result.

    Args:
        env: The environment that the server gets.
        settings: What it says; with a key in it, the RunAPI that it names is asked.
        say: Told each line.

    Raises:
        KeyMissing: There is a key that cannot be used.
    """
    if settings.key is not None or settings.key_problem:
        settings.need_key()
        say(f"A key is set: this asks {settings.base_url}{_price(settings.base_url)}.")
        return await _calls(dict(env), say)
    say("RUNAPI_TOKEN is not set: this uses a simulated RunAPI on this machine. Nothing leaves it.")
    async with simulate(scenario="default", pace=0.1) as sim:
        return await _calls({**env, "RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": sim.base_url}, say)


def _price(base_url: str) -> str:
    here = urlsplit(base_url).hostname in LOOPBACK
    return ", on this machine" if here else ", and costs a few tokens"


async def _calls(env: dict[str, str], say: Say) -> int:
    server = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=env)
    async with Client(server) as client:
        listed = await client.list_tools()
        say(f"\nThe server offers {', '.join(tool.name for tool in listed.tools)}.")
        results = [await _call(client, step, say) for step in _STEPS]
        results.append(await _fetch_rest(client, results[-1], say))
    failures = sum(bool(result.is_error) for result in results)
    say(f"\n{len(results)} calls, {failures} failed.")
    return 1 if failures else 0


async def _call(client: Client, step: _Step, say: Say) -> types.CallToolResult:
    say(f"\n── {step.tool} {json.dumps(step.arguments, ensure_ascii=False)}")
    result = await client.call_tool(step.tool, step.arguments, progress_callback=_progress(say))
    for block in result.content:
        if isinstance(block, types.TextContent):
            say(block.text)
    if receipt := (result.meta or {}).get("ai.runapi/receipt"):
        say(f"   {_receipt_line(receipt)}")
    return result


def _receipt_line(receipt: Mapping[str, Any]) -> str:
    """Return what a person wants to know of a receipt: the model, the time, the tokens."""
    parts = [str(receipt.get("model", "")), f"{receipt.get('seconds', 0):.1f} s"]
    if count := (receipt.get("tokens") or {}).get("output"):
        parts.append(f"{count:,} tokens")
    return f"receipt: {' · '.join(parts)}"


async def _fetch_rest(client: Client, running: types.CallToolResult, say: Say) -> types.CallToolResult:
    """Fetch what the last call was still writing when its time was up."""
    receipt = (running.meta or {}).get("ai.runapi/receipt", {})
    return await _call(client, _Step("get_result", {"handle": receipt.get("handle", "")}), say)


def _progress(say: Say) -> ProgressFnT:
    async def report(progress: float, total: float | None, message: str | None) -> None:
        del total  # the server never invents one
        with suppress(BrokenPipeError):  # the SDK would print it; the next line that is said meets it again
            say(f"   {progress:6.2f} s  {message or ''}")

    return report
