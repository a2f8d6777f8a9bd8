"""A schema in the words of Google's older kind, a protocol buffer of OpenAPI's.

Google's OpenAI-compatible layer makes one of every function's parameters, and relays of an answer's schema
too. It refuses a whole request for one word: a list of types ("Proto field is not repeating"), an enum of
anything but texts ("TYPE_STRING"), an object without members ("should be non-empty"), a list without
`items`, a format but `date-time`, anything beside `anyOf`, and every reference. What a function is called
with goes back to the caller unjudged, who knows what it takes: what has no word there is asked for as JSON
text. In an answer, which is judged, that would be wrong.
"""

from dataclasses import dataclass, field
from typing import Final

from runapi_mcp.wire.schema.keywords import as_list, as_object
from runapi_mcp.wire.schema.say import compact
from runapi_mcp.wire.types import JsonObject, JsonValue

_PREFIX: Final = "#/$defs/"
_COPIED: Final = ("minimum", "maximum", "minItems", "maxItems")
_MOST_VALUES: Final = 5_000
_MOST_SHOWN: Final = 50
_MOST_DEPTH: Final = 20
"""Definitions that are written one in another; what is in there deeper is asked for as text."""


class Unsayable(ValueError):
    """A schema that the narrower words cannot say."""


class TooWide(Unsayable):
    """One that is too large when its references are written out."""


def narrow(parameters: JsonObject) -> JsonObject:
    """Return the schema of parameters, written as for an answer, in the narrower words.

    It is empty if there are no parameters.

    Raises:
        TooWide: It grows beyond 5,000 values when its references are written out.
    """
    writer = _Narrower(as_object(parameters.get("$defs")))
    root = writer.merge_alternatives(parameters)
    return writer.write(root) if root.get("properties") else {}


def narrow_answer(schema: JsonObject) -> JsonObject:
    """Return the schema of an answer, as it was written, in the narrower words.

    Raises:
        Unsayable: It asks for an object of any members, for any value or for what holds itself; or it is
            too large.
    """
    return _Narrower(as_object(schema.get("$defs")), judged=True).write(schema)


@dataclass
class _Narrower:
    definitions: JsonObject
    judged: bool = False
    values: int = 0
    within: list[str] = field(default_factory=list)

    def write(self, schema: JsonValue) -> JsonObject:
        """Return a subschema."""
        self.values += 1
        if self.values > _MOST_VALUES:
            raise TooWide
        schema = as_object(schema)
        if isinstance(reference := schema.get("$ref"), str):
            return self._inline(reference.removeprefix(_PREFIX))
        options = [option for option in as_list(schema.get("anyOf")) if option != {}]
        nullable = any(as_object(option).get("type") == "null" for option in options)
        options = [option for option in options if as_object(option).get("type") != "null"]
        kinds = as_list(schema["type"]) if isinstance(schema.get("type"), list) else [schema.get("type")]
        if not options and len(kinds) > 1:
            nullable = "null" in kinds
            options = [{**schema, "type": kind} for kind in kinds if kind != "null"]
            for option in options if len(options) > 1 else ():
                as_object(option).pop("description", None)
        text = schema.get("description")
        if options:
            made = self._any_of(options, text if isinstance(text, str) else "")
        else:
            made = self._plain(schema)
        if nullable:
            for one in map(as_object, as_list(made.get("anyOf")) or [made]):
                one["nullable"] = True
        return made

    def _inline(self, name: str) -> JsonObject:
        if name in self.within or len(self.within) >= _MOST_DEPTH:
            return self._any_json(f"another {name}")
        self.within.append(name)
        try:
            return self.write(self.definitions.get(name))
        finally:
            self.within.pop()

    def _any_of(self, options: list[JsonValue], text: str) -> JsonObject:
        made: list[JsonObject] = []
        for option in options:
            one = self.write(option)
            flat = [as_object(part) for part in as_list(one.get("anyOf"))] or [one]
            made += [part for part in flat if part not in made]
        if text:
            # Nothing may stand beside anyOf.
            for one in made:
                own = one.get("description")
                one["description"] = f"{text} {own}" if isinstance(own, str) and own != text else text
        return made[0] if len(made) == 1 else {"anyOf": [*made]}

    def _plain(self, schema: JsonObject) -> JsonObject:
        said = [schema["description"]] if isinstance(schema.get("description"), str) else []
        made: JsonObject = {}
        match schema.get("type"):
            case "object":
                if self.judged and schema.get("additionalProperties") not in (None, False):
                    raise Unsayable
                members = {n: self.write(part) for n, part in as_object(schema.get("properties")).items()}
                if not members:
                    return self._any_json("a JSON object", said)
                made = {"type": "object", "properties": dict[str, JsonValue](members)}
                if required := schema.get("required"):
                    made["required"] = required
            case "array":
                made = {"type": "array", "items": self._items(schema, said)}
            case "null":
                made = {"type": "string", "nullable": True}
                said.append("always null")
            case str(kind):
                made = {"type": kind}
            case _:
                return self._any_json("any value; what is no text", said)
        made |= {key: schema[key] for key in _COPIED if key in schema}
        self._enum(schema, made, said)
        if form := schema.get("format"):
            if form == "date-time":
                made["format"] = form
            else:
                said.append(f"(format {form})")
        if said:
            made["description"] = " ".join(map(str, said))
        return made

    def _items(self, schema: JsonObject, said: list[JsonValue]) -> JsonObject:
        first = as_list(schema.get("prefixItems"))
        if not first:
            return self.write(schema.get("items"))
        kinds = [as_object(self.write(part)) for part in first]
        told = [str(kind.get("description") or kind.get("type") or "one of several") for kind in kinds]
        said.append(f"(in this order: {', '.join(told)})")
        rest = [schema["items"]] if schema.get("items") else []
        return self._any_of([*first, *rest], "")

    def _enum(self, schema: JsonObject, made: JsonObject, said: list[JsonValue]) -> None:
        values = as_list(schema.get("enum"))
        if values and all(isinstance(value, str) for value in values):
            made["enum"] = values
        elif values:
            said.append(f"(one of {', '.join(map(compact, values[:_MOST_SHOWN]))})")

    def _any_json(self, what: str, said: list[JsonValue] | None = None) -> JsonObject:
        """Return a text for what the layer has no words for: it refuses an object that is not described."""
        if self.judged:
            raise Unsayable
        return {"type": "string", "description": " ".join([*map(str, said or []), f"({what}, as JSON text)"])}

    def merge_alternatives(self, schema: JsonObject) -> JsonObject:
        """Return parameters as one object: at the top there are no alternatives."""
        if isinstance(reference := schema.get("$ref"), str):
            if (name := reference.removeprefix(_PREFIX)) in self.within:
                return {}
            self.within.append(name)
            try:
                return self.merge_alternatives(as_object(self.definitions.get(name)))
            finally:
                self.within.pop()
        options = [self.merge_alternatives(as_object(part)) for part in as_list(schema.get("anyOf"))]
        if not options:
            return {**schema, "type": "object"}
        options = [option for option in options if option.get("properties")]
        members: JsonObject = {}
        for option in options:
            for name, part in as_object(option["properties"]).items():
                known = as_list(as_object(members.get(name)).get("anyOf"))
                members[name] = {"anyOf": [*known, part]} if part not in known else members[name]
        always = [set(map(str, as_list(option.get("required")))) for option in options]
        whole: JsonObject = {"type": "object", "properties": members}
        if needed := [name for name in members if all(name in names for names in always)]:
            whole["required"] = [*needed]
        if text := schema.get("description"):
            whole["description"] = text
        return whole
