"""One JSON Schema written in the wire's keywords, subschema by subschema."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from typing import Final

from runapi_mcp.wire.pointers import escaped
from runapi_mcp.wire.schema.merging import merged, stated_type
from runapi_mcp.wire.schema.references import Place, References, referring
from runapi_mcp.wire.schema.values import COPIED, stated
from runapi_mcp.wire.schema.words import SAID
from runapi_mcp.wire.types import JsonObject, JsonValue

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
