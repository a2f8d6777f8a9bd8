"""What was asked here in the last day: history lists, shows and removes it, resume goes on with it."""

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError, StoreDown

if TYPE_CHECKING:
    from runapi_mcp.generations.store.replica import Replica
    from runapi_mcp.generations.store.sqlite import SqliteEngine
    from runapi_mcp.wire.types import JsonObject, Turn

OWNER: Final = "local"
"""Who everybody is that uses a process of this user's own."""
_MOST: Final = 20
_PATIENCE: Final = 2.0
_COLUMNS: Final = 60


def add_history(commands: Subparsers) -> None:
    """Add history."""
    history = add_command(
        commands,
        "history",
        "list what was asked on this machine, show an answer, or remove all",
        takes="[OPTIONS] [HANDLE]",
        examples=["runapi-mcp history", "runapi-mcp history --clear"],
        description=f"Lists the last {_MOST} questions of a day, here and of your hosts, with the handles by "
        "which ask --from, search --from and get_result go on from them.",
    )
    history.add_argument("handle", nargs="?", metavar="HANDLE", help="show this answer, whole")
    history.add_argument(
        "--clear", action="store_true", help="remove all of it from this machine, and what usage counts"
    )
    history.add_argument("--json", action="store_true", help="print it as JSON")
    history.set_defaults(person=_history)


def _history(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    if given.clear and given.handle:
        given.parser.error("--clear removes all; leave the handle out.")
    return anyio.run(_carry_out, given, around)


async def _carry_out(given: argparse.Namespace, around: Surroundings) -> int:
    async with remembered(around) as engine:
        if given.clear:
            count, overwritten = await engine.clear()
            around.say(f"Removed {count} generation{'' if count == 1 else 's'}.")
            if not overwritten:
                around.note(
                    "Another program is reading the file: what was removed is overwritten when it stops."
                )
        elif given.handle:
            _show(await known(engine, given.handle), around, as_json=given.json)
        else:
            rows = [row_of(found) async for found in latest(engine, _MOST)]
            _list(rows, around, as_json=given.json)
    return 0


@asynccontextmanager
async def remembered(around: Surroundings) -> "AsyncIterator[SqliteEngine]":
    """Give what this machine remembers.

    Raises:
        InputError: It is to remember nothing.
        StoreDown: It cannot be read.
    """
    from runapi_mcp.generations.store.engine import Down

    engine = engine_of(around)
    # A person would rather wait than be told to come again.
    engine.patience = _PATIENCE
    try:
        yield engine
    except Down as down:
        why = f"The file says: {down.why}." if down.why else "Another program has the file locked."
        move = f"{why} runapi-mcp doctor names its folder; try again."
        if down.for_good:
            move = down.note or "runapi-mcp doctor says why."
        raise StoreDown("What was asked before cannot be read now.", advice=move) from None
    finally:
        await engine.aclose()


def engine_of(around: Surroundings) -> "SqliteEngine":
    """Return what this machine remembers.

    Raises:
        InputError: It is to remember nothing.
    """
    import time

    from runapi_mcp.generations.store import open_local

    engine = open_local(around.settings(), around.env, time.monotonic)
    if engine is None:
        raise InputError(
            "Nothing is kept on this machine: RUNAPI_MCP_STORE says so.", advice="Unset it, or name a folder."
        )
    return engine


async def latest(engine: "SqliteEngine", most: int = -1) -> "AsyncIterator[Replica]":
    """Yield the latest generations of this user, the newest first: at most so many, or all.

    Each may have megabytes. Of its text no more is read than shows that there is some.

    Raises:
        Down: They cannot be read.
    """
    from runapi_mcp.generations.store.replica import Replica

    for handle in await engine.recent(OWNER, most):
        found = await Replica.load(engine, handle, OWNER, part=range(1))
        if found is not None:
            yield found


async def find_last(around: Surroundings) -> str:
    """Return the handle of this user's last answer that can be gone on from, and say which that is.

    Raises:
        InputError: There is none.
    """
    async with remembered(around) as engine:
        async for found in latest(engine):
            if found.status != "running" and found.view().answer.text and found.job.call.turns:
                around.note(f"Going on from: {row_of(found).line()}")
                return found.handle
    raise InputError("There is no earlier answer to go on from.", advice="Ask without -c.")


async def known(engine: "SqliteEngine", handle: str) -> "Replica":
    """Return the generation of a handle.

    Raises:
        HandleError: None of this user's has it.
        Down: They cannot be read.
    """
    from runapi_mcp.generations.store.memory import unknown
    from runapi_mcp.generations.store.replica import Replica
    from runapi_mcp.tools.arguments import read_handle

    with suppress(ValueError):  # what is none is not found, either
        handle = read_handle(handle)
    found = await Replica.load(engine, handle, OWNER)
    if found is None:
        raise unknown(handle, engine.keep_seconds, engine.whose)
    return found


@dataclass(frozen=True)
class Row:
    """A generation in a list."""

    handle: str
    tool: str
    status: str
    model: str
    asked: str
    question: str

    def line(self) -> str:
        """Return it as people read it."""
        question = self.question if len(self.question) <= _COLUMNS else self.question[: _COLUMNS - 1] + "…"
        status = "" if self.status == "complete" else f" [{self.status}]"
        when = datetime.fromisoformat(self.asked).astimezone().strftime("%H:%M")
        return f"{when}  {self.handle}  {self.tool}{status}  {question}"


def row_of(found: "Replica") -> Row:
    """Return a generation as a row of a list."""
    from runapi_mcp.printable import one_line
    from runapi_mcp.wire.types import Text

    view = found.view()
    turns = view.job.call.turns[:-2] if view.job.begin else view.job.call.turns
    last = [part.text for part in (turns[-1].parts if turns else ()) if isinstance(part, Text) and part.text]
    question = one_line(last[-1], 400) if last else "(its question is not kept)"
    model = view.answer.model or view.job.call.model
    return Row(found.handle, view.job.tool, view.status, model, found.created.isoformat(), question)


def _list(rows: list[Row], around: Surroundings, *, as_json: bool) -> None:
    if as_json:
        around.say_json(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2))
        return
    if not rows:
        around.note("Nothing was asked in the last day, or by another key or base URL.")
    for row in rows:
        around.say(row.line())


def _show(found: "Replica", around: Surroundings, *, as_json: bool) -> None:
    from runapi_mcp.cli.outlet import printable

    row, view = row_of(found), found.view()
    if as_json:
        facts: JsonObject = {**asdict(row), "text": view.answer.text}
        around.say_json(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    around.note(row.line())
    around.say(printable(view.answer.text))
    if view.error is not None:
        around.note(f"runapi-mcp: {view.error}")


# ---------------------------------------------------------------- resume


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

    found = anyio.run(_find_cut, given.handle, around)
    arguments: JsonObject = {"handle": found.handle}
    if found.status not in ("running", "complete"):
        arguments["resume"] = True  # else what there is, and comes, is all that can be had
    return answer(Question("get_result", arguments), around, as_json=given.json)


async def _find_cut(handle: str | None, around: Surroundings) -> "Replica":
    """Return the generation of a handle, or else the latest that is not whole and was not made whole since.

    Raises:
        InputError: There is none.
        StoreDown: What this machine keeps cannot be read.
    """
    async with remembered(around) as engine:
        if handle is not None:
            return await known(engine, handle)
        seen: set[int] = set()  # of questions that may be large, and many
        running = ""
        async for found in latest(engine):
            question = hash(_question_of(found))
            if found.status == "running":
                running = running or found.handle
            if question not in seen and found.status in ("partial", "cancelled") and found.view().answer.text:
                return found
            seen.add(question)
    if running:
        raise InputError(
            f"There is no answer to go on with: one is still being written, and runapi-mcp resume {running} "
            "waits for it.",
            advice="",
        )
    raise InputError(
        "There is no answer to go on with: the last one was whole, or nothing had come of it.", advice=""
    )


def _question_of(found: "Replica") -> "tuple[Turn, ...]":
    """Return what was asked, whether its answer was begun by an earlier one or not."""
    job = found.view().job
    return job.call.turns[:-2] if job.begin else job.call.turns
