"""Judging a model's answers: what in them conforms, what is wrong, and the part that does.

An answer is read as it was meant: whatever stands around the value, and in whatever it was wrapped, as long
as only one reading conforms. Another request is paid for, and its like comes back the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, Final, cast

from runapi_mcp.extraction.check import (
    Judge,
    Path,
    Violation,
    find_repeated,
    identify,
    is_of_name,
    name_further,
)
from runapi_mcp.extraction.model_json import Found, NotJson, Scan, is_prefaced, read_json, scan_answer
from runapi_mcp.extraction.verdict import Verdict, conclude
from runapi_mcp.wire.schema.subschemas import Place, References, list_references
from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_CANDIDATES: Final = 200
_MOST_WRAPPINGS: Final = 3
_LISTS: Final = ("items", "data", "results", "result", "list", "values", "rows", "records", "entries")
"""What a list is called that stands beside a count or the like, and is nothing that was extracted."""
_ECHOED: Final = {
    "$schema",
    "$defs",
    "additionalProperties",
    "description",
    "properties",
    "required",
    "title",
    "type",
}
"""What stands around values that were written into a copy of the schema."""
_TWO: Final = "(root): it holds two different values that conform; write one"


def judge_answers(judge: Judge, texts: Sequence[str], begin: str, *, many: bool) -> Verdict:
    """Return what came of the texts of all rounds, oldest first; `begin` is what the first continues.

    Raises:
        InputError: The schema refers to itself without end.
    """
    return _judge_many(judge, texts, begin) if many else _judge_one(judge, texts[-1] if texts else "", begin)


# ---------------------------------------------------------------- one value


def _judge_one(judge: Judge, text: str, begin: str) -> Verdict:
    scans = [scan_answer(text)]
    if begin and text.startswith(begin):
        # A model asked to go on may have begun anew, instead of where it had stopped.
        scans.append(scan_answer(text[len(begin) :]))
    for scan in scans:
        texts = text if scan is scans[0] else text[len(begin) :]
        good = [found for found in _candidates(scan) if judge.conforms(found.value)]
        chosen, clear = _choose(good, texts)
        if chosen is not None:
            return conclude(chosen.value) if clear else conclude(None, (_TWO,))
    for scan in scans:
        if opened := _open_one(judge, [found.value for found in _candidates(scan)]):
            return conclude(opened[0], unwrapped=opened[1])
    return _tell_wrong(judge, text, scans)


def _candidates(scan: Scan) -> list[Found]:
    return [found for found in scan.values if not found.flaw][:_MOST_CANDIDATES]


def _choose(good: list[Found], text: str) -> tuple[Found | None, bool]:
    """Return the value that counts, and whether no other may be meant."""
    # Models write the same value in two fences (ConardLi/easy-dataset#507).
    different = [*{identify(found.value): found for found in good}.values()]
    for lesser in (lambda one: one.thought, lambda one: one.bent, lambda one: one.value in ({}, [])):
        different = [one for one in different if not lesser(one)] or different
    if len(different) < 2:
        return (different[0] if different else None), True
    *before, last = different
    return last, last.last and all(is_prefaced(text, one, last) for one in before)


def _open_one(judge: Judge, values: Sequence[JsonValue]) -> tuple[JsonValue, str] | None:
    """Return what some values are wrapped around, and how, if exactly one reading of them conforms."""
    opened = {
        identify(inner): (inner, how)
        for value in values
        for inner, how in _unwrap(value)
        if judge.conforms(inner)
    }
    return next(iter(opened.values())) if len(opened) == 1 else None


def _unwrap(value: JsonValue, depth: int = 0) -> Iterator[tuple[JsonValue, str]]:
    """Yield what a value may be wrapped around, and how."""
    if depth >= _MOST_WRAPPINGS:
        return
    inner: list[tuple[JsonValue, str]] = []
    match value:
        case [one]:
            # google-gemini-php/client#86.
            inner.append((one, "in a list of one"))
        case dict() if len(value) == 1 and "error" not in value:
            [(name, one)] = value.items()
            inner.append((one, f'under the name "{name[:60]}"'))
        case dict() if isinstance(value.get("properties"), dict) and value.keys() <= _ECHOED:
            # langchain-ai/langchain#12417.
            inner.append((value["properties"], "into a copy of the schema"))
        case {"name": str(), "arguments": dict(given), **rest} if not rest:
            # As a call of a function of the schema's name.
            inner.append((given, "as the arguments of a function"))
        case dict():
            lists = [
                (name, member) for name in _LISTS if isinstance(member := value.get(name), list) and member
            ]
            inner += [(member, f'under the name "{name}"') for name, member in lists]
        case str():
            try:
                inner.append((read_json(value), "as JSON text in a string"))
            except NotJson:
                return
        case _:
            return
    for one, how in inner:
        yield one, f"The model wrote the value {how}; it conforms without."
        yield from _unwrap(one, depth + 1)
    if depth == 0 and isinstance(value, dict):
        yield [value], "The model wrote one item where a list was wanted; it is a list of one."


def _tell_wrong(judge: Judge, text: str, scans: list[Scan]) -> Verdict:
    """Return what is wrong with an answer that does not conform however it is read."""
    candidates = [found for scan in scans for found in _candidates(scan)]
    weigh = max(candidates, key=lambda found: (not found.thought, found.end - found.start), default=None)
    if weigh and weigh.end - weigh.start >= scans[0].length:
        wrong = judge.violations(weigh.value)
        return conclude(keep_part(judge, weigh.value), wrong)
    flawed = next((found for scan in scans for found in scan.values), None)
    part = flawed.value if flawed else scans[0].rest
    return conclude(None if part is None else keep_part(judge, part), (f"(root): {_not_json(text, flawed)}",))


def _not_json(text: str, flawed: Found | None) -> str:
    if flawed is not None:
        return f"not JSON: {flawed.flaw}"
    if not text:
        return "not JSON: nothing was written"
    try:
        read_json(text.strip())
    except NotJson as error:
        return f"not JSON: {error}"
    return "not JSON"


# ---------------------------------------------------------------- many values


def _judge_many(judge: Judge, texts: Sequence[str], begin: str) -> Verdict:
    """Return what came of answers that should be a list, each round's after the one before.

    A later round is the whole list anew, or the items alone that were wrong until then.
    """
    values: list[JsonValue] = []
    closed = False
    problem, unwrapped = "not a JSON array: nothing was written", ""
    for text in texts:
        read = _read_list(judge, text, begin)
        if isinstance(read, str):
            problem = read
            continue
        items, ended, how = read
        found, how = _open_items(judge, items, how)
        problem = ""
        wrong = [place for place, value in enumerate(values) if not judge.conforms(value)]
        if values and ended and len(found) == len(wrong) != len(values):
            for place, value in zip(wrong, found, strict=True):
                values[place] = value
        elif ended or len(found) >= len(values):
            values, closed, unwrapped = found, ended, how
    judged = ((place, judge.violations(value)) for place, value in enumerate(values))
    rejected = {place: lines for place, lines in judged if lines}
    good: list[JsonValue] = [value for place, value in enumerate(values) if place not in rejected]
    said = (f"(root): {problem}",) if problem and not values else ()
    return conclude(good, said, rejected, closed=closed, unwrapped=unwrapped)


def _read_list(judge: Judge, text: str, begin: str) -> tuple[list[JsonValue], bool, str] | str:
    """Return the items of an answer, whether it is closed, and how it was wrapped; or what is wrong."""
    scan = scan_answer(text)
    rest = text[len(begin) :].lstrip() if begin and text.startswith(begin) else ""
    candidates = _candidates(scan)
    lists = [found for found in candidates if isinstance(found.value, list)]
    good = [found for found in lists if _suits(judge, cast("list[JsonValue]", found.value))]
    chosen, clear = _choose(good, text)
    if chosen is not None and not clear:
        return _TWO.removeprefix("(root): ")
    if chosen is not None and not (rest and scan.rest):
        return cast("list[JsonValue]", chosen.value), True, ""
    if rest.startswith("[") and isinstance(scan_answer(begin).rest, list):
        # A model asked to go on may have written the rest as a list of its own.
        known, more = scan_answer(begin), scan_answer(rest)
        if more.values and isinstance(more.values[0].value, list):
            return [*_whole_items(known), *more.values[0].value], True, ""
        return [*_whole_items(known), *_whole_items(more)], False, ""
    bare = _bare_items(judge, candidates)
    wrapped = {
        identify(value): (value, how) for found in candidates for value, how in _lists_in(judge, found)
    }
    if len(wrapped) == 1 and not any(keep_asked(one, judge.schema) for one in bare):
        [(value, how)] = wrapped.values()
        return value, True, how
    if isinstance(scan.rest, list):
        return _whole_items(scan), False, ""
    # One object a line, as JSON Lines has them (dottxt-ai/outlines#1223).
    if bare:
        return bare, True, "The model wrote no list around its items."
    if lists:
        return cast("list[JsonValue]", lists[0].value), True, ""
    flaw = next((found.flaw for found in scan.values if found.flaw), "") or "it is not an array"
    return f"not a JSON array: {flaw}"


def _open_items(judge: Judge, items: list[JsonValue], how: str) -> tuple[list[JsonValue], str]:
    """Return items out of what each of them is wrapped in, and how they or their list were."""
    found = [*items]
    for place, value in enumerate(items):
        if not judge.conforms(value) and (opened := _open_one(judge, [value])):
            found[place] = opened[0]
            how = how or f"Of item {place}, counted from 0, and maybe others: {opened[1]}"
    return found, how


def _suits(judge: Judge, items: list[JsonValue]) -> bool:
    return not items or any(judge.conforms(item) for item in items)


def _bare_items(judge: Judge, candidates: list[Found]) -> list[JsonValue]:
    """Return the values of an answer, if all of them are items."""
    said = [found for found in candidates if not found.thought]
    if not all(judge.conforms(found.value) for found in said):
        return []
    # One value said again is one; different ones are as many as they are.
    alike = len({identify(found.value) for found in said}) == 1
    return [found.value for found in (said[:1] if alike else said)]


def _lists_in(judge: Judge, found: Found) -> Iterator[tuple[list[JsonValue], str]]:
    for value, how in _unwrap(found.value):
        if isinstance(value, list) and value != [found.value] and _suits(judge, value):
            yield value, how


def _whole_items(scan: Scan) -> list[JsonValue]:
    return scan.rest[: scan.items] if isinstance(scan.rest, list) else []


# ---------------------------------------------------------------- what of a wrong value conforms

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
    asked = Asked(judge.schema)
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
    return Asked(schema).keep(value)


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


def _remove(value: JsonValue, place: Path, asked: "Asked") -> None:
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


class Asked:
    """What a schema asks for: a member that it names nowhere is nobody's."""

    def __init__(self, schema: JsonObject) -> None:
        self._references = References(schema)

    def keep(self, value: JsonValue) -> JsonValue:
        """Return a value without the members that are not asked for."""
        return self._keep(value, [self._references.root])

    def fixed_items(self, path: Path) -> int:
        """Return how many items of the list at a path mean what their place says."""
        lists = (rule.get(key) for rule in self.rules_at(path) for key in ("prefixItems", "items"))
        return max((len(listed) for listed in lists if isinstance(listed, list)), default=0)

    def rules_at(self, path: Path) -> list[JsonObject]:
        """Return the subschemas that may describe the value at a path."""
        places: list[Place] = [self._references.root]
        for part in path:
            rules = [*self._open(places)]
            places = [*(self._items(rules, part) if isinstance(part, int) else self._member(rules, part))]
        return [rule for _, rule in self._open(places)]

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
                todo += [
                    self._references.target(place, reference) for reference in list_references(place.schema)
                ]
                todo += [self._references.inside(place, branch) for branch in _branches(place.schema)]

    def _member(self, rules: Iterable[tuple[Place, JsonObject]], name: str) -> Iterator[Place]:
        for place, rule in rules:
            schema = _members(rule).get(name, rule.get("additionalProperties"))
            yield self._references.inside(place, schema)

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
