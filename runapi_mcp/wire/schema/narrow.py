"""A schema in narrower words than it was written in: when it is asked again in them, and what they are.

Google's own routes take JSON Schema. What stands between may turn it into Google's older Schema, a protocol
buffer of OpenAPI's words, and refuses the whole request for a word that we wrote: "Proto field is not
repeating" of a list of types (QuantumNous/new-api#1037, zed-industries/zed#49292), "Unknown name" of a
reference (simonw/llm-gemini#49). Nothing was billed then, and the caller can change nothing about it.

Google's OpenAI-compatible layer makes one of every function's parameters. It refuses a whole request for one
word: a list of types, an enum of anything but texts ("TYPE_STRING"), an object without members ("should be
non-empty"), a list without `items`, a format but `date-time`, anything beside `anyOf`, and every reference.
What a function is called with goes back to the caller unjudged, who knows what it takes: what has no word
there is asked for as JSON text. In an answer, which is judged, that would be wrong.
"""

import json
import re
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from runapi_mcp.wire.schema.subschemas import as_list, as_object
from runapi_mcp.wire.types import Call, DialectName, JsonObject, JsonValue, Spelling

_HEAD: Final = 4_000
_PLACE: Final = re.compile(r"response_?(?:json_?)?schema|response_format|\bjson_?schema\b|\bschemas?\b", re.I)
"""What a schema is called where a refusal says where it is wrong."""
_WORD: Final = re.compile(r"\$?[A-Za-z][A-Za-z_]*[A-Za-z]")
_PLAIN: Final = frozenset({"type", "format", "description", "enum", "items", "required", "properties"})
"""Keywords that are words of English too, or are meant by whoever names a field of the request."""
# receptron/mulmocast-app#934.
_UNKNOWN: Final = re.compile(r"unknown name|cannot find field|unknown field|not supported|unsupported", re.I)
_LIST_OF_TYPES: Final = re.compile(r"not repeating|cannot start list", re.I)
_OWN: Final = re.compile(
    r"\b(?:keys?|names?)\b[^.]{0,60}\b(?:match|must|should|contain|start|exceed|long|characters)", re.I
)
"""What is said of names that the caller chose."""


def spell(call: Call, dialect: DialectName, spelling: Spelling) -> Call:
    """Return a call with its schemas in other words: in the older Schema's, or as text in the system prompt.

    What the older Schema cannot say, an object of any members or a loop, is spelled as text at once.
    Functions are in its words on chat anyway.
    """
    if spelling == "wide":
        return call
    if spelling == "narrow":
        try:
            schema = None if call.schema is None else narrow_answer(call.schema)
            functions = call.functions
            if dialect == "native":
                functions = tuple(replace(f, parameters=narrow(f.parameters)) for f in functions)
            return replace(call, schema=schema, functions=functions, spelling="narrow")
        except Unsayable:
            pass
    if call.schema is None:
        return call
    told = "Answer with JSON alone, which conforms to this JSON Schema:\n"
    told += json.dumps(call.schema, ensure_ascii=False, separators=(",", ":"))
    system = f"{call.system}\n\n{told}" if call.system else told
    return replace(call, schema={}, system=system, spelling="words")


def find_narrower(
    sent: Call, dialect: DialectName, refused: str
) -> tuple[Literal["narrow", "words"], bool] | None:
    """Return the spelling in which a refused call may be asked once more; `None` if that cannot help.

    It can where the refusal names a word of ours; what the caller wrote is the caller's to change. The
    second value is whether that is so of every schema, and not of this one, which is too large.

    Args:
        sent: The call as it was sent.
        dialect: How it was sent.
        refused: What the refusal says.
    """
    refused = refused[:_HEAD]
    schemas = [sent.schema] if sent.schema is not None else [f.parameters for f in sent.functions]
    ours = {word for schema in schemas for word in _keywords(schema)}
    named = {word for word in ours if word.replace("$", "").lower() in _words(refused)}
    placed = bool(_PLACE.search(refused))
    if not (named - _PLAIN or placed) or (_OWN.search(refused) and not _UNKNOWN.search(refused)):
        return None
    lasting = bool(named) or bool(_LIST_OF_TYPES.search(refused))
    if sent.spelling == "wide" and (sent.schema is not None or dialect == "native"):
        narrower = spell(sent, dialect, "narrow")
        unknown = named if _UNKNOWN.search(refused) and not _LIST_OF_TYPES.search(refused) else set()
        changed = narrower.schema != sent.schema or narrower.functions != sent.functions
        helps = not unknown or not unknown <= _keywords(narrower.schema)
        if lasting and changed and helps and narrower.spelling == "narrow":
            return "narrow", lasting
    if sent.schema is None or sent.spelling == "words":
        return None
    return "words", lasting


def _words(text: str) -> set[str]:
    """Return the words of a text, in small letters and without the lines between their parts."""
    return {word.replace("_", "").lstrip("$").lower() for word in _WORD.findall(text)}


def _keywords(schema: JsonValue) -> set[str]:
    """Return the keywords of a schema that we wrote."""
    found: set[str] = set()
    todo: list[JsonValue] = [schema]
    while todo:
        part = todo.pop()
        if not isinstance(part, dict):
            continue
        found |= part.keys()
        for key in ("properties", "$defs"):
            todo += _members(part, key)
        for key in ("anyOf", "prefixItems"):
            options = part.get(key)
            todo += options if isinstance(options, list) else []
        todo += [part.get("items"), part.get("additionalProperties")]
    return found


def _members(part: JsonObject, key: str) -> list[JsonValue]:
    held = part.get(key)
    return [*held.values()] if isinstance(held, dict) else []


# ---------------------------------------------------------------- the narrower words

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
            shown = (json.dumps(value, ensure_ascii=False) for value in values[:_MOST_SHOWN])
            said.append(f"(one of {', '.join(shown)})")

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
