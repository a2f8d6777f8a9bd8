"""What of a wrong value conforms: true in each place, or not there."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, Final

from runapi_mcp.extraction.check import Judge, find_repeated, name_further
from runapi_mcp.extraction.violations import Path, Violation, is_of_name
from runapi_mcp.wire.schema.references import Place, References, referring
from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_ROUNDS: Final = 20
_BRANCHES: Final = ("allOf", "anyOf", "oneOf", "then", "else")
_FURTHER: Final = ("additionalProperties", "unevaluatedProperties", "patternProperties")
"""Keywords that speak of members whose names the schema does not list."""
_LACKING: Final = (
    *("required", "dependentRequired", "minItems", "minProperties", "contains", "minContains"),
    *("dependencies", "unevaluatedProperties"),
)
"""Rules that taking something away does not mend, or that :func:`keep_asked` does."""


def keep_part(judge: Judge, value: JsonValue) -> JsonValue:
    """Return what is left of `value` without what violates the schema or is not asked for.

    Required members that are missing stay missing. An item that cannot stay takes those after it with
    it where each place of a list means something else.

    Raises:
        InputError: The schema refers to itself without end.
    """
    asked = _Asked(judge.schema)
    part = asked.keep(deepcopy(value))
    for _ in range(_MOST_ROUNDS):
        wrong = {place for violation in judge.find(part) for place in _places(violation, part)}
        if not wrong:
            return asked.keep(part)
        if () in wrong:
            return None
        for place in sorted(wrong, key=_from_the_end):
            _remove(part, place, asked)
    # What still does not conform after so many rounds is not known to.
    return None if any(_places(violation, part) for violation in judge.find(part)) else asked.keep(part)


def keep_asked(value: JsonValue, schema: JsonObject) -> JsonValue:
    """Return `value` without the members that `schema` does not name.

    An object keeps them all where the schema names none, or says what further ones may be.

    Raises:
        Dangling: A reference leads out of the schema or nowhere.
    """
    return _Asked(schema).keep(value)


def _places(violation: Violation, value: JsonValue) -> list[Path]:
    """Return the places that must go for a violation to go; none for something that is missing."""
    place, error = violation.path, violation.error
    if violation.keyword in _LACKING:
        return []
    if is_of_name(error) and isinstance(error.instance, str):
        return [(*place, error.instance)]
    match violation.keyword, error.instance:
        case "additionalProperties", dict() if isinstance(error.schema, dict):
            return [(*place, name) for name in name_further(error.instance, error.schema)] or [place]
        case "uniqueItems", list():
            return [(*place, again) for again in find_repeated(error.instance)]
        case "maxItems", list() if isinstance(error.validator_value, int | float):
            return [(*place, at) for at in range(int(error.validator_value), len(error.instance))]
        case "oneOf" | "anyOf", _ if error.context and _only_lacks(violation):
            return []
        case _:
            return [place]


def _only_lacks(violation: Violation) -> bool:
    """Whether for none of the alternatives something would have to go."""
    return all(below.validator in _LACKING for below in violation.error.context or ())


def _from_the_end(place: Path) -> list[tuple[int, str]]:
    """Order places so that a later item goes before an earlier one, and a member before its parent."""
    return [(-part, "") if isinstance(part, int) else (0, part) for part in place] + [(1, "")]


def _remove(value: JsonValue, place: Path, asked: "_Asked") -> None:
    parent: Any = value
    try:
        for part in place[:-1]:
            parent = parent[part]
        last = place[-1]
        if isinstance(last, int) and last < asked.fixed_items(place[:-1]):
            del parent[last:]
        else:
            del parent[last]
    except (KeyError, IndexError, TypeError):
        # Its parent went before it.
        return


class _Asked:
    """What a schema asks for: a member that it names nowhere is nobody's."""

    def __init__(self, schema: JsonObject) -> None:
        self._references = References(schema)

    def keep(self, value: JsonValue) -> JsonValue:
        """Return a value without the members that are not asked for."""
        return self._keep(value, [self._references.root])

    def fixed_items(self, path: Path) -> int:
        """Return how many items of the list at a path mean what their place says."""
        places: list[Place] = [self._references.root]
        for part in path:
            rules = [*self._open(places)]
            places = [*(self._items(rules, part) if isinstance(part, int) else self._member(rules, part))]
        lists = (rule.get(key) for _, rule in self._open(places) for key in ("prefixItems", "items"))
        return max((len(listed) for listed in lists if isinstance(listed, list)), default=0)

    def _keep(self, value: JsonValue, places: Iterable[Place]) -> JsonValue:
        """Return what is asked for of a value that each of `places` may describe."""
        rules = [*self._open(places)]
        if isinstance(value, list):
            return [self._keep(item, self._items(rules, at)) for at, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        named = {name for _, rule in rules for name in _members(rule)}
        if not named or any(rule.get(key) for _, rule in rules for key in _FURTHER):
            named |= value.keys()
        return {
            name: self._keep(member, self._member(rules, name))
            for name, member in value.items()
            if name in named
        }

    def _open(self, places: Iterable[Place]) -> Iterator[tuple[Place, JsonObject]]:
        """Yield the subschemas at `places`, with those that they refer to and branch into."""
        seen: set[int] = set()
        todo = [*places]
        while todo:
            place = todo.pop()
            if isinstance(place.schema, dict) and place.key not in seen:
                seen.add(place.key)
                yield place, place.schema
                todo += [self._references.target(place, reference) for reference in referring(place.schema)]
                todo += [self._references.inside(place, branch) for branch in _branches(place.schema)]

    def _member(self, rules: Iterable[tuple[Place, JsonObject]], name: str) -> Iterator[Place]:
        for place, rule in rules:
            if name in _members(rule):
                yield self._references.inside(place, _members(rule)[name])

    def _items(self, rules: Iterable[tuple[Place, JsonObject]], at: int) -> Iterator[Place]:
        """Yield what describes the item at a position; draft-07 has the first ones in `items` itself."""
        for place, rule in rules:
            for first, rest in (("prefixItems", "items"), ("items", "additionalItems")):
                listed = rule.get(first)
                if isinstance(listed, list):
                    yield self._references.inside(place, listed[at] if at < len(listed) else rule.get(rest))
                    break
            else:
                yield self._references.inside(place, rule.get("items"))


def _branches(rule: JsonObject) -> Iterator[JsonValue]:
    for key in _BRANCHES:
        branch = rule.get(key)
        yield from branch if isinstance(branch, list) else [branch]
    dependent = rule.get("dependentSchemas")
    yield from dependent.values() if isinstance(dependent, dict) else ()


def _members(rule: JsonObject) -> JsonObject:
    members = rule.get("properties")
    return members if isinstance(members, dict) else {}
