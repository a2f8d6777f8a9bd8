"""ask_gemini: a question, with files if need be, to an answer as written.

A conversation ends with the caller's word: a prompt, or what came of a function that the model asked for.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise, takewhile
from typing import Annotated, Any, Final, Literal, TypeAlias

import pydantic
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from runapi_mcp.beside import beside
from runapi_mcp.citations.sources import source_lines
from runapi_mcp.errors import InputError
from runapi_mcp.files import Attached, attach
from runapi_mcp.generations.policy import PLAIN, Policy
from runapi_mcp.generations.values import Job, View
from runapi_mcp.models import ANSWERING, Ability, find
from runapi_mcp.printable import escape_unseen, one_line
from runapi_mcp.request import Run
from runapi_mcp.tools.arguments import (
    ContinueFrom,
    Files,
    Fresh,
    ModelId,
    Number,
    ObjectOrText,
    Prompt,
    ReasoningEffort,
    WaitSeconds,
    Whole,
    at_most,
)
from runapi_mcp.tools.coercion import Args, Given, Meant, list_of, read_text, unless
from runapi_mcp.tools.reply import Paged, nothing_to_give, tell_failure
from runapi_mcp.tools.tool import (
    SEARCHING,
    Earlier,
    Page,
    Reply,
    Tool,
    choose_model,
    go_on,
    job_for,
    look_back,
    make_reply,
)
from runapi_mcp.wire.function_calls import pair_results
from runapi_mcp.wire.json_text import read_object
from runapi_mcp.wire.types import (
    Call,
    DialectName,
    Function,
    FunctionCall,
    JsonObject,
    JsonValue,
    Part,
    Returned,
    Text,
    Turn,
)

_MOST_MESSAGES: Final = 500
_MOST_CALLS: Final = 128
_Placed: TypeAlias = tuple[str, Turn]
"""A turn, and where in the arguments it begins."""


class GivenCall(Given):
    """A function call of an earlier answer, as that answer named it, or in OpenAI's form or LangChain's."""

    name: str
    arguments: ObjectOrText = "{}"
    id: str = ""
    signature: str = ""
    extra: ObjectOrText = ""

    @classmethod
    def respell(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a call by our names; what else OpenAI says of it only says that it is one."""
        own = {name: value for name, value in given.items() if name != "index"}
        if own.get("type") in ("function", "function_call", "tool_call"):
            del own["type"]
        if isinstance(function := own.get("function"), Mapping):
            own = {name: value for name, value in own.items() if name != "function"} | dict(function)
        # Where RunAPI's chat dialect has a signature: under Google's own name in what OpenAI leaves free.
        google = given.get("extra_content")
        google = google.get("google") if isinstance(google, Mapping) else None
        if isinstance(google, Mapping) and set(google) == {"thought_signature"}:
            own.setdefault("signature", google["thought_signature"])
            del own["extra_content"]
        own = {_CALL_NAMES.get(name, name): value for name, value in own.items()}
        # What else a relay put there, a signature under another name say, goes back unread.
        unread = {name: own.pop(name) for name in [*own] if name not in cls.model_fields}
        return own | ({"extra": unread} if unread and "extra" not in own else {})


_CALL_NAMES: Final = {"args": "arguments", "call_id": "id", "thought_signature": "signature"}
_ROLES: Final = {"tool": "function", "developer": "system", "human": "user", "ai": "assistant"}
_MESSAGE_NAMES: Final = {"tool_calls": "function_calls", "tool_call_id": "id", "call_id": "id"}


def _read_content(value: object) -> object:
    """Read a message's content: a text, or OpenAI's list of parts if all are text."""
    if isinstance(value, list) and value:
        texts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
        if all(isinstance(text, str) for text in texts):
            return read_text("\n".join(map(str, texts)))
        if any(isinstance(part, Mapping) and "type" in part for part in value):
            return value
    return read_text(value)


def _check_content(value: object) -> object:
    if not isinstance(value, list):
        return value
    raise ValueError("must be text; an image or another file goes in files, with the prompt")


class Message(Given):
    """One message of a conversation; `assistant` and `model` are the same; OpenAI's names are taken too."""

    role: Literal["user", "assistant", "model", "function", "system"]
    content: Annotated[str, Meant(_read_content), BeforeValidator(_check_content)] = ""
    name: str = ""
    id: str = ""
    function_calls: Annotated[tuple[GivenCall, ...], at_most(_MOST_CALLS, "calls")] = ()

    @classmethod
    def respell(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a message by our names, without what OpenAI's answers hold empty (refusal, audio …)."""
        own: dict[str, Any] = {}
        for name, value in given.items():
            if name == "function_call" and value:
                own["function_calls"] = [value]
            elif name == "parts" and "content" not in given:
                own["content"] = value  # as Gemini's own API has them
            elif name in cls.model_fields or value not in (None, "", [], {}):
                own[_MESSAGE_NAMES.get(name, name)] = value
        if own.get("type") == "message":
            del own["type"]
        if isinstance(role := own.get("role"), str):
            own["role"] = _ROLES.get(role.strip().lower(), role)
        return own


Messages: TypeAlias = Annotated[
    tuple[Message, ...],
    at_most(_MOST_MESSAGES, "messages"),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object", "additionalProperties": True},
            "description": "Earlier turns: {role: user|assistant|function, content}, or as OpenAI has them.",
        }
    ),
]


def write_turns(messages: Sequence[Message], last: tuple[Part, ...]) -> tuple[Turn, ...]:
    """Return the turns of `messages`, and `last` as the user's newest words if there are any.

    Raises:
        InputError: They are out of order: no user first, two of one side in a row, a result of a
            function nobody asked for, a system instruction in between, or an assistant last.
    """
    turns = [*_turns(messages)]
    if last:
        turns.append(("prompt", Turn("user", last)))
    if not turns or turns[0][1].role != "user" or _answers_functions(turns[0][1]):
        raise InputError("messages[0]: must be the user's words.", advice="")
    for place, (before, after) in enumerate(pairwise(turns)):
        _check_order(before, after)
        turns[place + 1] = _pair(before, after)
    if turns[-1][1].role != "user":
        raise InputError(
            "messages: the last word must be yours.", advice="Give prompt, or a function's result."
        )
    return tuple(turn for _, turn in turns)


def _instruction(messages: Sequence[Message]) -> str:
    """Return the system instructions that a conversation begins with, as OpenAI's do."""
    first = takewhile(lambda message: message.role == "system", messages)
    return "\n\n".join(message.content for message in first if message.content)


def _check_order(before: _Placed, after: _Placed) -> None:
    """See that one turn may follow another."""
    (first, earlier), (second, later) = before, after
    if earlier.role == later.role:
        who, other = ("user", "assistant") if later.role == "user" else ("assistant", "user")
        raise InputError(
            f"{second}: a second turn of the {who} after {first}.",
            advice=f"Put both into one, or the {other}'s between them.",
        )


def _pair(before: _Placed, after: _Placed) -> _Placed:
    """Return a turn with the results of functions in the order of the calls that the turn before made."""
    where, turn = after
    calls = [part for part in before[1].parts if isinstance(part, FunctionCall)]
    results = [part for part in turn.parts if isinstance(part, Returned)]
    try:
        paired = pair_results(calls, results)
    except InputError as error:
        raise InputError(f"{where}: {error.what}", advice=error.advice) from None
    return where, replace(turn, parts=(*paired, *(part for part in turn.parts if part not in results)))


def list_calls(calls: Iterable[FunctionCall]) -> list[JsonObject]:
    """Return the functions that an answer asks for, in the form in which `messages` takes them back."""
    return [
        {key: value for key, value in _fields(call).items() if value or key == "arguments"} for call in calls
    ]


def _fields(call: FunctionCall) -> JsonObject:
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    extra: Any = read_object(call.extra)
    return {
        "name": call.name, "arguments": arguments, "id": call.id, "signature": call.signature, "extra": extra,
    }  # fmt: skip


def _turns(messages: Sequence[Message]) -> Iterator[_Placed]:
    """Yield the turns; the results of several functions are one."""
    results: list[Part] = []
    names: dict[str, str] = {}
    begun = False
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if message.role == "system":
            if begun:
                raise InputError(f"{where}.role: a system instruction comes first, or in system.", advice="")
            continue
        begun = True
        if message.role == "function":
            # OpenAI leaves a result's name to the call that has its id.
            name = message.name or names.get(message.id, "")
            results.append(Returned(message.id, name, message.content))
            continue
        names |= {call.id: call.name for call in message.function_calls if call.id}
        if results:
            yield f"messages[{position - len(results)}]", Turn("user", tuple(results))
            results = []
        yield where, _read_said(message, where)
    if results:
        yield f"messages[{len(messages) - len(results)}]", Turn("user", tuple(results))


def _read_said(message: Message, where: str) -> Turn:
    if message.role == "user" and message.function_calls:
        raise InputError(f"{where}.function_calls: only an assistant's turn has them.", advice="")
    parts = tuple(_parts(message))
    if not parts:
        raise InputError(f"{where}.content: must not be empty.", advice="")
    return Turn("user" if message.role == "user" else "model", parts)


def _parts(message: Message) -> Iterator[Part]:
    if message.content.strip():
        yield Text(message.content)
    for call in message.function_calls:
        yield FunctionCall(call.id, call.name, _as_text(call.arguments), call.signature, _as_text(call.extra))


def _as_text(given: JsonObject | str) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def _answers_functions(turn: Turn) -> bool:
    return any(isinstance(part, Returned) for part in turn.parts)


_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_MOST_FUNCTIONS: Final = 128
_MOST_VALUES: Final = 40_000
"""Members and items of the parameters of all functions."""
_MOST_VALUES_HERE: Final = 1_000
"""How many are written on the event loop; it takes some milliseconds."""
_PARAMETERS: Final = ("inputSchema", "input_schema", "parametersJsonSchema", "parameters_json_schema")
"""What MCP, Anthropic and Google call parameters."""


class GivenFunction(Given):
    """A function that the model may ask for."""

    name: str
    description: str = ""
    parameters: dict[str, pydantic.JsonValue] = Field({})

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, given: object) -> object:
        """Take a tool of OpenAI, MCP, Anthropic or Google for the function that it is."""
        if isinstance(given, dict) and given.get("type") == "function":
            held = given.get("function")
            rest = {key: value for key, value in given.items() if key not in ("type", "strict")}
            given = held if isinstance(held, dict) and len(given) == 2 else rest
        if isinstance(given, dict) and "parameters" not in given:
            known = [key for key in _PARAMETERS if key in given]
            given = {("parameters" if [key] == known else key): value for key, value in given.items()}
        if isinstance(given, dict) and isinstance(given.get("strict"), bool):
            given = {key: value for key, value in given.items() if key != "strict"}
        return given

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        # Google's rule for the name of a FunctionDeclaration.
        if not _NAME.fullmatch(name):
            raise ValueError("must begin with a letter or _ and hold at most 128 letters, digits, _ . : -")
        return name


Functions: TypeAlias = Annotated[
    tuple[GivenFunction, ...],
    at_most(_MOST_FUNCTIONS, "functions"),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object", "additionalProperties": True},
            "description": "Functions the model may ask you to run: {name, description, parameters}. Give "
            "them again with their results.",
        }
    ),
]


def declare(functions: Iterable[GivenFunction]) -> tuple[Function, ...]:
    """Return the functions of a call.

    Raises:
        InputError: Two have the same name.
    """
    made = tuple(Function(f.name, f.description, f.parameters) for f in functions)
    seen: dict[str, int] = {}
    for position, function in enumerate(made):
        first = seen.setdefault(function.name, position)
        if first != position:
            raise InputError(
                f"functions[{position}].name: functions[{first}] is named {function.name} too.", advice=""
            )
    return made


async def write_parameters(
    functions: Sequence[Function], dialect: DialectName
) -> tuple[tuple[Function, ...], tuple[str, ...]]:
    """Return functions with their parameters as `dialect` takes them, and what is to be said of it.

    Raises:
        InputError: The parameters of one are no JSON Schema of an object, or too large.
    """
    # Not at the top: what knows JSON Schema takes a twentieth of the whole import, and most calls need none.
    from runapi_mcp.wire.schema.subschemas import count_values

    values = sum(count_values(function.parameters) for function in functions)
    if values > _MOST_VALUES:
        raise InputError(
            f"functions: more than {_MOST_VALUES:,} values in their parameters.",
            advice="Send the functions that this question may need.",
        )
    if values <= _MOST_VALUES_HERE:
        return _write_all(functions, dialect)
    return await beside(_write_all, functions, dialect)


def _write_all(
    functions: Sequence[Function], dialect: DialectName
) -> tuple[tuple[Function, ...], tuple[str, ...]]:
    made: list[Function] = []
    notes: dict[str, None] = {}
    for position, function in enumerate(functions):
        written, said = _write(function.parameters, dialect, f"functions[{position}].parameters")
        made.append(replace(function, parameters=written))
        notes |= dict.fromkeys(f"{function.name}: {note}" for note in said)
    return tuple(made), tuple(notes)


def _write(parameters: JsonObject, dialect: DialectName, where: str) -> tuple[JsonObject, tuple[str, ...]]:
    from runapi_mcp.wire.schema.narrow import TooWide, narrow
    from runapi_mcp.wire.schema.read import Faulty, read_schema
    from runapi_mcp.wire.schema.write import rewrite_schema

    if parameters.get("type", "object") == "object" and not Function("", "", parameters).takes_arguments:
        return {}, ()
    try:
        reading = read_schema(parameters)
        written = rewrite_schema(reading.schema).schema
        narrowed = narrow(written) if dialect == "chat" else written
    except Faulty as faulty:
        raise faulty.at(where) from None
    except TooWide:
        raise InputError(
            f"{where}: too large when its references are written out.", advice="Nest it less."
        ) from None
    if not _may_be_object(written):
        raise InputError(
            f"{where}: must be the JSON Schema of an object.",
            advice='Write {"type": "object", "properties": {…}}, or leave it out if there are none.',
        )
    return narrowed, reading.notes


def _may_be_object(written: JsonObject) -> bool:
    """Whether a schema in the wire's words allows objects; one that says nothing there is none at all."""
    kind = written.get("type")
    return "object" in kind if isinstance(kind, list) else kind == "object" or (not kind and bool(written))


_MOST_STOPS = 4
"""OpenAI's own limit, the lower of the two dialects'."""


def _read_stop(value: object) -> object:
    """Read a text that ends the answer; a line break is one."""
    return value if isinstance(value, str) and value else read_text(value)


class AskArgs(Args):
    """Arguments of ask_gemini."""

    prompt: Prompt | None = Field(
        None, description="The question or task, with all context. Needed unless messages end with your turn."
    )
    model: ModelId | None = None
    system: Prompt | None = Field(None, description="System instruction.")
    files: Files = Field([])
    messages: Messages = ()
    continue_from: ContinueFrom | None = Field(None, description="Handle to ask on from.")
    functions: Functions = ()
    reasoning_effort: ReasoningEffort | None = None
    include_thoughts: bool = Field(default=False, description="Show a summary of the thinking.")
    max_output_tokens: Annotated[Whole | None, Meant(unless(0, -1))] = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Thinking counts and may use up all; best 0: the model's own limit.",
    )
    temperature: Number | None = Field(None, ge=0, le=2, description="0 to 2; default 1.")
    stop: Annotated[tuple[str, ...], Meant(list_of(_read_stop))] = Field(
        (), description="Strings that end the answer."
    )
    max_cost: Annotated[Number | None, Meant(unless(0, -1))] = Field(
        None, gt=0, le=10**6, description="Limit in money, where prices are set; best 0: any."
    )
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
        if self.continue_from and any(message.role != "function" for message in self.messages):
            raise ValueError("messages: leave them out; the earlier turns come with continue_from")
        if not self.prompt and not self.messages:
            raise ValueError("prompt: required, unless messages end with a function's result or your words")
        if self.files and not self.prompt:
            raise ValueError("files: they go with a prompt")
        return self


async def _ask(args: AskArgs, run: Run) -> Reply:
    functions = declare(args.functions)
    attached = await attach(args.files, await run.reading()) if args.files else Attached()
    if args.continue_from:
        return await _ask_on(args, args.continue_from, attached, functions, run)
    needs = _needs(attached, functions)
    chosen = choose_model(args.model, run.settings.model, ANSWERING, needs, args.reasoning_effort)
    call = _call(args, chosen.model, attached.parts)
    notices = (*attached.notices, *_tell_ignored(call))
    job = job_for(ASK.name, args, call, run, chosen, needs=needs, notices=notices)
    return await _answer(job, functions, args, run)


async def _ask_on(
    args: AskArgs, handle: str, attached: Attached, functions: tuple[Function, ...], run: Run
) -> Reply:
    """Ask the next turn of a conversation: what is not given anew stays as it was."""
    earlier = await look_back(handle, attached.parts, run)
    call = earlier.call
    needs = [*earlier.needs, *_needs(attached, functions)]
    effort = args.reasoning_effort or call.effort
    chosen = earlier.choose(args.model, run.settings.model, ANSWERING, needs, effort)
    given: dict[str, Any] = {
        name: value
        for name, value in (
            ("system", args.system),
            ("effort", args.reasoning_effort),
            ("include_thoughts", args.include_thoughts),
            ("max_output_tokens", args.max_output_tokens),
            ("temperature", args.temperature),
            ("stop", args.stop),
            ("seed", args.seed),
        )
        if value
        or ({"effort": "reasoning_effort"}.get(name, name) in args.model_fields_set and value is not None)
    }
    call = go_on(earlier, _next_turn(args, earlier), model=chosen.model, **given)
    notices = (*earlier.notices, *attached.notices, *_tell_ignored(call))
    was = earlier.job.dialect
    job = job_for(ASK.name, args, call, run, chosen, needs=needs, notices=notices, prefer=was)
    # Those of before are written for the dialect of before.
    return await _answer(job, functions or (call.functions if job.dialect != was else ()), args, run)


async def _answer(job: Job, functions: Sequence[Function], args: AskArgs, run: Run) -> Reply:
    """Ask with the functions that were given now, if there are any."""
    if functions:
        written, notes = await write_parameters(functions, job.dialect)
        job = replace(job, call=replace(job.call, functions=written), notices=job.notices + notes)
    view, joined = await run.generate(job, policy=_policy(job), wait=args.wait_seconds, fresh=args.fresh)
    return await make_reply(_render, view, Page(run.page_chars, joined=joined))


def _next_turn(args: AskArgs, earlier: Earlier) -> Turn:
    """Return the caller's next words, or what came of the functions that the last answer asked for.

    Raises:
        InputError: It is not what the last answer waits for.
    """
    results = [part for _, turn in _turns(args.messages) for part in turn.parts]
    words = (*earlier.given, Text(args.prompt)) if args.prompt else ()
    turn = Turn("user", (*results, *words))
    if earlier.calls_functions and not results:
        raise InputError(
            "continue_from: that answer waits for what came of its functions.",
            advice='Give messages with {"role": "function", "name", "id", "content"} for each call.',
        )
    if results:
        _, turn = _pair(("continue_from", earlier.turns[-1]), ("messages", turn))
    return turn


def _policy(job: Job) -> Policy:
    """Return the policy of a job: one that goes on from a search looks up its links, as that did."""
    return SEARCHING if job.call.search else PLAIN


def _call(args: AskArgs, model: str, attached: tuple[Part, ...]) -> Call:
    last: tuple[Part, ...] = (*attached, Text(args.prompt)) if args.prompt else ()
    return Call(
        model=model,
        turns=write_turns(args.messages, last),
        system="\n\n".join(part for part in (args.system, _instruction(args.messages)) if part) or None,
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


def _tell_ignored(call: Call) -> Iterator[str]:
    """Yield what of a call its model is known to ignore, a sentence each."""
    row = find(call.model)
    if call.temperature is not None and row is not None and not row.temperature:
        yield f"{call.model} ignores temperature."


def _render(view: View, page: Page) -> Reply:
    if nothing_to_give(view):
        return tell_failure(view)
    calls = list_calls(_named_as_offered(view))
    text, listed = view.answer.text, ""
    if view.job.call.search:
        from runapi_mcp.citations.annotate import annotate

        cited = view.once(
            "annotated", lambda: annotate(view.answer, _MOST_SOURCES, lambda _: True, view.links)
        )
        text, listed = cited.text, f"Sources:\n{source_lines(cited.sources)}" if cited.sources else ""
    shown = _tell_thoughts(view) + text
    paged = Paged(view, "\n\n".join(part for part in (shown, _tell_calls(calls)) if part), page)
    if not calls:
        return paged.reply(paged.shown, listed=listed)
    # A program runs functions: it gets them as they are, whole, beside the text.
    content: JsonObject = {"text": shown if paged.whole else paged.shown, "calls": list[JsonValue](calls)}
    return paged.reply(paged.shown, also=[*_doubt(view), _tell_onward(view)], content=content)


def _is_text_alone(view: View) -> bool:
    """Whether the reply is the text and nothing before, after or in it."""
    call = view.job.call
    return not (call.search or call.include_thoughts or view.answer.function_calls)


def _named_as_offered(view: View) -> Iterator[FunctionCall]:
    """Yield the calls; in whose names Gemini put the namespace that it sees functions in, without it.

    Google's own reports call functions so, and some calls come so (massgen/MassGen#624).
    """
    offered = {function.name for function in view.job.call.functions}
    for call in view.answer.function_calls:
        bare = _NAMESPACE.sub("", call.name, count=1)
        yield replace(call, name=bare) if call.name not in offered and bare in offered else call


_NAMESPACE: Final = re.compile(r"\Adefault_api[.:]")


def _doubt(view: View) -> Iterator[str]:
    """Yield what must be said of calls that cannot be run as they are, a sentence each."""
    offered = {function.name for function in view.job.call.functions}
    for call in islice(_named_as_offered(view), _MOST_DOUBTS):
        name = one_line(call.name, 80)
        if call.name not in offered:
            yield f"{name} is none of the functions that were offered: tell the model so as its result."
        elif read_object(call.arguments or "{}") is None:
            yield f"The arguments of {name} are no JSON object: tell the model so as its result."


_MOST_DOUBTS: Final = 5


def _tell_onward(view: View) -> str:
    """Return how to give what came of the functions: by the handle, if what was asked is kept."""
    result = '{"role": "function", "name", "id", "content"} for each result'
    if view.job.call.turns and view.job.call.functions:
        return f'To go on, call ask_gemini with continue_from "{view.handle}" and messages: {result}.'
    return (
        "To go on, call ask_gemini again with the same messages and functions, then this turn as "
        f'{{"role": "assistant", "content", "function_calls"}} and {result}.'
    )


def _tell_thoughts(view: View) -> str:
    wanted = view.job.call.include_thoughts and view.answer.thoughts
    return f"Thinking:\n{view.answer.thoughts.strip()}\n\nAnswer:\n" if wanted else ""


def _tell_calls(calls: list[JsonObject]) -> str:
    if not calls:
        return ""
    shown = escape_unseen(json.dumps(calls, ensure_ascii=False))
    return f"The model asks for these functions to be run:\n{shown}"


_MOST_SOURCES: Final = 10

ASK = Tool(
    name="ask_gemini",
    title="Ask Gemini",
    description=(
        "Ask a Gemini model: a second opinion, a review, long context, images, PDF, audio or video. "
        "It sees what you send and continue_from, not the web (see search_web). "
        "Returns text; if not done in time, what there is and a handle for get_result."
    ),
    args=AskArgs,
    perform=_ask,
    render=_render,
    apart=_is_text_alone,
    policy=_policy,
    use="a second opinion or a review by another model, questions over long text, or about images, PDF, "
    "audio and video; it sees only what you send.",
    example={"prompt": "Why is the sky blue?"},
    hint="second opinion, code review, long document, image, PDF, audio, video",
)
