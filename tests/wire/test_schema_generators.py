"""Schemas as generators write them: taken, judged as a reference validator does, and sent whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, SchemaError
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable

import benchmarks
from runapi_mcp.extraction.check import Judge
from runapi_mcp.wire.schema.narrow import narrow
from runapi_mcp.wire.schema.read import Faulty, read_schema
from runapi_mcp.wire.schema.write import rewrite_schema
from runapi_mcp.wire.types import JsonObject
from wire.test_schema_laws import faults_of

HERE = Path(__file__).parent
GENERATED: list[dict[str, Any]] = json.loads(
    (Path(benchmarks.__file__).parent / "schemas" / "generated.json").read_text(encoding="utf-8")
)
REPORTS: list[dict[str, Any]] = json.loads((HERE / "schema_reports.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", GENERATED, ids=[row["generator"] for row in GENERATED])
def test_what_a_generator_writes_is_taken_and_judged_as_it_means(row: dict[str, Any]) -> None:
    before = json.dumps(row["schema"])
    reading = read_schema(row["schema"])
    assert json.dumps(row["schema"]) == before, "what was given is left as it was"
    sent = rewrite_schema(reading.schema).schema
    judge = Judge(reading.schema)
    assert faults_of(sent) == []
    for value in row["good"]:
        assert judge.violations(value) == []
        assert Draft202012Validator(sent).is_valid(value)
    for value in row["near"]:
        assert judge.violations(value) != []


@pytest.mark.parametrize("row", GENERATED, ids=[row["generator"] for row in GENERATED])
def test_a_reference_validator_agrees_or_it_is_said_why_not(row: dict[str, Any]) -> None:
    """It is given the schema as it came, of the draft that is read from it."""
    kind = validator_for(read_schema(row["schema"]).schema, default=Draft202012Validator)
    try:
        kind.check_schema(row["schema"])
        verdicts = [kind(row["schema"]).is_valid(value) for value in [*row["good"], *row["near"]]]
    except (SchemaError, Unresolvable):
        verdicts = []
    agrees = verdicts == [True] * len(row["good"]) + [False] * len(row["near"])
    assert agrees != ("differs" in row)


@pytest.mark.parametrize("row", REPORTS, ids=[row["link"] for row in REPORTS])
def test_what_was_reported_elsewhere_is_sent_as_google_takes_it(row: dict[str, Any]) -> None:
    sent = rewrite_schema(read_schema(row["schema"]).schema).schema
    if "answer" in row:
        assert sent == row["answer"]
        assert faults_of(sent) == []
    if "function" in row:
        assert narrow(sent) == row["function"]
        assert faults_of(narrow(sent), narrow=True) == []


def sent(schema: JsonObject) -> Any:
    return rewrite_schema(read_schema(schema).schema).schema


def member(schema: JsonObject, **more: Any) -> Any:
    return sent({"type": "object", "properties": {"m": schema}, **more})["properties"]["m"]


def test_members_that_stand_only_in_a_condition_are_sent() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"kind": {"enum": ["person", "firm"]}},
        "if": {"properties": {"kind": {"const": "firm"}}},
        "then": {"properties": {"vat": {"type": "string", "description": "VAT number"}}, "required": ["vat"]},
        "dependentSchemas": {"vat": {"properties": {"country": {"type": "string"}}}},
        "anyOf": [{"required": ["mail"]}, {"required": ["phone"]}],
    }
    made = sent(schema)
    assert [*made["properties"]] == ["kind", "vat", "country", "mail", "phone"]
    assert made["properties"]["vat"] == {"anyOf": [{"type": "string", "description": "VAT number"}, {}]}
    assert 'if kind is "firm", vat is required' in made["description"]
    assert "at least one of these is required: mail; phone" in made["description"]


@pytest.mark.parametrize("size", [50, 300, 1_500])
def test_a_pattern_is_told_whole(size: int) -> None:
    pattern = "^(" + "|".join(f"w{n}" for n in range(size // 4)) + ")+$"
    assert pattern in member({"type": "string", "pattern": pattern})["description"]


def test_a_long_pattern_beside_a_format_is_told_by_the_format() -> None:
    told = member({"type": "string", "format": "email", "pattern": "^" + "a?" * 200 + "$"})
    assert told["description"] == "(format email)"


def test_an_empty_text_in_an_enum_is_told_in_words() -> None:
    assert member({"enum": ["", "s"]}) == {
        "type": "string",
        "description": '(one of the empty string, "s")',
    }


def test_names_of_members_that_a_pattern_lists_are_sent() -> None:
    made = member({"type": "object", "patternProperties": {"^(net|vat)$": {"type": "number"}}})
    assert made["properties"] == {"net": {"type": "number"}, "vat": {"type": "number"}}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "not": {}}, "/not: everything is excluded"),
        ({"type": "string", "enum": [1, 2]}, "/enum: none of its values is allowed"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "/allOf/1/type: nothing is both string and"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number is 5 or more and 4 or less"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "no text has 3 characters or more and 2"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "no list has 3 items or more and 2 or less"),
        (
            {"type": "object", "required": ["b"], "properties": {"a": {}}, "additionalProperties": False},
            "/required: 'b' cannot be met: /additionalProperties allows no further members",
        ),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}},
             "$defs": {"A": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4}}},
            "/$defs/A: no number is 4 or more and 3 or less",
        ),
        (
            {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}},
            "each Root needs another Root in it, without end",
        ),
    ],
)  # fmt: skip
def test_a_schema_that_nothing_can_satisfy_is_told_with_where(schema: JsonObject, said: str) -> None:
    with pytest.raises(Faulty) as refused:
        sent(schema)
    assert said in str(refused.value)


def test_all_faults_are_told_at_once_in_the_order_of_the_schema() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "a": {"type": "int"},
            "b": "string",
            "c": {"enum": "x", "minLength": -1},
            "d": {"type": "Date"},
        },
        "required": "a",
    }
    with pytest.raises(Faulty) as refused:
        read_schema(schema)
    assert [fault.split(":")[0].rpartition(" ")[2] for fault in refused.value.faults] == [
        *("/required", "/properties/a/type", "/properties/b", "/properties/c/enum"),
        *("/properties/c/minLength", "/properties/d/type"),
    ]
    assert 'Write {"type": "string"}.' in str(refused.value)
    assert '"string" with "format": "date"' in str(refused.value)


def test_a_whole_openapi_document_is_told_what_to_add() -> None:
    document: JsonObject = {
        "openapi": "3.1.0",
        "paths": {},
        "components": {"schemas": {"A": {"type": "object"}}},
    }
    with pytest.raises(Faulty, match=r'add "\$ref": "#/components/schemas/A"'):
        read_schema(document)
    assert sent({**document, "$ref": "#/components/schemas/A"}) == {"type": "object"}
