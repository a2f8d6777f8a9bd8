"""The rules of JSON Schema as they are judged here: numbers in decimal, and nothing that takes for ever.

Every rule that is gone through is counted against the allowance of the check, if it has one; those that
may take long by themselves are not begun under one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeAlias

from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from runapi_mcp.extraction.allowance import TooDear, spend
from runapi_mcp.extraction.effort import MOST, effort, is_quick_to_read
from runapi_mcp.extraction.exact import Exact
from runapi_mcp.wire.types import JsonValue

_Rule: TypeAlias = Callable[..., Iterator[ValidationError] | None]
"""What judges a keyword: given the validator, the keyword's value, the instance and the subschema."""


@cache
def judging(kind: type[Validator]) -> type[Validator]:
    """Return a draft's validator with these rules."""
    rules: dict[str, _Rule] = {**kind.VALIDATORS, "multipleOf": _multiple_of, "uniqueItems": _unique_items}
    counted = {name: _counted(rule, _MAY_BE_DEAR.get(name)) for name, rule in rules.items()}
    made: Any = extend(kind, counted)  # type: ignore[no-untyped-call]  # no stubs
    changed = made.evolve

    def evolve(self: Any, **changes: Any) -> Any:  # noqa: ANN401  # jsonschema's own class
        # A subschema that names its draft is judged by that: by these rules, too.
        found = changed(self, **changes)
        if type(found) is made:
            return found
        more = {"registry": found._registry, "_resolver": found._resolver}  # noqa: SLF001  # no other way
        kind: Any = type(found)
        return judging(kind)(found.schema, format_checker=found.format_checker, **more)

    made.evolve = evolve
    ready: type[Validator] = made
    return ready


def _counted(rule: _Rule, dear: Callable[[Any, Any, Any], bool] | None) -> _Rule:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:  # noqa: ANN401  # any JSON
        if spend() and dear is not None and dear(value, instance, schema):
            raise TooDear
        return rule(validator, value, instance, schema)

    return counted


# ---------------------------------------------------------------- what may take long


def _pattern(pattern: str, value: JsonValue, _schema: object) -> bool:
    return isinstance(value, str) and effort(pattern, len(value)) > MOST


def _named_by_pattern(_rule: object, value: JsonValue, schema: Mapping[str, Any]) -> bool:
    """Whether trying all patterns of a subschema on all names of an object may take long."""
    patterns = schema.get("patternProperties")
    if not patterns or not isinstance(value, dict):
        return False
    longest = max(map(len, value), default=0)
    return len(value) * sum(effort(pattern, longest) for pattern in patterns) > MOST


def _format(name: str, value: JsonValue, _schema: object) -> bool:
    return name == "regex" and isinstance(value, str) and not is_quick_to_read(value)


def _always(*_: object) -> bool:
    """Judge it elsewhere: what it takes cannot be told before."""
    return True


_MAY_BE_DEAR: Final[dict[str, Callable[[Any, Any, Any], bool]]] = {
    "pattern": _pattern,
    "patternProperties": _named_by_pattern,
    "additionalProperties": _named_by_pattern,
    "format": _format,
    # Here jsonschema goes through all of a subschema again, at each level of it.
    "unevaluatedItems": _always,
    "unevaluatedProperties": _always,
}


# ---------------------------------------------------------------- rules of our own


def _multiple_of(
    _validator: Validator, step: float, value: object, _schema: object
) -> Iterator[ValidationError]:
    """Judge multipleOf in decimal: 19.99 is a multiple of 0.01."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    try:
        whole = _decimal(value) % _decimal(step) == 0
    except ArithmeticError:
        whole = False
    if not whole:
        yield ValidationError(f"{value!r} is not a multiple of {step}")


def _decimal(number: float) -> Decimal:
    return Decimal(number.digits) if isinstance(number, Exact) else Decimal(repr(number))


def _unique_items(
    _validator: Validator, wanted: object, value: object, _schema: object
) -> Iterator[ValidationError]:
    """Judge uniqueItems in the time that it takes to read the items once."""
    if wanted and isinstance(value, list) and len({identity(item) for item in value}) < len(value):
        yield ValidationError(f"{value!r} has non-unique elements")


def identity(value: JsonValue) -> str:
    """Return a text that two values share if and only if JSON Schema takes them for equal.

    Numbers are equal by value (1 and 1.0), never to a boolean; members in any order.
    """
    match value:
        case dict():
            members = sorted(f"{json.dumps(key)}:{identity(member)}" for key, member in value.items())
            return f"{{{','.join(members)}}}"
        case list():
            return f"[{','.join(map(identity, value))}]"
        case float():
            return hex(int(value)) if value.is_integer() else value.hex()
        case int() if not isinstance(value, bool):
            return hex(value)
        case _:
            return json.dumps(value)
