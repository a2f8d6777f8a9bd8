"""One subschema as one of those that describe a value: what it says, read for those who write it."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from runapi_mcp.wire.schema.subschemas import ASKING, Place, as_list, as_object
from runapi_mcp.wire.types import JsonObject, JsonValue

Value = tuple[JsonValue, str]
"""A value that is allowed, and what it means."""


class Unsatisfiable(ValueError):
    """A subschema that no value conforms to; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A subschema as one of those that describe a value.

    Attributes:
        place: The subschema.
        at: Its JSON Pointer in the original.
        without: Keywords of it that are taken care of elsewhere.
        name: The name of the member that it describes, if it does.
    """

    place: Place
    at: str
    without: frozenset[str] = frozenset()
    name: str = ""

    held: JsonObject = field(init=False, repr=False, compare=False)
    """Its keywords that count."""

    def __post_init__(self) -> None:
        schema = as_object(self.place.schema)
        if self.without:
            schema = {key: value for key, value in schema.items() if key not in self.without}
        object.__setattr__(self, "held", schema)

    @property
    def key(self) -> tuple[int, frozenset[str]]:
        """What tells it from every other."""
        return self.place.key, self.without

    def get(self, keyword: str) -> JsonValue:
        """Return the value of a keyword, `None` without one."""
        return self.held.get(keyword)

    def asks(self, *keywords: str) -> bool:
        """Whether it has one of these keywords."""
        held = self.held
        return any(held.get(keyword) is not None for keyword in keywords)

    def but(self, keywords: Iterable[str]) -> "Rule":
        """Return it without these keywords."""
        return Rule(self.place, self.at, self.without | frozenset(keywords), self.name)


# ---------------------------------------------------------------- of one rule


def lone_reference(rule: Rule) -> str | None:
    """Return the reference that is all that a rule asks for, if it is; pydantic 1 wraps it in an allOf."""
    schema = rule.place.schema
    if not isinstance(schema, dict) or rule.without:
        return None
    asked = schema.keys() & ASKING
    if asked == {"allOf"} and len(parts := as_list(schema["allOf"])) == 1 and "$id" not in schema:
        schema = parts[0]
        if not isinstance(schema, dict) or schema.keys() != {"$ref"}:
            return None
        asked = {"$ref"}
    reference = schema.get("$ref")
    return reference if asked == {"$ref"} and isinstance(reference, str) else None


def pointer_of(reference: str, at: str) -> str:
    """Return the JSON Pointer of what a reference leads to; that of the reference itself if it has none."""
    return reference[1:] if reference.startswith("#/") else at


def common_kinds(rules: Iterable[Rule]) -> list[str] | None:
    """Return the types that all of `rules` allow; `None` if they name none.

    Raises:
        Unsatisfiable: They allow none.
    """
    found: list[str] | None = None
    for rule in rules:
        given = rule.get("type")
        if given is None:
            continue
        kinds = [str(kind) for kind in (given if isinstance(given, list) else [given])]
        if "number" in kinds and "integer" not in kinds:
            kinds.append("integer")
        before = found
        found = kinds if found is None else [kind for kind in found if kind in kinds]
        if not found:
            raise Unsatisfiable(
                f"{rule.at}/type: nothing is both {' or '.join(before or ())} and {' or '.join(kinds)}"
            )
    return found


_KEYWORDS: Final = {
    "object": (
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
        *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"),
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "additionalItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("pattern", "minLength", "maxLength"),
}


def guess_kinds(rules: Iterable[Rule]) -> list[str]:
    """Return the type that the keywords speak of: who leaves it out means it, and Google wants it said."""
    rules = [*rules]
    return [kind for kind, keys in _KEYWORDS.items() if any(rule.asks(*keys) for rule in rules)]


def bounds_of(rules: Iterable[Rule], key: str) -> list[int | float]:
    """Return the values of a keyword that holds a number; one that JSON cannot write is none."""
    found = [rule.get(key) for rule in rules]
    return [
        value
        for value in found
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != math.inf
    ]


def counts_of(rules: Iterable[Rule], least: str, most: str) -> tuple[int, int | None]:
    """Return the bounds of a count: JSON Schema takes 2.0 for 2, readers of the wire may not."""
    rules = [*rules]
    lows = [int(bound) for bound in bounds_of(rules, least)]
    highs = [int(bound) for bound in bounds_of(rules, most)]
    return max(lows, default=0), min(highs, default=None)


def tuple_of(rule: Rule) -> tuple[list[JsonValue], JsonValue, str]:
    """Return the first items' schemas, that of the others, and the keywords of both."""
    if isinstance(items := rule.get("items"), list):
        return items, rule.get("additionalItems"), "items additionalItems"
    return as_list(rule.get("prefixItems")), items, "prefixItems items"


def is_closed(rule: Rule) -> bool:
    """Whether a rule allows no members but those whose names it lists."""
    names = as_object(rule.get("propertyNames"))
    if "enum" in names or literal_names(names.get("pattern")):
        return True
    patterns = as_object(rule.get("patternProperties"))
    return rule.get("additionalProperties") is False and all(map(literal_names, patterns))


_LONGEST_LIST: Final = 600
_NAMES: Final = re.compile(r"\^(?:\((?:\?:)?([\w -]+(?:\|[\w -]+)*)\)|([\w -]+))\$")


def literal_names(pattern: JsonValue) -> list[str]:
    """Return the names that a regular expression lists, if it does nothing but that."""
    found = _NAMES.fullmatch(pattern) if isinstance(pattern, str) and len(pattern) < _LONGEST_LIST else None
    return (found[1] or found[2]).split("|") if found else []


def listed_names(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield the names of members that the rules list, wherever they do."""
    for rule in rules:
        yield from as_object(rule.get("properties"))
    for rule in rules:
        names = as_object(rule.get("propertyNames"))
        yield from (name for name in as_list(names.get("enum")) if isinstance(name, str))
        yield from literal_names(names.get("pattern"))
        for pattern in as_object(rule.get("patternProperties")):
            yield from literal_names(pattern)


def forbidden_names(rules: Iterable[Rule]) -> set[str]:
    """Return the names of members that there may not be."""
    return {n for rule in rules for n, part in as_object(rule.get("properties")).items() if part is False}


def owner_of(rules: Sequence[Rule], name: str) -> Rule:
    """Return the rule that describes a member, or the first."""
    return next((rule for rule in rules if name in as_object(rule.get("properties"))), rules[0])


# ---------------------------------------------------------------- values

_MEANINGS: Final = (
    *("x-enum-descriptions", "x-enumDescriptions", "enumDescriptions", "markdownEnumDescriptions"),
    *("x-enum-varnames", "x-enumNames", "enumNames"),
)
"""Where generators say what the values of an enum mean, a text for each."""


def values_of(rule: Rule) -> list[Value]:
    """Return the values that a rule lists, each with what it means."""
    held = rule.held
    if "const" in held:
        return [(held["const"], "")]
    values = as_list(rule.get("enum"))
    meanings = next((m for key in _MEANINGS if isinstance(m := held.get(key), list)), [])
    if len(meanings) != len(values):
        return [(value, "") for value in values]
    said = zip(values, meanings, strict=True)
    return [(value, text if isinstance(text, str) and text != value else "") for value, text in said]


def values_of_alternatives(rule: Rule, key: str) -> list[Value] | None:
    """Return the values of alternatives that are nothing but values, each with what it means."""
    found: list[Value] = []
    for option in (options := as_list(rule.get(key))):
        if not isinstance(option, dict) or option.keys() & (ASKING - {"const", "enum", "type"}):
            return None
        if "const" not in option and "enum" not in option:
            return None
        texts = [option.get("title"), option.get("description")]
        meaning = ": ".join(text for text in texts if isinstance(text, str) and text)
        values = [option["const"]] if "const" in option else as_list(option["enum"])
        kinds = common_kinds([Rule(Place(option), "")])
        found += [(v, meaning) for v in values if kinds is None or is_allowed(v, kinds)]
    return found if len(options) > 1 else None


def identify(value: JsonValue) -> str:
    """Return a text that equal values share; 1 and 1.0 are equal."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def kind_of(value: JsonValue) -> str:
    """Return the type of a value."""
    match value:
        case bool():
            return "boolean"
        case None:
            return "null"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def is_allowed(value: JsonValue, kinds: Sequence[str]) -> bool:
    """Whether a value is of one of these types; 1.0 is an integer."""
    whole = isinstance(value, float) and value.is_integer() and "integer" in kinds
    return whole or kind_of(value) in kinds


def only_require(options: Sequence[JsonValue]) -> bool:
    """Whether alternatives do nothing but require members."""
    return all(
        isinstance(option, dict)
        and option.get("required")
        and not option.keys() & (ASKING - {"required", "type"})
        and option.get("type") in (None, "object")
        for option in options
    )
