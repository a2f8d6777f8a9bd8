"""Parameters that tools share, described once; and what is wrong with arguments, in words."""

import difflib
from collections.abc import Iterable
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from runapi_mcp.errors import InputError, one_line
from runapi_mcp.settings import read_model_id
from runapi_mcp.tools._files import ResourceLink
from runapi_mcp.tools._tool import Args
from runapi_mcp.wire.types import Effort

PROMPT_CHARS = 4_000_000
"""Characters of one text argument: about Gemini's input limit of a million tokens."""
_MOST_FILES = 16


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > PROMPT_CHARS:
        raise ValueError(f"must have at most {PROMPT_CHARS:,} characters")
    return text


def _few(files: list[str | ResourceLink]) -> list[str | ResourceLink]:
    if len(files) > _MOST_FILES:
        raise ValueError(f"must have at most {_MOST_FILES} files")
    return files


Prompt: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
ModelId: TypeAlias = Annotated[str, Field(description="See list_models."), AfterValidator(read_model_id)]
Files: TypeAlias = Annotated[
    list[str | ResourceLink],
    AfterValidator(_few),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "description": "Paths, file://, https:// or data: URLs.",
        }
    ),
]
ReasoningEffort: TypeAlias = Annotated[Effort, Field(description="How hard to think.")]
WaitSeconds: TypeAlias = Annotated[
    float,
    Field(ge=0, le=3600),
    WithJsonSchema({"type": "number", "description": "Most seconds to wait."}),
]
Fresh: TypeAlias = Annotated[bool, Field(description="Join no running call.")]
Whole: TypeAlias = Annotated[int, WithJsonSchema({"type": "integer"})]
"""A whole number whose bounds are taught when they are missed, not listed for every host."""
Number: TypeAlias = Annotated[float, WithJsonSchema({"type": "number"})]


def taught(error: ValidationError, args: type[Args]) -> InputError:
    """Return an error with one line for each argument that is wrong, saying what would be right."""
    known = [field.alias or name for name, field in args.model_fields.items()]
    lines = dict.fromkeys(_line(problem, known) for problem in error.errors(include_url=False)[:20])
    return InputError("\n".join(lines), advice="")


def _line(problem: ErrorDetails, known: list[str]) -> str:
    where = _place(problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            close = difflib.get_close_matches(where, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"this tool takes {', '.join(known) or 'none'}."
            return f"{one_line(where, 60)}: unknown argument; {hint}"
        case "missing":
            return f"{where}: required."
        case "value_error":
            return f"{where}: {problem['msg'].removeprefix('Value error, ')}."
        case _:
            return f"{where}: {_plain(problem['msg'])}."


def _place(location: Iterable[int | str]) -> str:
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place or "arguments"


def _plain(message: str) -> str:
    for before, after in (("Input should be", "must be"), ("String should have", "must have"),
                          ("List should have", "must have")):  # fmt: skip
        message = message.replace(before, after)
    return message
