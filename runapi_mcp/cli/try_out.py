"""demo and sim: what can be tried without a key."""

import argparse
import errno
from typing import Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command, taking
from runapi_mcp.errors import InputError
from runapi_mcp.settings import CHAT_PATHS, number, whole

_PORT: Final = 8765
_PACE: Final = 0.05
_NOT_TO_BE_HAD: Final = (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL)


def add_trying(commands: Subparsers) -> None:
    """Add demo and sim."""
    demo = add_command(
        commands,
        "demo",
        "call every tool once, on a simulated RunAPI unless a key is set",
        takes="",
        examples=["runapi-mcp demo", "runapi-mcp demo --hold 5"],
    )
    demo.set_defaults(person=_demo)
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
        type=taking(whole(0, 65_535)),
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
        type=taking(number(0, 60)),
        default=_PACE,
        metavar="SECONDS",
        help=f"between chunks. Default: {_PACE}",
    )
    gone = "a model that is gone: refused with 410, or with the status; for several, again"
    sim.add_argument("--gone", action="append", type=taking(_gone), default=[], metavar="ID[=404]", help=gone)
    swapped = "a model in whose name another answers"
    sim.add_argument(
        "--swapped", action="append", type=taking(_swapped), default=[], metavar="ID=ID", help=swapped
    )
    searchless = "a model that is refused a search"
    sim.add_argument(
        "--searchless", action="append", type=taking(_model), default=[], metavar="ID", help=searchless
    )
    sim.add_argument(
        "--only-at", choices=CHAT_PATHS, metavar="PATH", help=f"serve chat at {' or '.join(CHAT_PATHS)} alone"
    )
    sim.add_argument("--list", action="store_true", help="list the scenarios")


def _model(text: str) -> str:
    from runapi_mcp.sim import GEMINI

    if text not in GEMINI:
        raise ValueError("a model of the simulator: " + ", ".join(GEMINI))
    return text


def _gone(text: str) -> tuple[str, int]:
    model, _, status = text.partition("=")
    if status not in ("", "404", "410"):
        raise ValueError("a model, alone or with =404 or =410 behind it")
    return _model(model), int(status or 410)


def _swapped(text: str) -> tuple[str, str]:
    model, _, other = text.partition("=")
    if not other:
        raise ValueError("a model, =, and what answers in its name")
    return _model(model), other


def _demo(_given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp.cli.demo import demo

    return anyio.run(demo, {**around.env, **around.variables}, around.settings(), around.say)


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
