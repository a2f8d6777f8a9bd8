"""Schemas made round a value that conforms to them, in the forms in which generators write them."""

import json
from typing import Any, TypeAlias

from hypothesis import strategies as st

Made: TypeAlias = tuple[dict[str, Any], Any]
"""A schema, and a value that conforms to it."""

NAMES = st.sampled_from(["a", "b", "kind", "x-y", "c/d"])
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.sampled_from([0.5, -1.5, 3.0]),
    st.sampled_from(["", "a", "bb", "2026-01-02", "net"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
ADDED: st.SearchStrategy[Any] = st.sampled_from([False, True, {"type": "string"}])
ABOUT = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["A title", "A", "Kind"]),
        "description": st.sampled_from(["What it is.", ""]),
        "examples": st.just(["e"]),
        "default": st.none(),
    },
)


def kind_of(value: Any) -> str:
    """Return the type that JSON Schema has for a value."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


@st.composite
def schemas_around(draw: st.DrawFn) -> Made:
    """Draw a schema and a value that conforms to it."""
    value = draw(VALUES)
    definitions: dict[str, Any] = {}
    schema = draw(_around(value, definitions, 0))
    return {**schema, "$defs": definitions} if definitions else schema, value


@st.composite
def _around(draw: st.DrawFn, value: Any, definitions: dict[str, Any], depth: int) -> dict[str, Any]:
    plain = draw(ABOUT) | draw(_plain(value, definitions, depth))
    # Not nullable: JSON Schema does not know it, so that it can make two of a oneOf conform.
    ways = ["plain", "plain", "ref", "anyOf", "allOf", "oneOf", "described", "if"]
    match draw(st.sampled_from(ways if depth < 3 else ["plain"])):
        case "ref":
            return {"$ref": _defined(plain, definitions)}
        case "described":
            return {"$ref": _defined(plain, definitions), "description": "Beside a reference."}
        case "anyOf" | "oneOf" as word:
            other = draw(_around(draw(SCALARS), definitions, depth + 1))
            options = draw(st.permutations([plain, other]))
            return draw(ABOUT) | {word: [*options], **_beside(draw(st.booleans()), value)}
        case "allOf":
            other = draw(_around(value, definitions, depth + 1))
            return draw(ABOUT) | {"allOf": [plain, other]}
        case "if" if isinstance(value, dict):
            then = draw(_around(value, definitions, depth + 1))
            condition = {"properties": {name: {"const": part} for name, part in value.items()}}
            return plain | {"if": condition, "then": then}
        case _:
            return plain


def _beside(wanted: bool, value: Any) -> dict[str, Any]:
    return {"type": kind_of(value)} if wanted else {}


def _defined(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    name = f"D{len(definitions)}"
    definitions[name] = schema
    return f"#/$defs/{name}"


@st.composite
def _plain(draw: st.DrawFn, value: Any, definitions: dict[str, Any], depth: int) -> dict[str, Any]:
    if draw(st.integers(0, 4)) == 0:
        others = draw(st.lists(SCALARS, max_size=2))
        unlike = {json.dumps(other): other for other in [value, *others]}
        return draw(st.sampled_from([{"const": value}, {"enum": [*unlike.values()]}]))
    made: dict[str, Any] = {"type": kind_of(value)}
    if draw(st.booleans()):
        made["type"] = [made["type"], draw(st.sampled_from(["null", "string", "object"]))]
        made["type"] = [*dict.fromkeys(made["type"])]
    match value:
        case bool() | None:
            pass
        case int() | float():
            bounds = {"minimum": value, "maximum": value + 1, "exclusiveMinimum": value - 1}
            made |= draw(st.fixed_dictionaries({}, optional={k: st.just(v) for k, v in bounds.items()}))
        case str():
            rules = {"minLength": len(value), "maxLength": len(value) + 1, "pattern": "^"}
            made |= draw(st.fixed_dictionaries({}, optional={k: st.just(v) for k, v in rules.items()}))
        case list():
            made |= draw(_list(value, definitions, depth))
        case dict():
            made |= draw(_object(value, definitions, depth))
    return made


@st.composite
def _list(draw: st.DrawFn, value: list[Any], definitions: dict[str, Any], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if draw(st.booleans()):
        made["prefixItems"] = [draw(_around(item, definitions, depth + 1)) for item in value] or [{}]
        made["items"] = draw(ADDED)
    elif draw(st.booleans()) and value:
        made["items"] = {"anyOf": [draw(_around(item, definitions, depth + 1)) for item in value]}
    if draw(st.booleans()):
        made |= {"minItems": len(value), "maxItems": len(value) + 1}
    return made


@st.composite
def _object(
    draw: st.DrawFn, value: dict[str, Any], definitions: dict[str, Any], depth: int
) -> dict[str, Any]:
    described = [name for name in value if draw(st.integers(0, 3))]
    members = {name: draw(_around(value[name], definitions, depth + 1)) for name in described}
    if draw(st.booleans()):
        members["other"] = draw(st.sampled_from([False, True, {"type": "string", "minLength": 2}]))
    made: dict[str, Any] = {"properties": members}
    made["required"] = draw(st.lists(st.sampled_from([*value]), unique=True)) if value else []
    left = [name for name in value if name not in members]
    if not left:
        made |= draw(st.sampled_from([{}, {"additionalProperties": False}, {"unevaluatedProperties": False}]))
    elif draw(st.booleans()):
        made["additionalProperties"] = {"anyOf": [draw(_around(value[n], definitions, 3)) for n in left]}
    elif draw(st.booleans()):
        made["propertyNames"] = {"enum": [*value, "more"]}
    elif draw(st.booleans()):
        pattern = "^(" + "|".join(left) + ")$" if all("/" not in name for name in left) else "^x"
        options = [draw(_around(value[n], definitions, 3)) for n in left]
        made["patternProperties"] = {pattern: {"anyOf": options}}
    if draw(st.integers(0, 3)) == 0:
        made["dependentSchemas"] = {"a": {"properties": {"late": {"type": "integer"}}}}
        made["anyOf"] = (
            [{"required": ["late"]}, {"required": [*value]}] if value else [{}, {"required": ["a"]}]
        )
    return made
