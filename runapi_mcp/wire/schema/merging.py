"""Two schemas in the wire's words, made into one that asks for both."""

from typing import Final

from runapi_mcp.wire.pointers import escaped
from runapi_mcp.wire.types import JsonObject, JsonValue

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
