"""The way from a tool's arguments to a job: which model, which dialect, and whether they can."""

from collections.abc import Iterable

from runapi_mcp.catalog import MODELS, Ability, check_effort, choose_dialect, find
from runapi_mcp.generations import Job
from runapi_mcp.run import Run
from runapi_mcp.tools._tool import Args
from runapi_mcp.wire.types import Call, JsonObject

_CONTROL = {"wait_seconds", "fresh"}
_QUESTION = ("prompt", "system", "messages", "files", "query", "text", "instructions")
"""Arguments, of whichever tool, that are for the model alone."""


def model_for(asked: str | None, default: str, needs: Iterable[Ability]) -> tuple[str, tuple[str, ...]]:
    """Return the model of a call and what must be said of the choice.

    A model that was named is used. Otherwise it is the default, or, where that lacks something the
    call needs, the first that has it all.
    """
    needs = tuple(needs)
    row = find(default)
    if asked or row is None or all(row.able(need) for need in needs):
        return asked or default, ()
    able = [model.id for model in MODELS if all(model.able(need) for need in needs)]
    if not able:
        return default, ()
    return able[0], (f"Answered by {able[0]}: the default model, {default}, cannot do this.",)


def job_for(
    tool: str,
    args: Args,
    call: Call,
    run: Run,
    *,
    needs: Iterable[Ability] = (),
    notices: tuple[str, ...] = (),
) -> Job:
    """Return the job for a call, on a dialect that can carry it.

    Raises:
        InputError: The model lacks something the call needs, or does not take its effort.
    """
    if call.effort:
        check_effort(call.model, call.effort)
    dialect = choose_dialect(call.model, needs, run.settings.dialect)
    arguments: JsonObject = args.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_CONTROL)
    return Job(tool, arguments, call, dialect, run.owner, notices, question=_QUESTION)
