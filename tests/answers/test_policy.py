"""The policy of an extraction: what it says to a wrong answer depends on the answers alone."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from runapi_mcp.extraction.answers import judge_answers
from runapi_mcp.extraction.check import Judge
from runapi_mcp.extraction.rounds import Extraction
from runapi_mcp.generations.policy import Lot, Policy
from runapi_mcp.generations.values import Job
from runapi_mcp.wire.types import Answer, Call, Finish, JsonObject, Text, Turn

STOP = Finish("stop", "stop")
SCHEMA: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ASKED = Job("extract_json", {}, Call("gemini-2.5-flash", (Turn("user", (Text("Count."),)),)), "native", "ann")


def policy(*, many: bool = False, max_repairs: int = 2) -> Policy:
    return Extraction(SCHEMA, many, max_repairs).policy(
        replace(ASKED, call=replace(ASKED.call, schema=SCHEMA))
    )


def follow_up(
    asked: Policy, last: Answer, earlier: Sequence[str] = (), *, many: bool = False
) -> Call | Lot | None:
    """What follows an answer, judged as it is in the course of a generation."""
    texts = [*earlier, last.text] if last.text else [*earlier]
    verdict = judge_answers(Judge(SCHEMA), texts, "", many=many).to_json() if texts else None
    return asked.follow_up(last, earlier, verdict)


def told(call: Call | Lot | None) -> str:
    """What the model is told of its answer."""
    assert isinstance(call, Call)
    [part] = call.turns[-1].parts
    assert isinstance(part, Text)
    return part.text


def answer(value: object, finish: Finish = STOP) -> Answer:
    return Answer(json.dumps(value), finish=finish)


def test_a_right_answer_is_the_last() -> None:
    assert follow_up(policy(), answer({"n": 1})) is None


def test_a_wrong_answer_is_sent_back_with_what_is_wrong_and_the_schema() -> None:
    repair = follow_up(policy(), answer({"n": "one"}))
    assert "/n" in told(repair) or "n:" in told(repair)
    assert isinstance(repair, Call)
    assert repair.turns[0] == ASKED.call.turns[0]
    assert repair.turns[1] == Turn("model", (Text('{"n": "one"}'),))
    assert repair.schema is not None


@pytest.mark.parametrize("repairs", [0, 1, 3])
def test_it_is_sent_back_no_more_often_than_was_asked(repairs: int) -> None:
    wrong = policy(max_repairs=repairs)
    earlier = ['{"n": "one"}'] * repairs
    assert follow_up(wrong, answer({"n": "two"}), earlier) is None
    if repairs:
        assert follow_up(wrong, answer({"n": "two"}), earlier[1:]) is not None


def test_a_run_of_blanks_is_not_shown_back_whole() -> None:
    repair = follow_up(policy(), Answer('{"n": "one"' + "\n" * 50_000 + "}", finish=STOP))
    assert isinstance(repair, Call)
    [shown] = repair.turns[1].parts
    assert isinstance(shown, Text)
    assert shown.text.startswith('{"n": "one"')
    assert len(shown.text) < 1_000


def test_a_cut_answer_is_not_sent_back() -> None:
    assert follow_up(policy(), answer({"n": "one"}, Finish("MAX_TOKENS", "length"))) is None
    assert follow_up(policy(), Answer(finish=STOP)) is None


def test_one_course_serves_two_generations_side_by_side() -> None:
    shared = policy(many=True)
    first = follow_up(shared, answer([{"n": 1}, {"n": "two"}]), many=True)
    other = follow_up(shared, answer([{"n": "one"}]), many=True)
    assert "item 1:" in told(first)
    assert "item 0:" in told(other)
    assert follow_up(shared, answer([{"n": 2}]), ['[{"n": 1}, {"n": "two"}]']) is None


def test_prose_is_hopeless_and_json_is_not() -> None:
    assert "prose" in policy().hopeless("I would rather talk about something else. " * 60)
    assert policy().hopeless('{"n": ') == ""


def test_progress_names_the_fields_that_are_there() -> None:
    assert policy().describe('{"n": 1}').startswith("1 of 1 fields")


def test_no_link_of_an_extraction_is_resolved() -> None:
    assert policy().links(answer({"n": 1})) == ()
