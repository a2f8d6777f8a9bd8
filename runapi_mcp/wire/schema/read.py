"""A schema as whatever program wrote it → one that every reader of JSON Schema takes alike.

Generators write the form of one draft under the name of another, or of OpenAPI, or of Google; agents hand
on what their framework wrapped a schema in. What is meant beyond doubt is taken, and said where the caller
should know; everything else is told, all of it at once.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from runapi_mcp.errors import InputError
from runapi_mcp.printable import one_line
from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.schema.subschemas import (
    ASKING,
    BOUNDS,
    COUNTS,
    DESCRIBING,
    LISTED,
    NAMED,
    ONE,
    REFERRING,
    TYPES,
    Dangling,
    References,
    Unfollowable,
    as_list,
    as_object,
    is_schema,
    subschemas,
)
from runapi_mcp.wire.types import JsonObject, JsonValue

MOST_VALUES: Final = 20_000
"""Members and items in a schema: five times the largest that anybody was seen to extract with."""
MOST_DEPTH: Final = 200
"""Levels of JSON; a level of members takes two."""
_MOST_FAULTS: Final = 20
_DRAFTS: Final = {
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        schema: The schema, of draft-07, 2019-09 or 2020-12; what it was given as is left as it was.
        notes: What the caller should know of how it was taken, a sentence each.
    """

    schema: JsonObject
    notes: tuple[str, ...] = ()


class Faulty(InputError):
    """A schema that cannot be used.

    Attributes:
        faults: Everything that is wrong with it, in the order of the schema, each with where and, where
            there is one, what to do.
    """

    def __init__(self, *faults: str, advice: str = "", where: str = "schema") -> None:
        self.faults = faults
        super().__init__(f"{where}: {_list_faults(faults)}", advice=advice)

    def at(self, where: str) -> "Faulty":
        """Return the same of a schema that stands elsewhere in the arguments."""
        return Faulty(*self.faults, advice=self.advice, where=where)


def _list_faults(faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    lines = [f"\n- {fault}" for fault in faults[:_MOST_FAULTS]]
    more = f"\n- … and {len(faults) - len(lines)} more" if len(faults) > len(lines) else ""
    return f"{len(faults)} faults:{''.join(lines)}{more}"


def read_schema(given: JsonObject) -> Reading:
    """Return what `given` means as a schema.

    Raises:
        Faulty: It is none, too large, or asks for nothing.
    """
    _check_size(given)
    schema, notes = _unwrap(given)
    _check_that_it_asks(schema)
    draft = _draft_of(schema)
    reader = _Reader(draft)
    read = reader.read(schema, "", {})
    if draft or "$schema" in read:
        # 2020-12 is what everybody takes a schema for that names no draft.
        read = {"$schema": _DRAFTS[draft or "2020-12"], **{k: v for k, v in read.items() if k != "$schema"}}
    if not reader.faults:
        read = _mend_references(read, reader)
    if reader.faults:
        raise Faulty(*reader.faults)
    return Reading(read, (*notes, *reader.notes))


def _check_size(given: JsonObject) -> None:
    values, depth = 0, 0
    level: list[JsonObject | list[JsonValue]] = [given]
    while level:
        depth += 1
        values += sum(map(len, level))
        if values > MOST_VALUES:
            raise Faulty(
                f"more than {MOST_VALUES:,} values.", advice="Give the part of it that describes the result."
            )
        if depth > MOST_DEPTH:
            raise Faulty("nested too deeply.", advice="Name what repeats in $defs, and refer to it.")
        below: list[JsonValue] = []
        for value in level:
            below += value.values() if isinstance(value, dict) else value
        level = [value for value in below if isinstance(value, dict | list) and value]


# ---------------------------------------------------------------- what it was wrapped in

_WRAPPERS: Final = (
    # OpenAI's response_format and Responses API; a tool of OpenAI, instructor, LangChain, MCP and Anthropic;
    # Google's configuration and declarations; Effect's document; OpenAPI's media types.
    *("response_format", "text", "format", "json_schema", "jsonSchema", "schema", "function", "parameters"),
    *("inputSchema", "input_schema", "parametersJsonSchema", "generationConfig", "responseJsonSchema"),
    *("parameters_json_schema", "generation_config", "response_json_schema"),
    *("responseSchema", "response_schema", "outputSchema", "output_schema", "output_format"),
)
_MOST_WRAPPERS: Final = 4
_EXAMPLE: Final = 'Write {"type": "object", "properties": {"NAME": {"type": "string"}}}.'


def _unwrap(given: JsonObject) -> tuple[JsonObject, list[str]]:
    """Return the schema that `given` holds, or is, and what to say of that."""
    schema, opened = given, []
    for _ in range(_MOST_WRAPPERS):
        key = _find_wrapper(schema)
        if key is None:
            break
        opened.append(key)
        shared = {
            name: schema[name] for name in ("$defs", "definitions") if isinstance(schema.get(name), dict)
        }
        if shared.keys() == {"definitions"}:
            # Effect keeps them beside the schema, which looks for them in its own $defs.
            shared["$defs"] = shared["definitions"]
        schema = shared | as_object(schema[key])
    return schema, [f"The schema was taken from {'.'.join(opened)}."] if opened else []


def _find_wrapper(schema: JsonObject) -> str | None:
    """Return the member that holds the schema, where `schema` is none itself."""
    asked = schema.keys() & ASKING
    if asked - {"type", "format"} or schema.get("type") in (*TYPES, *map(str.upper, TYPES)):
        return None
    held = [key for key in _WRAPPERS if isinstance(schema.get(key), dict) and schema[key]]
    return held[0] if len(held) == 1 else None


def _check_that_it_asks(schema: JsonObject) -> None:
    """See that a schema is not an example of the result, which as a schema allows everything."""
    asked = {key for key in schema.keys() & (ASKING | _SNAKES.keys()) if _asks(key, schema[key])}
    if asked <= {"type", "additionalProperties"} and schema.get("additionalProperties") is False:
        # What a strict mode makes of a free-form object.
        raise Faulty("it asks for nothing: only an empty object would conform.", advice=_EXAMPLE)
    if asked:
        return
    if "openapi" in schema or "swagger" in schema:
        names = [*as_object(as_object(schema.get("components")).get("schemas")), "NAME"]
        name = one_line(names[0], 60)
        raise Faulty(
            "a whole OpenAPI document.",
            advice=f'Say which of its schemas is meant: add "$ref": "#/components/schemas/{name}".',
        )
    other = next((key for key in schema if key not in ASKING | DESCRIBING and not key.startswith("$")), None)
    if other is not None:
        raise Faulty(
            f"{one_line(other, 60)!r} is no keyword of JSON Schema, and there is none beside it.",
            advice=_EXAMPLE,
        )
    raise Faulty("it asks for nothing: any JSON would conform.", advice=_EXAMPLE)


def _asks(key: str, value: JsonValue) -> bool:
    """Whether a keyword asks anything of a value."""
    if key in ("enum", "const", "type", "not", "contains", *_SNAKES):
        return value is not None or key == "const"
    if value is None or (value is True and key in ONE):
        return False
    return value not in ({}, [], "")


# ---------------------------------------------------------------- drafts

_DRAFT: Final = re.compile(r"draft[-_/]*0*(20\d\d-\d\d|next|\d)")
_DRAFT_NAMES: Final = {**dict.fromkeys("4567", "7"), "8": "2019-09", "2019-09": "2019-09"}


def _draft_of(schema: JsonObject) -> str:
    """Return the draft whose rules hold for `schema`; empty if it names none.

    Raises:
        Faulty: It names something else.
    """
    declared = schema.get("$schema")
    if declared in (None, ""):
        mixed = {key for part in _walk(schema) for key in _list_tuples(part)}
        # TypeBox, pydantic 1 and zod-to-json-schema write tuples of the old form and name no draft.
        return "2019-09" if mixed == {"items"} else ""
    if not isinstance(declared, str):
        raise Faulty("$schema must be a string.", advice="Leave it out.")
    if found := _DRAFT.search(declared.lower()):
        name = found[1]
        if name in _DRAFT_NAMES or name in ("2020-12", "next"):
            return _DRAFT_NAMES.get(name, "2020-12")
    elif re.search(r"openapis?\.|/oas|json-?schema\.org/schema", declared.lower()):
        # OpenAPI's dialects; genson's "the newest", whichever that is.
        return ""
    raise Faulty(
        f"$schema {one_line(declared, 80)!r} is no draft that is known here.",
        advice="Use 2020-12, 2019-09 or draft-07, or leave $schema out.",
    )


def _walk(schema: JsonValue) -> Iterator[JsonObject]:
    todo = [schema]
    while todo:
        if isinstance(part := todo.pop(), dict):
            yield part
            todo += [below for _, below in subschemas(part)]


def _list_tuples(schema: JsonObject) -> list[str]:
    return [key for key in ("items", "prefixItems") if isinstance(schema.get(key), list)]


# ---------------------------------------------------------------- keywords

_HUMPS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SNAKES: Final = {
    **{
        snake: key
        for key in ASKING | DESCRIBING
        if (snake := _HUMPS.sub("_", key).lower()) != key and key[0] != "$"
    },
    "defs": "$defs",
    "ref": "$ref",
    "x-nullable": "nullable",
}
"""Keywords as google-genai's `Schema.model_dump()` and Swagger 2 spell them."""
_SYNONYMS: Final = {
    **dict.fromkeys(("int", "int32", "int64", "long", "bigint", "int_type"), '"integer"'),
    **dict.fromkeys(("float", "double", "decimal", "numeric"), '"number"'),
    **dict.fromkeys(("str", "text", "char", "varchar"), '"string"'),
    **dict.fromkeys(("bool",), '"boolean"'),
    **dict.fromkeys(("list", "tuple", "set"), '"array"'),
    **dict.fromkeys(("dict", "map", "json", "struct", "record"), '"object"'),
    **dict.fromkeys(("none", "nil", "undefined", "void"), '"null"'),
    **dict.fromkeys(("date", "time", "uuid", "email"), '"string" with "format": "{0}"'),
    **dict.fromkeys(("datetime", "timestamp"), '"string" with "format": "date-time"'),
    **dict.fromkeys(("uint8array", "buffer", "bytes", "binary"), '"string" with "contentEncoding": "base64"'),
    **dict.fromkeys(("regexp",), '"string" with "format": "regex"'),
    "enum": '"string" with "enum": […]',
}
_PLAIN: Final = frozenset(
    {
        *(
            "type",
            "properties",
            "required",
            "items",
            "prefixItems",
            "additionalItems",
            "additionalProperties",
        ),
        *("patternProperties", "propertyNames", "pattern", "format", "uniqueItems", "multipleOf", "contains"),
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum"),
    }
)
"""Keywords beside which null is allowed by saying so in `type`, and in `enum`."""
_KEEPING_NULL: Final = ("const", "default", "example")


@dataclass
class _Reader:
    """Reads subschemas; what is wrong with them, and what is to be said, in the order of the schema."""

    draft: str
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self, given: JsonObject, at: str, outer: JsonObject) -> JsonObject:
        """Return a subschema as its draft has it; `outer` is the one whose member it describes."""
        # Whoever dumps a class with all its members writes null for a keyword that is not there.
        schema = {key: value for key, value in given.items() if value is not None or key in _KEEPING_NULL}
        self._spell(schema)
        self._type(schema, at)
        self._bounds(schema)
        self._tuple(schema)
        self._dependencies(schema)
        self._references(schema, at)
        for key in LISTED & schema.keys():
            # zod 4 writes prefixItems: [] for the empty tuple.
            if schema[key] == [] and key in ("prefixItems", "allOf"):
                del schema[key]
        for key in ("examples", "example"):
            if key == "examples" and key in schema and not isinstance(schema[key], list):
                schema[key] = [schema[key]]
        schema = self._add_null(schema)
        self._check(schema, at)
        self._below(schema, at)
        return self._order(schema)

    def fault(self, at: str, text: str) -> None:
        """Keep what is wrong at a JSON Pointer."""
        self.faults.append(f"not a valid JSON Schema at {at or '(root)'}: {text}")

    def note(self, text: str) -> None:
        """Keep what the caller should know, once."""
        if text not in self.notes:
            self.notes.append(text)

    # ------------------------------------------------------------ spelling

    def _spell(self, schema: JsonObject) -> None:
        """Take a keyword in another library's spelling for what it is."""
        for snake in [key for key in schema if key in _SNAKES]:
            key = _SNAKES[snake]
            if key not in schema and (key != "$ref" or str(schema[snake]).startswith("#")):
                schema[key] = schema.pop(snake)
                self.note(f"{key} was read where the schema says {snake}.")
        if self.draft == "7" and isinstance(schema.get("id"), str) and "$id" not in schema:
            # draft-04's; TypeBox and OpenAPI have no id at a schema.
            schema["$id"] = schema.pop("id")

    def _type(self, schema: JsonObject, at: str) -> None:
        given = schema.get("type")
        kinds = given if isinstance(given, list) else [given] if "type" in schema else []
        read: list[JsonValue] = []
        for kind in kinds:
            if isinstance(kind, str) and kind not in TYPES and kind.lower() in TYPES:
                self.note("JSON Schema writes types in lower case; those in upper case were read so.")
                kind = kind.lower()
            if kind not in TYPES:
                self.fault(f"{at}/type", _tell_no_type(kind))
            if kind not in read:
                read.append(kind)
        if kinds and read != kinds:
            schema["type"] = read if isinstance(given, list) else read[0]
        if isinstance(given, list) and not given:
            self.fault(f"{at}/type", "no type at all, so that nothing can conform; leave it out.")

    def _bounds(self, schema: JsonObject) -> None:
        """Read a bound that another keyword makes an exclusive one, and counts that Google writes as text."""
        for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            # draft-04 and OpenAPI 3.0; zod, joi and zod-to-json-schema write it under newer names, too.
            if isinstance(says := schema.get(exclusive), bool):
                del schema[exclusive]
                if says and inclusive in schema:
                    schema[exclusive] = schema.pop(inclusive)
        for key in schema.keys() & FORMS.keys():
            value = schema[key]
            if key[:3] in ("min", "max") and isinstance(value, str) and re.fullmatch(r"\d{1,18}", value):
                # Google's Schema is a protocol buffer, whose JSON has 64-bit numbers as text.
                schema[key] = int(value)

    def _tuple(self, schema: JsonObject) -> None:
        """Write a tuple as the draft does."""
        listed, first = schema.get("items"), schema.get("prefixItems")
        if self.draft and self.draft != "2020-12":
            if isinstance(first, list) and not isinstance(listed, list):
                self._move(schema, "items", "additionalItems")
                self._move(schema, "prefixItems", "items")
            if schema.get("items") == []:
                del schema["items"]
                self._move(schema, "additionalItems", "items")
        elif isinstance(listed, list):
            rest = schema.pop("additionalItems", None)
            del schema["items"]
            # apischema writes both, one of them for readers of the other draft.
            schema["prefixItems"] = listed
            if rest is not None:
                schema["items"] = rest

    def _dependencies(self, schema: JsonObject) -> None:
        """Write what members ask for beside them as the draft does: draft-07 has one word for two."""
        held = schema.get("dependencies")
        if self.draft == "7" or not isinstance(held, dict):
            return
        lists: JsonObject = {name: part for name, part in held.items() if isinstance(part, list)}
        rules: JsonObject = {name: part for name, part in held.items() if isinstance(part, dict | bool)}
        if len(lists) + len(rules) < len(held):
            return
        del schema["dependencies"]
        for key, parts in (("dependentRequired", lists), ("dependentSchemas", rules)):
            if parts:
                schema[key] = parts | as_object(schema.get(key))

    @staticmethod
    def _move(schema: JsonObject, key: str, other: str) -> None:
        if key in schema:
            schema[other] = schema.pop(key)

    def _references(self, schema: JsonObject, at: str) -> None:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return
        if (found := re.fullmatch(r"(\d+)(/.*)?", reference)) and int(found[1]) < 100:
            # zod-to-json-schema's $refStrategy "relative": so many levels up, and on from there.
            up = at.split("/")
            base = "/".join(up[: max(len(up) - int(found[1]), 1)])
            schema["$ref"] = f"#{base}{found[2] or ''}"
        if self.draft == "7" and schema.get("nullable") is not True:
            # Beside a reference draft-07 reads nothing; what it says to people is for people all the same.
            for key in schema.keys() & ((ASKING - {"$ref"}) | ({"$id"} if at else set())):
                del schema[key]

    # ------------------------------------------------------------ null

    def _add_null(self, schema: JsonObject) -> JsonObject:
        """Write OpenAPI's `nullable` so that it counts: a right answer was refused for it."""
        if schema.get("nullable") is not True:
            return schema
        del schema["nullable"]
        if not schema.keys() & (ASKING - _PLAIN):
            kinds = schema.get("type")
            if kinds is not None:
                kinds = kinds if isinstance(kinds, list) else [kinds]
                schema["type"] = kinds if "null" in kinds else [*kinds, "null"]
            if isinstance(enum := schema.get("enum"), list) and None not in enum:
                schema["enum"] = [*enum, None]
            return schema
        about = {key: value for key, value in schema.items() if key in DESCRIBING or key == "components"}
        rule = {key: value for key, value in schema.items() if key not in about}
        return {**about, "anyOf": [rule, {"type": "null"}]}

    # ------------------------------------------------------------ members

    def _check(self, schema: JsonObject, at: str) -> None:
        for key, value in schema.items():
            if key not in FORMS:
                continue
            # Until 2019-09 `items` is a list for a tuple.
            tuple_of_old = key == "items" and isinstance(value, list) and self.draft
            holds, must = FORMS["prefixItems" if tuple_of_old else key]
            if key == "required" and isinstance(value, bool):
                self.fault(
                    f"{at}/{key}",
                    f"{json.dumps(value)} is not {must}; name the member in that of its object.",
                )
            elif not holds(value) and not (key in NAMED and isinstance(value, dict)):
                self.fault(f"{at}/{key}", f"{one_line(json.dumps(value), 80)} is not {must}.")
        if isinstance(names := schema.get("required"), list):
            schema["required"] = [*dict.fromkeys(map(str, names))]

    def _below(self, schema: JsonObject, at: str) -> None:
        """Read the subschemas of a subschema."""
        self._lift_required(schema)
        for key, value in [*schema.items()]:
            if isinstance(value, list) and (key in LISTED or key == "items"):
                schema[key] = [self._one(part, f"{at}/{key}/{n}", {}) for n, part in enumerate(value)]
            elif isinstance(value, dict) and (key in NAMED or key == "dependencies"):
                outer = schema if key == "properties" else {}
                schema[key] = self._read_named(value, f"{at}/{key}", outer, lists=key == "dependencies")
            elif isinstance(value, dict) and key in ONE:
                schema[key] = self.read(value, f"{at}/{key}", {})
            elif key == "components" and isinstance(value, dict) and isinstance(value.get("schemas"), dict):
                held = self._read_named(
                    as_object(value["schemas"]), f"{at}/components/schemas", {}, lists=False
                )
                schema[key] = {**value, "schemas": held}

    def _read_named(self, parts: JsonObject, at: str, outer: JsonObject, *, lists: bool) -> JsonObject:
        read: JsonObject = {}
        for name, part in parts.items():
            where = f"{at}/{escape_key(name)}"
            if isinstance(part, dict | bool) or (lists and isinstance(part, list)):
                read[name] = self._one(part, where, outer)
            else:
                self.fault(where, f"{one_line(json.dumps(part), 80)} is not a schema.{_suggest(part)}")
        return read

    def _one(self, part: JsonValue, at: str, outer: JsonObject) -> JsonValue:
        return self.read(part, at, outer) if isinstance(part, dict) else part

    def _lift_required(self, schema: JsonObject) -> None:
        """Read `required: true` at a member, as draft 3 has it and models write it, as its object's."""
        members = schema.get("properties")
        if not isinstance(members, dict):
            return
        lifted = [
            name
            for name, part in members.items()
            if isinstance(part, dict) and isinstance(part.get("required"), bool)
        ]
        if not lifted:
            return
        schema["properties"] = {
            name: {k: v for k, v in part.items() if k != "required"}
            if isinstance(part, dict) and name in lifted
            else part
            for name, part in members.items()
        }
        needed = [name for name in lifted if as_object(members[name])["required"]]
        schema["required"] = [*dict.fromkeys([*as_list(schema.get("required")), *needed])]
        self.note('"required": true at a member was read as its name in the "required" of the object.')

    @staticmethod
    def _order(schema: JsonObject) -> JsonObject:
        """Put members in the order that Google's `propertyOrdering` asks for; models answer in it."""
        order, members = schema.get("propertyOrdering"), schema.get("properties")
        if isinstance(order, list) and isinstance(members, dict):
            first = [name for name in order if isinstance(name, str) and name in members]
            schema["properties"] = {name: members[name] for name in dict.fromkeys([*first, *members])}
        return schema


def _tell_no_type(kind: JsonValue) -> str:
    said = one_line(json.dumps(kind), 60)
    means = _SYNONYMS.get(kind.lower()) if isinstance(kind, str) else None
    if means:
        return f"{said} is no type of JSON; write {means.format(str(kind).lower())}."
    if isinstance(kind, str) and kind.lower() in ("any", "unknown", "mixed", "type_unspecified"):
        return f"{said} is no type of JSON; leave type out for any."
    return f"{said} is no type of JSON, which has {', '.join(TYPES[:-1])} and {TYPES[-1]}."


def _suggest(part: JsonValue) -> str:
    """Return what to write for a member that is described by the name of a type alone."""
    if isinstance(part, str) and part.lower() in TYPES:
        return f' Write {{"type": "{part.lower()}"}}.'
    return ""


# ---------------------------------------------------------------- what a keyword must hold


def is_number(value: JsonValue) -> bool:
    """Whether `value` is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: JsonValue) -> bool:
    """Whether `value` is a whole number from 0 on; 2.0 is one."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and value >= 0  # type: ignore[operator]


def _are_names(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_Form = tuple[Callable[[JsonValue], bool], str]
_SCHEMA: Final[_Form] = (is_schema, "a schema, or true or false")
_SCHEMAS: Final[_Form] = (
    lambda value: isinstance(value, list) and bool(value) and all(map(is_schema, value)),
    "a list of schemas with one at least",
)
_NAMED: Final[_Form] = (
    lambda value: isinstance(value, dict) and all(map(is_schema, value.values())),
    "an object whose members are schemas",
)
_TEXT: Final[_Form] = (lambda value: isinstance(value, str), "a string")
_YES: Final[_Form] = (lambda value: isinstance(value, bool), "true or false")
FORMS: Final[dict[str, _Form]] = {
    **dict.fromkeys(ONE, _SCHEMA),
    **dict.fromkeys(LISTED, _SCHEMAS),
    **dict.fromkeys(NAMED, _NAMED),
    **dict.fromkeys(COUNTS, (is_count, "a whole number, 0 or more")),
    **dict.fromkeys(BOUNDS, (is_number, "a number")),
    **dict.fromkeys((*REFERRING, "$id", "$schema", "$anchor", "$dynamicAnchor"), _TEXT),
    **dict.fromkeys(
        ("title", "description", "format", "pattern", "$comment", "contentEncoding", "contentMediaType"),
        _TEXT,
    ),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly", "$recursiveAnchor"), _YES),
    "multipleOf": (lambda value: is_number(value) and value > 0, "a number above 0"),  # type: ignore[operator]
    "enum": (lambda value: isinstance(value, list), "a list of values"),
    "examples": (lambda value: isinstance(value, list), "a list of values"),
    "required": (_are_names, "a list of names of members"),
    "dependentRequired": (
        lambda value: isinstance(value, dict) and all(map(_are_names, value.values())),
        "an object whose members are lists of names",
    ),
    "dependencies": (
        lambda value: (
            isinstance(value, dict) and all(is_schema(part) or _are_names(part) for part in value.values())
        ),
        "an object whose members are schemas, or lists of names",
    ),
    "$vocabulary": (lambda value: isinstance(value, dict), "an object"),
}
"""What the value of a keyword must be, in every draft that is read, and that in words."""


# ---------------------------------------------------------------- references


def _mend_references(schema: JsonObject, reader: _Reader) -> JsonObject:
    """See that every reference leads to a subschema, and lead those that nearly do to it."""
    shared = {name: key for key in ("definitions", "$defs") for name in as_object(schema.get(key))}
    for _ in range(2):
        try:
            references = References(schema, checked=True)
            dangling = [*references.dangling()]
        except Dangling as error:
            reader.faults.append(f"{one_line(str(error), 80)!r} is no identifier.")
            return schema
        except Unfollowable:
            reader.fault("", "not a JSON Schema that can be followed.")
            return schema
        mended = False
        for part, at, reference in dangling:
            name = reference.rpartition("/")[2]
            if "#/" in reference and name in shared and part.get("$ref") == reference:
                # mashumaro refers into OpenAPI's components, and writes them into $defs.
                part["$ref"] = f"#/{shared[name]}/{name}"
                reader.note(f"{reference} was read as {part['$ref']}.")
                mended = True
            else:
                where = f"{at}: " if at else ""
                reader.faults.append(
                    f"{where}$ref {one_line(reference, 80)!r} points outside the schema, or nowhere. Only "
                    "references within the schema (#/…) are followed; put what it points to in $defs."
                )
        if not mended or reader.faults:
            break
    return schema
