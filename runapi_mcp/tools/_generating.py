"""What every tool that starts a generation shares: the way to it, and how its state is said."""

from collections.abc import Iterable

from runapi_mcp.catalog import MODELS, Ability, check_effort, choose_dialect, find
from runapi_mcp.errors import InputError, RunapiError
from runapi_mcp.generations import Job, View
from runapi_mcp.run import Run
from runapi_mcp.tools._tool import Args, Page, Reply
from runapi_mcp.wire.types import Call, JsonObject

_CONTROL = {"wait_seconds", "fresh"}


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
    return Job(tool, arguments, call, dialect, run.owner, notices)


def page_of(text: str, page: Page) -> tuple[str, int | None]:
    """Return one page of `text` and the offset of the next, cut at a paragraph or line end if one is near.

    Raises:
        InputError: The page starts past the end.
    """
    if page.offset and page.offset >= len(text):
        raise InputError(
            f"offset: {page.offset:,} is past the end of the text so far, {len(text):,} characters."
        )
    end = page.offset + page.limit
    if end >= len(text):
        return text[page.offset :], None
    for mark in ("\n\n", "\n", ". ", " "):
        cut = text.rfind(mark, page.offset + page.limit * 3 // 4, end)
        if cut > 0:
            return text[page.offset : cut + len(mark)], cut + len(mark)
    return text[page.offset : end], end


def remarks(
    view: View, page: Page, next_offset: int | None, total: int, *, metered: bool = False
) -> list[str]:
    """Return what must be said beside the text, a sentence or two each; empty if nothing must.

    With `metered`, missing token counts are not among it.
    """
    said = list(view.job.notices)
    if page.joined:
        said.append("Joined the same question that was already being answered; it was asked once.")
    if view.status == "running":
        said.append(
            f"Still running after {view.receipt.seconds:.0f} s. Call get_result with "
            f'handle "{view.handle}" to wait for the rest; do not ask again.'
        )
    elif why := why_partial(view):
        said.append(
            f'Partial: {why} Call get_result with handle "{view.handle}" and resume true to continue.'
        )
    if view.status == "complete" and view.answer.usage is None and not metered:
        said.append("RunAPI sent no token counts.")
    if next_offset is not None:
        said.append(
            f"Characters {page.offset:,}-{next_offset:,} of {total:,}. For more, call get_result with "
            f'handle "{view.handle}" and offset {next_offset}.'
        )
    if view.note and (view.status != "complete" or next_offset is not None):
        said.append(view.note)
    return said


def why_partial(view: View) -> str:
    """Return why an ended generation is not complete, in a sentence; empty if it is."""
    finish = view.answer.finish
    match view.status:
        case "cancelled":
            return "it was cancelled."
        case "partial" | "failed" if view.error is not None:
            return str(view.error)
        case "partial" if finish is not None and finish.reason == "length":
            return "the output limit was reached (max_output_tokens, or the model's own)."
        case "partial" if finish is not None and finish.reason == "filtered":
            return "a safety rule stopped the answer."
        case "partial":
            return "the model stopped with an error."
        case _:
            return ""


def state(view: View, said: list[str], next_offset: int | None) -> JsonObject:
    """Return what structured results say of the generation itself, beside their content."""
    facts: JsonObject = {"status": view.status}
    if view.status != "complete" or next_offset is not None:
        facts["handle"] = view.handle
    if next_offset is not None:
        facts["next_offset"] = next_offset
    if said:
        facts["notes"] = list(said)
    return facts


def output_schema(content: JsonObject) -> JsonObject:
    """Return the JSON Schema of a structured result: its content, and its status.

    What else :func:`state` says is there only when it must be, and is not listed: every byte of
    the list of tools is paid for in each conversation.
    """
    properties: JsonObject = content | {"status": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": ["status"]}


def bracketed(sentences: list[str]) -> str:
    """Return sentences as one bracketed line, or nothing."""
    return f"[{' '.join(sentence.replace(chr(10), ' ') for sentence in sentences)}]" if sentences else ""


def failed(view: View) -> Reply:
    """Return the reply of a generation that has nothing to give."""
    error = view.error or RunapiError("The generation was cancelled before anything was written.")
    return Reply(str(error), is_error=True, receipt=view.receipt, handle=view.handle, code=error.code)


def nothing_to_give(view: View) -> bool:
    """Whether a generation ended without any text or function call."""
    # A function that was not offered cannot be run: a call of one is no answer.
    calls = view.answer.function_calls if view.job.call.functions else ()
    empty = not view.answer.text and not calls
    return view.status != "running" and empty
