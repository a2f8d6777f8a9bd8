"""A caller's JSON Schema → what the wire takes, and which of its rules only we check.

The keywords that Gemini's structured output takes are those of the wire notes §5.5. Everything
else is rewritten where it has an equivalent, and otherwise left out of what is sent; the answer is
judged by the original schema either way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runapi_mcp.wire.types import JsonObject, JsonValue

_TAKEN: Final = frozenset(
    {
        *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum"),
        *("items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf"),
        *("properties", "additionalProperties", "required", "propertyOrdering"),
    }
)
_SCHEMAS_BY_NAME: Final = ("properties", "$defs")
_SCHEMA_LISTS: Final = ("anyOf", "oneOf", "prefixItems")
_SCHEMAS: Final = ("items", "additionalProperties")
_SILENT: Final = frozenset(
    {"$schema", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that judge nothing: dropping them loses no rule."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A schema for the wire, and the keywords that were left out of it, with where they stood."""

    schema: JsonObject
    checked_here: tuple[str, ...]


def rewritten(schema: JsonObject) -> Rewritten:
    """Return `schema` in the form the wire takes."""
    left_out: list[str] = []
    root = _object(schema, "", left_out)
    return Rewritten(root, tuple(dict.fromkeys(left_out)))


def _object(schema: JsonObject, at: str, left_out: list[str]) -> JsonObject:
    if isinstance(schema.get("$ref"), str):
        # Beside a $ref the wire takes only keywords that begin with "$".
        left_out += [f"{at}/{key}" for key in schema if not key.startswith("$") and key not in _ANNOTATIONS]
        kept = {key: value for key, value in schema.items() if key in ("$ref", "$defs")}
        return dict(_members(kept, at, left_out))
    return dict(_members(_renamed(schema), at, left_out))


_ANNOTATIONS: Final = _SILENT | {"title", "description"}


def _renamed(schema: JsonObject) -> JsonObject:
    """Return the schema with keywords that have an equivalent under the name the wire knows."""
    named = dict(schema)
    if "const" in named and isinstance(named["const"], str | int | float) and "enum" not in named:
        named["enum"] = [named.pop("const")]
    if "definitions" in named and "$defs" not in named:
        named["$defs"] = named.pop("definitions")
    return named


def _members(schema: JsonObject, at: str, left_out: list[str]) -> Iterator[tuple[str, JsonValue]]:
    for key, value in schema.items():
        here = f"{at}/{key}"
        if key == "$ref" and isinstance(value, str):
            yield key, value.replace("#/definitions/", "#/$defs/")
        elif key in _TAKEN:
            yield key, _value(key, value, here, left_out)
        elif key not in _SILENT:
            left_out.append(here)


def _value(key: str, value: JsonValue, at: str, left_out: list[str]) -> JsonValue:
    match value:
        case dict() if key in _SCHEMAS_BY_NAME:
            return {name: _schema(item, f"{at}/{name}", left_out) for name, item in value.items()}
        case list() if key in _SCHEMA_LISTS:
            return [_schema(item, f"{at}/{index}", left_out) for index, item in enumerate(value)]
        case dict() if key in _SCHEMAS:
            return _object(value, at, left_out)
        case _:
            return value


def _schema(value: JsonValue, at: str, left_out: list[str]) -> JsonValue:
    return _object(value, at, left_out) if isinstance(value, dict) else value
