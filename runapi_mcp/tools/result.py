"""get_result: the rest of a generation that was handed over, in the words of the tool that began it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from runapi_mcp.errors import HandleError
from runapi_mcp.generations import Followable, Job
from runapi_mcp.run import Run
from runapi_mcp.tools._args import WaitSeconds, Whole
from runapi_mcp.tools._tool import Args, Page, Reply, Tool


class ResultArgs(Args):
    """Arguments of get_result."""

    handle: Annotated[str, WithJsonSchema({"type": "string", "description": "From the earlier result."})] = (
        Field(min_length=1, max_length=200)
    )
    wait_seconds: WaitSeconds | None = None
    offset: Whole = Field(0, ge=0, description="First character to give.")
    cancel: bool = Field(default=False, description="Stop it and return what there is.")
    resume: bool = Field(default=False, description="Continue a partial answer.")

    @model_validator(mode="after")
    def _one_way(self) -> "ResultArgs":
        if self.cancel and self.resume:
            raise ValueError("give cancel or resume, not both")
        return self


def result_tool(starters: Mapping[str, Tool[Any]]) -> Tool[ResultArgs]:
    """Return get_result for the tools that start generations, by name."""

    async def perform(args: ResultArgs, run: Run) -> Reply:
        generation = await run.find(args.handle)
        if args.cancel:
            await generation.stop()
        if args.resume:
            view, _ = await run.generate(_resumed(generation, starters), wait=args.wait_seconds)
        else:
            view = await run.follow(generation, wait=args.wait_seconds)
        render = starters[view.job.tool].render
        assert render is not None, "only tools that render start generations"
        return render(view, Page(args.offset, run.page_chars))

    return Tool(
        name="get_result",
        title="Get a result",
        description=(
            "Wait again for a call that is still running, fetch the next page of a long answer, continue one "
            "that was cut short (resume), or stop it (cancel). Takes the handle from the earlier result and "
            "returns what that tool would have."
        ),
        args=ResultArgs,
        perform=perform,
    )


def _resumed(generation: Followable, starters: Mapping[str, Tool[Any]]) -> Job:
    """Return the job that continues a partial generation from its text.

    Raises:
        HandleError: It is still running, complete, or has no text to continue from.
    """
    view = generation.view()
    if view.status == "running":
        raise HandleError(
            "resume: it is still running.", advice="Call get_result without resume to wait for it."
        )
    if view.status == "complete":
        raise HandleError(
            "resume: the answer is complete.", advice="Call get_result without resume to read it."
        )
    if not view.answer.text:
        raise HandleError("resume: nothing had been written.", advice="Ask the question again.")
    call = view.job.call
    # A resume of a resume continues the question itself, not the request to go on.
    asked = replace(call, turns=call.turns[:-2]) if view.job.begin else call
    job = starters[view.job.tool].prepare(replace(view.job, call=asked))
    return replace(job, call=job.call.continued(view.answer.text), begin=view.answer.text)
