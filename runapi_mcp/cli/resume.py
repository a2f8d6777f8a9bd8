"""resume: an answer that was cut or stopped goes on, from what this machine keeps of it."""

import argparse
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.history import known, latest, remembered
from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError

if TYPE_CHECKING:
    from runapi_mcp.generations.store.replica import Replica
    from runapi_mcp.wire.types import Turn

_MOST: Final = 20


def add_resume(commands: Subparsers) -> None:
    """Add resume."""
    resume = add_command(
        commands,
        "resume",
        "go on with an answer that was cut or stopped",
        takes="[OPTIONS] [HANDLE]",
        description="Go on with an answer that was cut or stopped, and print all of it. Without a handle "
        "it is the last such one of this machine.",
        examples=["runapi-mcp resume", "runapi-mcp resume > answer.md"],
        partial=True,
    )
    resume.add_argument("handle", nargs="?", metavar="HANDLE", help="the one of this handle")
    resume.add_argument("--json", action="store_true", help="print text, structure and receipt as JSON")
    resume.set_defaults(person=_resume)


def _resume(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp.cli.ask import answer
    from runapi_mcp.cli.client import Question
    from runapi_mcp.wire.types import Inline, Text

    found = anyio.run(_find, given.handle, around)
    # Who asks again may have their files read again, wherever they were.
    parts = [part for turn in found.job.call.turns for part in turn.parts]
    files = [p.file.uri for p in parts if isinstance(p, Text | Inline) and p.file is not None and p.file.uri]
    question = Question("get_result", {"handle": found.handle, "resume": True}, files)
    return answer(question, around, as_json=given.json)


async def _find(handle: str | None, around: Surroundings) -> "Replica":
    """Return the generation of a handle, or else the latest that is not whole and was not made whole since.

    Raises:
        InputError: There is none.
        StoreDown: What this machine keeps cannot be read.
    """
    async with remembered(around) as engine:
        if handle is not None:
            return await known(engine, handle)
        seen: list[tuple[Turn, ...]] = []
        for found in await latest(engine, _MOST):
            question = _question_of(found)
            if question not in seen and found.status in ("partial", "cancelled") and found.view().answer.text:
                return found
            seen.append(question)
    raise InputError(
        "There is no answer to go on with: the last one was whole, or nothing had come of it.", advice=""
    )


def _question_of(found: "Replica") -> "tuple[Turn, ...]":
    """Return what was asked, whether its answer was begun by an earlier one or not."""
    job = found.view().job
    return job.call.turns[:-2] if job.begin else job.call.turns
