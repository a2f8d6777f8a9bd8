"""What a schema says of a value in words: for its description, where the wire has no keyword for it."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from runapi_mcp.wire.schema.rule import Rule, Value
from runapi_mcp.wire.schema.subschemas import as_list, as_object
from runapi_mcp.wire.types import JsonObject, JsonValue

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
    yield from _conditions(rule)
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


def _conditions(rule: Rule) -> Iterator[str]:
    if rule.asks("if"):
        when = condition(rule.get("if"))
        for key, start in (("then", f"if {when}, "), ("else", f"unless {when}, ")):
            if when and (what := _consequence(rule.get(key))):
                yield _short(start + what)
    for key in ("dependentRequired", "dependencies", "dependentSchemas"):
        for name, needed in as_object(rule.get(key)).items():
            what = _say_needed(needed) if isinstance(needed, list) else _consequence(needed)
            if what:
                yield _short(f"with {name}, {what}")
    if rule.asks("not") and (never := condition(rule.get("not"))):
        yield _short(f"never so that {never}")
    if rule.asks("contains") and (held := condition(rule.get("contains"))):
        yield _short(
            f"with an item that {held}" if held.startswith("conforms") else f"with an item of which {held}"
        )
    names = rule.get("propertyNames")
    if isinstance(names, dict) and isinstance(names.get("pattern"), str):
        yield _short(f"names of members match {names['pattern']}")


def condition(schema: JsonValue) -> str:
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


def _consequence(schema: JsonValue) -> str:
    """Return in words what else is asked, the members' own schemas apart: they are sent beside it."""
    if schema is False:
        return "nothing conforms"
    if not isinstance(schema, dict):
        return ""
    said = [_say_needed(as_list(schema.get("required")))] if schema.get("required") else []
    for name, member in as_object(schema.get("properties")).items():
        if isinstance(member, dict) and ("const" in member or "enum" in member):
            said.append(condition({"properties": {name: member}}))
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


# ---------------------------------------------------------------- values


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
