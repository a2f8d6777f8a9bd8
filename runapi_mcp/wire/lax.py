"""JSON from upstream → validated models, with the three mends that real streams need."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema, core_schema

from runapi_mcp.errors import ProtocolError
from runapi_mcp.printable import quote_text
from runapi_mcp.wire.json_text import is_crowded, without_surrogates

MOST_VALUES: Final = 20_000
"""About how many values one document of upstream's may hold; a long text is one."""


class Lax(BaseModel):
    """A model of a stranger's JSON: what is not declared is ignored."""

    # Built when the first is read: a call speaks one dialect, and most chunks are of one kind.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class _Forgiving:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


Value = TypeVar("Value")
Maybe: TypeAlias = Annotated[Value | None, _Forgiving()]
"""A field that the answer does not depend on: `None` if it is odd. The text itself is never one."""

Word: TypeAlias = Annotated[str, BeforeValidator(lambda said: str(said) if type(said) is int else said)]
"""A word of an enum, which may come as its number."""

Name: TypeAlias = Annotated[str, Field(max_length=200)]
"""The name of a model: it is told with each result."""

Model = TypeVar("Model", bound=BaseModel)


def read_documents(model: type[Model], text: str) -> Sequence[Model]:
    """Validate `text` as one JSON document of `model`, or as one a line where that fails.

    Lone surrogate escapes are replaced (docs/wire.md §7.1); two documents in one event, which a
    missing blank line makes of two events, are read as two; an array is read item by item.

    Raises:
        ProtocolError: It is not JSON, not of the model's shape, or holds far too many values.
    """
    # A chunk is nearly always too short for that, and there are many.
    if len(text) > 2 * MOST_VALUES and is_crowded(text, MOST_VALUES):
        raise ProtocolError(f"RunAPI sent a chunk of more than {MOST_VALUES:,} values.")
    try:
        return (_reader(model)(text),)
    except ValidationError as error:
        first = error
    try:
        return [model.model_validate(piece) for piece in _pieces(text, first)]
    except ValidationError as error:
        raise _unreadable(text, error) from None


@cache
def _reader(model: type[Model]) -> Callable[[str], Model]:
    """Return what `model_validate_json` calls, which itself takes a sixth of the time of a chunk."""
    model.model_rebuild()
    return TypeAdapter(model).validator.validate_json


def lenient(model: type[Model], value: object) -> Model | None:
    """Validate a part of a chunk that the answer does not depend on; `None` if it is odd."""
    if value is None:
        return None
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _pieces(text: str, first: ValidationError) -> list[object]:
    for candidates in ([text], [line for line in text.split("\n") if line.strip()]):
        try:
            return [_clean(item) for candidate in candidates for item in _items(_load(candidate))]
        except (ValueError, RecursionError):
            continue
    raise _unreadable(text, first) from None


def _load(text: str) -> object:
    return json.loads(text, parse_int=_number)


def _number(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:
        # More digits than Python makes a number of.
        return float(digits)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _clean(value: object) -> object:
    match value:
        case str():
            return without_surrogates(value)
        case list():
            return [_clean(item) for item in value]
        case dict():
            return {without_surrogates(key): _clean(item) for key, item in value.items()}
        case _:
            return value


def _unreadable(text: str, error: ValidationError) -> ProtocolError:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the whole"
    return ProtocolError(
        f"RunAPI sent a chunk that could not be read ({where}: {problem['msg']}): {quote_text(text)}."
    )
