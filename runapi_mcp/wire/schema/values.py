"""What a subschema says of a value itself, in the wire's keywords (wire notes §5.5)."""

from typing import Final

from runapi_mcp.wire.schema.words import WIRE_FORMATS, description
from runapi_mcp.wire.types import JsonObject, JsonValue

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
