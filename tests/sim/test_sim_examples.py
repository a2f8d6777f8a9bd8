"""Generated JSON conforms to the schema it was generated for."""

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from runapi_mcp.sim import Simulator
from runapi_mcp.sim.examples import example, violation
from runapi_mcp.sim.patterns import matching
from sim.asks import CHAT, NATIVE, chat, chat_text, native, native_text

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "flat": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 18}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "enum and const": {
        "type": "object",
        "properties": {"kind": {"const": "invoice"}, "paid": {"enum": ["yes", "no"]}, "n": {"enum": [3, 4]}},
        "required": ["kind", "paid", "n"],
    },
    "array with a least size": {
        "type": "array",
        "minItems": 3,
        "items": {"type": "string"},
        "uniqueItems": True,
    },
    "unique numbers": {"type": "array", "minItems": 4, "items": {"type": "integer"}, "uniqueItems": True},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2},
    "recursion": TREE,
    "reference to itself": {
        "type": "object",
        "properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}},
        "required": ["v"],
    },
    "either": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"], "properties": {"a": {}}}]},
    "exactly one": {
        "oneOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "formats": {
        "type": "object",
        "properties": {
            form: {"type": "string", "format": form}
            for form in ("date", "date-time", "email", "uri", "uuid", "ipv4", "hostname", "time")
        },
        "required": ["date", "date-time", "email", "uri", "uuid"],
    },
    "bounds": {
        "type": "object",
        "properties": {
            "a": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "b": {"type": "integer", "minimum": 10, "multipleOf": 7},
            "c": {"type": "number", "maximum": -5},
            "d": {"type": "string", "minLength": 30, "maxLength": 40},
            "e": {"type": "string", "maxLength": 3},
            "f": {"type": "integer", "exclusiveMaximum": 0},
        },
        "required": ["a", "b", "c", "d", "e", "f"],
    },
    "patterns": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{3}-\\d{2,4}$"},
            "slug": {"type": "string", "pattern": "^(alpha|beta)_[^aeiou]+\\.txt$"},
        },
        "required": ["code", "slug"],
    },
    "nullable": {"type": "object", "properties": {"x": {"type": ["null", "string"]}}, "required": ["x"]},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    "required without properties": {"type": "object", "required": ["a", "b"]},
    "anything": {},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_conforms(name: str) -> None:
    schema = SCHEMAS[name]
    value = example(schema, "Ada, age: 41")
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(value)] == []


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name != "anything"])
def test_a_violation_does_not_conform(name: str) -> None:
    assert not Draft202012Validator(SCHEMAS[name]).is_valid(violation(SCHEMAS[name]))


def test_what_the_text_says_is_taken_over_where_it_fits() -> None:
    schema = {
        "type": "object",
        "properties": {
            "fullName": {"type": "string"},
            "age": {"type": "integer"},
            "price": {"type": "number", "maximum": 5},
            "colour": {"enum": ["red", "green"]},
        },
    }
    text = "Full name: Ada Lovelace, age is 36. Price: 99. She likes green."
    made = example(schema, text)
    assert isinstance(made, dict)
    assert (made["fullName"], made["age"], made["colour"]) == ("Ada Lovelace", 36, "green")
    assert made["price"] <= 5


@pytest.mark.parametrize(
    "pattern", ["^\\d{4}-\\d{2}$", "[a-f0-9]{8}", "^(?:x|y)z?$", "^[^\\s@]+@[^\\s@]+$", "^$", "a|b"]
)
def test_a_string_is_found_for_simple_patterns(pattern: str) -> None:
    assert matching(pattern) is not None


@pytest.mark.parametrize("pattern", ["(", "^(?=.*\\d)(?=.*[a-z]).{8}$", "[a"])
def test_a_pattern_beyond_the_reader_gives_nothing(pattern: str) -> None:
    assert matching(pattern) is None


def json_ask(schema: dict[str, Any], text: str = "Ada, age: 41") -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return chat(text, response_format=form)


async def test_both_dialects_answer_with_conforming_json_in_pieces(client: httpx.AsyncClient) -> None:
    schema = SCHEMAS["flat"]
    body = (await client.post(CHAT, json=json_ask(schema))).text
    assert json.loads(chat_text(body))["age"] == 41
    assert body.count("data:") > 2
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    body = (await client.post(NATIVE, json=native("Ada, age: 41", generationConfig=config))).text
    assert json.loads(native_text(body))["age"] == 41
    config = {"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}}
    body = (await client.post(NATIVE, json=native("hi", generationConfig=config))).text
    assert isinstance(json.loads(native_text(body)), str)


async def test_wrong_answers_are_wrong_in_the_way_they_say(sim: Simulator, client: httpx.AsyncClient) -> None:
    schema = SCHEMAS["flat"]

    async def say(name: str) -> str:
        sim.play(name)
        return chat_text((await client.post(CHAT, json=json_ask(schema))).text)

    assert "```json\n{" in await say("fenced-json")
    assert not Draft202012Validator(schema).is_valid(json.loads(await say("wrong-json")))
    with pytest.raises(json.JSONDecodeError):
        json.loads(await say("broken-json"))
    assert "{" not in await say("prose-instead-of-json")
    assert (await say("duplicate-keys-json")).count('"name"') == 2
    assert "NaN" in await say("nan-json")
    assert not Draft202012Validator(schema).is_valid(json.loads(await say("wrong-json-once")))
    assert Draft202012Validator(schema).is_valid(json.loads(await say("wrong-json-once")))
