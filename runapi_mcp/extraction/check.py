"""A caller's schema and a model's answer: is the one a schema, and does the other conform to it.

Whatever is judged here is a stranger's, and may take for ever: it is done in a process that can be stopped
(:mod:`runapi_mcp.extraction.worker`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, Final, TypeAlias, TypeVar, cast

import jsonschema
from jsonschema import FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validates, validator_for
from referencing.exceptions import Unresolvable

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.exact_json import Exact, schema_of
from runapi_mcp.extraction.formats import NoPattern, format_checker, read_pattern
from runapi_mcp.extraction.violations import Errors, Violation, list_lines, show
from runapi_mcp.printable import one_line
from runapi_mcp.wire.schema.references import Dangling, References, metaschemas
from runapi_mcp.wire.types import JsonObject, JsonValue

_T = TypeVar("_T")
_Rule: TypeAlias = Callable[..., Iterator[ValidationError]]
"""What judges a keyword: given the validator, the keyword's value, the instance and the subschema."""

MOST_VIOLATIONS: Final = 20
_MOST_FLAWS: Final = 5
_MOST_OR: Final = 3
_DRAFTS: Final = "2020-12, 2019-09 or draft-07"
_KINDS: Final[Mapping[str, type[Validator]]] = {
    "draft4": jsonschema.Draft4Validator,
    "draft6": jsonschema.Draft6Validator,
    "draft7": jsonschema.Draft7Validator,
    "draft2019-09": jsonschema.Draft201909Validator,
    "draft2020-12": jsonschema.Draft202012Validator,
}


# ---------------------------------------------------------------- is it a schema


def read_schema(given: JsonObject | str) -> JsonObject:
    """Return the schema that an argument gives, as an object or as JSON text, and checked.

    Raises:
        InputError: It is not JSON, not an object, or no schema that can be used; see :func:`check_schema`.
    """
    schema = schema_of(given)
    check_schema(schema)
    return schema


def check_schema(schema: JsonObject) -> None:
    """See that it is a schema which answers can be judged by.

    Raises:
        InputError: It is no valid JSON Schema of a draft that is known, refers to something that it does
            not hold, or asks for nothing in words that are none of JSON Schema's.
    """
    try:
        kind = _kind(schema)
        if flaws := _find_flaws(kind, schema):
            raise InputError(
                f"schema: not a valid JSON Schema at {'; at '.join(list_lines(flaws, _MOST_FLAWS))}."
            )
        References(schema)
    except Dangling as reference:
        raise InputError(
            f"schema: $ref {one_line(str(reference), 80)!r} points outside the schema, or nowhere.",
            advice="Only references within the schema (#/…) are followed; put what it points to in $defs.",
        ) from None
    except RecursionError:
        raise InputError("schema: nested too deeply.") from None


def _kind(schema: JsonObject) -> type[Validator]:
    declared = schema.get("$schema")
    if not isinstance(declared, str | None):
        raise InputError("schema: $schema must be a string.")
    # Draft 3 stands for the drafts that are not known: nobody's schema is still one.
    known = validator_for(schema, default=jsonschema.Draft3Validator)
    if declared and known is jsonschema.Draft3Validator:
        raise InputError(
            f"schema: $schema {one_line(str(declared), 80)!r} is no draft that is known here.",
            advice=f"Use {_DRAFTS}, or leave $schema out.",
        )
    return known if declared else jsonschema.Draft202012Validator


def _find_flaws(kind: type[Validator], schema: JsonObject) -> list[Violation]:
    known = kind.META_SCHEMA
    return Errors(_judging(kind)(known, format_checker=_patterns()), known).of(schema)


@cache
def _patterns() -> FormatChecker:
    """Return what knows only which texts are regular expressions; references are followed anyhow."""
    checker = FormatChecker(formats=())
    checker.checks("regex")(format_checker().checkers["regex"][0])
    return checker


# ---------------------------------------------------------------- does a value conform


@dataclass(frozen=True)
class Judge:
    """Judges values by one schema, formats included; it takes as long as it takes.

    Attributes:
        schema: The schema.

    Raises:
        InputError: The schema refers to itself without end; raised by every method.
    """

    schema: JsonObject

    def violations(self, value: JsonValue) -> list[str]:
        """Return what is wrong with `value`: a line each, by JSON Pointer, at most 20 and a count."""
        return list_lines(self.find(value), MOST_VIOLATIONS)

    def find(self, value: JsonValue) -> list[Violation]:
        """Return all that is wrong with `value`, in the order of its places."""
        return self._judge(lambda: self._errors.of(value))

    def conforms(self, value: JsonValue) -> bool:
        """Whether nothing is wrong with `value`."""
        return self._judge(lambda: self._errors.validator.is_valid(value))

    @cached_property
    def _errors(self) -> Errors:
        kind = _judging(_kind(self.schema))
        made = kind(self.schema, registry=metaschemas(), format_checker=format_checker())
        return Errors(made, self.schema)

    def _judge(self, judge: Callable[[], _T]) -> _T:
        try:
            return judge()
        except Unresolvable as error:
            raise InputError(f"schema: a $ref leads nowhere: {one_line(str(error), 120)}.") from None
        except NoPattern as error:
            raise InputError(f"schema: a regular expression cannot be read: {error}.") from None
        except RecursionError:
            raise InputError("schema: it refers to itself without end.") from None


def judge_inner_drafts() -> None:
    """Judge subschemas that name their draft by the rules of this module, too, in all of this process."""
    for version, kind in _KINDS.items():
        validates(version)(cast("Any", _judging(kind)))


# ---------------------------------------------------------------- rules of our own


@cache
def _judging(kind: type[Validator]) -> type[Validator]:
    """Return a draft's validator with these rules where it has them."""
    rules = {name: rule for name, rule in _RULES.items() if name in kind.VALIDATORS}
    made: type[Validator] = extend(kind, rules)  # type: ignore[no-untyped-call]  # no stubs
    return made


def _judge_multiple(_: Validator, step: float, value: object, _schema: object) -> Iterator[ValidationError]:
    """Judge multipleOf in decimal: 19.99 is a multiple of 0.01."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    try:
        whole = _decimal(value) % _decimal(step) == 0
    except ArithmeticError:
        whole = False
    if not whole:
        yield ValidationError(f"{show(value)} is not a multiple of {show(step)}")


def _decimal(number: float) -> Decimal:
    return Decimal(number.digits) if isinstance(number, Exact) else Decimal(repr(number))


def _judge_unique(_: Validator, wanted: object, value: object, _schema: object) -> Iterator[ValidationError]:
    """Judge uniqueItems in the time that it takes to read the items once."""
    if wanted and isinstance(value, list):
        again = next(find_repeated(value), None)
        if again is not None:
            yield ValidationError(f"the item {show(value[again])} stands in the list twice")


def find_repeated(items: list[JsonValue]) -> Iterator[int]:
    """Yield the places of items that equal an earlier one."""
    seen: set[str] = set()
    for place, item in enumerate(items):
        known = identity(item)
        if known in seen:
            yield place
        seen.add(known)


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


def _judge_pattern(_: Validator, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and not read_pattern(pattern)(value):
        yield ValidationError(f"{show(value)} does not match the regular expression {one_line(pattern, 200)}")


def _judge_by_name(
    validator: Validator, patterns: JsonObject, value: object, _schema: object
) -> Iterator[ValidationError]:
    """Judge patternProperties."""
    for pattern, rule in patterns.items() if isinstance(value, dict) else ():
        matches = read_pattern(pattern)
        for name, member in cast("JsonObject", value).items():
            if matches(name):
                yield from _descend(validator, member, rule, path=name, schema_path=pattern)


def _judge_further(
    validator: Validator, rule: JsonValue, value: object, schema: JsonObject
) -> Iterator[ValidationError]:
    """Judge additionalProperties."""
    further = name_further(value, schema) if isinstance(value, dict) else []
    if rule is False and further:
        more = f" and {len(further) - _MOST_OR} more" if len(further) > _MOST_OR else ""
        names = ", ".join(map(show, further[:_MOST_OR]))
        yield ValidationError(f"{names}{more} must not be there: the schema allows no further members")
    elif rule is not False:
        for name in further:
            yield from _descend(validator, cast("JsonObject", value)[name], rule, path=name)


def name_further(value: JsonObject, schema: JsonObject) -> list[str]:
    """Return the members that neither `properties` nor `patternProperties` of a subschema speaks of."""
    named, patterns = schema.get("properties"), schema.get("patternProperties")
    matches = [read_pattern(pattern) for pattern in patterns] if isinstance(patterns, dict) else []
    return [
        name
        for name in value
        if not (isinstance(named, dict) and name in named) and not any(match(name) for match in matches)
    ]


def _judge_required(
    _: Validator, names: list[str], value: object, _schema: object
) -> Iterator[ValidationError]:
    for name in names if isinstance(value, dict) else ():
        if name not in cast("JsonObject", value):
            yield ValidationError(f"the member {show(name)} is missing")


def _judge_dependent(
    _: Validator, needs: dict[str, list[str]], value: object, _schema: object
) -> Iterator[ValidationError]:
    """Judge dependentRequired."""
    for name, others in needs.items() if isinstance(value, dict) else ():
        for other in others if name in cast("JsonObject", value) else ():
            if other not in cast("JsonObject", value):
                yield ValidationError(f"the member {show(other)} is missing, which goes with {show(name)}")


def _descend(validator: Any, *about: Any, **places: Any) -> Iterator[ValidationError]:  # noqa: ANN401  # any JSON
    """Judge a part of a value; the method is public, the protocol does not have it."""
    yield from validator.descend(*about, **places)


_RULES: Final[dict[str, _Rule]] = {
    "multipleOf": _judge_multiple,
    "uniqueItems": _judge_unique,
    "pattern": _judge_pattern,
    "patternProperties": _judge_by_name,
    "additionalProperties": _judge_further,
    "required": _judge_required,
    "dependentRequired": _judge_dependent,
}
