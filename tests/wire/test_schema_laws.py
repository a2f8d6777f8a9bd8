"""What must hold of every schema: what conforms is not forbidden, nor what is sent refused; nothing grows."""

from collections.abc import Callable
from cProfile import Profile
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from runapi_mcp.wire.schema.narrow import TooWide, Unsayable, narrow, narrow_answer
from runapi_mcp.wire.schema.read import Faulty, read_schema
from runapi_mcp.wire.schema.write import TAKEN, rewrite_schema
from runapi_mcp.wire.types import JsonObject
from wire.schemas_around import Made, schemas_around
from wire.test_rewriting import KEYWORDS, ODD


def conforms(value: Any, schema: Any) -> bool:
    return bool(validator_for(schema, default=Draft202012Validator)(schema).is_valid(value))


@given(schemas_around())
def test_what_is_sent_never_forbids_what_conforms(made: Made) -> None:
    schema, value = made
    assume(conforms(value, schema))
    try:
        reading = read_schema(schema)
    except Faulty as refused:
        assert "asks for nothing" in str(refused)  # noqa: PT017  # nothing else is wrong with them
        return
    assert conforms(value, reading.schema), "it is read for what it is"
    sent = rewrite_schema(reading.schema).schema
    assert conforms(value, sent)
    assert faults_of(sent) == []


@given(schemas_around())
def test_parameters_of_functions_are_written_in_the_narrow_words_alone(made: Made) -> None:
    try:
        parameters = rewrite_schema(
            read_schema(
                {"type": "object", "properties": {"p": made[0]}, "$defs": made[0].get("$defs", {})}
            ).schema
        )
        narrowed = narrow(parameters.schema)
    except (Faulty, TooWide):
        return
    assert faults_of(narrowed, narrow=True) == []


@given(schemas_around())
def test_an_answer_in_the_narrow_words_forbids_nothing_that_conforms(made: Made) -> None:
    schema, value = made
    assume(conforms(value, schema))
    try:
        reading = read_schema(schema)
        narrowed = narrow_answer(rewrite_schema(reading.schema).schema)
    except (Faulty, Unsayable):
        return
    assert faults_of(narrowed, narrow=True) == []
    assert conforms(value, with_null(narrowed))


def with_null(schema: Any) -> Any:
    """Return a schema in the narrow words with its nullable as JSON Schema has it."""
    match schema:
        case dict():
            made = {key: with_null(part) for key, part in schema.items() if key != "nullable"}
            return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") is True else made
        case list():
            return [with_null(part) for part in schema]
        case _:
            return schema


@given(st.dictionaries(KEYWORDS, ODD, max_size=4))
def test_what_is_read_without_a_fault_is_a_schema(given_schema: JsonObject) -> None:
    try:
        reading = read_schema({"type": "object", **given_schema})
    except Faulty:
        return
    kind = validator_for(reading.schema, default=Draft202012Validator)
    errors = kind(kind.META_SCHEMA).iter_errors(reading.schema)
    assert [error.message for error in errors] == []
    assert read_schema(reading.schema).schema == reading.schema, "to read it again changes nothing"


NARROW = {
    *("type", "format", "description", "nullable", "enum", "items", "properties", "required", "anyOf"),
    *("minItems", "maxItems", "minimum", "maximum"),
}


def faults_of(schema: Any, at: str = "", *, narrow: bool = False) -> list[str]:
    """Return what Google's layers refuse in a written schema."""
    if schema == {} and not narrow:
        return []
    found = [f"{at}: {key}" for key in schema.keys() - (NARROW if narrow else TAKEN["chat"])]
    if "$ref" in schema and schema.keys() - {"$ref", "$defs"}:
        found.append(f"{at}: beside $ref")
    if "anyOf" in schema and schema.keys() - {"anyOf", *(() if narrow else ("description", "$defs"))}:
        found.append(f"{at}: beside anyOf")
    members = schema.get("properties", {})
    found += [f"{at}: requires {name}" for name in schema.get("required", []) if name not in members]
    found += [f"{at}: an empty text in an enum" for value in schema.get("enum", []) if value == ""]
    kind = schema.get("type")
    if kind == "array" and not {"items", "prefixItems"} & schema.keys():
        found.append(f"{at}: a list without items")
    if narrow and "anyOf" not in schema and not (schema == {} and not at):
        if not isinstance(kind, str) or kind == "null":
            found.append(f"{at}: type {kind}")
        if kind == "object" and not members:
            found.append(f"{at}: an object without members")
        found += [f"{at}: enum of {v!r}" for v in schema.get("enum", []) if not isinstance(v, str)]
    below = [*members.items(), *schema.get("$defs", {}).items(), *enumerate(schema.get("anyOf", []))]
    below += [*enumerate(schema.get("prefixItems", []))]
    below += [(key, schema[key]) for key in ("items", "additionalProperties") if schema.get(key)]
    return found + [fault for name, part in below for fault in faults_of(part, f"{at}/{name}", narrow=narrow)]


# ---------------------------------------------------------------- growth


def chain(size: int) -> dict[str, Any]:
    """References to references, as long as it goes."""
    definitions: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(size)}
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{size}": {"type": "string"}}}


def described_chain(size: int) -> dict[str, Any]:
    """The same with something beside each reference, which has to be written where it stands."""
    below: dict[str, Any] = {f"d{n}": member(f"d{n + 1}") for n in range(size)}
    return {"$ref": "#/$defs/d0", "$defs": below | {f"d{size}": {"type": "string"}}}


def member(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": {"$ref": f"#/$defs/{name}", "description": name}}}


def doubling(size: int) -> dict[str, Any]:
    """Two ways to the next one: written out, it doubles at every step."""
    below: dict[str, Any] = {
        f"d{n}": {
            "type": "object",
            "properties": {w: {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"minProperties": 1}]} for w in "xy"},
        }
        for n in range(size)
    }
    return {"$ref": "#/$defs/d0", "$defs": below | {f"d{size}": {"type": "object"}}}


def inheriting(size: int) -> dict[str, Any]:
    """Subtypes of one base that has many members."""
    subtype = {
        "allOf": [{"$ref": "#/$defs/Base"}, {"type": "object", "properties": {"own": {"type": "string"}}}]
    }
    base = {"type": "object", "properties": {f"m{n}": {"type": "string"} for n in range(size)}}
    options = [{"$ref": f"#/$defs/S{n}"} for n in range(size)]
    return {"anyOf": options, "$defs": {f"S{n}": subtype for n in range(size)} | {"Base": base}}


def nested(size: int) -> dict[str, Any]:
    """One allOf in another."""
    schema: dict[str, Any] = {"type": "string"}
    for n in range(min(size, 95)):
        schema = {"allOf": [schema, *({"maxLength": 1_000 + m} for m in range(n, size, 95))]}
    return schema


def unions(size: int) -> dict[str, Any]:
    """All of many alternatives: each with each."""
    either = [
        {"type": "object", "properties": {f"p{n}": {"type": "string"}}, "required": [f"p{n}"]}
        for n in range(3)
    ]
    return {"allOf": [{"anyOf": either} for _ in range(size)]}


def looping(size: int) -> dict[str, Any]:
    """Everything refers to everything near it."""
    names = [f"d{n}" for n in range(size)]
    below: dict[str, Any] = {
        name: {
            "type": "object",
            "properties": {w: {"$ref": f"#/$defs/{names[(n * 7 + m) % size]}"} for m, w in enumerate("abcd")},
        }
        for n, name in enumerate(names)
    }
    return {"$ref": "#/$defs/d0", "$defs": below}


def count_steps(work: Callable[[], object]) -> int:
    """Return how many functions are called in `work`, those of C among them."""
    profile = Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def write(schema: JsonObject) -> None:
    try:
        narrow(rewrite_schema(read_schema(schema).schema).schema)
    except (Faulty, TooWide):
        return


@pytest.mark.parametrize("shape", [chain, described_chain, doubling, inheriting, nested, unions, looping])
def test_work_grows_no_faster_than_the_schema(shape: Callable[[int], dict[str, Any]]) -> None:
    small, large = count_steps(lambda: write(shape(40))), count_steps(lambda: write(shape(80)))
    assert large <= 2.5 * small


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {f"p{n}": {} for n in range(20_000)}}, "more than 20,000 values"),
        (doubling(40), "grows too large when its references are written out"),
        (unions(60), "grows too large when its references are written out"),
    ],
)
def test_what_is_too_large_is_told_in_a_sentence(schema: JsonObject, said: str) -> None:
    with pytest.raises(Faulty, match=said):
        rewrite_schema(read_schema(schema).schema)


@pytest.mark.parametrize("levels", [40, 90, 120, 400])
def test_what_is_nested_deeply_is_written_or_told(levels: int) -> None:
    schema: JsonObject = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    try:
        rewrite_schema(read_schema(schema).schema)
    except Faulty as refused:
        assert "nested too deeply" in str(refused)  # noqa: PT017  # the shallow ones are written
    else:
        assert levels < 100
