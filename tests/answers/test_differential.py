"""Judged as a reference judges: what conforms by jsonschema's own validators is taken, all else is not."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runapi_mcp.extraction.answers import judge_answers, keep_part
from runapi_mcp.extraction.check import Judge, check_schema
from runapi_mcp.sim.examples import example

NAMES = st.sampled_from(["a", "b", "c", "kind", "ab"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 6),
    st.sampled_from([0.5, 1.0, 2.5, -0.0]),
    st.sampled_from(["", "a", "ab", "abc", "b1", "x", "é", "a\nb"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
KINDS = ["object", "array", "string", "number", "integer", "boolean", "null"]
PATTERNS = ["^a", "b$", "^[a-z]*$", "[0-9]", "^(a|b)+$", "c?"]


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    small = st.integers(0, 3)
    return st.one_of(
        st.fixed_dictionaries({"type": st.sampled_from(KINDS)}),
        st.fixed_dictionaries(
            {"type": st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True)}
        ),
        st.fixed_dictionaries({"const": VALUES}),
        st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=3)}),
        st.fixed_dictionaries({}, optional={"minimum": st.integers(-2, 3), "exclusiveMaximum": small}),
        st.fixed_dictionaries({"multipleOf": st.sampled_from([1, 2, 3])}),
        st.fixed_dictionaries({}, optional={"minLength": small, "maxLength": small}),
        st.fixed_dictionaries({"pattern": st.sampled_from(PATTERNS)}),
        st.fixed_dictionaries(
            {"uniqueItems": st.booleans()}, optional={"minItems": small, "maxItems": small}
        ),
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries(
            {"prefixItems": st.lists(inner, min_size=1, max_size=2)}, optional={"items": inner}
        ),
        st.fixed_dictionaries({"contains": inner}, optional={"minContains": small, "maxContains": small}),
        st.fixed_dictionaries(
            {"properties": st.dictionaries(NAMES, inner, max_size=3)},
            optional={
                "required": st.lists(NAMES, max_size=2, unique=True),
                "additionalProperties": inner,
                "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2),
            },
        ),
        st.fixed_dictionaries({"propertyNames": inner}, optional={"maxProperties": small}),
        st.fixed_dictionaries(
            {"dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True))}
        ),
        st.fixed_dictionaries({"dependentSchemas": st.dictionaries(NAMES, inner, max_size=2)}),
        st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner}),
        st.fixed_dictionaries({"not": inner}),
        *(
            st.fixed_dictionaries({key: st.lists(inner, min_size=1, max_size=3)})
            for key in ("allOf", "anyOf", "oneOf")
        ),
        st.fixed_dictionaries(
            {"properties": st.dictionaries(NAMES, inner, max_size=2), "unevaluatedProperties": inner}
        ),
        st.just({"$ref": "#/$defs/one"}),
    )


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


PARTS = st.recursive(
    st.sampled_from([True, False, {}]),
    lambda inner: st.lists(_keywords(inner), min_size=1, max_size=2).map(_merged),
    max_leaves=10,
)
SCHEMAS = st.builds(
    lambda draft, body, one: {**draft, **body, "$defs": {"one": one}},
    st.sampled_from([{}, {"$schema": "http://json-schema.org/draft-07/schema#"}]),
    st.lists(_keywords(PARTS), min_size=1, max_size=3).map(_merged),
    # A definition that refers to itself for ever would be no schema.
    PARTS.filter(lambda part: "$ref" not in json.dumps(part)),
)


def instances(schema: Any) -> st.SearchStrategy[Any]:
    """Values of any kind, and one that is near what the schema describes."""
    try:
        near = example(schema)
    except (RecursionError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return VALUES
    return VALUES | st.just(near)


def reference(schema: Any) -> Any:
    return jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)(schema)


@given(st.data())
def test_what_conforms_is_taken_and_nothing_else(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    check_schema(schema)
    value = data.draw(instances(schema))
    conforms = reference(schema).is_valid(value)
    judge = Judge(schema)
    assert judge.conforms(value) is conforms
    assert bool(judge.violations(value)) is not conforms
    verdict = judge_answers(judge, [json.dumps(value)], "", many=False)
    if conforms:
        assert verdict.violations == ()
        assert verdict.unwrapped == ""
        assert json.loads(verdict.document) == value
    elif not verdict.violations:
        assert verdict.unwrapped
        assert reference(schema).is_valid(json.loads(verdict.document))


@settings(max_examples=40)
@given(st.data())
def test_the_items_that_conform_are_taken_and_no_others(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    values = data.draw(st.lists(instances(schema), max_size=5))
    good = [value for value in values if reference(schema).is_valid(value)]
    verdict = judge_answers(Judge(schema), [json.dumps(values)], "", many=True)
    if verdict.unwrapped:
        # What was opened stands beside those that conform as they came.
        taken = json.loads(verdict.document)
        assert all(reference(schema).is_valid(value) for value in taken)
        assert all(value in taken for value in good)
    else:
        assert json.loads(verdict.document) == good
        assert len(verdict.rejected) == len(values) - len(good)


LACKING = {"required", "dependentRequired", "minItems", "minProperties", "contains", "minContains", "if"}
LACKING |= {"unevaluatedProperties", "anyOf", "oneOf"}


def places(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Each scalar of a value by its path, without the places in lists."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    found = {path: value} if not isinstance(value, dict | list) else {}
    for key, member in members:
        found |= places(member, (*path, key))
    return found


def blurred(path: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part if isinstance(part, str) else 0 for part in path)


@given(st.data())
def test_the_part_that_conforms_says_nothing_else_and_lacks_at_most(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    value = data.draw(instances(schema))
    part = keep_part(Judge(schema), value)
    said = {(blurred(path), json.dumps(scalar)) for path, scalar in places(value).items()}
    if part is None:
        return
    assert {(blurred(path), json.dumps(scalar)) for path, scalar in places(part).items()} <= said
    for error in reference(schema).iter_errors(part):
        assert error.validator in LACKING


@pytest.mark.parametrize("draft", ["prefixItems", "items"])
@given(st.lists(SCALARS, max_size=5))
def test_no_item_of_a_tuple_moves_into_the_place_of_another(draft: str, items: list[Any]) -> None:
    schema: Any = {draft: [{"type": "string"}, {"type": "integer"}, {"type": "string"}]}
    if draft == "items":
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    part: Any = keep_part(Judge(schema), items)
    assert part == items[: len(part)]
    assert Judge(schema).conforms(part)
    if len(part) < min(len(items), 3):
        assert not Judge(schema).conforms(items[: len(part) + 1])
