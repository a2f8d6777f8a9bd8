"""What is wrong with arguments, in words that say what would be right."""

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runapi_mcp.errors import InputError, one_line

_MOST_LINES: Final = 20
_WANTED: Final = {
    **dict.fromkeys(("string_type", "string_unicode"), "a string"),
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
    frozenset({"wait_seconds", "wait", "timeout", "timeout_seconds"}),
    frozenset({"handle", "id", "task_id", "generation", "generation_id"}),
)
"""Names that other tools have for what these take, by what they mean."""


def taught(error: ValidationError, args: type[BaseModel]) -> InputError:
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
            return f"must {_should(problem)}, not {_shown(problem['input'])}."


def _should(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"be {words} {context[key]:,.0f}"
    if wanted := _WANTED.get(kind) or context.get("expected"):
        return f"be {wanted}"
    for lead in ("Input should ", "String should "):
        if problem["msg"].startswith(lead):
            return problem["msg"].removeprefix(lead)
    return f"be right ({problem['msg']})"


def _shown(given: object) -> str:
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
    meant = _meant(str(location[-1]), known)
    what = "this tool" if taker is args else "this"
    return f"did you mean {meant}?" if meant else f"{what} takes {', '.join(known) or 'none'}."


def _meant(name: str, known: Sequence[str]) -> str | None:
    same = {word for group in _SYNONYMS if name in group for word in group}
    close = difflib.get_close_matches(name, known, n=1)
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
