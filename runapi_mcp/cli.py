"""The command line: the only place that reads the environment, prints, and chooses exit codes.

Without a command it serves one host over stdio, which is what hosts start. What a command needs is
imported when the command runs.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from runapi_mcp import __version__
from runapi_mcp.errors import RunapiError
from runapi_mcp.settings import Settings, from_env, options

_FAILED: Final = 1
_USAGE: Final = 2
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        code = command(given)
    except RunapiError as error:
        print(f"runapi-mcp: {error}", file=sys.stderr)
        code = _USAGE
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="runapi-mcp",
        description="Gemini as MCP tools, through RunAPI. Without a command: serve one host over stdio.",
        epilog="Each setting is also an environment variable; the key is only that: RUNAPI_TOKEN.",
    )
    parser.add_argument("--version", action="version", version=f"runapi-mcp {__version__}")
    parser.set_defaults(command=_serve)
    _add_settings(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    demo = commands.add_parser("demo", help="call every tool once, on a simulated RunAPI unless a key is set")
    demo.set_defaults(command=_demo)
    sim = commands.add_parser("sim", help="run a simulated RunAPI on this machine")
    sim.set_defaults(command=_sim)
    sim.add_argument("--port", type=int, default=8765)
    sim.add_argument("--scenario", default="default", help="what it plays; --list shows all")
    sim.add_argument("--pace", type=float, default=0.05, help="seconds between chunks")
    sim.add_argument("--list", action="store_true", help="list the scenarios")
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings")
    for option in options():
        shown = ",".join(option.default) if isinstance(option.default, tuple) else option.default
        group.add_argument(
            option.flag, dest=option.name, metavar="X", help=f"{option.about} Default: {shown}. {option.env}"
        )


def _settings(given: argparse.Namespace) -> Settings:
    """Return the settings: flags first, then the environment."""
    flags = {o.env: value for o in options() if (value := getattr(given, o.name, None)) is not None}
    return from_env({**os.environ, **flags})


def _serve(given: argparse.Namespace) -> int:
    from runapi_mcp.transports.pipes import claim_stdio

    claim_stdio()
    settings = _settings(given)
    if settings.key_problem:
        print(f"runapi-mcp: {settings.key_problem}", file=sys.stderr)

    import anyio

    from runapi_mcp import logs
    from runapi_mcp.transports.local import serve_local

    logs.configure(settings, sys.stderr)
    warnings.simplefilter("ignore")
    anyio.run(serve_local, settings)
    return 0


def _demo(given: argparse.Namespace) -> int:
    import anyio

    from runapi_mcp.demo import demo

    return anyio.run(demo, dict(os.environ), print)


def _sim(given: argparse.Namespace) -> int:
    import anyio

    from runapi_mcp.sim import SCENARIOS, serve

    if given.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:26} {'/'.join(scenario.dialects):12} {scenario.summary}")
        return 0

    async def run() -> None:
        await serve(
            host="127.0.0.1", port=given.port, scenario=given.scenario, pace=given.pace, announce=_announce
        )

    anyio.run(run)
    return 0


def _announce(base_url: str) -> None:
    print(f"A simulated RunAPI listens at {base_url}. Point a server at it with", flush=True)
    print(f"  RUNAPI_BASE_URL={base_url} RUNAPI_TOKEN=simulated-key runapi-mcp", flush=True)
