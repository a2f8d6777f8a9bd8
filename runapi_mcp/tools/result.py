"""get_result: the rest of a generation that was handed over, in the words of the tool that began it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from runapi_mcp.errors import InputError
from runapi_mcp.files import reattach
from runapi_mcp.generations.policy import Policy, shorten_loops
from runapi_mcp.generations.store import Followable
from runapi_mcp.generations.values import Job
from runapi_mcp.request import Run
from runapi_mcp.tools.arguments import WaitSeconds, Whole, read_handle
from runapi_mcp.tools.coercion import Args, Meant, read_word
from runapi_mcp.tools.tool import Page, Reply, Tool, make_reply

GENERATION: Final = "generation://"
"""What the address of a generation's resource begins with; its handle follows."""


class ResultArgs(Args):
    """Arguments of get_result."""

    handle: Annotated[
        str,
        Meant(read_word),
        AfterValidator(read_handle),
        WithJsonSchema({"type": "string", "description": "As the earlier result gave it."}),
    ]
    wait_seconds: WaitSeconds | None = None
    offset: Whole = Field(0, ge=0, description="First character to give; default 0.")
    cancel: bool = Field(default=False, description="Stop it; return what there is.")
    resume: bool = Field(default=False, description="Continue a partial answer.")
    evidence: bool = Field(default=False, description="Where values stand.")

    @model_validator(mode="after")
    def _one_way(self) -> "ResultArgs":
        if self.cancel and self.resume:
            raise ValueError("cancel: give it or resume, not both")
        if self.evidence and (self.cancel or self.resume):
            raise ValueError("evidence: it is of a result as it stands; leave out cancel and resume")
        return self


def result_tool(starters: Mapping[str, Tool[Any]]) -> Tool[ResultArgs]:
    """Return get_result for the tools that start generations, by name."""

    async def perform(args: ResultArgs, run: Run) -> Reply:
        page = Page(run.page_chars, args.offset, evidence=args.evidence)
        whole = args.cancel or args.resume or args.evidence
        generation = await run.find(args.handle, None if whole else page.characters)
        found = generation.view()
        if any(found.beside) and not starters[found.job.tool].apart(found):
            generation = await run.find(args.handle)
        if args.evidence and generation.job.tool != "extract_json":
            raise InputError(
                f"evidence: the handle is of {generation.job.tool}; extract_json's results have it.",
                advice="Leave it out.",
            )
        if args.cancel:
            await generation.stop()
        if args.resume:
            job, policy = await _resume(generation, starters, run)
            view, joined = await run.generate(job, policy=policy, wait=args.wait_seconds)
        else:
            view, joined = await run.follow(generation, wait=args.wait_seconds), False
        render = starters[view.job.tool].render
        assert render is not None, "only tools that render start generations"
        return await make_reply(render, view, replace(page, joined=joined))

    return Tool(
        name="get_result",
        title="Get a result",
        description=(
            "Wait for a call that still runs, read on in a long answer (offset), continue one that was cut "
            "short (resume), or stop one (cancel). Returns what the handle's tool would have."
        ),
        args=ResultArgs,
        perform=perform,
        opening="looking up the handle",
        use="the rest of a call that still runs; it also reads on in a long answer (offset), continues one "
        "that was cut short (resume) and stops one (cancel).",
        example={"handle": "g_EXAMPLE"},
        hint="handle, still running, continue, cancel",
    )


async def _resume(generation: Followable, starters: Mapping[str, Tool[Any]], run: Run) -> tuple[Job, Policy]:
    """Return the job that continues a partial generation from its text, and its policy.

    Raises:
        InputError: It is still running, complete, has no text to continue from, or a file of it is gone.
    """
    view = generation.view()
    if view.status == "running":
        raise InputError(
            "resume: it is still running.", advice="Call get_result without resume to wait for it."
        )
    if view.status == "complete":
        raise InputError(
            "resume: the answer is complete.", advice="Call get_result without resume to read it."
        )
    texts = (*view.earlier, view.answer.text)
    if not any(texts):
        raise InputError("resume: nothing had been written.", advice="Ask the question again.")
    call = (await run.asked(generation)).call
    # A resume of a resume continues the question itself, not the request to go on.
    turns = call.turns[:-2] if view.job.begin and not view.job.earlier else call.turns
    turns, _, notices = await reattach(turns, (), await run.reading())
    asked = replace(call, turns=turns)
    policy = starters[view.job.tool].policy(replace(view.job, call=asked))
    if goes_on := policy.resume(replace(view.job, call=asked, begin="", earlier=()), texts):
        return replace(goes_on, notices=(*goes_on.notices, *notices)), policy
    if not view.answer.text:
        raise InputError("resume: nothing had been written.", advice="Ask the question again.")
    begin = shorten_loops(view.answer.text, told=False)
    job = replace(view.job, call=asked.continued(begin), begin=begin)
    return replace(job, notices=(*job.notices, *notices)), policy
