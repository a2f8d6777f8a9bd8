"""ask_gemini: a question, with files if need be, to an answer as written."""

import json

from pydantic import Field

from runapi_mcp.generations import View
from runapi_mcp.run import Run
from runapi_mcp.tools._args import Files, Fresh, ModelId, Prompt, ReasoningEffort, WaitSeconds
from runapi_mcp.tools._files import attach
from runapi_mcp.tools._generating import bracketed, failed, job_for, nothing_to_give, page_of, remarks
from runapi_mcp.tools._tool import Args, Page, Reply, Tool
from runapi_mcp.wire.types import Call, Text, Turn


class AskArgs(Args):
    """Arguments of ask_gemini."""

    prompt: Prompt = Field(description="The question or task, with all the context it needs.")
    model: ModelId | None = None
    system: Prompt | None = Field(None, description="System instruction.")
    files: Files = Field(default_factory=list)
    reasoning_effort: ReasoningEffort | None = None
    include_thoughts: bool = Field(
        default=False, description="Put a summary of the model's thinking before the answer."
    )
    max_output_tokens: int | None = Field(
        None, ge=1, le=1_000_000, description="Limit of thinking and answer together; unset is safest."
    )
    temperature: float | None = Field(None, ge=0, le=2)
    wait_seconds: WaitSeconds | None = None
    fresh: Fresh = False


async def _ask(args: AskArgs, run: Run) -> Reply:
    attached = await attach(args.files, run.settings)
    call = Call(
        model=args.model or run.settings.model,
        turns=(Turn("user", (*attached.parts, Text(args.prompt))),),
        system=args.system,
        effort=args.reasoning_effort,
        include_thoughts=args.include_thoughts,
        max_output_tokens=args.max_output_tokens,
        temperature=args.temperature,
    )
    job = job_for(ASK.name, args, call, run, needs=["files"] if attached.binary else [])
    view, joined = await run.generate(job, wait=args.wait_seconds, fresh=args.fresh)
    return _render(view, Page(limit=run.page_chars, joined=joined))


def _render(view: View, page: Page) -> Reply:
    if nothing_to_give(view):
        return failed(view)
    text = _thoughts(view) + view.answer.text + _calls(view)
    shown, next_offset = page_of(text, page)
    line = bracketed(remarks(view, page, next_offset, len(text)))
    return Reply(
        "\n\n".join(part for part in (shown, line) if part), receipt=view.receipt, handle=view.handle
    )


def _thoughts(view: View) -> str:
    wanted = view.job.call.include_thoughts and view.answer.thoughts
    return f"Thinking:\n{view.answer.thoughts.strip()}\n\nAnswer:\n" if wanted else ""


def _calls(view: View) -> str:
    calls = [{"name": call.name, "arguments": call.arguments} for call in view.answer.function_calls]
    return f"\n\nThe model asks for these functions to be run: {json.dumps(calls)}" if calls else ""


ASK = Tool(
    name="ask_gemini",
    title="Ask Gemini",
    description=(
        "Ask a Gemini model: a second opinion, a review, long context, images, PDF, audio or video. "
        "It sees only what you send, and has no web access (use search_web for that). Returns the answer as "
        "text. If it is not done in time, returns what there is and a handle for get_result."
    ),
    args=AskArgs,
    perform=_ask,
    render=_render,
)
