"""demo and sim: what can be tried without a key.

The demo is a host in miniature: it starts the real server over stdio and calls every tool once. Without a
key it starts the simulated RunAPI first; everything between this client and that socket is what a host
would use.
"""

import argparse
import errno
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command, make_type
from runapi_mcp.errors import InputError
from runapi_mcp.settings import CHAT_PATHS, LOOPBACK, Settings, number, whole

if TYPE_CHECKING:
    from mcp import Client
    from mcp.shared.dispatcher import ProgressFnT
    from mcp_types import CallToolResult

Say: TypeAlias = Callable[[str], None]

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


_STEPS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("list_models", {}),
    ("ask_gemini", {"prompt": "Why is the sky blue?", "include_thoughts": True}),
    ("search_web", {"query": "When was the Example Observatory opened?"}),
    ("extract_json", {"schema": _SCHEMA, "text": _INVOICE}),
    ("ask_gemini", {"prompt": "Tell a long story about a lighthouse.", "wait_seconds": 0.5}),
)


def add_demo(commands: Subparsers) -> None:
    """Add demo."""
    demo = add_command(
        commands,
        "demo",
        "call every tool once, on a simulated RunAPI unless a key is set",
        takes="",
        examples=["runapi-mcp demo", "runapi-mcp demo --hold 5"],
    )
    demo.set_defaults(person=_demo)


def _demo(_given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    return anyio.run(run_demo, {**around.env, **around.variables}, around.settings(), around.say)


async def run_demo(env: Mapping[str, str], settings: Settings, say: Say) -> int:
    """Call every tool and say what happens; return 0 if each gave a result.

    Args:
        env: The environment that the server gets.
        settings: What it says; with a key in it, the RunAPI that it names is asked.
        say: Told each line.

    Raises:
        KeyMissing: There is a key that cannot be used.
    """
    from runapi_mcp.sim import simulate

    if settings.key is not None or settings.key_problem:
        settings.need_key()
        say(f"A key is set: this asks {settings.base_url}{_describe_price(settings.base_url)}.")
        return await _call_each(dict(env), say)
    say("RUNAPI_TOKEN is not set: this uses a simulated RunAPI on this machine. Nothing leaves it.")
    async with simulate(scenario="default", pace=0.1) as sim:
        return await _call_each(
            {**env, "RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": sim.base_url}, say
        )


def _describe_price(base_url: str) -> str:
    here = urlsplit(base_url).hostname in LOOPBACK
    return ", on this machine" if here else ", and costs a few tokens"


async def _call_each(env: dict[str, str], say: Say) -> int:
    from mcp import Client, StdioServerParameters

    server = StdioServerParameters(command=sys.executable, args=["-P", "-m", "runapi_mcp"], env=env)
    async with Client(server) as client:
        listed = await client.list_tools()
        say(f"\nThe server offers {', '.join(tool.name for tool in listed.tools)}.")
        results = [await _call(client, *step, say) for step in _STEPS]
        results.append(await _fetch_rest(client, results[-1], say))
    failures = sum(bool(result.is_error) for result in results)
    say(f"\n{len(results)} calls, {failures} failed.")
    return 1 if failures else 0


async def _call(client: "Client", tool: str, arguments: dict[str, Any], say: Say) -> "CallToolResult":
    from mcp_types import TextContent

    say(f"\n── {tool} {json.dumps(arguments, ensure_ascii=False)}")
    result = await client.call_tool(tool, arguments, progress_callback=_report_progress(say))
    for block in result.content:
        if isinstance(block, TextContent):
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


async def _fetch_rest(client: "Client", running: "CallToolResult", say: Say) -> "CallToolResult":
    """Fetch what the last call was still writing when its time was up."""
    receipt = (running.meta or {}).get("ai.runapi/receipt", {})
    return await _call(client, "get_result", {"handle": receipt.get("handle", "")}, say)


def _report_progress(say: Say) -> "ProgressFnT":
    async def report(progress: float, total: float | None, message: str | None) -> None:
        del total  # the server never invents one
        with suppress(BrokenPipeError):  # the SDK would print it; the next line that is said meets it again
            say(f"   {progress:6.2f} s  {message or ''}")

    return report


# ---------------------------------------------------------------- sim


_PORT: Final = 8765
_PACE: Final = 0.05
_NOT_TO_BE_HAD: Final = (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL)


def add_sim(commands: Subparsers) -> None:
    """Add sim."""
    sim = add_command(
        commands,
        "sim",
        "run a simulated RunAPI on this machine",
        takes="[OPTIONS]",
        examples=["runapi-mcp sim --list", "runapi-mcp sim --scenario silent-thinking --pace 0.2"],
    )
    sim.set_defaults(person=_sim)
    sim.add_argument(
        "--port",
        type=make_type(whole(0, 65_535)),
        default=_PORT,
        metavar="N",
        help=f"0 takes a free one. Default: {_PORT}",
    )
    sim.add_argument(
        "--scenario",
        default="default",
        metavar="NAME",
        help="what it plays; --list shows all. Default: default",
    )
    sim.add_argument(
        "--pace",
        type=make_type(number(0, 60)),
        default=_PACE,
        metavar="SECONDS",
        help=f"between chunks. Default: {_PACE}",
    )
    gone = "a model that is gone: refused with 410, or with the status; for several, again"
    sim.add_argument(
        "--gone", action="append", type=make_type(_read_gone), default=[], metavar="ID[=404]", help=gone
    )
    swapped = "a model in whose name another answers"
    sim.add_argument(
        "--swapped", action="append", type=make_type(_read_swap), default=[], metavar="ID=ID", help=swapped
    )
    refused = "a model that is refused a search"
    sim.add_argument(
        "--searchless",
        action="append",
        type=make_type(_read_model),
        default=[],
        metavar="ID",
        help=refused,
    )
    sim.add_argument(
        "--only-at", choices=CHAT_PATHS, metavar="PATH", help=f"serve chat at {' or '.join(CHAT_PATHS)} alone"
    )
    sim.add_argument("--list", action="store_true", help="list the scenarios")


def _read_model(text: str) -> str:
    from runapi_mcp.sim import GEMINI

    if text not in GEMINI:
        raise ValueError("a model of the simulator: " + ", ".join(GEMINI))
    return text


def _read_gone(text: str) -> tuple[str, int]:
    model, _, status = text.partition("=")
    if status not in ("", "404", "410"):
        raise ValueError("a model, alone or with =404 or =410 behind it")
    return _read_model(model), int(status or 410)


def _read_swap(text: str) -> tuple[str, str]:
    model, _, other = text.partition("=")
    if not other:
        raise ValueError("a model, =, and what answers in its name")
    return _read_model(model), other


def _sim(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp.sim import SCENARIOS

    if given.list:
        for scenario in SCENARIOS.values():
            around.say(f"{scenario.name:26} {'/'.join(scenario.dialects):12} {scenario.summary}")
        return 0
    _check_scenario(given.scenario)
    try:
        _serve(given, around)
    except OSError as error:
        if error.errno not in _NOT_TO_BE_HAD:
            raise
        what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        around.note(f"runapi-mcp: port {given.port} {what}; --port 0 takes a free one")
        return 1
    return 0


def _serve(given: argparse.Namespace, around: Surroundings) -> None:
    import anyio

    from runapi_mcp.sim import Roster, serve

    roster = Roster(gone=dict(given.gone), swapped=dict(given.swapped), searchless=set(given.searchless))
    if given.only_at:
        roster.roots = (given.only_at,)

    def announce(base_url: str) -> None:
        around.say(f"A simulated RunAPI listens at {base_url}. Point a server at it with")
        around.say(f"  RUNAPI_BASE_URL={base_url} RUNAPI_TOKEN=simulated-key runapi-mcp")

    async def run() -> None:
        await serve(
            host="127.0.0.1",
            port=given.port,
            scenario=given.scenario,
            pace=given.pace,
            announce=announce,
            roster=roster,
        )

    anyio.run(run)


def _check_scenario(written: str) -> None:
    """See that there is such a scenario, and that it takes such parameters.

    Raises:
        InputError: There is none, or it does not.
    """
    import difflib

    from runapi_mcp.sim import SCENARIOS
    from runapi_mcp.sim.scenarios import chosen

    try:
        chosen(written)
    except ValueError as error:
        name = written.split(maxsplit=1)[0] if written.strip() else ""
        if not name or name in SCENARIOS:
            raise InputError(f"--scenario: {error}.") from None
        close = difflib.get_close_matches(name, SCENARIOS, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise InputError(f"no scenario {name[:40]!r}; runapi-mcp sim --list shows all.{meant}") from None
