"""One JSON Schema written in the wire's keywords, subschema by subschema (wire notes §5.5).

Rules that the wire has no keyword for are said to the model in the description.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from typing import Final

from runapi_mcp.wire.json_text import escaped
from runapi_mcp.wire.schema.references import Place, References, referring
from runapi_mcp.wire.types import JsonObject, JsonValue

WIRE_FORMATS: Final = ("date-time", "date", "time")
"""The formats that the wire takes."""
_NUMBER_FORMATS: Final = ("int32", "int64", "float", "double")
"""OpenAPI's; JSON Schema has no rule of these names."""
_SAID: Final[dict[str, Callable[[JsonValue], str]]] = {
    "pattern": lambda value: f"matches the regular expression {value}",
    "minLength": lambda value: f"at least {value} characters",
    "maxLength": lambda value: f"at most {value} characters",
    "multipleOf": lambda value: f"a multiple of {value}",
    "exclusiveMinimum": lambda value: f"more than {value}",
    "exclusiveMaximum": lambda value: f"less than {value}",
    "uniqueItems": lambda value: "no item twice" if value else "",
    "format": lambda value: "" if value in WIRE_FORMATS else f"format {value}",
}
SAID: Final = frozenset(_SAID)
"""Keywords that may be said in words."""
_BOUNDS: Final = ("exclusiveMinimum", "exclusiveMaximum")
_SAID_CHARS: Final = 300


def description(schema: JsonObject, loose: Collection[str]) -> tuple[str, list[str]]:
    """Return the description with the rules that the wire has no keyword for, and those rules' names.

    Args:
        schema: The subschema.
        loose: Exclusive bounds that the wire's bounds do not hold to; the others need no saying.
    """
    said = {
        key: rule[:_SAID_CHARS]
        for key, say in _SAID.items()
        if key in schema and (key not in _BOUNDS or key in loose) and (rule := say(schema[key]))
    }
    rules = [*said.values(), *_constant(schema)]
    given = schema.get("description")
    text = given if isinstance(given, str) else ""
    unkept = [key for key in said if key != "format" or schema[key] not in _NUMBER_FORMATS]
    return (f"{text} ({'; '.join(rules)})".strip() if rules else text), unkept


def _constant(schema: JsonObject) -> list[str]:
    """Return what a constant is that the wire's enum cannot hold."""
    constant = schema.get("const")
    return (
        [f"always {json.dumps(constant)[:_SAID_CHARS]}"] if isinstance(constant, bool | dict | list) else []
    )


COPIED: Final = frozenset({"type", "minimum", "maximum", "minItems", "maxItems"})
"""Keywords that the wire takes as they are."""


def stated(schema: JsonObject) -> tuple[JsonObject, list[str]]:
    """Return the wire's keywords for what `schema` says of a value, and the rules that they lose."""
    made: JsonObject = {key: _counted(key, value) for key, value in schema.items() if key in COPIED}
    if schema.get("format") in WIRE_FORMATS:
        made["format"] = schema["format"]
    numbers, loose = _bounds(schema)
    choices, lost = _choices(schema)
    text, unsaid = description(schema, loose)
    made |= numbers | choices
    if text:
        made["description"] = text
    return made, [*loose, *lost, *unsaid]


def _counted(key: str, value: JsonValue) -> JsonValue:
    """Return a count as a whole number: JSON Schema takes 2.0 for one, readers of the wire may not."""
    whole = key in ("minItems", "maxItems") and isinstance(value, float) and value.is_integer()
    return int(value) if whole and isinstance(value, float) else value


def _bounds(schema: JsonObject) -> tuple[JsonObject, list[str]]:
    """Return exclusive bounds as the bounds nearest to them, and those that are looser for it."""
    made: JsonObject = {}
    loose: list[str] = []
    for key, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        bound = schema.get(key)
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            continue
        if schema.get("type") == "integer" and (isinstance(bound, int) or bound.is_integer()):
            nearest: int | float = int(bound) + step
        else:
            nearest = bound
            loose.append(key)
        given = schema.get(inclusive)
        tighter = max if step > 0 else min
        made[inclusive] = tighter(given, nearest) if isinstance(given, int | float) else nearest
    return made, loose


def _choices(schema: JsonObject) -> tuple[JsonObject, list[str]]:
    """Return const and enum as the wire's enum, which holds strings and numbers only."""
    if "const" in schema:
        return _choice([schema["const"]], "const")
    if isinstance(enum := schema.get("enum"), list):
        return _choice(enum, "enum")
    return {}, []


def _choice(values: list[JsonValue], key: str) -> tuple[JsonObject, list[str]]:
    plain = [v for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]
    bools = {v for v in values if isinstance(v, bool)}
    whole = not any(isinstance(v, dict | list) for v in values)
    options: list[JsonObject] = []
    if plain:
        options.append({"enum": [*plain], **_type_of(plain)})
    if bools:
        options.append({"type": "boolean"})
    if None in values:
        options.append({"type": "null"})
    lost = [] if whole and options and len(bools) != 1 else [key]
    if not whole or not options:
        return {}, lost
    return ({"anyOf": [*options]} if len(options) > 1 else options[0]), lost


def _type_of(values: list[str | int | float]) -> JsonObject:
    kinds = {type(value) for value in values}
    if kinds == {str}:
        return {"type": "string"}
    return {"type": "integer"} if kinds == {int} else {} if str in kinds else {"type": "number"}


_TIGHTER: Final = {"minimum": max, "minItems": max, "maximum": min, "maxItems": min}


def merged(one: JsonObject, other: JsonObject) -> tuple[JsonObject, list[str]]:
    """Return the schema that asks for what both ask for, and the rules that could not be kept.

    `one` wins where only one of two can be said. A rule is named by its JSON Pointer, without the
    first slash.
    """
    if not one or not other:
        return one or other, []
    if "$ref" in one or "$ref" in other:
        # Beside a $ref the wire takes nothing.
        kept, dropped = (one, other) if "$ref" in one else (other, one)
        return kept, [] if kept == dropped else [key for key in dropped if key != "description"]
    whole: JsonObject = dict(one)
    lost: list[str] = []
    for key, value in other.items():
        if key in whole:
            whole[key], rules = _both(key, whole[key], value)
            lost += rules
        else:
            whole[key] = value
    return whole, lost


def stated_type(schema: JsonObject) -> str | None:
    """Return the type that a schema's keywords speak of, where it names none itself."""
    if schema.keys() & {"$ref", "anyOf", "enum"}:
        return None
    if schema.keys() & {"properties", "required", "additionalProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems", "minItems", "maxItems"}:
        return "array"
    return "number" if schema.keys() & {"minimum", "maximum"} else None


def _both(key: str, one: JsonValue, other: JsonValue) -> tuple[JsonValue, list[str]]:
    if one == other or key == "description":
        return one, []
    match one, other:
        case (dict(), dict()) if key == "properties":
            return _properties(one, other)
        case (dict(), dict()) if key in ("items", "additionalProperties"):
            return _below(key, one, other)
        case (list(), list()) if key == "required":
            return [*one, *(name for name in other if name not in one)], []
        case (list(), list()) if key == "enum":
            shared = [value for value in one if value in other]
            return (shared, []) if shared else (one, [key])
        case (int() | float(), int() | float()) if key in _TIGHTER:
            return _TIGHTER[key](one, other), []
        case _ if key == "type":
            return _types(one, other)
        case _ if key == "additionalProperties":
            # One of the two is false: nothing may stand beside the named members.
            return False, []
        case _:
            return one, [key]


def _below(name: str, one: JsonObject, other: JsonObject) -> tuple[JsonObject, list[str]]:
    made, lost = merged(one, other)
    return made, [f"{name}/{rule}" for rule in lost]


def _properties(one: JsonObject, other: JsonObject) -> tuple[JsonObject, list[str]]:
    whole: JsonObject = dict(one)
    lost: list[str] = []
    for name, value in other.items():
        known = whole.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            whole[name], rules = _below(f"properties/{escaped(name)}", known, value)
            lost += rules
        else:
            whole[name] = value
    return whole, lost


def _types(one: JsonValue, other: JsonValue) -> tuple[JsonValue, list[str]]:
    second = _kinds(other)
    shared: list[JsonValue] = [kind for kind in _kinds(one) if kind in second]
    if "number" in shared:
        shared.remove("integer")
    if not shared:
        return one, ["type"]
    return shared[0] if len(shared) == 1 else shared, []


def _kinds(stated: JsonValue) -> list[JsonValue]:
    """Return the types that a value may have; every integer is a number."""
    kinds = stated if isinstance(stated, list) else [stated]
    return [*kinds, "integer"] if "number" in kinds and "integer" not in kinds else [*kinds]


_UNSAID: Final = frozenset(
    {
        *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
        *("contains", "minContains", "maxContains", "propertyNames", "minProperties", "maxProperties"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Rules without an equivalent on the wire, too long to say in a description."""
_BESIDE: Final = COPIED | SAID | {"description", "properties", "enum", "const", "anyOf", "allOf"}
"""What beside a reference makes it worth taking in, since the wire takes nothing beside one."""
_MOST_INLINED: Final = 2_000


class Writer:
    """Writes one schema.

    Attributes:
        definitions: The subschemas that are referred to, by name.
        left_out: The rules that could not be kept, as JSON Pointers into the original, in order.
    """

    def __init__(self, references: References, taken: frozenset[str]) -> None:
        self.left_out: dict[str, None] = {}
        self.definitions: JsonObject = {}
        self._references = references
        self._taken = taken
        self._names: dict[int, str] = {}
        self._inside: list[int] = []
        self._inlined = 0

    def whole(self, place: Place) -> JsonObject:
        """Return the root, a reference at its very top taken in."""
        with self._within(place):
            return self._body(place, "", inline=True)

    def _leave_out(self, at: str, rules: Iterable[str]) -> None:
        self.left_out |= dict.fromkeys(f"{at}/{rule}" for rule in rules)

    def _both(self, one: JsonObject, other: JsonObject, at: str) -> JsonObject:
        made, lost = merged(one, other)
        self._leave_out(at, lost)
        return made

    def _schema(self, place: Place, schema: JsonValue, at: str) -> JsonObject:
        """Return the subschema `schema` of the one at `place`."""
        return self._body(self._references.inside(place, schema), at, inline=False)

    def _body(self, place: Place, at: str, *, inline: bool) -> JsonObject:
        schema = place.schema
        if not isinstance(schema, dict):
            if schema is False:
                self.left_out[at] = None
            return {}
        referred = [self._referred(place, reference, at, inline=inline) for reference in referring(schema)]
        listed = self._parts(place, _numbered(schema.get("allOf")), f"{at}/allOf")
        whole = self._own(place, schema, at)
        for part in [*referred, *listed.values()]:
            whole = self._both(whole, part, at)
        return whole

    def _parts(self, place: Place, schemas: Mapping[str, JsonValue], at: str) -> dict[str, JsonObject]:
        """Return subschemas of the one at `place`, written, by their names below `at`."""
        return {name: self._schema(place, part, f"{at}/{escaped(name)}") for name, part in schemas.items()}

    # ------------------------------------------------------------ references

    def _referred(self, place: Place, reference: str, at: str, *, inline: bool) -> JsonObject:
        """Return what a reference leads to: taken in where it must be, else by name."""
        target = self._references.target(place, reference)
        cyclic = target.key in self._references.reached(target)
        beside = isinstance(place.schema, dict) and bool(place.schema.keys() & _BESIDE)
        seen = target.key in self._inside
        if not seen and (inline or (beside and not cyclic)) and self._inlined < _MOST_INLINED:
            self._inlined += 1
            with self._within(target):
                return self._body(target, at, inline=inline)
        return {"$ref": f"#/$defs/{self._named(target, reference)}"}

    def _named(self, target: Place, reference: str) -> str:
        """Return the name of a definition, written if it is not yet."""
        if target.key not in self._names:
            name = self._free_name(reference)
            self._names[target.key] = name
            self.definitions[name] = {}
            with self._within(target):
                self.definitions[name] = self._body(target, reference.partition("#")[2], inline=False)
        return self._names[target.key]

    def _free_name(self, reference: str) -> str:
        plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in reference.rpartition("/")[2])
        base = plain.strip("_") or "Root"
        names = chain([base], (f"{base}_{number}" for number in count(2)))
        return next(name for name in names if name not in self.definitions)

    @contextmanager
    def _within(self, place: Place) -> Iterator[None]:
        self._inside.append(place.key)
        try:
            yield
        finally:
            self._inside.pop()

    # ------------------------------------------------------------ keywords

    def _own(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        """Return what the subschema says itself, references and allOf aside."""
        made, lost = stated(schema)
        self._leave_out(at, [*lost, *sorted(schema.keys() & _UNSAID)])
        made = self._both(made, self._array(place, schema, at), at)
        made |= self._object(place, schema, at)
        for key in ("anyOf", "oneOf"):
            options = [*self._parts(place, _possible(_numbered(schema.get(key))), f"{at}/{key}").values()]
            if options:
                either: JsonObject = {"anyOf": [*options]} if len(options) > 1 else options[0]
                made = self._both(made, either, at)
        if len(_list(schema.get("oneOf"))) > 1:
            self._leave_out(at, ["oneOf"])
        if "type" not in made and (kind := stated_type(made)):
            made["type"] = kind
        return {key: value for key, value in made.items() if key in self._taken}

    def _array(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        items, prefix, key = schema.get("items"), "prefixItems", "items"
        if isinstance(items, list):
            # The form of draft 7 and 2019-09.
            items, prefix, key = schema.get("additionalItems"), "items", "additionalItems"
        made: JsonObject = {}
        first = self._parts(place, _numbered(schema.get(prefix)), f"{at}/{prefix}")
        if first:
            made["prefixItems"] = [*first.values()]
        if isinstance(items, dict):
            made["items"] = self._schema(place, items, f"{at}/{key}")
        elif items is False:
            made["maxItems"] = len(first)
        return made

    def _object(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        made: JsonObject = {}
        properties = _dict(schema.get("properties"))
        written = self._parts(place, _possible(properties), f"{at}/properties")
        if written:
            made["properties"] = dict[str, JsonValue](written)
        if len(written) < len(properties):
            self._leave_out(at, ["properties"])
        if required := self._required(place, schema, at):
            made["required"] = required
        return made | self._others(place, schema, at)

    def _required(self, place: Place, schema: JsonObject, at: str) -> list[JsonValue]:
        """Return the required names, without those whose cycle the wire could not close (wire notes §5.5)."""
        properties = _dict(schema.get("properties"))
        kept: list[JsonValue] = []
        for name in _list(schema.get("required")):
            below = self._references.inside(place, properties.get(str(name)))
            if self._references.reached(below) & set(self._inside):
                self._leave_out(at, ["required"])
            else:
                kept.append(name)
        return kept

    def _others(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        """Return what may stand beside the named properties."""
        patterns = _dict(schema.get("patternProperties"))
        extra = schema.get("additionalProperties")
        options = [*self._parts(place, _possible(patterns), f"{at}/patternProperties").values()]
        if patterns:
            self._leave_out(at, ["patternProperties"])
        if isinstance(extra, dict):
            options.append(self._schema(place, extra, f"{at}/additionalProperties"))
        elif extra is not False and not patterns:
            return {}
        if not options:
            return {"additionalProperties": False}
        return {"additionalProperties": options[0] if len(options) == 1 else {"anyOf": [*options]}}


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _numbered(value: JsonValue) -> JsonObject:
    return {str(index): part for index, part in enumerate(_list(value))}


def _possible(schemas: JsonObject) -> JsonObject:
    """Return the subschemas that some value conforms to."""
    return {name: schema for name, schema in schemas.items() if schema is not False}


def _dict(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
