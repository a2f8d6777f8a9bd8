"""A caller's schema on the wire."""

import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from runapi_mcp.extraction.check import Judge
from runapi_mcp.sim.examples import conforms, example
from runapi_mcp.wire.schema.read import Faulty, read_schema
from runapi_mcp.wire.schema.subschemas import Dangling
from runapi_mcp.wire.schema.write import TAKEN, rewrite_schema
from runapi_mcp.wire.types import JsonObject


def keywords(schema: Any) -> set[str]:
    """Every keyword of a rewritten schema, names of properties and definitions aside."""
    found: set[str] = set()
    for key, value in schema.items() if isinstance(schema, dict) else ():
        found.add(key)
        if key in ("properties", "$defs"):
            found |= set().union(*(keywords(part) for part in value.values()), set())
        elif key in ("anyOf", "prefixItems"):
            found |= set().union(*map(keywords, value))
        elif key in ("items", "additionalProperties"):
            found |= keywords(value)
    return found


ON_WIRE: list[tuple[JsonObject, JsonObject, tuple[str, ...]]] = [
    ({"const": "a"}, {"enum": ["a"], "type": "string"}, ()),
    ({"const": 5}, {"enum": [5], "type": "integer"}, ()),
    ({"const": True}, {"type": "boolean", "description": "(always true)"}, ("/const",)),
    ({"const": None}, {"type": "null"}, ()),
    ({"const": {"a": 1}}, {"type": "object", "description": '(always {"a": 1})'}, ("/const",)),
    ({"enum": ["a", None]}, {"anyOf": [{"enum": ["a"], "type": "string"}, {"type": "null"}]}, ()),
    ({"enum": [True, False]}, {"type": "boolean"}, ()),
    ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}, ()),
    (
        {"type": "number", "exclusiveMaximum": 1.5},
        {"type": "number", "maximum": 1.5, "description": "(less than 1.5)"},
        ("/exclusiveMaximum",),
    ),
    (
        {"type": "string", "pattern": "^a", "minLength": 2, "description": "A code."},
        {
            "type": "string",
            "description": "A code. (matches the regular expression ^a; at least 2 characters)",
        },
        ("/pattern", "/minLength"),
    ),
    ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}, ()),
    ({"type": "string", "format": "uuid"}, {"type": "string", "description": "(format uuid)"}, ("/format",)),
    ({"type": "integer", "format": "int32"}, {"type": "integer", "description": "(format int32)"}, ()),
    (
        {"oneOf": [{"type": "string"}, {"type": "null"}]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ("/oneOf",),
    ),
    ({"anyOf": [{"type": "string"}]}, {"type": "string"}, ()),
    (
        {"items": [{"type": "string"}], "additionalItems": False},
        {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1},
        (),
    ),
    (
        {"properties": {"a": True, "b": False}},
        {"type": "object", "properties": {"a": {}}},
        ("/properties",),
    ),
    (
        {"type": "object", "unevaluatedProperties": False, "not": {"required": ["a"]}},
        {"type": "object", "additionalProperties": False, "description": "(never so that a is given)"},
        ("/not", "/unevaluatedProperties"),
    ),
    (
        {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
        {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "(further members are named like ^x)",
        },
        ("/patternProperties",),
    ),
    (
        {
            "allOf": [
                {"properties": {"a": {}}, "required": ["a"]},
                {"properties": {"b": {}}, "required": ["b"]},
            ]
        },
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
        (),
    ),
    (
        {"title": "T", "default": 1, "examples": [2], "$comment": "c", "deprecated": True, "x-own": 1},
        {"description": "(for example 2)"},
        (),
    ),
    (
        {"$ref": "#/definitions/U", "definitions": {"U": {"type": "string"}}},
        {"type": "string"},
        (),
    ),
    (
        {"properties": {"me": {"$ref": "#"}}, "required": ["me"]},
        {
            "type": "object",
            "properties": {"me": {"$ref": "#/$defs/Root"}},
            "required": ["me"],
            "$defs": {"Root": {"type": "object", "properties": {"me": {"$ref": "#/$defs/Root"}}}},
        },
        ("/required",),
    ),
]


@pytest.mark.parametrize(("schema", "wire", "checked"), ON_WIRE, ids=[next(iter(s)) for s, _, _ in ON_WIRE])
@pytest.mark.parametrize("dialect", ["chat", "native"])
def test_each_keyword_becomes_what_the_wire_takes(
    schema: JsonObject, wire: JsonObject, checked: tuple[str, ...], dialect: Literal["chat", "native"]
) -> None:
    made = rewrite_schema(schema, dialect)
    assert made.schema == wire
    assert set(made.checked_here) == set(checked)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(gt=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = None


class Node(BaseModel):
    value: float = Field(multiple_of=0.5)
    children: list["Node"]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    first: Cat = Field(description="The first cat.")
    labels: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")


def test_what_pydantic_writes_is_taken_as_it_comes() -> None:
    schema = Node.model_json_schema()
    made = rewrite_schema(schema)
    assert keywords(made.schema) <= TAKEN["chat"]
    properties: Any = made.schema["properties"]
    first = properties["first"]
    assert first["description"] == "The first cat.", "a description beside a $ref is kept"
    assert "/required" not in made.checked_here, "a loop through a list is none: it may be empty"
    answer: Any = {"value": 1.5, "children": [], "pet": {"kind": "dog"}, "first": {"kind": "cat", "lives": 3}}
    assert Judge(schema).violations(answer) == []
    assert conforms(answer, made.schema)


ZOD: JsonObject = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$ref": "#/definitions/User",
    "definitions": {
        "User": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "age": {"type": "integer", "exclusiveMinimum": 0},
                "role": {"type": "string", "enum": ["admin", "user"]},
                "contact": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
                "friends": {"type": "array", "items": {"$ref": "#/definitions/User"}},
            },
            "required": ["id", "age", "role", "contact"],
            "additionalProperties": False,
        }
    },
}


def test_what_zod_writes_is_taken_as_it_comes() -> None:
    made = rewrite_schema(ZOD)
    assert keywords(made.schema) <= TAKEN["chat"]
    assert made.schema["type"] == "object", "a reference at the very top is taken in"
    assert conforms(example(ZOD), made.schema)


def test_anchors_identifiers_and_pointers_lead_to_the_same_definition() -> None:
    schema: JsonObject = {
        "$id": "https://e.org/root",
        "properties": {
            "a": {"$ref": "#thing"},
            "b": {"$ref": "#/$defs/t"},
            "c": {"$ref": "https://e.org/root#/$defs/t"},
            "d": {"$ref": "other"},
        },
        "$defs": {"t": {"$anchor": "thing", "type": "string"}, "o": {"$id": "other", "type": "integer"}},
    }
    made = rewrite_schema(schema).schema
    assert made["properties"] == {
        "a": {"$ref": "#/$defs/thing"},
        "b": {"$ref": "#/$defs/thing"},
        "c": {"$ref": "#/$defs/thing"},
        "d": {"$ref": "#/$defs/other"},
    }


def test_names_of_definitions_do_not_collide() -> None:
    schema: JsonObject = {
        "properties": {"a": {"$ref": "#/$defs/x/$defs/item"}, "b": {"$ref": "#/$defs/y/$defs/item"}},
        "$defs": {"x": {"$defs": {"item": {"type": "string"}}}, "y": {"$defs": {"item": {"type": "null"}}}},
    }
    assert rewrite_schema(schema).schema["$defs"] == {"item": {"type": "string"}, "item_2": {"type": "null"}}


@pytest.mark.parametrize("reference", ["https://e.org/x", "#/nowhere", "file:///etc/passwd", "other.json"])
def test_a_reference_that_leads_out_is_told(reference: str) -> None:
    with pytest.raises(Dangling, match=reference):
        rewrite_schema({"items": {"$ref": reference}})


def test_a_schema_that_refers_to_itself_in_a_circle_ends() -> None:
    made = rewrite_schema(
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    )
    assert keywords(made.schema) <= TAKEN["chat"]


LEAF: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])}),
    st.fixed_dictionaries({"const": st.sampled_from(["a", 1, 1.5, True, None])}),
    st.fixed_dictionaries(
        {"enum": st.lists(st.sampled_from(["a", "b", 1, None, True]), min_size=1, unique=True)}
    ),
    st.fixed_dictionaries({"type": st.just("integer"), "exclusiveMinimum": st.integers(-5, 5)}),
    st.fixed_dictionaries(
        {"type": st.just("string"), "minLength": st.integers(0, 5), "format": st.just("date")}
    ),
    st.fixed_dictionaries(
        {"$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"]), "description": st.just("d")}
    ),
)
NAMES = st.sampled_from(["a", "b", "c"])
SCHEMAS = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "minItems": st.integers(0, 2)}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner), "required": st.just([])}
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "patternProperties": st.fixed_dictionaries({"^x": inner})}
        ),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
def test_any_schema_becomes_one_of_the_wires_keywords_only(schema: dict[str, Any]) -> None:
    # "two" names its type: without one, members are taken to speak of an object alone, and 1 would conform.
    two = {"type": "object", "properties": {"again": {"$ref": "#/$defs/two"}}}
    whole = {**schema, "$defs": {"one": {"type": "string"}, "two": two}}
    try:
        made = rewrite_schema(whole)
    except Faulty as refused:
        assert "nothing can conform to it" in str(refused)  # noqa: PT017  # most do
        return
    assert keywords(made.schema) <= TAKEN["chat"]
    answer: Any = example(whole)
    if Judge(whole).conforms(answer):
        assert conforms(answer, made.schema), "what the original takes, the wire's schema takes"


@pytest.mark.parametrize(
    "configuration",
    [
        {"responseMimeType": "application/json", "responseJsonSchema": {"type": "string"}},
        {"response_mime_type": "application/json", "response_json_schema": {"type": "string"}},
        {"generation_config": {"response_schema": {"type": "STRING"}}},
        {"name": "f", "parameters_json_schema": {"type": "string"}},
    ],
)
def test_a_schema_is_taken_out_of_googles_words_in_either_casing(configuration: dict[str, Any]) -> None:
    reading = read_schema(configuration)
    assert reading.schema == {"type": "string"}
    assert reading.notes[0].startswith("The schema was taken from ")


def test_what_draft_7_calls_dependencies_holds_though_no_draft_is_named() -> None:
    parts: JsonObject = {"a": ["b"], "c": {"required": ["d"]}}
    read = read_schema({"type": "object", "dependencies": parts}).schema
    assert read == {
        "type": "object",
        "dependentRequired": {"a": ["b"]},
        "dependentSchemas": {"c": {"required": ["d"]}},
    }
    judge = Judge(read)
    for right in ({"a": 1, "b": 2}, {"c": 1, "d": 2}):
        assert judge.conforms(json.loads(json.dumps(right)))
    for wrong in ({"a": 1}, {"c": 1}):
        assert not judge.conforms(json.loads(json.dumps(wrong)))
