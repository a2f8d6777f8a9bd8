"""What the rewriting of a schema must not lose, and what it must refuse."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runapi_mcp.wire.schema.read import Faulty
from runapi_mcp.wire.schema.subschemas import Dangling, Unfollowable
from runapi_mcp.wire.schema.write import TAKEN, rewrite_schema
from runapi_mcp.wire.types import JsonObject

KEYWORDS = st.sampled_from(
    [
        *("$ref", "$id", "$schema", "$defs", "$anchor", "$dynamicRef", "type", "format", "description"),
        *("enum", "const", "items", "additionalItems", "prefixItems", "minItems", "exclusiveMinimum"),
        *("minimum", "anyOf", "oneOf", "allOf", "not", "properties", "patternProperties", "pattern"),
        *("additionalProperties", "required", "uniqueItems", "dependencies", "dependentSchemas", "contains"),
    ]
)
ODD: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(
            [0, -1, 1.5, 10**400, float("inf"), "", "#", "#/$defs/a", "http://[", "string", "a/b"]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYWORDS, inner, max_size=4)),
    max_leaves=10,
)


@given(st.dictionaries(KEYWORDS, ODD, max_size=4))
@example({"format": ["date"]})
@example({"type": "integer", "exclusiveMinimum": 10**400})
@example({"minItems": float("inf")})
@example({"properties": 5})
@example({"$id": 5})
@example({"$defs": {"a": {"$id": "http://["}}})
def test_whatever_is_given_for_a_schema_is_written_or_refused(schema: JsonObject) -> None:
    try:
        made = rewrite_schema(schema)
    except (Unfollowable, Faulty, RecursionError):
        return
    assert made.schema.keys() <= TAKEN["chat"]


def test_an_identifier_that_is_none_is_told_like_a_reference() -> None:
    with pytest.raises(Dangling, match=r"http://\["):
        rewrite_schema({"$id": "https://e.org", "properties": {"a": {"$id": "http://["}}})


@pytest.mark.parametrize(
    ("schema", "wire", "checked"),
    [
        (
            {"type": "integer", "minimum": 5, "exclusiveMinimum": 5},
            {"type": "integer", "minimum": 6},
            set(),
        ),
        (
            {"type": "number", "maximum": 4, "exclusiveMaximum": 5},
            {"type": "number", "maximum": 4, "description": "(less than 5)"},
            {"/exclusiveMaximum"},
        ),
        (
            {"prefixItems": [{}, {}, {}], "items": False, "maxItems": 2},
            {"type": "array", "prefixItems": [{}, {}], "maxItems": 2},
            set(),
        ),
        ({"type": "array", "uniqueItems": False}, {"type": "array", "items": {}}, set()),
    ],
)
def test_no_rule_is_loosened_or_tightened_in_silence(
    schema: JsonObject, wire: JsonObject, checked: set[str]
) -> None:
    made = rewrite_schema(schema)
    assert made.schema == wire
    assert set(made.checked_here) == checked


def test_rules_are_named_by_their_place_in_the_original() -> None:
    coded: JsonObject = {"type": "string", "pattern": "^a"}
    assert set(rewrite_schema({"prefixItems": [coded]}).checked_here) == {"/prefixItems/0/pattern"}
    assert set(rewrite_schema({"items": [coded], "additionalItems": coded}).checked_here) == {
        "/items/0/pattern",
        "/additionalItems/pattern",
    }
    assert set(rewrite_schema({"properties": {"a/b": coded}}).checked_here) == {"/properties/a~1b/pattern"}


def test_nothing_stands_beside_a_reference_and_what_was_said_there_is_kept() -> None:
    beside: JsonObject = {"description": "d", "anyOf": [{"$ref": "#/$defs/a"}]}
    once: JsonObject = {"properties": {"b": beside}, "$defs": {"a": {"type": "null"}}}
    assert rewrite_schema(once).schema["properties"] == {"b": {"type": "null", "description": "d"}}
    again: JsonObject = {"properties": {"b": {"$ref": "#", "description": "d"}}}
    root: JsonObject = {"properties": {"b": {"anyOf": [{"$ref": "#/$defs/Root"}], "description": "d"}}}
    assert rewrite_schema(again).schema["properties"] == root["properties"]


def test_many_definitions_of_one_name_are_told_apart() -> None:
    schema: JsonObject = {
        "properties": {f"p{n}": {"$ref": f"#/$defs/d{n}/$defs/item"} for n in range(5)},
        "$defs": {f"d{n}": {"$defs": {"item": {"type": "string", "maxLength": n}}} for n in range(5)},
    }
    names = rewrite_schema(schema).schema["$defs"]
    assert isinstance(names, dict)
    assert [*names] == ["item", "item_2", "item_3", "item_4", "item_5"]
