"""ask_gemini: a question, with files if need be, to an answer as written."""

import json
from dataclasses import replace

from pydantic import Field, field_validator, model_validator

from runapi_mcp.catalog import Ability, find
from runapi_mcp.files.attaching import Attached, attach
from runapi_mcp.generations import View
from runapi_mcp.run import Run
from runapi_mcp.tools._args import Files, Fresh, ModelId, Number, Prompt, ReasoningEffort, WaitSeconds, Whole
from runapi_mcp.tools._conversation import Messages, asked_for, conversation
from runapi_mcp.tools._functions import Functions, declared, on_wire
from runapi_mcp.tools._job import job_for, model_for
from runapi_mcp.tools._replying import Paged, failed, nothing_to_give
from runapi_mcp.tools._tool import Args, Page, Reply, Tool
from runapi_mcp.wire.types import Call, Function, Part, Text

_MOST_STOPS = 4
"""OpenAI's own limit, the lower of the two dialects'."""


class AskArgs(Args):
    """Arguments of ask_gemini."""

    prompt: Prompt | None = Field(
        None, description="The question or task, with all context. Needed unless messages end with your turn."
    )
    model: ModelId | None = None
    system: Prompt | None = Field(None, description="System instruction.")
    files: Files = Field(default_factory=list)
    messages: Messages = ()
    functions: Functions = ()
    reasoning_effort: ReasoningEffort | None = None
    include_thoughts: bool = Field(default=False, description="Show a summary of the thinking.")
    max_output_tokens: Whole | None = Field(
        None, ge=1, le=1_000_000, description="Thinking counts; best unset."
    )
    temperature: Number | None = Field(None, ge=0, le=2, description="0 to 2.")
    stop: tuple[str, ...] = Field((), description="Strings that end the answer.")
    seed: Whole | None = Field(None, ge=-(2**31), lt=2**31, description="For repeatable answers.")
    wait_seconds: WaitSeconds | None = None
    fresh: Fresh = False

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if len(stop) > _MOST_STOPS or not all(0 < len(text) <= 200 for text in stop):
            raise ValueError(f"must be at most {_MOST_STOPS} texts of 1 to 200 characters")
        return stop

    @model_validator(mode="after")
    def _something_to_answer(self) -> "AskArgs":
        if not self.prompt and not self.messages:
            raise ValueError("prompt: required, unless messages end with a function's result or your words")
        if self.files and not self.prompt:
            raise ValueError("files: they go with a prompt")
        return self


async def _ask(args: AskArgs, run: Run) -> Reply:
    functions = declared(args.functions)
    attached = await attach(args.files, await run.reading() if args.files else run.settings)
    needs = _needs(attached, functions)
    model, notices = model_for(args.model, run.settings.model, needs)
    call = _call(args, model, attached.parts)
    if args.temperature is not None and _ignores_temperature(model):
        notices += (f"{model} ignores temperature.",)
    job = job_for(ASK.name, args, call, run, needs=needs, notices=notices)
    job = replace(job, call=replace(call, functions=on_wire(functions, job.dialect)))
    view, joined = await run.generate(job, wait=args.wait_seconds, fresh=args.fresh)
    return _render(view, Page(run.page_chars, joined=joined))


def _call(args: AskArgs, model: str, attached: tuple[Part, ...]) -> Call:
    last: tuple[Part, ...] = (*attached, Text(args.prompt)) if args.prompt else ()
    return Call(
        model=model,
        turns=conversation(args.messages, last),
        system=args.system,
        effort=args.reasoning_effort,
        include_thoughts=args.include_thoughts,
        max_output_tokens=args.max_output_tokens,
        temperature=args.temperature,
        stop=args.stop,
        seed=args.seed,
    )


def _needs(attached: Attached, functions: tuple[Function, ...]) -> list[Ability]:
    needs: list[Ability] = ["files"] if attached.binary else []
    return [*needs, "functions"] if functions else needs


def _ignores_temperature(model: str) -> bool:
    row = find(model)
    return row is not None and not row.temperature


def _render(view: View, page: Page) -> Reply:
    if nothing_to_give(view):
        return failed(view)
    paged = Paged(view, _thoughts(view) + view.answer.text + _calls(view), page)
    return paged.reply(paged.shown)


def _thoughts(view: View) -> str:
    wanted = view.job.call.include_thoughts and view.answer.thoughts
    return f"Thinking:\n{view.answer.thoughts.strip()}\n\nAnswer:\n" if wanted else ""


def _calls(view: View) -> str:
    calls = asked_for(view.answer.function_calls)
    if not calls:
        return ""
    lead = "\n\n" if view.answer.text else ""
    return (
        f"{lead}The model asks for these functions to be run:\n{json.dumps(calls, ensure_ascii=False)}\n"
        "To go on, call ask_gemini again with the same messages and functions, this turn as "
        '{"role": "assistant", "function_calls": [as above]}, and {"role": "function", "name", "id", '
        '"content"} for each result.'
    )


ASK = Tool(
    name="ask_gemini",
    title="Ask Gemini",
    description=(
        "Ask a Gemini model: a second opinion, a review, long context, images, PDF, audio or video. "
        "It sees only what you send, not the web (see search_web). Returns text; if not done in time, what "
        "there is and a handle for get_result."
    ),
    args=AskArgs,
    perform=_ask,
    render=_render,
)
