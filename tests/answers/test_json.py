"""JSON as a model wrote it, and judging it by the caller's schema."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.answers import keep_asked, keep_part
from runapi_mcp.extraction.check import Judge, read_schema
from runapi_mcp.extraction.model_json import NotJson, list_inexact, read_json, write_json
from runapi_mcp.extraction.rounds import (
    describe_progress,
    list_fields,
    list_kinds,
    read_partial,
    why_hopeless,
)
from runapi_mcp.wire.types import JsonValue


@pytest.mark.parametrize(
    "digits",
    [
        "0.1000000000000000055",
        "12345678901234567890.123",
        "1e3",
        "1.0",
        "-0.0",
        "123456789012345678901234567890",
        "2.50",
    ],
)
def test_numbers_come_out_as_they_went_in(digits: str) -> None:
    text = f'{{\n  "total": {digits}\n}}'
    assert write_json(read_json(text)) == text


def test_numbers_that_a_double_does_not_hold_are_named() -> None:
    value = read_json('{"a": [1.5, 0.1000000000000000055], "b/c": 12345678901234567890.123, "d": 1e2}')
    assert list_inexact(value) == {"/a/1": "0.1000000000000000055", "/b~1c": "12345678901234567890.123"}


def test_integers_that_a_double_may_take_for_another_are_named() -> None:
    safe: list[JsonValue] = [2**53 - 1, -(2**53) + 1, True, 7]
    assert list_inexact(
        {"safe": safe, "id": 653247040368672769, "deep": [[-(2**53) - 1]], "edge": 2**53}
    ) == {
        "/id": "653247040368672769",
        "/deep/0/0": "-9007199254740993",
        "/edge": "9007199254740992",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": 2, "a": 3}', 'the key "a" stands twice'),
        ('{"a": {"b": 1, "b": 1}}', 'the key "b" stands twice'),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[1e999]", "too large"),
        ("[" * 300 + "]" * 300, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("[1", "line 1"),
        ("", "line 1"),
        ("9" * 5000, "too many digits"),
        ('{"a": 1} and more', "Extra data"),
    ],
)
def test_what_is_not_json_is_refused_and_says_why(text: str, said: str) -> None:
    with pytest.raises(NotJson, match=said):
        read_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_reading_and_writing_lose_nothing(value: Any) -> None:
    text = json.dumps(value)
    assert read_json(text) == json.loads(text)
    assert json.loads(write_json(read_json(text))) == json.loads(text)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"multipleOf": 0.01}, "19.99"),
        ({"multipleOf": 0.1}, "0.3"),
        ({"multipleOf": 0.001}, "12345678901234567.891"),
        ({"type": "integer"}, "3.0"),
        ({"type": "number", "maximum": 1}, "1.0"),
    ],
)
def test_numbers_are_judged_in_decimal(schema: dict[str, Any], value: str) -> None:
    assert Judge(schema).violations(read_json(value)) == []


def test_a_number_that_is_no_multiple_is_one_violation() -> None:
    assert Judge({"multipleOf": 0.01}).violations(read_json("19.999")) == [
        "(root): 19.999 is not a multiple of 0.01"
    ]


FORMATS = {
    "date": (["2024-02-29"], ["2023-02-29", "2024-1-1", "20240101", "٢٠٢٤-01-01"]),
    "time": (["09:30:00Z", "23:59:60+01:00"], ["09:30", "24:00:00Z", "09:30:00"]),
    "date-time": (
        ["2024-05-17T09:30:00Z", "2024-05-17t09:30:00.5+02:00"],
        ["2024-05-17", "2024-05-17T09:30"],
    ),
    "duration": (["P1DT2H", "P3W", "PT0.5S"], ["P", "1D", "PT", "P1DT"]),
    "email": (
        ["ada@example.org", '"a b"@example.org'],
        ["ada", "@example.org", "ada@", "a b@example.org", "a@b@c"],
    ),
    "idn-email": (["ада@пример.рф"], ["ада"]),
    "hostname": (["example.org", "a-b.c"], ["-a.org", "a_b.org", "", "a..b"]),
    "idn-hostname": (["νάξος.gr"], ["-.gr", "a b"]),
    "ipv4": (["192.0.2.1"], ["256.1.1.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (["2001:db8::1"], ["2001:db8::g", "fe80::1%eth0"]),
    "uri": (["https://example.org/a?b#c", "urn:isbn:1"], ["/a", "https://a b", "http://[x", "https://é.org"]),
    "uri-reference": (["/a", "#x"], ["a b", "\\\\x"]),
    "iri": (["https://é.org/ü"], ["é.org", "https://a<b"]),
    "uri-template": (["https://a/{id}"], ["https://a/{id"]),
    "uuid": (["3f2504e0-4f89-41d3-9a0c-0305e82c3301"], ["3f2504e04f8941d39a0c0305e82c3301", "x"]),
    "json-pointer": (["", "/a~1b"], ["a", "/a~2"]),
    "relative-json-pointer": (["0", "1/a", "0#"], ["01", "-1"]),
    "regex": (["^a+$"], ["("]),
}


@pytest.mark.parametrize(("name", "good", "bad"), [(n, g, b) for n, (g, b) in FORMATS.items()], ids=FORMATS)
def test_formats_are_judged(name: str, good: list[str], bad: list[str]) -> None:
    judge = Judge({"format": name})
    assert [text for text in good if judge.violations(text)] == []
    assert [text for text in bad if not judge.violations(text)] == []
    assert judge.conforms(5), "a format speaks of strings only"


INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "kind": {"anyOf": [{"const": "a"}, {"type": "object", "properties": {"x": {"type": "integer"}}}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def test_violations_are_named_by_json_pointer_down_to_the_leaf() -> None:
    value: Any = {"name": "x", "lines": [{"n": 1}, {"n": "2"}], "kind": {"x": "y"}, "more": 1}
    lines = Judge(INVOICE).violations(value)
    assert lines == [
        '(root): "more" must not be there: the schema allows no further members',
        '/kind/x: "y" is not of type integer',
        '/lines/1/n: "2" is not of type integer',
        '/name: "x" is too short: 1 character, at least 2',
    ]


def test_the_part_that_conforms_is_as_large_as_can_be() -> None:
    value: Any = {"name": "Ada", "lines": [{"n": 1}, {"n": "2"}, {"n": 3}], "kind": 5, "more": 1}
    assert keep_part(Judge(INVOICE), value) == {"name": "Ada", "lines": [{"n": 1}, {}, {"n": 3}]}
    assert value["more"] == 1, "the value itself is left alone"
    assert keep_part(Judge(INVOICE), {"lines": []}) == {"lines": []}
    assert keep_part(Judge(INVOICE), [1]) is None


def test_of_what_a_map_holds_only_what_was_asked_for_is_kept() -> None:
    line: Any = {"properties": {"n": {"type": "integer"}}}
    judge = Judge({"properties": {"bad": {"type": "null"}}, "additionalProperties": line})
    assert keep_part(judge, {"bad": 1, "x": {"n": 1, "more": 2}}) == {"x": {"n": 1}}


def test_a_boolean_is_no_number_that_could_be_a_multiple() -> None:
    assert Judge({"multipleOf": 2}).conforms(True)


def test_of_alternatives_that_nothing_tells_apart_the_one_with_the_fewest_errors_is_meant() -> None:
    number: JsonValue = {"type": "integer"}
    text: JsonValue = {"type": "string"}
    judge = Judge(
        {"anyOf": [{"properties": {"a": number, "b": number}}, {"properties": {"a": text, "b": number}}]}
    )
    assert judge.violations({"a": "x", "b": "y"}) == ['/b: "y" is not of type integer']


@pytest.mark.parametrize("given", [["a", 1, "b", 2], ["a", 1, 2, "b"], [1, 2, "a", "b"]])
def test_taking_out_a_bad_item_moves_no_good_one_out_of_its_place(given: Any) -> None:
    assert keep_part(Judge({"items": {"type": "string"}}), given) == ["a", "b"]
    inner = Judge({"items": {"items": {"type": "string"}}})
    assert keep_part(inner, [given, [*given]]) == [["a", "b"], ["a", "b"]]


def test_an_array_that_lacks_an_item_keeps_those_it_has() -> None:
    assert keep_part(Judge({"contains": {"type": "string"}}), [1, 2]) == [1, 2]


POINT: Any = {"properties": {"x": {"type": "number"}}}
NAMED: Any = {"properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "value", "part"),
    [
        (NAMED, {"unexpected": 1}, {}),
        (NAMED, {"name": "Ada", "unexpected": 1}, {"name": "Ada"}),
        ({"properties": {"at": POINT}}, {"at": {"x": 1, "z": 2}}, {"at": {"x": 1}}),
        ({"$ref": "#/$defs/p", "$defs": {"p": POINT}}, {"x": 1, "z": 2}, {"x": 1}),
        ({"$ref": "#/$defs/p", "$defs": {"p": {"$ref": "#/$defs/p"}}}, {"x": 1}, {"x": 1}),
        ({"allOf": [POINT, NAMED]}, {"x": 1, "name": "Ada", "z": 2}, {"x": 1, "name": "Ada"}),
        ({"anyOf": [POINT, {"type": "null"}]}, {"x": 1, "z": 2}, {"x": 1}),
        ({"if": POINT, "then": NAMED}, {"name": "Ada", "z": 2}, {"name": "Ada"}),
        ({"dependentSchemas": {"x": NAMED}}, {"name": "Ada", "z": 2}, {"name": "Ada"}),
        ({"items": POINT}, [{"x": 1, "z": 2}], [{"x": 1}]),
        ({"prefixItems": [POINT], "items": NAMED}, [{"x": 1}, {"x": 1}], [{"x": 1}, {}]),
        ({"items": [POINT], "additionalItems": NAMED}, [{"x": 1}, {"x": 1}], [{"x": 1}, {}]),
        (NAMED | {"additionalProperties": {"type": "integer"}}, {"other": 1}, {"other": 1}),
        (NAMED | {"additionalProperties": True}, {"other": 1}, {"other": 1}),
        (NAMED | {"patternProperties": {"^o": {}}}, {"other": 1}, {"other": 1}),
        ({"type": "object"}, {"other": 1}, {"other": 1}),
        (True, {"other": 1}, {"other": 1}),
        ({"properties": {"deep": True}}, {"deep": {"other": [1]}}, {"deep": {"other": [1]}}),
        ({"type": "string"}, "text", "text"),
    ],
)
def test_what_no_schema_names_is_no_part_of_it(schema: Any, value: Any, part: Any) -> None:
    judged = schema if isinstance(schema, dict) else {"allOf": [schema]}
    assert keep_asked(value, judged) == part


def test_many_violations_are_cut_and_counted() -> None:
    lines = Judge({"items": {"type": "string"}}).violations([*range(30)])
    assert (len(lines), lines[-1]) == (21, "… and 10 more")


def test_the_same_value_means_the_same_by_its_draft() -> None:
    beside = {"$ref": "#/definitions/a", "minLength": 9, "definitions": {"a": {"type": "string"}}}
    seven: Any = {"$schema": "http://json-schema.org/draft-07/schema#", **beside}
    newer: Any = {"$schema": "https://json-schema.org/draft/2019-09/schema", **beside}
    assert Judge(read_schema(seven)).conforms("x"), "draft-07 ignores what stands beside a $ref"
    assert not Judge(read_schema(newer)).conforms("x")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ({"type": "strnig"}, "not a valid JSON Schema at /type"),
        ({"$schema": "https://example.org/mine"}, "is no draft that is known here"),
        ({"$ref": "https://example.org/x"}, "points outside the schema"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "points outside the schema, or nowhere"),
        ({"$ref": "file:///etc/passwd"}, "points outside the schema"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_before_any_call(schema: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_schema(schema)


def test_a_schema_nested_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"not": deep}
    with pytest.raises(InputError, match="nested too deeply"):
        read_schema(deep)


@pytest.mark.parametrize(
    "schema",
    [
        {
            "$id": "https://e.org/s",
            "properties": {"a": {"$ref": "item"}},
            "$defs": {"i": {"$id": "item", "type": "string"}},
        },
        {"properties": {"a": {"$ref": "#here"}}, "$defs": {"i": {"$anchor": "here", "type": "string"}}},
        {"properties": {"a": {"$ref": "http://json-schema.org/draft-07/schema#"}}},
        {"enum": [{"$ref": "https://e.org/no-reference"}], "default": {"$ref": "nor this"}},
    ],
)
def test_references_within_the_schema_and_to_metaschemas_are_followed(schema: dict[str, Any]) -> None:
    assert Judge(read_schema(schema)).violations({"a": "x"}) is not None


WIRE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "invoice": {"type": "object", "properties": {"total": {}, "lines": {"type": "array"}}},
        "note": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "x", "invoice": {"total": 1, "lines": [1, 2', "2 of 4 fields: … invoice.lines[1]"),
        ('{"id": "x', ""),
        ('{"id": "x",', "1 of 4 fields: … id"),
        ('```json\n{"id": "x",', "1 of 4 fields: … id"),
        ("Well, let me", ""),
        ('{"id": "x", "invoice": {"total": 1, "lines": []}, "note": "y"}', "4 of 4 fields: … note"),
    ],
)
def test_progress_names_the_fields_that_are_done(text: str, said: str) -> None:
    assert describe_progress(text, list_fields(WIRE)).removeprefix("0 of 4 fields") == said


def test_progress_of_a_list_counts_its_items() -> None:
    assert describe_progress('[{"a": 1}, {"a": 2}', ()) == "2 items: … [1].a"


OBJECT, BOTH = frozenset({"object"}), frozenset({"object", "array"})


@pytest.mark.parametrize(
    ("text", "kinds", "hopes"),
    [
        ("", OBJECT, True),
        (" \n{", OBJECT, True),
        ("[1", OBJECT, True),
        ('[{"a": 1}', OBJECT, True),
        ('[{"a": 1}, {', OBJECT, False),
        ("[1", BOTH, True),
        ('{"a"', frozenset({"array"}), True),
        ("Here you are: " + "x" * 20, OBJECT, True),
        ("I would rather talk about it. " * 60, OBJECT, False),
        ("I would rather talk. " * 20 + "```json\n{", OBJECT, True),
        ("```json\n{", OBJECT, True),
        ("```json\n[", OBJECT, True),
        ("<think>" + "Let me see. " * 200, OBJECT, True),
        ("```json", OBJECT, True),
        ("A long string may be right. " * 20, frozenset({"string"}), True),
    ],
)
def test_an_answer_that_can_no_longer_be_right_is_told(text: str, kinds: frozenset[str], hopes: bool) -> None:
    assert (why_hopeless(text, kinds) is None) == hopes


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "object"}, {"object"}),
        ({"type": ["object", "null"]}, {"object", "null"}),
        ({"anyOf": [{"type": "array"}, {"type": "object"}]}, {"array", "object"}),
    ],
)
def test_the_kinds_of_a_schema_are_those_of_its_top(schema: dict[str, Any], kinds: set[str]) -> None:
    assert list_kinds(schema) == kinds
    assert len(list_kinds({})) == 7


@given(JSON, st.integers(0, 300))
def test_a_partial_answer_never_breaks_the_progress(value: Any, cut: int) -> None:
    text = json.dumps(value)[:cut]
    assert isinstance(describe_progress(text, list_fields(WIRE)), str)
    read_partial(text)
    why_hopeless(text, OBJECT)


def test_a_number_that_json_does_not_have_is_part_of_no_answer() -> None:
    assert read_partial('{"a": 1, "b": NaN}') is None
    assert read_partial('{"a": 1, "b": -Infinity}') is None
