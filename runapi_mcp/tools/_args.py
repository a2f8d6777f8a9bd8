"""Parameters that tools share, described once."""

from collections.abc import Sized
from typing import Annotated, TypeAlias, TypeVar

import pydantic
from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from runapi_mcp.files.attaching import ResourceLink
from runapi_mcp.settings import read_model_id
from runapi_mcp.wire.types import Effort

PROMPT_CHARS = 4_000_000
"""Characters of one text argument: about Gemini's input limit of a million tokens."""
_MOST_FILES = 16

S = TypeVar("S", bound=Sized)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > PROMPT_CHARS:
        raise ValueError(f"must have at most {PROMPT_CHARS:,} characters")
    return text


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


def either(wanted: str) -> WrapValidator:
    """Return a validator of a union: one line says what is wanted, and not one for each branch."""

    def read(given: object, branches: ValidatorFunctionWrapHandler) -> object:
        try:
            return branches(given)
        except ValidationError as error:
            deep = any(problem["type"] == "recursion_loop" for problem in error.errors())
            raise ValueError("nested too deeply" if deep else f"must be {wanted}") from None

    return WrapValidator(read)


Prompt: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
ModelId: TypeAlias = Annotated[
    str, Field(description="Best unset; see list_models."), AfterValidator(_model_id)
]
Files: TypeAlias = Annotated[
    list[Annotated[str | ResourceLink, either("a path or a URL, as a string")]],
    at_most(_MOST_FILES, "files"),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "description": "Paths, file://, https:// or data: URLs.",
        }
    ),
]
ObjectOrText: TypeAlias = Annotated[
    dict[str, pydantic.JsonValue] | str, either("an object, or a string that holds one as JSON")
]
ReasoningEffort: TypeAlias = Annotated[Effort, Field(description="How hard to think.")]
WaitSeconds: TypeAlias = Annotated[
    float,
    Field(ge=0, le=3600),
    WithJsonSchema({"type": "number", "description": "Seconds until a handle comes; best unset."}),
]
Fresh: TypeAlias = Annotated[bool, Field(description="Ask anew even if the same call runs.")]
Whole: TypeAlias = Annotated[int, WithJsonSchema({"type": "integer"})]
"""A whole number whose bounds are taught when they are missed, not listed for every host."""
Number: TypeAlias = Annotated[float, WithJsonSchema({"type": "number"})]
