"""resume: an answer that was cut or stopped goes on where it ended, from what this machine remembers."""

import argparse
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError

if TYPE_CHECKING:
    from runapi_mcp.cli.client import Outcome

_MOST: Final = 20
"""Of the latest questions, among which the last that was cut is looked for."""


def add_resume(commands: Subparsers) -> None:
    """Add resume."""
    resume = add_command(
        commands,
        "resume",
        "go on with an answer that was cut or stopped",
        takes="[OPTIONS] [HANDLE]",
        description="Go on with an answer that was cut or stopped, and print all of it. Without a handle it "
        "is the last one of this machine.",
        examples=["runapi-mcp resume", "runapi-mcp resume > answer.md"],
        partial=True,
    )
    resume.add_argument("handle", nargs="?", metavar="HANDLE", help="such as runapi-mcp history shows")
    resume.add_argument("--json", action="store_true", help="print text, structure and receipt as JSON")
    resume.set_defaults(person=_resume)


def _resume(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp.cli.ask import answer
    from runapi_mcp.cli.client import Question

    handle = given.handle or anyio.run(_last, around)
    return answer(Question("get_result", {"handle": handle, "resume": True}), around, as_json=given.json)


async def _last(around: Surroundings) -> str:
    """Return the handle of the last answer that can go on.

    Raises:
        InputError: There is none.
        StoreDown: What this machine remembers cannot be read.
    """
    from runapi_mcp.cli.history import engine_of, latest
    from runapi_mcp.errors import StoreDown
    from runapi_mcp.generations.store.protocol import Down

    engine = engine_of(around)
    try:
        for found in await latest(engine, _MOST):
            if _can_go_on(found.view().status, found.view().answer.text):
                return found.handle
    except Down as down:
        raise StoreDown("What was asked before cannot be read now.", advice=down.note) from None
    finally:
        await engine.aclose()
    raise InputError("No answer of the last day was cut.", advice="runapi-mcp history lists them.")


def _can_go_on(status: str, text: str) -> bool:
    return bool(text) and status in ("partial", "cancelled", "failed")


def way_on(outcome: "Outcome", around: Surroundings) -> str:
    """Return the command that goes on with an answer, if it was cut and this machine remembers it."""
    from pathlib import Path

    from runapi_mcp.generations.store import store_folder

    view = outcome.view
    if view is None or not _can_go_on(view.status, view.answer.text):
        return ""
    kept = isinstance(store_folder(around.settings(), around.env), Path)
    return f"The rest: runapi-mcp resume {view.handle}" if kept else ""
