"""JSON from a model, kept as it was written: numbers to the digit, no key twice, no NaN.

A number with a fraction or an exponent is a float that remembers its digits. Text is written from
those digits; a structured result carries the nearest float, which is all that a JSON reader with
doubles would make of them, and names the numbers of which that is not the whole truth. So it does with
the integers beyond 2**53, which hosts in JavaScript show as their neighbours.
"""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NoReturn

from runapi_mcp.errors import InputError
from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_SAFE: Final = 2**53 - 1
"""The integers up to here are told apart by readers of JSON that have doubles only (RFC 8259, section 6)."""
MOST_DEPTH: Final = 200


class NotJson(ValueError):
    """A text that is not JSON; the message says where."""


class Exact(float):
    """A number that remembers the digits it was written in."""

    __slots__ = ("digits",)
    digits: str

    def __new__(cls, digits: str) -> "Exact":
        """Read a JSON number.

        Raises:
            NotJson: It is too large for a double, which is what readers of JSON have.
        """
        number = super().__new__(cls, digits)
        if number in (float("inf"), float("-inf")):
            raise NotJson(f"the number {digits[:40]} is too large")
        number.digits = digits
        return number

    @property
    def whole_truth(self) -> bool:
        """Whether the float, as it is usually written, is the number."""
        return Decimal(self.digits) == Decimal(float.__repr__(self))


def read_json(text: str) -> JsonValue:
    """Return the JSON that `text` is.

    Raises:
        NotJson: It is not JSON, repeats a key, holds NaN, or is nested deeper than 200 levels.
    """
    try:
        value: JsonValue = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError as error:
        raise (
            error if isinstance(error, NotJson) else NotJson("it holds a number of too many digits")
        ) from None
    if _depth(value) > MOST_DEPTH:
        raise NotJson("nested too deeply")
    return value


def schema_of(given: JsonObject | str) -> JsonObject:
    """Return what an argument gives, as an object or as JSON text.

    Raises:
        InputError: It is not JSON, or not an object.
    """
    if not isinstance(given, str):
        return given
    try:
        schema = read_json(given)
    except NotJson as error:
        raise InputError(f"schema: not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise InputError("schema: must be a JSON object.")
    return schema


def write_json(value: JsonValue, *, indent: int = 2) -> str:
    """Return `value` as JSON text, with the digits its numbers came in."""
    return "".join(_pieces(value, "\n", " " * indent))


def list_inexact(value: JsonValue) -> JsonObject:
    """Return the numbers that a double does not hold, as written, by JSON Pointer; at most 100."""
    found: JsonObject = {}
    todo: list[tuple[str, JsonValue]] = [("", value)]
    while todo and len(found) < 100:
        at, item = todo.pop()
        match item:
            case Exact():
                if not item.whole_truth:
                    found[at or "(root)"] = item.digits
            case int() if abs(item) > _MOST_SAFE:
                found[at or "(root)"] = str(item)
            case dict():
                todo += [(f"{at}/{escape_key(key)}", member) for key, member in item.items()]
            case list():
                todo += [(f"{at}/{index}", member) for index, member in enumerate(item)]
    return dict(sorted(found.items()))


def _pieces(value: JsonValue, line: str, step: str) -> Iterator[str]:
    match value:
        case Exact():
            yield value.digits
        case dict() if value:
            for count, (key, member) in enumerate(value.items()):
                yield f"{',' if count else '{'}{line}{step}{json.dumps(key, ensure_ascii=False)}: "
                yield from _pieces(member, line + step, step)
            yield f"{line}}}"
        case list() if value:
            for count, member in enumerate(value):
                yield f"{',' if count else '['}{line}{step}"
                yield from _pieces(member, line + step, step)
            yield f"{line}]"
        case _:
            yield json.dumps(value, ensure_ascii=False)


def _depth(value: JsonValue) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        item, depth = todo.pop()
        deepest = max(deepest, depth)
        if depth <= MOST_DEPTH and isinstance(item, dict | list):
            members = item.values() if isinstance(item, dict) else item
            todo += [(member, depth + 1) for member in members]
    return deepest


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise NotJson(f"the key {json.dumps(twice[:60], ensure_ascii=False)} stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=Exact, strict=True
)
