"""One JSON Schema written in the words that Google takes for an answer's: those of its responseJsonSchema.

What is written at once is everything that describes the same value: a subschema, what it refers to, what
stands in its `allOf`, and what any of these say of the same member. Google has no word for "all of these"
and lets nothing stand beside a reference, so it must be made one. Rules without a word there are told in
the description; they are only checked here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from runapi_mcp.printable import one_line
from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.schema.read import Faulty
from runapi_mcp.wire.schema.rule import (
    NUMBER_FORMATS,
    WIRE_FORMATS,
    Rule,
    Unsatisfiable,
    Value,
    bounds_of,
    counts_of,
    describe,
    find_common_kinds,
    find_lone_reference,
    guess_kinds,
    identify,
    is_allowed,
    is_closed,
    kind_of,
    list_forbidden,
    list_literal_names,
    list_names,
    only_require,
    owner_of,
    pointer_of,
    say_choices,
    tell_values,
    tuple_of,
    values_of,
    values_of_alternatives,
)
from runapi_mcp.wire.schema.subschemas import (
    ASKING,
    DESCRIBING,
    Place,
    References,
    as_list,
    as_object,
    count_values,
    find_endless,
    list_needed,
    list_references,
    open_loops,
)
from runapi_mcp.wire.types import DialectName, JsonObject, JsonValue

_UNSENT: Final = {
    *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "contains"),
    *("minContains", "maxContains", "propertyNames", "minProperties", "maxProperties", "patternProperties"),
    *("unevaluatedItems", "unevaluatedProperties", "pattern", "minLength", "maxLength", "multipleOf"),
}
"""Rules that the wire has no word for."""
_MOST_DEPTH: Final = 40
"""Levels up to which what a reference leads to is written in its place, where something stands beside it."""
_FEWEST_STEPS: Final = 1_000
_STEPS_A_VALUE: Final = 4
"""How many steps writing a schema may take, by how many values it has; a step takes about 20 µs."""
_Key: TypeAlias = frozenset[tuple[int, frozenset[str]]]


class Intricate(ValueError):
    """A schema that grows beyond all bounds when it is written out."""


@dataclass
class Writer:
    """Writes one schema.

    Attributes:
        references: Those of the schema.
        size: How many values it has; how much may be written goes by it.
        left_out: The rules that were not sent, as JSON Pointers into the original, in order.
        definitions: What is referred to, by name.
    """

    references: References
    size: int
    left_out: dict[str, None] = field(default_factory=dict)
    definitions: JsonObject = field(default_factory=dict)
    _names: dict[_Key, str] = field(default_factory=dict)
    _waiting: list[tuple[str, Sequence[Rule]]] = field(default_factory=list)
    _writing: set[_Key] = field(default_factory=set)
    _opened: set[int] = field(default_factory=set)
    _final: dict[int, Place] = field(default_factory=dict)
    _origins: dict[int, tuple[JsonObject, str]] = field(default_factory=dict)
    _guessed: dict[int, JsonObject] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _steps: int = 0
    _depth: int = 0

    def write(self) -> JsonObject:
        """Return the schema.

        Raises:
            Unsatisfiable: No value conforms to it.
            Intricate: It is too large when it is written out.
        """
        whole = dict(self._write([Rule(self.references.root, "")], top=True))
        impossible: dict[str, Unsatisfiable] = {}
        while self._waiting:
            name, rules = self._waiting.pop()
            try:
                self.definitions[name] = self._write(rules, top=True)
            except Unsatisfiable as error:
                self.left_out[rules[0].at or "/"] = None
                impossible[name] = error
        if self.definitions:
            whole["$defs"] = self.definitions
        for name in list_needed(whole, impossible, self._guessed):
            raise impossible[name]
        if looping := find_endless(whole, self._guessed):
            raise Unsatisfiable(
                f"each {looping} needs another {looping} in it, without end; make that optional or nullable"
            )
        self.left_out |= dict.fromkeys(open_loops(whole, self._origins))
        return whole

    def _leave_out(self, rule: Rule, *keywords: str) -> None:
        self.left_out |= dict.fromkeys(f"{rule.at}/{keyword}" for keyword in keywords)

    # ------------------------------------------------------------ places

    def _write(self, rules: Sequence[Rule], *, top: bool = False) -> JsonObject:
        """Return what all of `rules` ask of one value.

        `top` writes what a reference leads to in its place: at the top of the schema, or of a definition.
        """
        self._step(len(rules))
        if not top and len(rules) == 1 and (referred := self._refer(rules[0])):
            return referred
        key = frozenset(rule.key for rule in rules)
        if not top and self._depth > _MOST_DEPTH and any(rule.asks("$ref", "allOf") for rule in rules):
            self._waiting.append((self._name(key, rules[0].at), rules))
        if not top and (key in self._names or key in self._writing):
            return {"$ref": f"#/$defs/{self._name(key, rules[0].at)}"}
        flat = self._open(rules)
        opened = {rule.place.key for rule in flat} - self._opened
        self._opened |= opened
        self._writing.add(key)
        self._depth += 1
        try:
            made = self._all_of(flat)
        finally:
            self._depth -= 1
            self._writing.discard(key)
            self._opened -= opened
        if name := self._names.get(key):
            self.definitions[name] = made
        return made

    def _step(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _FEWEST_STEPS + _STEPS_A_VALUE * self.size:
            raise Intricate

    def _refer(self, rule: Rule) -> JsonObject | None:
        """Return a reference by name, if that is all there is to a rule, or may be."""
        if (reference := find_lone_reference(rule)) is None:
            return None
        target = self._follow(rule.place, reference)
        said = describe([rule])
        inside = self._depth < _MOST_DEPTH and self._steps < _FEWEST_STEPS and target.key not in self._opened
        if said and inside:
            return None
        name = self._refer_to(Rule(target, pointer_of(reference, rule.at)), reference)
        by_name: JsonObject = {"$ref": f"#/$defs/{name}"}
        # Beside a reference Google takes nothing; around it, a description.
        return {"anyOf": [by_name], "description": said} if said else by_name

    def _follow(self, place: Place, reference: str | None) -> Place:
        """Return what a reference leads to in the end, and remember it for all that it passes."""
        passed: dict[int, None] = {}
        while reference is not None and place.key not in self._final and place.key not in passed:
            passed[place.key] = None
            place = self.references.target(place, reference)
            reference = None if describe([Rule(place, "")]) else find_lone_reference(Rule(place, ""))
        final = self._final.get(place.key, place)
        self._final |= dict.fromkeys(passed, final)
        return final

    def _refer_to(self, target: Rule, reference: str) -> str:
        """Return the name of a definition, to be written if it is not yet."""
        key = frozenset({target.key})
        if key not in self._names:
            self._name(key, reference)
            if key not in self._writing:
                self._waiting.append((self._names[key], [target]))
        return self._names[key]

    def _name(self, key: _Key, reference: str) -> str:
        if key not in self._names:
            last = reference.rpartition("/")[2]
            plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in last).strip("_") or "Root"
            number = self._numbers.get(plain, 0) + 1
            while (name := plain if number == 1 else f"{plain}_{number}") in self.definitions:
                number += 1
            self._numbers[plain] = number
            self._names[key] = name
            self.definitions[name] = {}
        return self._names[key]

    def _open(self, rules: Sequence[Rule]) -> list[Rule]:
        """Return all the subschemas that describe the same value as `rules`, the outermost first."""
        found: dict[tuple[int, frozenset[str]], Rule] = {}
        seen: set[tuple[int, frozenset[str]]] = set()
        todo = [*reversed(rules)]
        while todo:
            rule = todo.pop()
            schema = rule.place.schema
            if schema is False:
                raise Unsatisfiable(f"{rule.at or '(root)'}: false, to which nothing conforms")
            if not isinstance(schema, dict) or rule.key in seen:
                continue
            if rule.get("not") in (True, {}):
                raise Unsatisfiable(f"{rule.at}/not: everything is excluded")
            seen.add(rule.key)
            self._step(1)
            further: list[Rule] = []
            for reference in () if "$ref" in rule.without else list_references(schema):
                target = self.references.target(rule.place, reference)
                further.append(
                    Rule(target, pointer_of(reference, rule.at), name=reference.rpartition("/")[2])
                )
            single = [k for k in ("anyOf", "oneOf") if len(as_list(rule.get(k))) == 1]
            for key in ("allOf", *single):
                for at, part in enumerate(as_list(rule.get(key))):
                    below = self.references.inside(rule.place, part)
                    further.append(Rule(below, f"{rule.at}/{key}/{at}", name=rule.name))
            flat = rule.but(("$ref", "$dynamicRef", "$recursiveRef", "allOf", *single))
            found.setdefault(flat.key, flat)
            todo += reversed(further)
        return [*found.values()]

    # ------------------------------------------------------------ a value

    def _all_of(self, rules: list[Rule]) -> JsonObject:
        values, rules = self._values(rules)
        for rule in rules:
            for key in ("anyOf", "oneOf"):
                if len(options := as_list(rule.get(key))) > 1 and not only_require(options):
                    return self._any_of(rules, rule, key, options)
        for rule in rules:
            self._leave_out(rule, *(key for key in rule.held if key in _UNSENT))
            self._leave_out(rule, *(key for key in ("anyOf", "oneOf") if rule.asks(key)))
        kinds = find_common_kinds(rules)
        if values is not None:
            return self._one_of(rules, values, kinds)
        loose: list[str] = []
        parts = self._parts(rules, kinds, loose)
        made: JsonObject = parts[0] if len(parts) == 1 else {"anyOf": [*parts]} if parts else {}
        return self._describe(made, rules, loose, say_choices(rules))

    def _describe(
        self, made: JsonObject, rules: Sequence[Rule], loose: Sequence[str] = (), more: Sequence[str] = ()
    ) -> JsonObject:
        if text := describe(rules, loose, more):
            made["description"] = text
        return made

    def _any_of(self, rules: list[Rule], owner: Rule, key: str, options: list[JsonValue]) -> JsonObject:
        """Write alternatives whole, each with what holds for all: Google takes nothing beside them."""
        if key == "oneOf":
            self._leave_out(owner, key)
        apart = [rule.but((*DESCRIBING, *((key,) if rule is owner else ()))) for rule in rules]
        base = [rule for rule in apart if rule.asks(*ASKING)]
        made: list[JsonValue] = []
        impossible: Unsatisfiable | None = None
        for at, option in enumerate(options):
            below = Rule(self.references.inside(owner.place, option), f"{owner.at}/{key}/{at}")
            try:
                written = self._write([below, *base])
            except Unsatisfiable as error:
                impossible = error
                continue
            flat = as_list(written["anyOf"]) if written.keys() == {"anyOf"} else [written]
            made += [one for one in flat if one not in made]
        if not made and impossible:
            raise Unsatisfiable(
                f"{owner.at or '(root)'}/{key}: no alternative can be met; the last: {impossible}"
            )
        whole: JsonObject = {"anyOf": made} if len(made) > 1 else as_object(made[0])
        # pydantic says it in each of them, and once more beside them (msu-denver/bili-core#313).
        known = self._tells_apart(owner, options)
        speaking = [rule.but((*ASKING, "discriminator") if known else ASKING) for rule in rules]
        if text := describe(speaking):
            whole = {"anyOf": [whole]} if "$ref" in whole else whole
            own = whole.get("description")
            whole["description"] = f"{text} {own}" if isinstance(own, str) and own not in text else text
        return whole

    def _tells_apart(self, owner: Rule, options: list[JsonValue]) -> bool:
        """Whether the alternatives say themselves which value of their discriminator is theirs."""
        kind = as_object(owner.get("discriminator")).get("propertyName")
        for option in options if isinstance(kind, str) else ():
            place = self.references.inside(owner.place, option)
            place = self._follow(place, find_lone_reference(Rule(place, "")))
            member = as_object(as_object(as_object(place.schema).get("properties")).get(str(kind)))
            if not member.keys() & {"const", "enum"}:
                return False
        return True

    def _values(self, rules: list[Rule]) -> tuple[list[Value] | None, list[Rule]]:
        """Return the values that all of `rules` allow, if they list them, and the rules otherwise."""
        found: list[Value] | None = None
        left: list[Rule] = []
        for rule in rules:
            listed = [values_of(rule)] if rule.asks("enum") or "const" in rule.held else []
            for key in ("anyOf", "oneOf"):
                if (constants := values_of_alternatives(rule, key)) is not None:
                    listed.append(constants)
                    rule = rule.but((key,))
            for values in listed:
                known = {identify(value): meaning for value, meaning in values}
                found = (
                    values
                    if found is None
                    else [(v, m or known[identify(v)]) for v, m in found if identify(v) in known]
                )
            left.append(rule)
        return found, left

    def _one_of(self, rules: list[Rule], values: list[Value], kinds: list[str] | None) -> JsonObject:
        """Write listed values: the wire's enum holds numbers, and strings that are not empty."""
        allowed = [(v, m) for v, m in values if kinds is None or kind_of(v) in kinds or is_allowed(v, kinds)]
        owner = next((rule for rule in rules if rule.asks("enum") or "const" in rule.held), rules[0])
        key = "const" if "const" in owner.held else "enum"
        if not allowed:
            raise Unsatisfiable(f"{owner.at}/{key}: none of its values is allowed by what else is asked")
        by_kind: dict[str, list[JsonValue]] = {}
        for value, _ in allowed:
            kind = kind_of(value)
            by_kind.setdefault("number" if kind == "integer" else kind, []).append(value)
        options: list[JsonObject] = []
        for kind, held in by_kind.items():
            option: JsonObject = {"type": kind}
            if kind == "number" and all(isinstance(value, int) for value in held):
                option["type"] = "integer"
            if kind == "number" or (kind == "string" and "" not in held):
                option["enum"] = held
            if kind == "array":
                option["items"] = {}
            options.append(option)
        lost = len(by_kind.get("boolean", ())) == 1 or bool(by_kind.keys() & {"object", "array"})
        lost = lost or "" in by_kind.get("string", ())
        if lost:
            self._leave_out(owner, key)
        made: JsonObject = options[0] if len(options) == 1 else {"anyOf": [*options]}
        return self._describe(made, rules, (), tell_values(allowed, all_of_them=lost))

    def _parts(self, rules: list[Rule], kinds: list[str] | None, loose: list[str]) -> list[JsonObject]:
        """Return what is asked of each type of value, the scalar ones in one."""
        guessed = kinds is None
        kinds = guess_kinds(rules) if kinds is None else kinds
        scalars: list[JsonValue] = [kind for kind in kinds if kind not in ("object", "array")]
        if "number" in scalars:
            scalars = [kind for kind in scalars if kind != "integer"]
        made: dict[str, JsonObject] = {}
        impossible: Unsatisfiable | None = None
        for kind in kinds:
            name = kind if kind in ("object", "array") else "scalar"
            if name in made:
                continue
            try:
                if kind == "object":
                    made[name] = self._object(rules)
                elif kind == "array":
                    made[name] = self._array(rules)
                else:
                    made[name] = self._scalar(rules, scalars, loose)
            except Unsatisfiable as error:
                impossible = error
        if impossible and not made:
            raise impossible
        if guessed:
            self._guessed |= {id(part): part for part in made.values()}
        return [*made.values()]

    # ------------------------------------------------------------ scalars

    def _scalar(self, rules: list[Rule], kinds: list[JsonValue], loose: list[str]) -> JsonObject:
        made: JsonObject = {"type": kinds[0] if len(kinds) == 1 else [*kinds]}
        where = rules[0].at or "(root)"
        if {*kinds} & {"number", "integer"}:
            low, high = self._bounds(rules, loose, integral="number" not in kinds)
            if low is not None:
                made["minimum"] = low
            if high is not None:
                made["maximum"] = high
            if low is not None and high is not None and low > high and {*kinds} <= {"number", "integer"}:
                raise Unsatisfiable(f"{where}: no number is {low} or more and {high} or less")
        if "string" in kinds:
            for rule in rules:
                form = rule.get("format")
                if isinstance(form, str) and form in WIRE_FORMATS and made.get("format") in (None, form):
                    made["format"] = form
                elif isinstance(form, str) and form not in NUMBER_FORMATS:
                    self._leave_out(rule, "format")
            least, most = counts_of(rules, "minLength", "maxLength")
            if kinds == ["string"] and most is not None and least > most:
                raise Unsatisfiable(f"{where}: no text has {least} characters or more and {most} or less")
        return made

    def _bounds(
        self, rules: list[Rule], loose: list[str], *, integral: bool
    ) -> tuple[int | float | None, int | float | None]:
        """Return the bounds of a number; an exclusive one as the bound nearest to it."""
        lows, highs = bounds_of(rules, "minimum"), bounds_of(rules, "maximum")
        for key, found in (("exclusiveMinimum", lows), ("exclusiveMaximum", highs)):
            for rule in rules:
                for bound in bounds_of([rule], key):
                    if integral:
                        found.append(math.floor(bound) + 1 if found is lows else math.ceil(bound) - 1)
                    else:
                        found.append(bound)
                        loose.append(key)
                        self._leave_out(rule, key)
        return max(lows, default=None), min(highs, default=None)

    # ------------------------------------------------------------ objects

    def _object(self, rules: list[Rule]) -> JsonObject:
        made: JsonObject = {"type": "object"}
        required = {name: rule for rule in rules for name in map(str, as_list(rule.get("required")))}
        members: JsonObject = {}
        # Google refuses what is required and described nowhere (probelabs/probe#569).
        for name in dict.fromkeys([*list_names(rules), *required]):
            try:
                members[name] = self._member(rules, name)
            except Unsatisfiable as error:
                if name in required:
                    raise Unsatisfiable(
                        f"{required[name].at}/required: {one_line(name, 60)!r} cannot be met: {error}"
                    ) from None
                self._leave_out(owner_of(rules, name), "properties")
        extra = self._extra(rules)
        for name, options in self._perhaps(rules).items():
            if name not in members and extra is not False and name not in list_forbidden(rules):
                members[name] = {"anyOf": [*options, {}]} if options else {}
        if members:
            made["properties"] = members
        if required:
            made["required"] = [*required]
        if extra is not None:
            made["additionalProperties"] = extra
        self._origins[id(made)] = made, next(iter(required.values()), rules[0]).at
        return made

    def _member(self, rules: list[Rule], name: str) -> JsonObject:
        """Return what all of `rules` say of the member `name`.

        What an expression that names members says of it is known only where it does nothing but list names.
        """
        sources: list[Rule] = []
        self._step(len(rules) // 8)
        for rule in rules:
            members, patterns = as_object(rule.get("properties")), as_object(rule.get("patternProperties"))
            named = as_object(rule.get("propertyNames")).get("enum")
            if isinstance(named, list) and name not in named:
                raise Unsatisfiable(f"{rule.at}/propertyNames does not allow it")
            if name in members:
                sources.append(self._below(rule, members[name], f"properties/{escape_key(name)}", name))
            matching = [pattern for pattern in patterns if name in list_literal_names(pattern)]
            sources += [
                self._below(rule, patterns[pattern], f"patternProperties/{escape_key(pattern)}", name)
                for pattern in matching
            ]
            if name in members or matching or not all(map(list_literal_names, patterns)):
                continue
            extra = rule.get("additionalProperties")
            if extra is False:
                raise Unsatisfiable(f"{rule.at}/additionalProperties allows no further members")
            if isinstance(extra, dict):
                sources.append(self._below(rule, extra, "additionalProperties", name))
        return self._write(sources) if sources else {}

    def _below(self, rule: Rule, schema: JsonValue, at: str, name: str = "") -> Rule:
        return Rule(self.references.inside(rule.place, schema), f"{rule.at}/{at}", name=name)

    def _extra(self, rules: list[Rule]) -> JsonValue:
        """Return what may stand beside the named members; `None` if anything may."""
        if any(is_closed(rule) for rule in rules):
            return False
        further = ("additionalProperties", "patternProperties", "anyOf", "oneOf", "if", "dependentSchemas")
        named = not any(rule.asks(*further) or rule.get("unevaluatedProperties") for rule in rules)
        if rules[0].get("unevaluatedProperties") is False and named:
            return False
        sources: list[Rule] = []
        for rule in rules:
            extra = rule.get("additionalProperties")
            patterns = {
                pattern: part
                for pattern, part in as_object(rule.get("patternProperties")).items()
                if part is not False and not list_literal_names(pattern)
            }
            if patterns and not sources:
                options = [
                    self._write([self._below(rule, part, f"patternProperties/{escape_key(pattern)}")])
                    for pattern, part in patterns.items()
                ]
                if isinstance(extra, dict):
                    options.append(self._write([self._below(rule, extra, "additionalProperties")]))
                elif extra is not False:
                    options.append({})
                unlike = [option for at, option in enumerate(options) if option not in options[:at]]
                return unlike[0] if len(unlike) == 1 else {"anyOf": [*unlike]}
            if isinstance(extra, dict) and not patterns:
                sources.append(self._below(rule, extra, "additionalProperties"))
        try:
            return (self._write(sources) or None) if sources else None
        except Unsatisfiable:
            return False

    def _perhaps(self, rules: list[Rule]) -> dict[str, list[JsonValue]]:
        """Return members that are spoken of where it may not count, with what is said of them."""
        found: dict[str, list[JsonValue]] = {}
        for rule in rules:
            parts = [(key, rule.get(key)) for key in ("then", "else", "if")]
            for key in ("dependentSchemas", "dependencies", "dependentRequired"):
                for name, part in as_object(rule.get(key)).items():
                    found.setdefault(name, [])
                    if isinstance(part, list):
                        found |= {str(other): found.get(str(other), []) for other in part}
                    parts.append((f"{key}/{escape_key(name)}", part))
            for at, part in parts:
                if isinstance(part, dict):
                    self._collect(self._below(rule, part, at), found)
            for key in ("anyOf", "oneOf"):
                for option in as_list(rule.get(key)):
                    for name in map(str, as_list(as_object(option).get("required"))):
                        found.setdefault(name, [])
        return found

    def _collect(self, rule: Rule, found: dict[str, list[JsonValue]]) -> None:
        try:
            opened = self._open([rule])
        except Unsatisfiable:
            return
        for part in opened:
            for name in map(str, as_list(part.get("required"))):
                found.setdefault(name, [])
            for name, schema in as_object(part.get("properties")).items():
                options = found.setdefault(name, [])
                try:
                    written = self._write([self._below(part, schema, f"properties/{escape_key(name)}", name)])
                except Unsatisfiable:
                    continue
                if written and written not in options:
                    options.append(written)

    # ------------------------------------------------------------ arrays

    def _array(self, rules: list[Rule]) -> JsonObject:
        made: JsonObject = {"type": "array"}
        tuples = [(rule, *tuple_of(rule)) for rule in rules]
        longest = max(len(listed) for _, listed, _, _ in tuples)
        least, most = counts_of(rules, "minItems", "maxItems")
        ends = [len(listed) for _, listed, rest, _ in tuples if rest is False]
        first: list[JsonValue] = []
        for at in range(longest):
            try:
                first.append(self._write(self._items(tuples, at)))
            except Unsatisfiable:
                ends.append(at)
                break
        else:
            try:
                if rest := self._items(tuples, longest):
                    made["items"] = self._write(rest)
            except Unsatisfiable:
                ends.append(longest)
        most = min([*ends, *([] if most is None else [most])], default=None)
        if first[:most]:
            made["prefixItems"] = first[:most]
        if "items" not in made and "prefixItems" not in made:
            # Google: "items: missing field" (NousResearch/hermes-agent#71804).
            made["items"] = {}
        if most is not None and least > most:
            raise Unsatisfiable(
                f"{rules[0].at or '(root)'}: no list has {least} items or more and {most} or less"
            )
        if any(rule.asks("minItems") for rule in rules):
            made["minItems"] = least
        if most is not None:
            made["maxItems"] = most
        self._origins[id(made)] = made, next((r for r in rules if r.asks("minItems")), rules[0]).at
        return made

    def _items(self, tuples: Sequence[tuple[Rule, list[JsonValue], JsonValue, str]], at: int) -> list[Rule]:
        """Return what describes the item at a position."""
        found = []
        for rule, first, rest, where in tuples:
            if at < len(first):
                found.append(self._below(rule, first[at], f"{where.split()[0]}/{at}"))
            elif isinstance(rest, dict):
                found.append(self._below(rule, rest, where.split()[1]))
        return found


# ---------------------------------------------------------------- all of it

TAKEN: Final[dict[DialectName, frozenset[str]]] = dict.fromkeys(
    ("chat", "native"),
    frozenset(
        {
            *("$defs", "$ref", "type", "format", "description", "enum", "items", "prefixItems", "minItems"),
            *("maxItems", "minimum", "maximum", "anyOf", "properties", "additionalProperties", "required"),
        }
    ),
)
"""The keywords that a rewritten schema holds, by dialect; nothing shows that RunAPI's differ."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A schema for the wire, and the rules left out of it, as JSON Pointers into the original.

    It depends on the schema and the dialect alone, and making it takes as long as the schema is
    large: keep it with what it was made for.
    """

    schema: JsonObject
    checked_here: tuple[str, ...]


def rewrite_schema(schema: JsonObject, _dialect: DialectName = "chat") -> Rewritten:
    """Return `schema` in the form that the wire takes, which is the same in both dialects.

    Raises:
        Unfollowable: A reference leads out of the schema or nowhere, or it is no schema.
        Faulty: No value conforms to it, it is nested too deeply, or it grows too large written out.
    """
    try:
        writer = Writer(References(schema), count_values(schema))
        made = writer.write()
    except Unsatisfiable as error:
        raise Faulty(f"nothing can conform to it: {error}.") from None
    except Intricate:
        raise Faulty(
            "it grows too large when its references are written out.",
            advice="Refer to fewer subschemas in allOf and beside descriptions, or extract in parts.",
        ) from None
    except RecursionError:
        raise Faulty("nested too deeply.", advice="Name what repeats in $defs, and refer to it.") from None
    return Rewritten(made, tuple(writer.left_out))
