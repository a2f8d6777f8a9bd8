"""The command line: the only place that reads the environment, prints, and chooses exit codes.

Without a command it serves one host over stdio, which is what hosts start: there every millisecond
counts, so nothing is imported up here that answering a host's first questions does not need. What a
command needs is imported when the command runs.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, TextIO, cast

from runapi_mcp import __version__
from runapi_mcp.errors import RunapiError

if TYPE_CHECKING:
    import argparse

    from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings
    from runapi_mcp.settings import Settings
    from runapi_mcp.transports.http.auth import Auth
    from runapi_mcp.transports.http.options import HttpOptions
    from runapi_mcp.transports.http.worker import Worker

_USAGE: Final = 2
_INTERRUPTED: Final = 130
_DECIDE_THE_BOOT: Final = frozenset({"RUNAPI_MCP_FAST_BOOT", "RUNAPI_MCP_ALWAYS_LOAD"})
_DETACHED: Final = "RUNAPI_MCP_FINISH_DETACHED"
_TURN_SECONDS: Final = 0.001
"""After which a thread lets others run: a request takes several turns, each behind what others are at."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run_typed(words) if words else _code(lambda: _serve_host({})))


def _run_typed(words: Sequence[str]) -> int:
    """Run what was typed and return its exit code; it failed if stdout could not hold what it said."""
    from runapi_mcp.cli.outlet import Outlet, widen
    from runapi_mcp.transports.stdio.pipes import open_null

    os.close(open_null())
    widen(sys.stdout, os.environ)
    err = Outlet(sys.stderr)
    out = Outlet(sys.stdout, instead=err)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    return _code(lambda: _run(words)) or int(out.failed)


def _code(run: Callable[[], int]) -> int:
    """Return the exit code of a command, however it ends."""
    try:
        return run()
    except SystemExit as leaving:  # argparse: its help was asked for, or the words say nothing
        return int(leaving.code or 0)
    except RunapiError as error:
        from runapi_mcp.cli.outlet import explain

        print(f"runapi-mcp: {explain(error)}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (BrokenPipeError, BaseExceptionGroup) as error:
        if not _is_only(error, BrokenPipeError):
            raise
        # Whoever read the output has seen enough; what is left must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _is_only(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error, or each in a group of them, is of a kind."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_only(inner, kind) for inner in error.exceptions)
    return isinstance(error, kind)


def _run(words: Sequence[str]) -> int:
    if [*words] == ["--version"]:  # asked by scripts, before all else: it takes no parser
        print(f"runapi-mcp {__version__}")
        return 0
    given = _parser(words).understand(words)
    command: Callable[[argparse.Namespace], int] = given.command
    return command(given) if given.person is None else int(given.person(given, _surroundings(given)))


def _parser(words: Sequence[str]) -> "Parser":
    """Return the parser of these words: the commands among them understand the settings too."""
    import argparse

    from runapi_mcp.cli.parser import PROGRAM, Parser, add_command, add_settings, understand_settings
    from runapi_mcp.transports.http.options import add_flags

    parser = Parser(
        prog=PROGRAM,
        takes="[SETTINGS] [COMMAND ...]",
        description="Gemini as MCP tools, through RunAPI. Without a command: serve one host over stdio.",
        epilog="Each setting is also an environment variable, and a flag after a command too. The key is "
        "never a flag:\nit is in RUNAPI_TOKEN, or in this machine's keyring (runapi-mcp key).",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(command=_serve, person=None)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command_name", prog=PROGRAM, parser_class=Parser
    )
    add_commands(commands, parser)
    serve = add_command(
        commands,
        "serve",
        "serve over stdio, or with --http over the network",
        takes="[OPTIONS]",
        examples=["runapi-mcp serve", "runapi-mcp serve --http --port 8080"],
    )
    serve.set_defaults(command=_serve)
    add_flags(serve)
    add_settings(parser)
    add_settings(serve, default=argparse.SUPPRESS)
    for name in commands.choices.keys() & set(words) - {"serve"}:
        understand_settings(commands.choices[name])
    return parser


def add_commands(commands: "Subparsers", whole: "Parser") -> None:
    """Add the commands people type; each sets `person` to what carries it out.

    Args:
        commands: Where they are added.
        whole: The parser that they are commands of.
    """
    from runapi_mcp.cli.ask import add_chat, add_tools
    from runapi_mcp.cli.demo import add_demo, add_sim
    from runapi_mcp.cli.doctor import add_doctor
    from runapi_mcp.cli.history import add_history, add_resume
    from runapi_mcp.cli.install import add_install
    from runapi_mcp.cli.key import add_key
    from runapi_mcp.cli.parser import add_completion
    from runapi_mcp.cli.team import add_token_command, add_usage

    add_tools(commands)
    add_resume(commands)
    add_chat(commands)
    add_history(commands)
    add_install(commands)
    add_key(commands)
    add_token_command(commands)
    add_usage(commands)
    add_doctor(commands)
    add_demo(commands)
    add_sim(commands)
    add_completion(commands, whole)


def _settings(given: "argparse.Namespace", **defaults: str) -> "Settings":
    """Return the settings: flags first, then the environment, then `defaults` by their variables' names."""
    from runapi_mcp.settings import from_env

    env = {name: value for name, value in os.environ.items() if value.strip()}
    return _with_folders(from_env({**defaults, **env, **_flags(given)}))


def _with_folders(settings: "Settings") -> "Settings":
    """Return settings whose folders are those of now: what takes the place of one later may not be read."""
    if not settings.allow_dirs:
        return settings
    from dataclasses import replace

    from runapi_mcp.files.paths import resolve_folders

    return replace(settings, allow_dirs=resolve_folders(settings.allow_dirs))


def _flags(given: "argparse.Namespace") -> dict[str, str]:
    """Return the flags as the variables they stand in for."""
    from runapi_mcp.settings import options

    return {o.env: value for o in options() if (value := getattr(given, o.name, None)) is not None}


def _surroundings(given: "argparse.Namespace") -> "Surroundings":
    """Return what the commands people type are given of this process."""
    from runapi_mcp.cli.parser import Surroundings
    from runapi_mcp.settings import options

    flags = [
        word
        for option in options()
        if (value := getattr(given, option.name, None)) is not None
        for word in (option.flag, value)
    ]
    # A process may be started without any stdin at all.
    stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  # for as long as it runs
    return Surroundings(
        os.environ, lambda: _settings(given), flags, stdin, sys.stdout, sys.stderr, _flags(given)
    )


def _serve(given: "argparse.Namespace") -> int:
    from runapi_mcp.transports.http.options import options_from

    network = options_from(given, os.environ)
    return _serve_host(_flags(given)) if network is None else _serve_http(given, *network)


def _serve_host(flags: Mapping[str, str]) -> int:
    """Serve the host that started this process; answer it while the rest of this is imported.

    What the first call waits for is logged at `debug`: here the stages before there is a log, and with the
    time of each line the rest.
    """
    # An interpreter that starts waits for nothing: what it took is the CPU time so far.
    began = time.perf_counter() - time.process_time()
    stages: dict[str, float] = {}

    def end(stage: str) -> None:
        stages[stage] = round(time.perf_counter() - began - sum(stages.values()), 4)

    end("interpreter")
    from runapi_mcp.boot.prologue import begin, leave_on_signals, quick_imports
    from runapi_mcp.transports.stdio.pipes import claim_stdio

    env = {**os.environ, **flags}
    apart = None
    if env.get(_DETACHED):
        from runapi_mcp.settings import read_switch
        from runapi_mcp.transports.stdio.detached import stand_apart

        with suppress(ValueError):  # the settings say what is wrong with it
            apart = stand_apart() if read_switch(env[_DETACHED]) else None
    if os.isatty(0):
        print("Waiting for a host on stdin. runapi-mcp --help lists the commands.", file=sys.stderr)
    wire = claim_stdio()
    leave_on_signals()
    if apart is not None:
        apart.watch()
    prologue = begin(wire) if _boots_fast(env) else None
    end("prologue")
    try:
        with quick_imports():
            import warnings

            from runapi_mcp.settings import for_host

            settings = _with_folders(for_host(env))
            if problem := settings.problem or settings.key_problem:
                print(f"runapi-mcp: {problem}", file=sys.stderr)
            end("settings")
            # Ours would import it: it is most of the start, and told alone.
            import mcp.server.lowlevel  # noqa: F401

            end("sdk")
            from runapi_mcp.upstream.http import warm

            warm(settings)

            import anyio

            from runapi_mcp import logs
            from runapi_mcp.key import own_key
            from runapi_mcp.transports.stdio.serve import serve_local
    except ImportError as error:
        why = _tell_broken(error)
        if prologue:
            prologue.refuse(f"runapi-mcp: {why}")
        print(f"runapi-mcp: {why}", file=sys.stderr)
        return 1
    end("ours")
    logs.configure(settings, sys.stderr)
    logs.debug("imported", **{f"seconds_{stage}": seconds for stage, seconds in stages.items()})
    warnings.simplefilter("ignore")
    sys.setswitchinterval(_TURN_SECONDS)
    anyio.run(serve_local, settings, prologue, own_key(settings, os.environ), os.environ, apart)
    return 0


def _tell_broken(error: ImportError) -> str:
    path = "; or take PYTHONPATH out of its environment" if "PYTHONPATH" in os.environ else ""
    return f"it cannot start: {error}. Install it anew{path}."


def _boots_fast(env: Mapping[str, str]) -> bool:
    """Whether to answer before the server is there."""
    if not _DECIDE_THE_BOOT & env.keys():
        return True  # whatever else is set: to read settings takes 20 ms, for which a host would wait
    from runapi_mcp.settings import for_host

    values = for_host(env)
    # What is answered at once is the same for all: tools that are always loaded say so.
    return values.fast_boot and not values.always_load


def _serve_http(given: "argparse.Namespace", options: "HttpOptions", auth: "Auth | None") -> int:
    import gc
    import warnings

    import anyio

    from runapi_mcp import logs
    from runapi_mcp.key import own_key
    from runapi_mcp.transports.http.serve import serve_http, serve_workers

    gc.freeze()  # looking through what was imported for garbage holds everybody up, 80 ms at a time
    sys.setswitchinterval(_TURN_SECONDS)
    settings = _settings(given, RUNAPI_MCP_LOG="info", RUNAPI_MCP_PRICES="runapi")  # for whoever runs it
    logs.configure(settings, sys.stderr)
    warnings.simplefilter("ignore")

    async def run(settings: "Settings", worker: "Worker | None" = None) -> None:
        found = own_key(settings, os.environ)
        await serve_http(settings, options, auth, announce=_announce_http, own_key=found, worker=worker)

    def serve(settings: "Settings", worker: "Worker | None" = None) -> int:
        anyio.run(run, settings, worker)
        return 0

    if options.workers == 1:
        return serve(settings)
    return serve_workers(settings, options, auth, lambda same, worker: _code(lambda: serve(same, worker)))


def _announce_http(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
