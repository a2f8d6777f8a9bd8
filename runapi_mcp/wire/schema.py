"""A caller's JSON Schema → what the wire takes, and which of its rules only we check.

The keywords that Gemini's structured output takes are those of the wire notes §5.5. Everything
else is rewritten where it has an equivalent, told to the model in the description where it can be
said in a few words, and otherwise left out; the answer is judged by the original schema either way.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from runapi_mcp.wire.merging import merged, stated_type
from runapi_mcp.wire.references import Place, References, referring
from runapi_mcp.wire.types import DialectName, JsonObject, JsonValue

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
_COPIED: Final = frozenset({"type", "minimum", "maximum", "minItems", "maxItems"})
_UNSAID: Final = frozenset(
    {
        *("allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
        *("contains", "minContains", "maxContains", "propertyNames", "minProperties", "maxProperties"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Rules without an equivalent on the wire, too long to say in a description."""
_WIRE_FORMATS: Final = frozenset({"date-time", "date", "time"})
_NUMBER_FORMATS: Final = frozenset({"int32", "int64", "float", "double"})
"""OpenAPI's; JSON Schema has no rule of these names."""
_SAID: Final[dict[str, Callable[[JsonValue], str]]] = {
    "pattern": lambda value: f"matches the regular expression {value}",
    "minLength": lambda value: f"at least {value} characters",
    "maxLength": lambda value: f"at most {value} characters",
    "multipleOf": lambda value: f"a multiple of {value}",
    "exclusiveMinimum": lambda value: f"more than {value}",
    "exclusiveMaximum": lambda value: f"less than {value}",
    "uniqueItems": lambda value: "no item twice" if value else "",
    "format": lambda value: f"format {value}",
}
_SAID_CHARS: Final = 300
_MOST_INLINED: Final = 2_000


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A schema for the wire, and the rules left out of it, as JSON Pointers into the original."""

    schema: JsonObject
    checked_here: tuple[str, ...]


def rewritten(schema: JsonObject, dialect: DialectName = "chat") -> Rewritten:
    """Return `schema` in the form that `dialect` takes.

    Raises:
        Dangling: A reference leads out of the schema or nowhere.
        RecursionError: It is nested too deeply.
    """
    references = References(schema)
    writer = _Writer(references, TAKEN[dialect])
    body = writer.whole(references.root)
    if writer.definitions:
        body["$defs"] = writer.definitions
    return Rewritten(body, tuple(writer.left_out))


class _Writer:
    """Writes one schema; each subschema that is referred to becomes one of `definitions`."""

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

    def _schema(self, place: Place, at: str) -> JsonObject:
        return self._body(place, at, inline=False)

    def _body(self, place: Place, at: str, *, inline: bool) -> JsonObject:
        schema = place.schema
        if not isinstance(schema, dict):
            if schema is False:
                self.left_out[at] = None
            return {}
        parts = [self._referred(place, reference, at, inline=inline) for reference in referring(schema)]
        own = self._own(place, schema, at)
        parts += [
            self._schema(self._references.inside(place, part), f"{at}/allOf/{index}")
            for index, part in enumerate(_list(schema.get("allOf")))
        ]
        whole = own
        for part in parts:
            whole, lost = merged(whole, part)
            for rule in lost:
                self.left_out[f"{at}/{rule}"] = None
        return whole

    # ------------------------------------------------------------ references

    def _referred(self, place: Place, reference: str, at: str, *, inline: bool) -> JsonObject:
        """Return what a reference leads to: taken in where it must be, else by name."""
        target = self._references.target(place, reference)
        cyclic = target.key in self._references.reached(target)
        beside = isinstance(place.schema, dict) and any(
            key in _COPIED | _SAID.keys() | {"description", "properties", "enum", "const", "anyOf", "allOf"}
            for key in place.schema
        )
        seen = target.key in self._inside
        if not seen and (inline or (beside and not cyclic)) and self._inlined < _MOST_INLINED:
            self._inlined += 1
            with self._within(target):
                return self._body(target, at, inline=inline)
        return {"$ref": f"#/$defs/{self._named(target, reference)}"}

    def _named(self, target: Place, reference: str) -> str:
        """Return the name of a definition, written if it is not yet."""
        if target.key not in self._names:
            base = "".join(c if c.isalnum() and c.isascii() else "_" for c in reference.rpartition("/")[2])
            base = base.strip("_") or "Root"
            taken = set(self._names.values())
            name = next(n for n in (base, *(f"{base}_{i}" for i in range(2, 10_000))) if n not in taken)
            self._names[target.key] = name
            self.definitions[name] = {}
            with self._within(target):
                self.definitions[name] = self._body(target, reference.partition("#")[2], inline=False)
        return self._names[target.key]

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
        said = _Said(schema, at, self.left_out)
        made: JsonObject = {key: _counted(key, value) for key, value in schema.items() if key in _COPIED}
        if schema.get("format") in _WIRE_FORMATS:
            made["format"] = schema["format"]
        made |= said.numbers() | said.choices()
        made |= self._array(place, schema, at) | self._object(place, schema, at)
        for key in ("anyOf", "oneOf"):
            if options := self._options(place, schema, key, at):
                made, lost = merged(made, {"anyOf": [*options]} if len(options) > 1 else options[0])
                for rule in lost:
                    self.left_out[f"{at}/{rule}"] = None
        if len(_list(schema.get("oneOf"))) > 1:
            self.left_out[f"{at}/oneOf"] = None
        for key in schema.keys() & _UNSAID - {"allOf"}:
            self.left_out[f"{at}/{key}"] = None
        if "type" not in made and (kind := stated_type(made)):
            made["type"] = kind
        if description := said.description():
            made["description"] = description
        return {key: value for key, value in made.items() if key in self._taken}

    def _options(self, place: Place, schema: JsonObject, key: str, at: str) -> list[JsonObject]:
        options = _list(schema.get(key))
        return [
            self._schema(self._references.inside(place, option), f"{at}/{key}/{index}")
            for index, option in enumerate(options)
            if option is not False
        ]

    def _array(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        items, prefix, key = schema.get("items"), _list(schema.get("prefixItems")), "items"
        if isinstance(items, list):
            # The form of draft 7 and 2019-09.
            prefix, items, key = items, schema.get("additionalItems"), "additionalItems"
        made: JsonObject = {}
        if prefix:
            made["prefixItems"] = [
                self._schema(self._references.inside(place, item), f"{at}/{key}/{index}")
                for index, item in enumerate(prefix)
            ]
        if isinstance(items, dict):
            made["items"] = self._schema(self._references.inside(place, items), f"{at}/{key}")
        elif items is False:
            made["maxItems"] = len(prefix)
        return made

    def _object(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        made: JsonObject = {}
        properties = _dict(schema.get("properties"))
        written = {
            name: self._schema(self._references.inside(place, value), f"{at}/properties/{_escaped(name)}")
            for name, value in properties.items()
            if value is not False
        }
        if written:
            made["properties"] = dict[str, JsonValue](written)
        if len(written) < len(properties):
            self.left_out[f"{at}/properties"] = None
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
                self.left_out[f"{at}/required"] = None
            else:
                kept.append(name)
        return kept

    def _others(self, place: Place, schema: JsonObject, at: str) -> JsonObject:
        """Return what may stand beside the named properties."""
        patterns = _dict(schema.get("patternProperties"))
        extra = schema.get("additionalProperties")
        options = [
            self._schema(self._references.inside(place, value), f"{at}/patternProperties/{_escaped(name)}")
            for name, value in patterns.items()
            if value is not False
        ]
        if patterns:
            self.left_out[f"{at}/patternProperties"] = None
        if isinstance(extra, dict):
            options.append(self._schema(self._references.inside(place, extra), f"{at}/additionalProperties"))
        elif extra is not False and not patterns:
            return {}
        if not options:
            return {"additionalProperties": False}
        return {"additionalProperties": options[0] if len(options) == 1 else {"anyOf": [*options]}}


class _Said:
    """What one subschema says of a value itself."""

    def __init__(self, schema: JsonObject, at: str, left_out: dict[str, None]) -> None:
        self._schema = schema
        self._at = at
        self._left_out = left_out

    def numbers(self) -> JsonObject:
        """Return exclusive bounds as the bounds nearest to them."""
        made: JsonObject = {}
        for key, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            bound = self._schema.get(key)
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                continue
            if self._schema.get("type") == "integer" and float(bound).is_integer():
                made[inclusive] = int(bound) + step
            else:
                made[inclusive] = bound
                self._left_out[f"{self._at}/{key}"] = None
            given = self._schema.get(inclusive)
            if isinstance(given, int | float):
                made[inclusive] = (max if step > 0 else min)(given, bound)
        return made

    def choices(self) -> JsonObject:
        """Return const and enum as the wire's enum, which holds strings and numbers only."""
        if "const" in self._schema:
            return self._choice([self._schema["const"]], "const")
        if isinstance(enum := self._schema.get("enum"), list):
            return self._choice(enum, "enum")
        return {}

    def _choice(self, values: list[JsonValue], key: str) -> JsonObject:
        plain = [v for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]
        bools = [v for v in values if isinstance(v, bool)]
        options: list[JsonValue] = []
        if plain:
            options.append({"enum": list[JsonValue](plain), **_type_of(plain)})
        if bools:
            options.append({"type": "boolean"})
        if None in values:
            options.append({"type": "null"})
        if len(plain) + len(bools) + values.count(None) < len(values) or len(set(bools)) == 1:
            self._left_out[f"{self._at}/{key}"] = None
        if any(isinstance(v, dict | list) for v in values) or not options:
            return {}
        first = options[0]
        return {"anyOf": options} if len(options) > 1 or not isinstance(first, dict) else first

    def description(self) -> str:
        """Return the description, with the rules that are only checked here said in it."""
        rules = [rule for key, say in _SAID.items() if key in self._schema for rule in self._rule(key, say)]
        if isinstance(self._schema.get("const"), bool | dict | list):
            rules.append(f"always {json.dumps(self._schema['const'])[:_SAID_CHARS]}")
        given = self._schema.get("description")
        text = given if isinstance(given, str) else ""
        return f"{text} ({'; '.join(rules)})".strip() if rules else text

    def _rule(self, key: str, say: Callable[[JsonValue], str]) -> Iterator[str]:
        value = self._schema[key]
        if key in ("exclusiveMinimum", "exclusiveMaximum") and f"{self._at}/{key}" not in self._left_out:
            return
        if key == "format" and value in _WIRE_FORMATS:
            return
        if key != "format" or value not in _NUMBER_FORMATS:
            self._left_out[f"{self._at}/{key}"] = None
        if rule := say(value):
            yield rule[:_SAID_CHARS]


def _counted(key: str, value: JsonValue) -> JsonValue:
    """Return a count as a whole number: JSON Schema takes 2.0 for one, readers of the wire may not."""
    return int(value) if key in ("minItems", "maxItems") and isinstance(value, float) else value


def _type_of(values: list[str | int | float]) -> JsonObject:
    kinds = {type(value) for value in values}
    if kinds == {str}:
        return {"type": "string"}
    return {"type": "integer"} if kinds == {int} else {} if str in kinds else {"type": "number"}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _dict(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
