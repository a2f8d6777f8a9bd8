"""JSON text from upstream → validated models, with the three mends real streams need; JSON Pointers."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from runapi_mcp.errors import ProtocolError, quoted
from runapi_mcp.wire.types import JsonValue


def escaped(key: str) -> str:
    """Return a key as a part of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


class Lax(BaseModel):
    """A model of a stranger's JSON: what is not declared is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Forgiving:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


Value = TypeVar("Value")
Maybe: TypeAlias = Annotated[Value | None, _Forgiving()]
"""A field that the answer does not depend on: `None` if it is odd. The text itself is never one."""

Model = TypeVar("Model", bound=BaseModel)

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can spell and UTF-8 cannot, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.translate(_SURROGATES)
    return text


def dumped(value: object) -> bytes:
    """Return `value` as compact UTF-8 JSON, lone surrogates replaced.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    return without_surrogates(_dumps(value)).encode()


PIECE: Final = 65_536
"""Characters of a text that are encoded in one go: no other thread runs meanwhile."""


def is_larger(value: JsonValue, most: int) -> bool:
    """Whether the texts in a JSON value have more than `most` characters together."""
    left, waiting = most, [value]
    while waiting and left >= 0:
        match waiting.pop():
            case str() as text:
                left -= len(text)
            case list() as items:
                waiting += items
            case dict() as members:
                left -= sum(map(len, members))
                waiting += members.values()
    return left < 0


def dump_pieces(value: JsonValue) -> Iterator[bytes]:
    """Yield what :func:`dumped` returns in pieces, so that a thread that does it lets others run.

    One call of the encoder holds Python's lock to its end: over a second for 80 MB on a slow machine.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    long: set[int] = set()
    _find_long(value, long)
    for piece in _dump_long(value, long):
        yield without_surrogates(piece).encode()


def _find_long(value: JsonValue, found: set[int]) -> bool:
    """Add the ids of lists and objects with a long text in them; whether a value is such, or such a text."""
    if isinstance(value, str):
        return len(value) > PIECE
    if not isinstance(value, list | dict):
        return False
    items = value if isinstance(value, list) else value.values()
    # Of all of them: the rest has to be found, too, once one is.
    inside = [_find_long(item, found) for item in items]
    if any(inside):
        found.add(id(value))
    return any(inside)


def _dump_long(value: JsonValue, long: set[int]) -> Iterator[str]:
    if isinstance(value, str) and len(value) > PIECE:
        yield '"'
        for at in range(0, len(value), PIECE):
            yield _dumps(value[at : at + PIECE])[1:-1]
        yield '"'
    elif isinstance(value, list) and id(value) in long:
        for place, item in enumerate(value):
            yield "," if place else "["
            yield from _dump_long(item, long)
        yield "]"
    elif isinstance(value, dict) and id(value) in long:
        for place, (name, item) in enumerate(value.items()):
            yield f"{',' if place else '{'}{_dumps(name)}:"
            yield from _dump_long(item, long)
        yield "}"
    else:
        yield _dumps(value)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is; `None` if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_documents(model: type[Model], text: str) -> Iterator[Model]:
    """Validate `text` as one JSON document of `model`, or as one a line where that fails.

    Lone surrogate escapes are replaced (wire notes §8); two documents in one event, which a
    missing blank line makes of two events, are read as two; an array is read item by item.

    Raises:
        ProtocolError: It is not JSON, or not of the model's shape.
    """
    try:
        yield model.model_validate_json(text)
        return
    except ValidationError as error:
        first = error
    for piece in _pieces(text, first):
        try:
            yield model.model_validate(piece)
        except ValidationError as error:
            raise _unreadable(text, error) from None


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
            return [_cleaned(item) for candidate in candidates for item in _items(_loaded(candidate))]
        except (ValueError, RecursionError):
            continue
    raise _unreadable(text, first) from None


def _loaded(text: str) -> object:
    return json.loads(text, parse_int=_number)


def _number(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:
        # More digits than Python makes a number of.
        return float(digits)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _cleaned(value: object) -> object:
    match value:
        case str():
            return without_surrogates(value)
        case list():
            return [_cleaned(item) for item in value]
        case dict():
            return {without_surrogates(key): _cleaned(item) for key, item in value.items()}
        case _:
            return value


def _unreadable(text: str, error: ValidationError) -> ProtocolError:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the whole"
    return ProtocolError(
        f"RunAPI sent a chunk that could not be read ({where}: {problem['msg']}): {quoted(text)}."
    )
