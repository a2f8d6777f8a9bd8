"""Parameters that tools share, and what is wrong with them in words that say what would be right."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Annotated, Final, TypeAlias, TypeVar, get_args

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import ErrorDetails

from runapi_mcp.beside import beside
from runapi_mcp.errors import InputError
from runapi_mcp.files import ResourceLink
from runapi_mcp.models import WISHES
from runapi_mcp.printable import one_line
from runapi_mcp.settings import bare_model_id, read_model_id
from runapi_mcp.tools.coercion import (
    PROMPT_CHARS,
    Meant,
    is_data,
    list_of,
    read_choice,
    read_object_or_text,
    read_word,
    unless,
)
from runapi_mcp.wire.types import Effort, JsonObject

_MOST_LINES: Final = 20
_WANTED: Final = {
    "string_type": "a string",
    "string_unicode": "text in UTF-8",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object"),
}
"""What should have been given, by pydantic's name for what was."""
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_SYNONYMS: Final = (
    frozenset({"prompt", "query", "question", "q", "input", "text", "content", "message", "task"}),
    frozenset({"model", "model_id", "model_name"}),
    frozenset({"system", "instructions", "system_prompt", "system_instruction", "developer"}),
    frozenset({"files", "images", "attachments", "documents", "paths", "urls"}),
    frozenset({"functions", "tools", "function_declarations"}),
    frozenset({"function_calls", "tool_calls"}),
    frozenset({"parameters", "input_schema", "inputSchema", "schema"}),
    frozenset({"reasoning_effort", "effort", "thinking_level", "thinking_budget"}),
    frozenset({"max_output_tokens", "max_tokens", "max_completion_tokens"}),
    frozenset({"max_sources", "max_results", "num_results", "limit", "count"}),
    frozenset({"include_domains", "domains", "sites", "site", "allowed_domains"}),
    frozenset({"exclude_domains", "blocked_domains"}),
    frozenset({"recency", "freshness", "time_range"}),
    frozenset({"since", "after", "start_date", "from_date", "after_date", "published_after"}),
    frozenset({"until", "before", "end_date", "to_date", "before_date", "published_before"}),
    frozenset({"wait_seconds", "wait", "timeout", "timeout_seconds"}),
    frozenset({"handle", "id", "task_id", "generation", "generation_id"}),
)
"""Names that other tools have for what these take, by what they mean."""


def teach(error: ValidationError, args: type[BaseModel]) -> InputError:
    """Return an error with one line for each argument that is wrong, saying what would be right."""
    problems = error.errors(include_url=False)[:_MOST_LINES]
    return InputError("\n".join(dict.fromkeys(_line(problem, args) for problem in problems)), advice="")


def _line(problem: ErrorDetails, args: type[BaseModel]) -> str:
    where, wrong = _place(problem["loc"]), _wrong(problem, args)
    # What is wrong with several arguments together names them itself.
    return f"{where}: {wrong}" if where else wrong


def _wrong(problem: ErrorDetails, args: type[BaseModel]) -> str:
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown argument; {_instead(problem['loc'], args)}"
        case "missing":
            return "required."
        case "value_error":
            return f"{problem['msg'].removeprefix('Value error, ')}."
        case "recursion_loop":
            return "nested too deeply."
        case _:
            return f"must {_should(problem)}, not {_show(problem['input'])}."


def _should(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "string_too_long":
        return f"have at most {context['max_length']:,} characters"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"be {words} {context[key]:,.0f}"
    if wanted := _WANTED.get(kind) or context.get("expected"):
        return f"be {wanted}"
    for lead in ("Input should ", "String should "):
        if problem["msg"].startswith(lead):
            return problem["msg"].removeprefix(lead)
    return f"be right ({problem['msg']})"


def _show(given: object) -> str:
    match given:
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case str():
            return json.dumps(one_line(given, 40), ensure_ascii=False)
        case None | bool() | int() | float():
            return one_line(json.dumps(given), 40)
        case _:
            return f"a {type(given).__name__}"


def _instead(location: Sequence[int | str], args: type[BaseModel]) -> str:
    """Return what to write for an argument that is not known there."""
    taker = _model_at(location[:-1], args)
    known = [field.alias or name for name, field in taker.model_fields.items()]
    meant = _suggest(str(location[-1]), known)
    what = "this tool" if taker is args else "this"
    return f"did you mean {meant}?" if meant else f"{what} takes {', '.join(known) or 'none'}."


_MOST_NAME: Final = 100


def _suggest(name: str, known: Sequence[str]) -> str | None:
    same = {word for group in _SYNONYMS if name in group for word in group}
    # Comparing costs the square of the length; no name here is nearly so long.
    close = difflib.get_close_matches(name, known, n=1) if len(name) <= _MOST_NAME else []
    return next((word for word in known if word in same), close[0] if close else None)


def _model_at(location: Iterable[int | str], model: type[BaseModel]) -> type[BaseModel]:
    """Return the model of what stands at a place in the arguments of `model`."""
    for part in location:
        named = (field for name, field in model.model_fields.items() if part == (field.alias or name))
        field = next(named, None)
        model = (_model_in(field.annotation) if field else None) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that a type is, or is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _place(location: Sequence[int | str]) -> str:
    """Return where something stands, as one would write it; empty for the arguments together."""
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return one_line(place, 80) or ('""' if location else "")


_MOST_FILES = 16

S = TypeVar("S", bound=Sized)


def _read_model(value: object) -> object:
    """Read a model's id or a wish for one."""
    bare = read_choice(value)
    if isinstance(bare, str):
        bare = bare_model_id(bare)
        return bare.lower() if bare.lower() in WISHES else bare
    return bare


def _read_files(value: object) -> object:
    """Read files; a text of several has one a line, but base64 may be broken into lines too."""
    if isinstance(value, str) and is_data(value):
        return [value]
    return _read_list(value)


def _read_file(value: object) -> object:
    """Read a file: a path, a URL, a resource link, or an object that holds one by another name."""
    if not isinstance(value, dict):
        return value if isinstance(value, str) and is_data(value) else read_word(value)
    if inline := _read_inline(value):
        return inline
    for name in ("resource", "image_url", "file", "path", "file_path", "url"):
        match value.get(name):
            case str(where):
                return {"uri": where} | value
            case {"uri": str(where)} | {"url": str(where)}:
                return {"uri": where} | value
            case _:
                continue
    return value


def _read_inline(value: Mapping[str, object]) -> str:
    """Return a file that came as base64 in an object, MCP's, Gemini's or Anthropic's, as a data: URL."""
    for held in (value, *(value.get(name) for name in ("inlineData", "inline_data", "source", "resource"))):
        if isinstance(held, Mapping):
            data = next((held[name] for name in ("data", "blob") if isinstance(held.get(name), str)), None)
            kind = next((held[name] for name in _KINDS if isinstance(held.get(name), str)), None)
            if data and kind and not is_data(str(data)):
                return f"data:{kind};base64,{data}"
    return ""


_KINDS: Final = ("mimeType", "mime_type", "media_type")

_read_list: Final = list_of(_read_file, "\n")


def _model_id(text: str) -> str:
    try:
        return read_model_id(text)
    except ValueError as wanted:
        raise ValueError(f"must be {wanted}") from None


def at_most(count: int, what: str) -> AfterValidator:
    """Return a validator that takes no more than `count` items; `what` they are is for who gives more."""

    def few(items: S) -> S:
        if len(items) > count:
            raise ValueError(f"must have at most {count} {what}, not {len(items):,}")
        return items

    return AfterValidator(few)


def choices(*words: str, about: str) -> WithJsonSchema:
    """Return what a list of tools says of words to choose from.

    "any" is none of them: a strict mode makes a model choose, and it counts as not given.
    """
    return WithJsonSchema({"type": "string", "enum": [*words, "any"], "description": about})


def either(wanted: str) -> WrapValidator:
    """Return a validator of a union: one line says what is wanted, and not one for each branch."""

    def read(given: object, branches: ValidatorFunctionWrapHandler) -> object:
        try:
            return branches(given)
        except ValidationError as error:
            deep = any(problem["type"] == "recursion_loop" for problem in error.errors())
            raise ValueError("nested too deeply" if deep else f"must be {wanted}") from None

    return WrapValidator(read)


Prompt: TypeAlias = Annotated[str, Field(max_length=PROMPT_CHARS), WithJsonSchema({"type": "string"})]
ModelId: TypeAlias = Annotated[
    str,
    Meant(_read_model),
    Field(description="Unset: a fast one that fits. Or strongest, cheapest, an id of list_models."),
    AfterValidator(_model_id),
]
Files: TypeAlias = Annotated[
    list[Annotated[str | ResourceLink, either("a path or a URL, as a string")]],
    Meant(_read_files),
    at_most(_MOST_FILES, "files"),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "description": "Paths in the server's folder or others it may read (~/ works), folders and globs "
            "of text, git:REF..REF of commits, https:// files, YouTube, data: URLs. No web pages.",
        }
    ),
]
_MOST_CHARS: Final = 200
_MOST_AROUND: Final = 2_000
_HANDLES: Final = re.compile(r"\bg_[A-Za-z0-9_-]+")


def read_handle(handle: str) -> str:
    """Return a handle without what may stand around it: its resource's address, or words."""
    found = _HANDLES.findall(handle[:_MOST_AROUND])
    bare: str = found[0] if len({*found}) == 1 else handle.removeprefix("generation://")
    if not bare or len(bare) > _MOST_CHARS:
        raise ValueError("must be the handle that an earlier result gave, as it stands there")
    return bare


ContinueFrom: TypeAlias = Annotated[
    str,
    Meant(read_word),
    AfterValidator(read_handle),
    WithJsonSchema({"type": "string"}),
]
ObjectOrText: TypeAlias = Annotated[
    dict[str, pydantic.JsonValue] | str,
    Meant(read_object_or_text),
    either("an object, or a string that holds one as JSON"),
]
ReasoningEffort: TypeAlias = Annotated[
    Effort, choices("low", "medium", "high", about="How hard to think; any: as it does by itself.")
]
WaitSeconds: TypeAlias = Annotated[
    float,
    Meant(unless(-1)),
    Field(ge=0, le=3600),
    WithJsonSchema({"type": "number", "description": "Seconds to wait; best -1: as this host bears."}),
]
Fresh: TypeAlias = Annotated[bool, Field(description="Ask anew even if the same call runs or waits.")]
Whole: TypeAlias = Annotated[int, WithJsonSchema({"type": "integer"})]
"""A whole number whose bounds are taught when they are missed, not listed for every host."""
Number: TypeAlias = Annotated[float, WithJsonSchema({"type": "number"})]

_MOST_VALUES_HERE: Final = 1_000
"""Members and items of a schema that is read on the event loop; it takes some milliseconds."""


async def open_schema(given: JsonObject | str) -> tuple[JsonObject, tuple[str, ...]]:
    """Return a caller's schema as it is meant, and what is to be said of how it was taken.

    Raises:
        InputError: It is none, or asks for nothing.
    """
    # What knows JSON Schema is loaded with the first call that has one.
    from runapi_mcp.extraction.model_json import parse_schema
    from runapi_mcp.wire.schema.read import read_schema
    from runapi_mcp.wire.schema.subschemas import count_values

    schema = parse_schema(given)
    large = count_values(schema) > _MOST_VALUES_HERE
    reading = await beside(read_schema, schema) if large else read_schema(schema)
    return reading.schema, reading.notes
