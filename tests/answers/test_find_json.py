"""The value in an answer, whatever stands around it; and that looking for it takes no longer than reading."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runapi_mcp.extraction import model_json
from runapi_mcp.extraction.answers import judge_answers
from runapi_mcp.extraction.check import Judge
from runapi_mcp.extraction.model_json import scan_answer

PERSON: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "note": {"type": "string"}},
    "required": ["name"],
}
ADA = {"name": "Ada", "note": "fine"}
BOB = {"name": "Bob", "note": "fine"}
A, B = json.dumps(ADA), json.dumps(BOB)

AROUND = [
    "{}",
    "\ufeff{}",
    "Here is the JSON you asked for:\n{}",
    "Here is the JSON (see [1], {{and}} so on):\n\n{}\n\nAnything else?",
    "<think>\nShould it be {{name}}? Or [the note]?\n</think>\n{}",
    '<thinking>A {{ and a [ and a " that nobody closes.</thinking>{}',
    "```json\n{}\n```",
    "```JSON5\n{}\n```",
    "````\n{}\n````",
    "~~~\n{}\n~~~",
    "```json {} ```",
    "`{}`",
    "Sure!\n```\n{}\n```\nI hope that this helps.",
    "```json\n{}",
    "<answer>{}</answer>",
    "{}\n}}",
    '{}."\n}}',
    "{} — that is all.",
    "{}\n\nNote: the name was written with a { in it.",
    "**{}**",
    'The prefix is {{", then comes\n{}',
    "1. {}",
    "json\n{}",
]


def verdict(text: str, schema: Any = PERSON, *, many: bool = False) -> Any:
    return judge_answers(Judge(schema), [text], "", many=many)


def value(text: str, schema: Any = PERSON, *, many: bool = False) -> Any:
    found = verdict(text, schema, many=many)
    assert not found.violations, found.violations
    assert not found.rejected
    return json.loads(found.document)


def around(frame: str, text: str) -> str:
    return re.sub(r"(?<!\{)\{\}(?!\})", lambda _: text, frame).replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("frame", AROUND)
@pytest.mark.parametrize("note", ["fine", 'a "quoted" } and { and [', "``` py\nprint(1)\n```", "</think>"])
def test_the_value_is_found_whatever_stands_around_it(frame: str, note: str) -> None:
    person = {"name": "Ada", "note": note}
    assert value(around(frame, json.dumps(person))) == person
    assert value(around(frame, json.dumps(person, indent=2))) == person
    assert value(around(frame, json.dumps([person, BOB])), many=True) == [person, BOB]


@pytest.mark.parametrize("between", ["", "\n", " ", "\n\nAgain:\n", "\n```json\n"])
def test_the_value_said_again_is_one(between: str) -> None:
    assert value(A + between + A) == ADA
    assert value(f"[{A}]{between}[{A}]", many=True) == [ADA]
    assert value(A + between + json.dumps(dict(reversed(ADA.items())))) == ADA


@pytest.mark.parametrize(
    "text", [f"{A}\n{B}", f"Either\n{A}\nor\n{B}\n, as you like.", f"```\n{A}\n```\n```\n{B}\n```"]
)
def test_two_different_values_that_conform_are_refused(text: str) -> None:
    assert verdict(text).violations == ("(root): it holds two different values that conform; write one",)


def test_a_value_that_ends_the_answer_beats_one_in_its_preface() -> None:
    assert value(f"For example {A} would be wrong. It is:\n{B}") == BOB
    assert value(f"<think>maybe {A}</think>\n{B}") == BOB
    assert value(f"<think>maybe {A}</think>\n{B}\nThat is it, not {{}}.") == BOB
    assert value(f"The lists are [{A}] at first, then: [{B}]", many=True) == [BOB]


def test_what_does_not_conform_does_not_count() -> None:
    assert value(f'{{"title": "a draft"}}\n{A}') == ADA
    assert value(f'{A}\n{{"usage": 5}} [1, 2]') == ADA
    assert value("Nothing: {}. But: " + A, {"type": "object"}) == ADA


@pytest.mark.parametrize(
    "text",
    [
        '{"people": [{"name": "Ada"}], "total": oops',
        '{"people": [{"name": "Ada"}]',
        '[1, {"name": "Ada"}, oops',
        '{"first": {"name": "Ada"} "last": {"name": "Bob"}}',
    ],
)
def test_a_part_of_a_broken_value_is_no_answer(text: str) -> None:
    assert verdict(text).violations


@pytest.mark.parametrize(
    "draft", ['{"name": "A', '{"name": oops}', '{"name": "Ada", "note": "he said "no" to', '[{"name": ']
)
def test_a_draft_that_was_given_up_hides_no_fenced_value_after_it(draft: str) -> None:
    assert value(f"{draft}\n\nOnce more:\n```json\n{A}\n```") == ADA


def test_control_characters_in_strings_are_read_as_they_are() -> None:
    note = "one\ntwo\tend\x00"
    assert value(f'{{"name": "Ada", "note": "{note}"}}') == {"name": "Ada", "note": note}
    assert value('[{"name": "A\nb"}]', many=True) == [{"name": "A\nb"}]


def test_a_comma_too_many_leaves_nothing_in_doubt() -> None:
    assert value('{"name": "Ada", "note": "fine",}') == ADA


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "Ada", "name": "Bob"}', '(root): not JSON: the key "name" stands twice'),
        ('{"name": "Ada", "note": NaN}', "(root): not JSON: NaN is not JSON"),
        ('{"name": "Ada", "note": -Infinity}', "(root): not JSON: -Infinity is not JSON"),
        ('{"name": "Ada", "note": 1e400}', "(root): not JSON: the number 1e400 is too large"),
        ("", "(root): not JSON: nothing was written"),
        ("I cannot.", "(root): not JSON: Expecting value at line 1 column 1"),
    ],
)
def test_what_is_no_json_says_why(text: str, said: str) -> None:
    assert verdict(text).violations == (said,)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"name": "Ada", "total": 12', {"name": "Ada"}),
        ('{"name": "Ada", "total": 12,', {"name": "Ada", "total": 12}),
        ('{"name": "Ada", "total": 12.', {"name": "Ada"}),
        ('{"name": "Ada", "total": 1e400}', {"name": "Ada"}),
        ('{"name": "Ada", "total": -Infinity}', {"name": "Ada"}),
        ('{"name": "Ada", "total": 5, "total": 6}', {"name": "Ada"}),
        ('{"name": "Ada", "more": "cu', {"name": "Ada"}),
        ('{"name": "Ada", "more": tru', {"name": "Ada"}),
        ('{"name": "Ada", "list": [1, 2, 3', {"name": "Ada", "list": [1, 2]}),
        ('{"name": "Ada", "list": [1, NaN, 3]}', {"name": "Ada", "list": [1]}),
        ('Here: {"name": "Ada", "list": [{"a": 1}, {"b": "', {"name": "Ada", "list": [{"a": 1}, {}]}),
    ],
)
def test_of_a_cut_value_only_what_is_certain_is_kept(text: str, part: Any) -> None:
    schema = {"type": "object", "required": ["name", "more", "total", "list"]}
    assert json.loads(verdict(text, schema).document) == part


def test_digits_of_a_cut_value_stay_as_they_were_written() -> None:
    found = verdict('{"a": 12.50, "b": 0.30000000000000004441, "c": 2026', {"type": "object"})
    assert '"a": 12.50,' in found.document
    assert '"b": 0.30000000000000004441\n' in found.document
    assert found.exact == {"/b": "0.30000000000000004441"}
    many = verdict('[{"name": "a", "n": 1.50}, {"name": "b", "n": 12', PERSON, many=True)
    assert '"n": 1.50' in many.document
    assert (many.count, many.closed) == (1, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
PROSE = st.text(st.sampled_from("ab .,:\n'`*-"), max_size=30)


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=4), PROSE, PROSE)
def test_an_object_is_found_between_any_prose(value: Any, before: str, after: str) -> None:
    [found] = scan_answer(before + json.dumps(value) + after).values
    assert found.value == value
    assert not found.flaw


@given(st.lists(JSON, max_size=5), st.integers(1, 400))
def test_the_whole_items_of_a_cut_list_are_its_first_ones(values: list[Any], cut: int) -> None:
    whole = json.dumps(values)
    scan = scan_answer(whole[:cut])
    if cut >= len(whole):
        assert [found.value for found in scan.values] == [values]
        return
    rest: Any = scan.rest or []
    assert rest[: scan.items] == values[: scan.items]
    certain = [n for n in range(len(values) + 1) if whole[:cut].startswith(json.dumps(values[:n])[:-1] + ",")]
    assert scan.items >= max(certain, default=0), "an item that a comma follows is whole"


PIECES = ["[", "[[[[", "{", '{"', '"', "\\", '\\"', "```", ":", ",", "]", "}", "1", "a", " ", '{"a":', '["']


@given(st.lists(st.sampled_from([*PIECES, "</think>", "\ufeff"]), max_size=60), st.integers(1, 40))
@example(["[", '"'], 40)
@example(["["], 40)
@example(['{"'], 40)
@example(['["\\"', "["], 40)
@example(['{"a":', "["], 40)
@example(["```", "{"], 40)
@example(['{"a":', '"\\"'], 40)
@example([" "], 40)
def test_no_text_is_gone_through_more_than_a_few_times(pieces: list[str], times: int) -> None:
    text = "".join(pieces) * times
    read = 0

    class Counted:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self.pattern = pattern

        def match(self, text: str, at: int) -> re.Match[str] | None:
            nonlocal read
            found = self.pattern.match(text, at)
            # Where nothing is found, what was looked at is a string that nobody closes, or white space.
            read += found.end() - at if found else self._looked_at(text, at)
            return found

        def _looked_at(self, text: str, at: int) -> int:
            bare = text[at:].lstrip()
            return len(text) - at if self._open(bare) else len(text[at:]) - len(bare) + 1

        def _open(self, bare: str) -> bool:
            return re.match(r'"(?:[^"\\]|\\["\\/bfnrt])*\Z', bare) is not None

        def search(self, text: str, at: int) -> re.Match[str] | None:
            nonlocal read
            found = self.pattern.search(text, at)
            read += (found.end() if found else len(text)) - at
            return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(model_json, "_TOKEN", Counted(model_json._TOKEN))
        patched.setattr(model_json, "_NEXT", Counted(model_json._NEXT))
        scan_answer(text)
    assert read <= 4 * len(text) + 10


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        (A, True),
        (f"Here:\n```json\n{A}\n```\n\n", True),
        (f"{A}\n{A}   ", True),
        ('"text"', True),
        ("true", True),
        ("12", False),
        ("12.5", False),
        (A[:-1], False),
        (f"{A} and", False),
        ('{"a": 1, "a": 2}', False),
        ("", False),
    ],
)
def test_an_answer_is_closed_where_nothing_could_follow(text: str, closed: bool) -> None:
    assert model_json.is_closed(text) is closed


# ---------------------------------------------------------------- in a wrapping

TAGS: Any = {"type": "array", "items": {"type": "string"}, "title": "Tags"}
NODE: Any = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
}


@pytest.mark.parametrize(
    ("written", "schema", "how"),
    [
        ([ADA], PERSON, "in a list of one"),
        ({"Person": ADA}, PERSON, 'under the name "Person"'),
        ([{"person": ADA}], PERSON, 'under the name "person"'),
        (A, PERSON, "as JSON text in a string"),
        ({"type": "object", "properties": ADA, "required": ["name"]}, PERSON, "into a copy of the schema"),
        ({"tags": ["a", "b"]}, TAGS, 'under the name "tags"'),
        ({"items": ["a", "b"], "total": 2}, TAGS, 'under the name "items"'),
        ([["a", "b"]], TAGS, "in a list of one"),
        ({"a": 1}, {"type": "array", "items": {"type": "object"}}, "one item where a list was wanted"),
    ],
)
def test_a_value_in_a_wrapping_is_taken_and_said(written: Any, schema: Any, how: str) -> None:
    found = verdict(json.dumps(written), schema)
    assert found.violations == ()
    assert how in found.unwrapped
    assert Judge(schema).conforms(json.loads(found.document))


@pytest.mark.parametrize(
    ("written", "items", "how"),
    [
        ({"items": [ADA, BOB]}, [ADA, BOB], 'under the name "items"'),
        ({"people": [ADA, BOB]}, [ADA, BOB], 'under the name "people"'),
        ({"results": [ADA], "count": 1}, [ADA], 'under the name "results"'),
        ({"items": []}, [], 'under the name "items"'),
        ([[ADA, BOB]], [ADA, BOB], "in a list of one"),
        (ADA, [ADA], "no list around"),
        ([{"Person": ADA}, {"Person": BOB}], [ADA, BOB], 'under the name "Person"'),
        ([A, B], [ADA, BOB], "as JSON text"),
    ],
)
def test_many_in_a_wrapping_are_taken_and_said(written: Any, items: Any, how: str) -> None:
    found = verdict(json.dumps(written), many=True)
    assert (found.violations, found.rejected) == ((), {})
    assert json.loads(found.document) == items
    assert how in found.unwrapped


@pytest.mark.parametrize(
    ("written", "schema"),
    [
        ([ADA, BOB], PERSON),
        ({"first": ADA, "second": BOB}, PERSON),
        ({"error": {"name": "no such thing"}}, PERSON),
        ({"person": {"full_name": "Ada"}}, PERSON),
        ([], PERSON),
        ({"name": "x", "tags": ["a"]}, TAGS),
    ],
)
def test_what_is_not_clear_in_its_wrapping_is_left(written: Any, schema: Any) -> None:
    found = verdict(json.dumps(written), schema)
    assert found.violations
    assert not found.unwrapped


def test_what_conforms_as_it_came_is_not_opened() -> None:
    assert verdict('{"children": [{"label": "a"}]}', NODE).unwrapped == ""
    nodes = [{"children": [{"label": "a"}]}]
    assert value(json.dumps(nodes), NODE, many=True) == nodes
    bare = verdict(json.dumps(nodes[0]), NODE, many=True)
    assert json.loads(bare.document) == nodes, "its own list is no list of it"


def test_a_repair_of_items_counts_those_that_had_to_be_mended() -> None:
    first = json.dumps([{"Person": ADA}, {"name": 5}, BOB])
    found = judge_answers(Judge(PERSON), [first, json.dumps([{"name": "Eve"}])], "", many=True)
    assert json.loads(found.document) == [ADA, {"name": "Eve"}, BOB]


@pytest.mark.parametrize("end", ["", "</answer>", "\n```\n</answer>", "</result>\n</answer>"])
def test_of_a_draft_and_what_ends_the_answer_the_end_counts_whatever_closes_it(end: str) -> None:
    assert value(f'At first {{"name": "Eve"}} comes to mind, but it is {A}{end}') == ADA


def test_a_list_mended_as_a_whole_says_how_the_new_one_was_wrapped() -> None:
    texts = [json.dumps([{"name": 1}, {"name": 2}]), json.dumps({"items": [ADA, BOB]})]
    found = judge_answers(Judge(PERSON), texts, "", many=True)
    assert json.loads(found.document) == [ADA, BOB]
    assert 'under the name "items"' in found.unwrapped


def test_of_the_items_left_out_all_is_told_of_the_first_fifty_and_one_thing_of_the_rest() -> None:
    wrong = [{"name": 1, "note": 2}] * 60
    found = verdict(json.dumps(wrong), many=True)
    assert [len(lines) for lines in found.rejected.values()] == [2] * 50 + [1] * 10
