"""The keywords of JSON Schema, of all drafts together: where subschemas stand, and what each must hold.

What is known here is only the form. A keyword that is not named here is an annotation, and anybody's.
"""

from collections.abc import Callable, Iterator
from typing import Final

from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.types import JsonObject, JsonValue

TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")

ONE: Final = frozenset(
    {
        *("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
        *("contains", "propertyNames", "not", "if", "then", "else", "contentSchema"),
    }
)
"""Keywords that hold a subschema."""
LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords that hold a list of them; so may `items`, until draft 2019-09."""
NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold them by name; so may `dependencies`, beside lists of names."""
REFERRING: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_COUNTS: Final = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minContains", "maxContains"),
)
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
ASKING: Final = frozenset(
    {
        *ONE - {"contentSchema"},
        *LISTED,
        *REFERRING,
        *_COUNTS,
        *_BOUNDS,
        *("type", "enum", "const", "multipleOf", "pattern", "format", "uniqueItems", "required"),
        *("properties", "patternProperties", "dependentSchemas", "dependentRequired", "dependencies"),
    }
)
"""Keywords that ask something of a value."""
DESCRIBING: Final = frozenset(
    {
        *("title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"),
        *("$comment", "$schema", "$id", "$anchor", "$defs", "definitions", "$vocabulary", "$dynamicAnchor"),
        *("discriminator", "propertyOrdering", "nullable", "contentEncoding", "contentMediaType"),
    }
)
"""Keywords that say something else."""


def subschemas(schema: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Yield the subschemas that stand directly in `schema`, each with its JSON Pointer from there."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if isinstance(value, list) and (key in LISTED or key == "items"):
            yield from ((f"/{key}/{at}", part) for at, part in enumerate(value))
        elif isinstance(value, dict) and (key in NAMED or key == "dependencies"):
            named = value.items()
            yield from ((f"/{escape_key(key)}/{escape_key(name)}", part) for name, part in named if _is(part))
        elif key in ONE:
            yield f"/{key}", value
        elif key == "components" and isinstance(value, dict) and isinstance(value.get("schemas"), dict):
            # OpenAPI's place for what its references lead to.
            held = as_object(value["schemas"])
            yield from ((f"/components/schemas/{escape_key(name)}", part) for name, part in held.items())


def _is(part: JsonValue) -> bool:
    return isinstance(part, dict | bool)


def as_object(value: JsonValue) -> JsonObject:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def count_values(schema: JsonValue) -> int:
    """Return how many members and items there are in `schema`."""
    found, todo = 0, [schema]
    while todo:
        part = todo.pop()
        below = [*part.values()] if isinstance(part, dict) else part if isinstance(part, list) else []
        found += len(below)
        todo += below
    return found


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
_SCHEMA: Final[_Form] = (_is, "a schema, or true or false")
_SCHEMAS: Final[_Form] = (
    lambda value: isinstance(value, list) and bool(value) and all(map(_is, value)),
    "a list of schemas with one at least",
)
_NAMED: Final[_Form] = (
    lambda value: isinstance(value, dict) and all(map(_is, value.values())),
    "an object whose members are schemas",
)
_TEXT: Final[_Form] = (lambda value: isinstance(value, str), "a string")
_YES: Final[_Form] = (lambda value: isinstance(value, bool), "true or false")
FORMS: Final[dict[str, _Form]] = {
    **dict.fromkeys(ONE, _SCHEMA),
    **dict.fromkeys(LISTED, _SCHEMAS),
    **dict.fromkeys(NAMED, _NAMED),
    **dict.fromkeys(_COUNTS, (is_count, "a whole number, 0 or more")),
    **dict.fromkeys(_BOUNDS, (is_number, "a number")),
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
            isinstance(value, dict) and all(_is(part) or _are_names(part) for part in value.values())
        ),
        "an object whose members are schemas, or lists of names",
    ),
    "$vocabulary": (lambda value: isinstance(value, dict), "an object"),
}
"""What the value of a keyword must be, in every draft that is read, and that in words."""
