"""Two schemas of the wire, made one."""

import pytest

from runapi_mcp.wire.schema.write import merged, stated_type
from runapi_mcp.wire.types import JsonObject, JsonValue

BOTH: list[tuple[JsonObject, JsonObject, JsonObject, list[str]]] = [
    ({}, {"type": "string"}, {"type": "string"}, []),
    ({"minimum": 1, "maximum": 9}, {"minimum": 2, "maximum": 8}, {"minimum": 2, "maximum": 8}, []),
    ({"minItems": 3, "maxItems": 5}, {"minItems": 2, "maxItems": 6}, {"minItems": 3, "maxItems": 5}, []),
    ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}, {"enum": ["b"]}, []),
    ({"enum": ["a"]}, {"enum": ["b"]}, {"enum": ["a"]}, ["enum"]),
    ({"required": ["a", "b"]}, {"required": ["b", "c"]}, {"required": ["a", "b", "c"]}, []),
    ({"description": "one"}, {"description": "other"}, {"description": "one"}, []),
    ({"format": "date"}, {"format": "time"}, {"format": "date"}, ["format"]),
    ({"anyOf": [{"minimum": 1}, {}]}, {"anyOf": [{}, {}]}, {"anyOf": [{"minimum": 1}, {}]}, ["anyOf"]),
    (
        {"items": {"enum": ["a"], "type": "string"}},
        {"items": {"enum": ["b"]}, "minItems": 1},
        {"items": {"enum": ["a"], "type": "string"}, "minItems": 1},
        ["items/enum"],
    ),
    (
        {"properties": {"a/b": {"type": "string"}, "c": {}}},
        {"properties": {"a/b": {"type": "null"}, "d": {"type": "null"}}},
        {"properties": {"a/b": {"type": "string"}, "c": {}, "d": {"type": "null"}}},
        ["properties/a~1b/type"],
    ),
    (
        {"additionalProperties": {"minimum": 1}},
        {"additionalProperties": {"minimum": 2}},
        {"additionalProperties": {"minimum": 2}},
        [],
    ),
    ({"additionalProperties": {}}, {"additionalProperties": False}, {"additionalProperties": False}, []),
    ({"additionalProperties": False}, {"additionalProperties": {}}, {"additionalProperties": False}, []),
    ({"$ref": "#/a"}, {"description": "d", "minimum": 1}, {"$ref": "#/a"}, ["minimum"]),
    ({"type": "number", "description": "d"}, {"$ref": "#/a"}, {"$ref": "#/a"}, ["type"]),
    ({"$ref": "#/a"}, {"$ref": "#/b"}, {"$ref": "#/a"}, ["$ref"]),
    ({"$ref": "#/a"}, {"$ref": "#/a"}, {"$ref": "#/a"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "both", "lost"), BOTH)
def test_both_schemas_are_asked_for_and_what_cannot_be_is_told(
    one: JsonObject, other: JsonObject, both: JsonObject, lost: list[str]
) -> None:
    assert merged(one, other) == (both, lost)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (["string", "null"], "string", "string"),
        (["string", "null", "boolean"], ["null", "string"], ["string", "null"]),
        ("number", "integer", "integer"),
        ("integer", "number", "integer"),
        (["number", "null"], ["integer", "null"], ["null", "integer"]),
        (["integer", "number"], ["number", "null"], "number"),
    ],
)
def test_a_type_must_be_one_of_both_and_an_integer_is_a_number(
    one: JsonValue, other: JsonValue, both: JsonValue
) -> None:
    assert merged({"type": one}, {"type": other}) == ({"type": both}, [])


def test_types_that_exclude_each_other_leave_the_first_and_are_told() -> None:
    assert merged({"type": "string"}, {"type": ["number", "null"]}) == ({"type": "string"}, ["type"])


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"required": ["a"]}, "object"),
        ({"prefixItems": [{}]}, "array"),
        ({"maximum": 1}, "number"),
        ({"description": "d"}, None),
        ({"anyOf": [{}], "minimum": 1}, None),
    ],
)
def test_the_keywords_tell_the_type(schema: JsonObject, kind: str | None) -> None:
    assert stated_type(schema) == kind
