"""Repairs ask for the truth: a model that obeys them to the letter ends with the facts that it began with."""

import json
import re
from typing import Any

import pytest

from runapi_mcp.extraction.answers import judge_answers
from runapi_mcp.extraction.check import Judge

CAT: Any = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind", "lives"],
}
DOG: Any = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["dog", "hound"]},
        "breed": {"type": "string", "minLength": 2},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["kind", "breed"],
    "additionalProperties": False,
}
BLOCK: Any = {"anyOf": [{"$ref": "#/$defs/Text"}, {"$ref": "#/$defs/List"}]}
PETS: Any = {
    "type": "object",
    "properties": {
        "pet": {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]},
        "pets": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}},
        "blocks": {"type": "array", "items": BLOCK},
        "paid": {"const": True},
        "note": {"type": ["string", "null"]},
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "total": {"type": "number", "minimum": 0, "multipleOf": 0.01},
        "code": {"type": "string", "pattern": "^[A-Z]{3}-\\d+$"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 3},
        "state": {"enum": ["ok", "failed", None, False]},
    },
    "additionalProperties": False,
    "if": {"properties": {"state": {"const": "failed"}}, "required": ["state"]},
    "then": {"required": ["note"]},
    "$defs": {
        "Cat": CAT,
        "Dog": DOG,
        "Text": {
            "type": "object",
            "properties": {"type": {"const": "text"}, "text": {"type": "string", "maxLength": 5}},
            "required": ["type", "text"],
        },
        "List": {
            "type": "object",
            "properties": {"type": {"const": "list"}, "items": {"type": "array", "items": BLOCK}},
            "required": ["type", "items"],
        },
    },
}


def told(value: Any, schema: Any = PETS) -> list[str]:
    return Judge(schema).violations(value)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (
            {"pet": {"kind": "dog", "lives": 9}},
            ['/pet: the member "breed" is missing', '/pet: "lives" must not'],
        ),
        ({"pet": {"kind": "hound"}}, ['/pet: the member "breed" is missing']),
        ({"pet": {"kind": "cat", "lives": "9"}}, ['/pet/lives: "9" is not of type integer']),
        ({"pet": {"kind": "dgo", "breed": "pug"}}, ['/pet/kind: "dgo" is not one of "cat", "dog", "hound"']),
        ({"pet": "dog"}, ['/pet: "dog" is not of type object']),
        ({"size": "large"}, ['/size: "large" is not of type integer or null']),
        (
            {"pets": [{"kind": "cat", "lives": 9}, {"kind": "dog"}]},
            ['/pets/1: the member "breed" is missing'],
        ),
        (
            {"blocks": [{"type": "list", "items": [{"type": "text", "text": "too long"}]}]},
            ['/blocks/0/items/0/text: "too long" is too long: 8 characters, at most 5'],
        ),
        ({"paid": False}, ["/paid: it must be true, not false"]),
        ({"note": 5}, ["/note: 5 is not of type string or null"]),
        ({"state": "bad"}, ['/state: "bad" is not one of "ok", "failed", null, false']),
        ({"state": "failed"}, ['(root): the member "note" is missing']),
        ({"total": -0.5}, ["/total: -0.5 is less than the least, 0"]),
        ({"code": "abc"}, ['/code: "abc" does not match the regular expression ^[A-Z]{3}-\\d+$']),
        (
            {"at": "31.01.2026 09:30"},
            [
                (
                    '/at: "31.01.2026 09:30" is not a date and time with its offset, '
                    "for example 2026-01-31T09:30:00Z"
                )
            ],
        ),
        (
            {"tags": ["a", "b", "a", "c"]},
            ["/tags: the list is too long", '/tags: the item "a" stands in the'],
        ),
        ({"more": None}, ['(root): "more" must not be there: the schema allows no further members']),
    ],
)
def test_a_line_says_what_is_wrong_where_it_is(value: Any, lines: list[str]) -> None:
    found = told(value)
    assert len(found) == len(lines), found
    for line, begins in zip(sorted(found), sorted(lines), strict=True):
        assert line.startswith(begins)


def test_of_alternatives_without_constants_the_nearest_counts() -> None:
    person: Any = {
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
    }
    firm: Any = {"properties": {"company": {"type": "string"}}, "required": ["company"]}
    either = {"anyOf": [person, firm]}
    assert told({"age": 5}, either) == ['(root): the member "name" is missing']
    assert told({}, either) == [
        (
            "(root): it conforms to none of the alternatives; mend it for one of them: "
            '(root): the member "name" is missing — or: (root): the member "company" is missing'
        )
    ]


def test_names_are_told_as_names() -> None:
    assert told({"a1": 1}, {"propertyNames": {"pattern": "^[a-z]+$"}}) == [
        '(root): the name of a member is wrong: "a1" does not match the regular expression ^[a-z]+$'
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
        {"not": {"type": "integer"}},
        {"type": "array", "contains": {"const": True}},
        {"dependencies": {"a": ["b"]}},
        {"unevaluatedProperties": False},
        {"items": [{}], "additionalItems": False},
        {"properties": {"a": False}},
        {"const": {"a": [True, None]}},
        {"enum": [True, None]},
        {"dependentRequired": {"a": ["b"]}},
        {"maxProperties": 0},
    ],
)
def test_no_line_speaks_python(schema: Any) -> None:
    schema |= (
        {"$schema": "http://json-schema.org/draft-07/schema#"}
        if {"dependencies", "additionalItems"} & schema.keys()
        else {}
    )
    for value in (5, None, {"a": None, "c": True}, [None, False, "x"]):
        for line in told(value, schema):
            assert not re.search(r"\b(None|True|False)\b|'", line), line


# ---------------------------------------------------------------- obeyed to the letter

FACTS: Any = {
    "pet": {"kind": "dog", "breed": "pug", "born": "2026-01-31"},
    "blocks": [{"type": "list", "items": [{"type": "text", "text": "short"}]}],
    "pets": [{"kind": "cat", "lives": 9}],
    "paid": True,
    "total": 12.5,
    "note": "no power",
    "state": "failed",
}
"""What the material says."""

WRONG: list[Any] = [
    {"pet": {"kind": "dog", "lives": 9, "born": "31.01.2026"}, "state": "failed"},
    {"pet": {"kind": "dgo", "breed": "p"}, "paid": "yes", "total": "12.50 EUR"},
    {"blocks": [{"type": "list", "items": [{"type": "text", "text": "short or so"}]}], "paid": None},
    {"pets": [{"kind": "cat"}], "extra": {"a": 1}, "note": 5},
]


def fact(path: list[str], facts: Any = FACTS) -> Any:
    for part in path:
        facts = facts[int(part)] if isinstance(facts, list) else facts[part]
    return facts


def obey(value: Any, line: str) -> None:
    """Do what a line says, no more: add what is missing, drop what must not be, write the rest anew."""
    where, _, what = line.partition(": ")
    path = [] if where == "(root)" else where.split("/")[1:]
    at = value
    for part in path[:-1] if not re.match(r'the member|"\w+" must not be there', what) else path:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if missing := re.match(r'the member "(\w+)" is missing', what):
        at[missing[1]] = fact([*path, missing[1]])
    elif extra := re.match(r'"(\w+)" must not be there', what):
        del at[extra[1]]
    elif chosen := re.match(r"it must be (.*), not ", what):
        at[path[-1]] = json.loads(chosen[1])
    else:
        at[path[-1]] = fact(path)


def is_part(value: Any, facts: Any) -> bool:
    """Whether all that a value says stands in the facts."""
    if isinstance(value, dict):
        return isinstance(facts, dict) and all(k in facts and is_part(v, facts[k]) for k, v in value.items())
    return bool(value == facts)


@pytest.mark.parametrize("value", WRONG)
def test_a_model_that_obeys_to_the_letter_ends_with_the_facts(value: Any) -> None:
    answer = json.loads(json.dumps(value))
    lines: tuple[str, ...] = ("what was asked first",)
    for _ in range(5):
        lines = judge_answers(Judge(PETS), [json.dumps(answer)], "", many=False).violations
        for line in lines:
            obey(answer, line)
    assert not lines
    assert is_part(answer, FACTS), "nothing is there that nobody said"
    assert set(value) - {"extra"} <= set(answer)
