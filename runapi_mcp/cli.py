"""The command line: the only place that reads the environment, prints, and chooses exit codes.

Without a command it serves one host over stdio, which is what hosts start: there every millisecond
counts, so nothing is imported up here that answering a host's first questions does not need. What a
command needs is imported when the command runs.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from runapi_mcp import __version__
from runapi_mcp.errors import RunapiError

if TYPE_CHECKING:
    import argparse

    from runapi_mcp.commands import Surroundings
    from runapi_mcp.settings import Settings
    from runapi_mcp.transports.http.callers.choice import Auth
    from runapi_mcp.transports.http.options import HttpOptions

_FAILED: Final = 1
_USAGE: Final = 2
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = _run(words) if words else _serve_host({})
    except RunapiError as error:
        print(f"runapi-mcp: {error}", file=sys.stderr)
        code = _USAGE
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _run(words: Sequence[str]) -> int:
    if [*words] == ["--version"]:  # asked by scripts, before all else: it takes no parser
        print(f"runapi-mcp {__version__}")
        return 0
    given = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], int] = given.command
    return command(given) if given.person is None else int(given.person(given, _surroundings(given)))


def _parser() -> "argparse.ArgumentParser":
    import argparse

    from runapi_mcp.commands import add_commands
    from runapi_mcp.transports.http.flags import add_flags

    parser = argparse.ArgumentParser(
        prog="runapi-mcp",
        description="Gemini as MCP tools, through RunAPI. Without a command: serve one host over stdio.",
        epilog="Each setting is also an environment variable; the key is only that: RUNAPI_TOKEN.",
    )
    parser.add_argument("--version", action="version", version=f"runapi-mcp {__version__}")
    parser.set_defaults(command=_serve, person=None)
    _add_settings(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve over stdio, or with --http over the network")
    serve.set_defaults(command=_serve)
    add_flags(serve)
    _add_settings(serve, default=argparse.SUPPRESS)
    add_commands(commands)
    demo = commands.add_parser("demo", help="call every tool once, on a simulated RunAPI unless a key is set")
    demo.set_defaults(command=_demo)
    sim = commands.add_parser("sim", help="run a simulated RunAPI on this machine")
    sim.set_defaults(command=_sim)
    sim.add_argument("--port", type=int, default=8765)
    sim.add_argument("--scenario", default="default", help="what it plays; --list shows all")
    sim.add_argument("--pace", type=float, default=0.05, help="seconds between chunks")
    sim.add_argument("--list", action="store_true", help="list the scenarios")
    return parser


def _add_settings(parser: "argparse.ArgumentParser", *, default: str | None = None) -> None:
    from runapi_mcp.settings import options

    group = parser.add_argument_group("settings", argument_default=default)
    for option in options():
        shown = ",".join(option.default) if isinstance(option.default, tuple) else option.default
        group.add_argument(
            option.flag, dest=option.name, metavar="X", help=f"{option.about} Default: {shown}. {option.env}"
        )


def _settings(given: "argparse.Namespace") -> "Settings":
    """Return the settings: flags first, then the environment."""
    from runapi_mcp.settings import from_env

    return from_env({**os.environ, **_flags(given)})


def _flags(given: "argparse.Namespace") -> dict[str, str]:
    """Return the flags as the variables they stand in for."""
    from runapi_mcp.settings import options

    return {o.env: value for o in options() if (value := getattr(given, o.name, None)) is not None}


def _surroundings(given: "argparse.Namespace") -> "Surroundings":
    """Return what the commands people type are given of this process."""
    from runapi_mcp.commands import Surroundings
    from runapi_mcp.settings import options

    flags = [
        word
        for option in options()
        if (value := getattr(given, option.name, None)) is not None
        for word in (option.flag, value)
    ]
    return Surroundings(os.environ, lambda: _settings(given), flags, sys.stdin, sys.stdout, sys.stderr)


def _serve(given: "argparse.Namespace") -> int:
    from runapi_mcp.transports.http.flags import options_from

    network = options_from(given, os.environ)
    return _serve_host(_flags(given)) if network is None else _serve_http(given, *network)


def _serve_host(flags: Mapping[str, str]) -> int:
    """Serve the host that started this process; answer it while the rest of this is imported."""
    from runapi_mcp.boot.importing import quick_imports
    from runapi_mcp.boot.prologue import begin, leave_on_signals
    from runapi_mcp.transports.pipes import claim_stdio

    wire = claim_stdio()
    leave_on_signals()
    env = {**os.environ, **flags}
    prologue = begin(wire) if _boots_fast(env) else None
    with quick_imports():
        import warnings

        from runapi_mcp.settings import from_env

        settings = from_env(env)
        if settings.key_problem:
            print(f"runapi-mcp: {settings.key_problem}", file=sys.stderr)

        from runapi_mcp.upstream.client import warm

        warm(settings)

        import anyio

        from runapi_mcp import logs
        from runapi_mcp.transports.local import serve_local

    logs.configure(settings, sys.stderr)
    warnings.simplefilter("ignore")
    anyio.run(serve_local, settings, prologue)
    return 0


def _boots_fast(env: Mapping[str, str]) -> bool:
    """Whether to answer before the server is there.

    Settings are read first if there are any: a host must not be answered by a server that then
    leaves because of a bad one.

    Raises:
        SettingsError: A value is not what its setting takes.
    """
    if not any(name.startswith(("RUNAPI_", "GOOGLE_GENAI_")) and name != "RUNAPI_TOKEN" for name in env):
        return True
    from runapi_mcp.settings import values_from

    return values_from(env).get("fast_boot", True) is True


def _serve_http(given: "argparse.Namespace", options: "HttpOptions", auth: "Auth | None") -> int:
    import warnings

    import anyio

    from runapi_mcp import logs
    from runapi_mcp.transports.http.serving import serve_http

    settings = _settings(given)
    logs.configure(settings, sys.stderr)
    warnings.simplefilter("ignore")

    async def run() -> None:
        await serve_http(settings, options, auth, announce=_announce_http)

    anyio.run(run)
    return 0


def _announce_http(base_url: str) -> None:
    where = f"{base_url}/mcp (older clients: {base_url}/sse)"
    print(f"runapi-mcp listens at {where}", file=sys.stderr, flush=True)


def _demo(given: "argparse.Namespace") -> int:
    import anyio

    from runapi_mcp.demo import demo

    return anyio.run(demo, dict(os.environ), print)


def _sim(given: "argparse.Namespace") -> int:
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
