"""One subschema as one of those that describe a value: what it says, for those who write it, and in words.

The words go into the description, where the wire has no keyword for a rule.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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


def find_lone_reference(rule: Rule) -> str | None:
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


def find_common_kinds(rules: Iterable[Rule]) -> list[str] | None:
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
    if "enum" in names or list_literal_names(names.get("pattern")):
        return True
    patterns = as_object(rule.get("patternProperties"))
    return rule.get("additionalProperties") is False and all(map(list_literal_names, patterns))


_LONGEST_LIST: Final = 600
_NAMES: Final = re.compile(r"\^(?:\((?:\?:)?([\w -]+(?:\|[\w -]+)*)\)|([\w -]+))\$")


def list_literal_names(pattern: JsonValue) -> list[str]:
    """Return the names that a regular expression lists, if it does nothing but that."""
    found = _NAMES.fullmatch(pattern) if isinstance(pattern, str) and len(pattern) < _LONGEST_LIST else None
    return (found[1] or found[2]).split("|") if found else []


def list_names(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield the names of members that the rules list, wherever they do."""
    for rule in rules:
        yield from as_object(rule.get("properties"))
    for rule in rules:
        names = as_object(rule.get("propertyNames"))
        yield from (name for name in as_list(names.get("enum")) if isinstance(name, str))
        yield from list_literal_names(names.get("pattern"))
        for pattern in as_object(rule.get("patternProperties")):
            yield from list_literal_names(pattern)


def list_forbidden(rules: Iterable[Rule]) -> set[str]:
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
        kinds = find_common_kinds([Rule(Place(option), "")])
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


# ---------------------------------------------------------------- in words

WIRE_FORMATS: Final = ("date-time", "date", "time")
"""The formats that the wire takes."""
NUMBER_FORMATS: Final = ("int32", "int64", "float", "double")
"""OpenAPI's; JSON Schema has no rule of these names."""
_LONGEST_PATTERN: Final = 4_000
_LONG_PATTERN: Final = 120
_LONGEST_RULE: Final = 600
_MOST_EXAMPLES: Final = 3
_MOST_VALUES: Final = 50
_MOST_TEXTS: Final = 20


def describe(rules: Iterable[Rule], loose: Collection[str] = (), more: Sequence[str] = ()) -> str:
    """Return the description of a value that each of `rules` describes.

    Args:
        rules: The outermost first.
        loose: Exclusive bounds that the wire's bounds do not hold to; the others need no saying.
        more: Further things to say.
    """
    texts: dict[str, None] = {}
    said: dict[str, None] = {}
    for rule in rules:
        if not rule.held.keys() & _SPEAKING:
            continue
        text = _about(rule)
        # What a base says of itself, its subtypes often say again, and more.
        if text and not any(text in other for other in [*texts][:_MOST_TEXTS]):
            texts[text] = None
        said |= dict.fromkeys(_rules(rule, loose))
    said |= dict.fromkeys(more)
    whole = " ".join(texts)
    return f"{whole} ({'; '.join(said)})".strip() if said else whole


def _about(rule: Rule) -> str:
    title, text = rule.get("title"), rule.get("description")
    text = text.strip() if isinstance(text, str) else ""
    if (
        isinstance(title, str)
        and _says_more(title.strip(), rule)
        and title.strip().lower() not in text.lower()
    ):
        return f"{title.strip()}: {text}" if text else title.strip()
    return text


def _says_more(title: str, rule: Rule) -> bool:
    """Whether a title says more than the name: pydantic makes one of every name, of classes, too."""
    plain = re.sub(r"[\W_]+", "", title).lower()
    if not plain or plain == re.sub(r"[\W_]+", "", rule.name).lower():
        return False
    return " " in title or bool(rule.name and not rule.asks("properties", "enum", "$ref", "allOf", "const"))


def _rules(rule: Rule, loose: Collection[str]) -> Iterator[str]:
    for key in [key for key in _SAID if rule.asks(key)]:
        value = rule.get(key)
        if key in _BOUNDS and key not in loose:
            continue
        if key == "pattern" and rule.asks("format") and len(str(value)) > _LONG_PATTERN:
            # zod writes both; the format says the same in a word.
            continue
        if text := _SAID[key](value):
            yield text
    yield from _say_conditions(rule)
    if named := as_object(as_object(rule.get("discriminator")).get("mapping")):
        kind = as_object(rule.get("discriminator")).get("propertyName")
        forms = (
            f"{json.dumps(value, ensure_ascii=False)} for {_last(where)}" for value, where in named.items()
        )
        yield _short(f"{kind} says which: {', '.join(forms)}")
    if examples := _examples(rule):
        yield f"for example {', '.join(examples)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_RULE else ""


def _last(where: JsonValue) -> str:
    return str(where).rpartition("/")[2]


def _examples(rule: Rule) -> list[str]:
    given = [*as_list(rule.get("examples")), *([rule.get("example")] if rule.asks("example") else [])]
    shown = [compact(example) for example in given[:_MOST_EXAMPLES]]
    return [example for example in dict.fromkeys(shown) if len(example) <= _LONGEST_RULE // 2]


def _pattern(value: JsonValue) -> str:
    return f"matches the regular expression {value}" if len(str(value)) <= _LONGEST_PATTERN else ""


def _count(number: JsonValue, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_SAID: Final[dict[str, Callable[[JsonValue], str]]] = {
    "pattern": _pattern,
    "minLength": lambda value: f"at least {_count(value, 'character')}" if value else "",
    "maxLength": lambda value: f"at most {_count(value, 'character')}",
    "multipleOf": lambda value: f"a multiple of {value}",
    "exclusiveMinimum": lambda value: f"more than {value}",
    "exclusiveMaximum": lambda value: f"less than {value}",
    "uniqueItems": lambda value: "no item twice" if value else "",
    "minProperties": lambda value: f"at least {_count(value, 'member')}" if value else "",
    "maxProperties": lambda value: f"at most {_count(value, 'member')}",
    "format": lambda value: "" if value in WIRE_FORMATS else f"format {value}",
    "contentEncoding": lambda value: f"encoded in {value}",
    "contentMediaType": lambda value: f"holds {value}",
    "patternProperties": lambda value: (
        _short(f"further members are named like {' or '.join(as_object(value))}") if value else ""
    ),
}
_BOUNDS: Final = ("exclusiveMinimum", "exclusiveMaximum")
_SPEAKING: Final = frozenset(
    {
        *_SAID,
        *("title", "description", "examples", "example", "discriminator", "if", "not", "contains"),
        *("dependentRequired", "dependencies", "dependentSchemas", "propertyNames"),
    }
)
"""Keywords of which something is said."""


# ---------------------------------------------------------------- conditions


def _say_conditions(rule: Rule) -> Iterator[str]:
    if rule.asks("if"):
        when = say_condition(rule.get("if"))
        for key, start in (("then", f"if {when}, "), ("else", f"unless {when}, ")):
            if when and (what := _say_consequence(rule.get(key))):
                yield _short(start + what)
    for key in ("dependentRequired", "dependencies", "dependentSchemas"):
        for name, needed in as_object(rule.get(key)).items():
            what = _say_needed(needed) if isinstance(needed, list) else _say_consequence(needed)
            if what:
                yield _short(f"with {name}, {what}")
    if rule.asks("not") and (never := say_condition(rule.get("not"))):
        yield _short(f"never so that {never}")
    if rule.asks("contains") and (held := say_condition(rule.get("contains"))):
        yield _short(
            f"with an item that {held}" if held.startswith("conforms") else f"with an item of which {held}"
        )
    names = rule.get("propertyNames")
    if isinstance(names, dict) and isinstance(names.get("pattern"), str):
        yield _short(f"names of members match {names['pattern']}")


def say_condition(schema: JsonValue) -> str:
    """Return in words when a value conforms to `schema`; empty if that takes too many."""
    if not isinstance(schema, dict):
        return ""
    said: list[str] = []
    members = as_object(schema.get("properties"))
    for name, member in members.items():
        if not isinstance(member, dict):
            continue
        if "const" in member:
            said.append(f"{name} is {compact(member['const'])}")
        elif isinstance(values := member.get("enum"), list):
            said.append(f"{name} is one of {', '.join(map(compact, values))}")
        elif member:
            said.append(f"{name} conforms to {compact(_bare(member))}")
    required = as_list(schema.get("required"))
    said += [f"{name} is given" for name in required if not as_object(members.get(str(name)))]
    rest = {k: v for k, v in _bare(schema).items() if k not in ("properties", "required", "type")}
    if rest or not said:
        rest = rest or _bare(schema)
        said.append(f"conforms to {compact(rest)}")
    return _short(" and ".join(said))


def _say_consequence(schema: JsonValue) -> str:
    """Return in words what else is asked, the members' own schemas apart: they are sent beside it."""
    if schema is False:
        return "nothing conforms"
    if not isinstance(schema, dict):
        return ""
    said = [_say_needed(as_list(schema.get("required")))] if schema.get("required") else []
    for name, member in as_object(schema.get("properties")).items():
        if isinstance(member, dict) and ("const" in member or "enum" in member):
            said.append(say_condition({"properties": {name: member}}))
        elif member is False:
            said.append(f"{name} is left out")
    rest = {k: v for k, v in _bare(schema).items() if k not in ("properties", "required", "type")}
    if rest:
        said.append(f"it conforms to {compact(rest)}")
    return " and ".join(part for part in said if part)


def _say_needed(names: Sequence[JsonValue]) -> str:
    if not names:
        return ""
    return f"{' and '.join(map(str, names))} {'is' if len(names) == 1 else 'are'} required"


def _bare(schema: JsonObject) -> JsonObject:
    return {key: value for key, value in schema.items() if key not in ("title", "description", "$comment")}


def compact(value: JsonValue) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------- values in words


def tell_values(values: Sequence[Value], *, all_of_them: bool) -> list[str]:
    """Return what is to be said of listed values: what they mean, and which there are if the wire cannot."""
    said = [f"{compact(value)}: {meaning}" for value, meaning in values[:_MOST_VALUES] if meaning]
    if not all_of_them:
        return said
    names = ["the empty string" if value == "" else compact(value) for value, _ in values[:_MOST_VALUES]]
    text = f"always {names[0]}" if len(values) == 1 else f"one of {', '.join(names)}"
    if len(values) > _MOST_VALUES:
        text += f" and {len(values) - _MOST_VALUES} more"
    return [text, *said] if len(text) <= 10 * _LONGEST_RULE else said


def say_choices(rules: Iterable[Rule]) -> list[str]:
    """Say which members are required where there is a choice."""
    said = []
    for rule in rules:
        for key, how in (("anyOf", "at least one of"), ("oneOf", "exactly one of")):
            options = [
                " and ".join(map(str, as_list(as_object(o).get("required")))) for o in as_list(rule.get(key))
            ]
            if options:
                said.append(f"{how} these is required: {'; '.join(options)}")
    return said
