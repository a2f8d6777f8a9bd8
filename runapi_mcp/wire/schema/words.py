"""Rules that the wire has no keyword for, said to the model in the description (wire notes §5.5)."""

import json
from collections.abc import Callable, Collection
from typing import Final

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
