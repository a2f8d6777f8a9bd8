"""What of a value its schema asks for: a member that the schema names nowhere is nobody's."""

from collections.abc import Iterable, Iterator
from typing import Final

from runapi_mcp.extraction.allowance import spend
from runapi_mcp.wire.schema.references import Place, References, referring
from runapi_mcp.wire.types import JsonObject, JsonValue

_BRANCHES: Final = ("allOf", "anyOf", "oneOf", "then", "else")
_FURTHER: Final = ("additionalProperties", "unevaluatedProperties", "patternProperties")
"""Keywords that speak of members whose names the schema does not list."""


def asked_for(value: JsonValue, schema: JsonObject) -> JsonValue:
    """Return `value` without the members that `schema` does not name.

    An object keeps them all where the schema names none, or says what further ones may be.

    Raises:
        Dangling: A reference leads out of the schema or nowhere.
    """
    references = References(schema)
    return _kept(value, [references.root], references)


def _kept(value: JsonValue, places: Iterable[Place], references: References) -> JsonValue:
    """Return what is asked for of a value that each of `places` may describe."""
    spend()
    rules = [*_opened(places, references)]
    if isinstance(value, list):
        return [_kept(item, _items(rules, at, references), references) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    named = {name for _, rule in rules for name in _members(rule)}
    if not named or any(rule.get(key) for _, rule in rules for key in _FURTHER):
        named |= value.keys()
    return {
        name: _kept(member, _member(rules, name, references), references)
        for name, member in value.items()
        if name in named
    }


def _opened(places: Iterable[Place], references: References) -> Iterator[tuple[Place, JsonObject]]:
    """Yield the subschemas at `places`, with those that they refer to and branch into."""
    seen: set[int] = set()
    todo = [*places]
    while todo:
        place = todo.pop()
        if isinstance(place.schema, dict) and place.key not in seen:
            seen.add(place.key)
            yield place, place.schema
            todo += [references.target(place, reference) for reference in referring(place.schema)]
            todo += [references.inside(place, branch) for branch in _branches(place.schema)]


def _branches(rule: JsonObject) -> Iterator[JsonValue]:
    for key in _BRANCHES:
        branch = rule.get(key)
        yield from branch if isinstance(branch, list) else [branch]
    dependent = rule.get("dependentSchemas")
    yield from dependent.values() if isinstance(dependent, dict) else ()


def _members(rule: JsonObject) -> JsonObject:
    members = rule.get("properties")
    return members if isinstance(members, dict) else {}


def _member(rules: Iterable[tuple[Place, JsonObject]], name: str, references: References) -> Iterator[Place]:
    for place, rule in rules:
        if name in _members(rule):
            yield references.inside(place, _members(rule)[name])


def _items(rules: Iterable[tuple[Place, JsonObject]], at: int, references: References) -> Iterator[Place]:
    """Yield what describes the item at a position; draft-07 has the first ones in `items` itself."""
    for place, rule in rules:
        for first, rest in (("prefixItems", "items"), ("items", "additionalItems")):
            listed = rule.get(first)
            if isinstance(listed, list):
                yield references.inside(place, listed[at] if at < len(listed) else rule.get(rest))
                break
        else:
            yield references.inside(place, rule.get("items"))
