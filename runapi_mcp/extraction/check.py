"""A caller's schema and a model's answer: is the one a schema, does the other conform, and what is wrong.

Whatever is judged here is a stranger's, and may take for ever: it is done in a process that can be stopped
(:mod:`runapi_mcp.extraction.worker`). What is wrong is told so that it can be mended: in JSON's words, down
to the leaf. A model does as it is told. If it wrote a dog and left out the breed, and is told that "cat" was
expected, it makes a cat of it, which conforms and is false. So of alternatives the one counts that was
meant.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from itertools import groupby, islice, pairwise
from typing import Any, Final, TypeAlias, TypeVar, cast

import jsonschema
from jsonschema import FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validates, validator_for
from referencing.exceptions import Unresolvable

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.formats import FORMS, NoPattern, make_format_checker, read_pattern
from runapi_mcp.extraction.model_json import Exact, parse_schema
from runapi_mcp.printable import one_line
from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.schema.subschemas import Dangling, References, metaschemas
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


# ---------------------------------------------------------------- what is wrong

Path: TypeAlias = tuple[str | int, ...]

OWN_WORDS: Final = frozenset(
    {
        *("multipleOf", "uniqueItems", "pattern", "patternProperties", "additionalProperties"),
        *("required", "dependentRequired"),
    }
)
"""Rules whose errors come with their message; see `_RULES`."""
_NOTHING: Final = "nothing may stand here"
_MOST_REFERENCES: Final = 20


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a value.

    Attributes:
        path: Where it is.
        message: What is wrong, in JSON's words.
        keyword: The rule that says so.
        error: All that the rule knows.
    """

    path: Path
    message: str
    keyword: str
    error: ValidationError

    def __str__(self) -> str:
        return f"{write_pointer(self.path)}: {self.message}"


def write_pointer(path: Iterable[str | int]) -> str:
    """Return a path as a JSON Pointer (RFC 6901); the root is "(root)"."""
    return "".join(f"/{escape_key(str(part))}" for part in path) or "(root)"


def list_lines(found: list[Violation], most: int) -> list[str]:
    """Return a line for each violation, none twice, at most so many and a count."""
    lines = [*dict.fromkeys(map(str, found))]
    return [*lines[:most], *([f"… and {len(lines) - most} more"] if len(lines) > most else [])]


def show(value: object) -> str:
    """Return a value as JSON, on one line, cut short."""
    written = value.digits if isinstance(value, Exact) else json.dumps(value, ensure_ascii=False)
    return one_line(written, 120)


def _count(value: Any, what: str) -> str:  # noqa: ANN401  # text, list or object
    return f"{len(value)} {what}{'' if len(value) == 1 else 's'}"


_MESSAGES: Final[dict[str, Callable[[Any, Any], str]]] = {
    "type": lambda value, kinds: f"{show(value)} is not of type {_write_kinds(kinds)}",
    "const": lambda value, wanted: f"it must be {show(wanted)}, not {show(value)}",
    "enum": lambda value, wanted: f"{show(value)} is not one of {', '.join(map(show, islice(wanted, 40)))}",
    "format": lambda value, name: f"{show(value)} is not {FORMS.get(name, f'of the format {name}')}",
    "minLength": lambda value, n: f"{show(value)} is too short: {_count(value, 'character')}, at least {n}",
    "maxLength": lambda value, n: f"{show(value)} is too long: {_count(value, 'character')}, at most {n}",
    "minItems": lambda value, n: f"the list is too short: {_count(value, 'item')}, at least {n}",
    "maxItems": lambda value, n: f"the list is too long: {_count(value, 'item')}, at most {n}",
    "minProperties": lambda value, n: f"there are too few members: {len(value)}, at least {n}",
    "maxProperties": lambda value, n: f"there are too many members: {len(value)}, at most {n}",
    "minimum": lambda value, bound: f"{show(value)} is less than the least, {show(bound)}",
    "maximum": lambda value, bound: f"{show(value)} is more than the most, {show(bound)}",
    "exclusiveMinimum": lambda value, bound: f"{show(value)} is not more than {show(bound)}",
    "exclusiveMaximum": lambda value, bound: f"{show(value)} is not less than {show(bound)}",
    "not": lambda value, rule: f"{show(value)} is what must not be: {show(rule)}",
    "contains": lambda _, rule: f"the list does not hold as many items as it must of {show(rule)}",
    "oneOf": lambda value, _: f"{show(value)} conforms to more than one of the alternatives; it must to one",
    "unevaluatedProperties": lambda *_: "it has a member that the schema does not know",
    "unevaluatedItems": lambda *_: "it has an item that the schema does not know",
    "additionalItems": lambda *_: "it has more items than the schema knows",
}


def _write_kinds(kinds: str | list[str]) -> str:
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


class Errors:
    """What a validator finds, down to what can be mended: of alternatives, those of the one that is meant."""

    def __init__(self, validator: Validator, schema: Any) -> None:  # noqa: ANN401  # a metaschema may be any
        self.validator = validator
        self._schema = schema

    def of(self, value: JsonValue) -> list[Violation]:
        """Return what is wrong with a value, in the order of its places."""
        found = [leaf for error in self.validator.iter_errors(value) for leaf in self._leaves(error)]
        return sorted(found, key=lambda one: [(isinstance(part, str), part) for part in one.path])

    def _leaves(self, error: ValidationError) -> Iterator[Violation]:
        path = tuple(error.absolute_path)
        if not error.context:
            yield Violation(path, _tell(error), str(error.validator), error)
            return
        branches = _branches(error)
        if not branches:
            yield Violation(path, _NOTHING, str(error.validator), error)
            return
        if shared := _same_choice(branches.values()):
            # Where every alternative wants another constant or type, none is more meant than the others
            # (openclaw/openclaw#40841).
            yield shared
            return
        # The actions of an agent, told apart by their one member: browser-use/browser-use#3491.
        meant = self._find_meant(error, branches)
        if len(meant) == 1:
            for below in branches[meant[0]]:
                yield from self._leaves(below)
        else:
            yield Violation(path, self._each(branches, meant), str(error.validator), error)

    def _each(self, branches: Mapping[int, list[ValidationError]], meant: list[int]) -> str:
        """Return what would have to be mended for each of some alternatives."""
        ways = []
        for branch in meant[:_MOST_OR]:
            lines = [str(leaf) for error in branches[branch] for leaf in self._leaves(error)]
            ways.append("; ".join(lines[:3]))
        more = f" (and {len(meant) - _MOST_OR} more)" if len(meant) > _MOST_OR else ""
        return (
            f"it conforms to none of the alternatives{more}; mend it for one of them: {' — or: '.join(ways)}"
        )

    def _find_meant(self, error: ValidationError, branches: Mapping[int, list[ValidationError]]) -> list[int]:
        """Return the alternatives that a value was meant for, as far as it shows.

        Those of its type whose constants it does not contradict; of these, those with the most of its
        constants, then of its members, then the fewest errors.
        """
        likely = [branch for branch, errors in branches.items() if not any(map(_rules_out, errors))]
        likely = likely or [branch for branch, errors in branches.items() if not any(map(_is_kind, errors))]
        likely = likely or [*branches]

        def near(branch: int) -> tuple[int, int, int]:
            options = error.validator_value
            rule = options[branch] if isinstance(options, list) and branch < len(options) else {}
            constants, known = self._matches(rule, error.instance)
            return constants, known, -len(branches[branch])

        best = max(map(near, likely))
        return [branch for branch in likely if near(branch) == best]

    def _matches(self, rule: Any, value: Any, hops: int = 0) -> tuple[int, int]:  # noqa: ANN401  # any JSON
        """Return how many members of a value are as a subschema's constants, and how many it names."""
        rule = self._follow(rule)
        if not isinstance(rule, dict) or not isinstance(value, dict) or hops > _MOST_REFERENCES:
            return 0, 0
        named = rule.get("properties")
        members = {k: self._follow(v) for k, v in named.items()} if isinstance(named, dict) else {}
        constants = sum(
            1 for name, member in members.items() if name in value and _is_constant(member, value[name])
        )
        known = sum(name in value for name in members)
        parts = rule.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            more = self._matches(part, value, hops + 1)
            constants, known = constants + more[0], known + more[1]
        return constants, known

    def _follow(self, rule: Any) -> Any:  # noqa: ANN401  # any JSON
        """Return what a reference by JSON Pointer leads to; others tell little more of what is near."""
        for _ in range(_MOST_REFERENCES):
            reference = rule.get("$ref") if isinstance(rule, dict) else None
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            rule = self._schema
            for part in reference[1:].split("/")[1:]:
                key = part.replace("~1", "/").replace("~0", "~")
                rule = rule.get(key) if isinstance(rule, dict) else None
        return rule


def _branches(error: ValidationError) -> dict[int, list[ValidationError]]:
    """Return the errors of each alternative but `false`, which has no number and which nothing mends."""
    numbered = (one for one in error.context or () if one.schema_path)
    below = sorted(numbered, key=lambda one: cast("int", one.schema_path[0]))
    return {
        cast("int", branch): [*errors]
        for branch, errors in groupby(below, key=lambda one: one.schema_path[0])
    }


def _is_kind(error: ValidationError) -> bool:
    """Whether a value is of another type than an alternative is about."""
    return error.validator == "type" and not error.path


def _rules_out(error: ValidationError) -> bool:
    """Whether an error shows that a value was not meant for an alternative: its type, or a constant."""
    return _is_kind(error) or (error.validator in ("const", "enum") and len(error.path) <= 1)


def _is_constant(rule: Any, value: object) -> bool:  # noqa: ANN401  # any JSON
    if not isinstance(rule, dict):
        return False
    if "const" in rule:
        return bool(rule["const"] == value)
    choices = rule.get("enum")
    return isinstance(choices, list) and value in choices


def _same_choice(branches: Iterable[list[ValidationError]]) -> Violation | None:
    """Return what is wrong if all alternatives want another value, or another type, in one place."""
    told = [next((one for one in errors if _rules_out(one)), None) for errors in branches]
    errors = [one for one in told if one is not None]
    first = errors[0] if len(errors) == len(told) and errors else None
    if first is None or any(one.path != first.path for one in errors):
        return None
    path = tuple(first.absolute_path)
    if all(one.validator == "type" for one in errors):
        kinds = [kind for one in errors for kind in _list(one.validator_value)]
        message = _MESSAGES["type"](first.instance, [*dict.fromkeys(map(str, kinds))])
    elif all(one.validator != "type" for one in errors):
        wanted = [
            value
            for one in errors
            for value in ([one.validator_value] if one.validator == "const" else _list(one.validator_value))
        ]
        message = _MESSAGES["enum"](first.instance, wanted)
    else:
        return None
    return Violation(path, message, str(first.validator), first)


def _list(value: Any) -> list[Any]:  # noqa: ANN401  # any JSON
    return value if isinstance(value, list) else [value]


def _tell(error: ValidationError) -> str:
    """Return what is wrong in JSON's words; jsonschema's own are Python's, which a model would copy."""
    keyword = str(error.validator)
    if keyword in OWN_WORDS and not (keyword == "additionalProperties" and error.schema is False):
        message = error.message
    elif error.validator is None:
        message = _NOTHING
    elif tell := _MESSAGES.get(keyword):
        message = tell(error.instance, error.validator_value)
    else:
        message = f"{show(error.instance)} breaks the rule {keyword}: {show(error.validator_value)}"
    return f"the name of a member is wrong: {message}" if is_of_name(error) else message


def is_of_name(error: ValidationError) -> bool:
    """Whether an error speaks of the name of a member, not of a value."""
    path = [None, *error.absolute_schema_path]
    within = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
    return any(part == "propertyNames" and before not in within for before, part in pairwise(path))


# ---------------------------------------------------------------- is it a schema


def read_schema(given: JsonObject | str) -> JsonObject:
    """Return the schema that an argument gives, as an object or as JSON text, and checked.

    Raises:
        InputError: It is not JSON, not an object, or no schema that can be used; see :func:`check_schema`.
    """
    schema = parse_schema(given)
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
    return Errors(_extend(kind)(known, format_checker=_make_pattern_checker()), known).of(schema)


@cache
def _make_pattern_checker() -> FormatChecker:
    """Return what knows only which texts are regular expressions; references are followed anyhow."""
    checker = FormatChecker(formats=())
    checker.checks("regex")(make_format_checker().checkers["regex"][0])
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
        kind = _extend(_kind(self.schema))
        made = kind(self.schema, registry=metaschemas(), format_checker=make_format_checker())
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
        validates(version)(cast("Any", _extend(kind)))


# ---------------------------------------------------------------- rules of our own


@cache
def _extend(kind: type[Validator]) -> type[Validator]:
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
        known = identify(item)
        if known in seen:
            yield place
        seen.add(known)


def identify(value: JsonValue) -> str:
    """Return a text that two values share if and only if JSON Schema takes them for equal.

    Numbers are equal by value (1 and 1.0), never to a boolean; members in any order.
    """
    match value:
        case dict():
            members = sorted(f"{json.dumps(key)}:{identify(member)}" for key, member in value.items())
            return f"{{{','.join(members)}}}"
        case list():
            return f"[{','.join(map(identify, value))}]"
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
