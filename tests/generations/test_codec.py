"""Values as JSON and back: another server of the fleet sees the same."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runapi_mcp import errors
from runapi_mcp.errors import RunapiError, StreamCut, UpstreamError
from runapi_mcp.generations.store.records import Facts, Fault, Stand, read, write
from runapi_mcp.generations.values import Evidence, Job, Receipt
from runapi_mcp.wire.types import (
    Answer,
    Call,
    Finish,
    Function,
    FunctionCall,
    Grounding,
    Inline,
    Linked,
    Source,
    Support,
    Text,
    Turn,
    Usage,
)

CALL = Call(
    "gemini-3-flash-preview",
    (
        Turn("user", (Text("Look"), Inline("image/png", "aGk="), Linked("video/mp4", "https://x.test/v"))),
        Turn("model", (Text("I see"),)),
    ),
    system="Be short",
    effort="low",
    temperature=0.5,
    stop=("END",),
    seed=7,
    search=True,
    schema={"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
    functions=(Function("f", "does", {"type": "object"}),),
)
ANSWER = Answer(
    text="Hi \ud83d",
    grounding=Grounding((Source("https://x.test", "X", "relay", "s"),), (Support(0, 2, "Hi", (0,)),), ("q",)),
    function_calls=(FunctionCall("1", "f", "{}"),),
    usage=Usage(1, 2, None, 4),
    finish=Finish("STOP", "stop"),
    model="m",
)


NOW = datetime(2026, 5, 4, tzinfo=UTC)
JOB = Job("ask_gemini", {"prompt": "x", "more": [1, None]}, CALL, "native", "ann", ("Mind this.",), "begun")


@pytest.mark.parametrize("call", [CALL, Call("m", ()), replace(CALL, temperature=1.0)], ids=str)
def test_a_question_is_read_as_it_was_written(call: Call) -> None:
    facts = Facts(replace(JOB, call=call), NOW)
    back = read(Facts, write(facts))
    assert back == facts
    assert back.job.same_as == facts.job.same_as


@pytest.mark.parametrize("answer", [ANSWER, Answer()], ids=str)
def test_an_answer_is_read_as_it_was_written(answer: Answer) -> None:
    evidence = Evidence("writing", False, 1, 0, 0.0, 2, None, 0.5, "\ud83d")
    receipt = Receipt("m", "chat", "complete", True, "stop", "STOP", answer.usage, 0.1, 0.2, 0.0, 1, 1, None)
    stands = (evidence, receipt, answer, ("Mind this.",), False, NOW)
    stand = Stand("complete", *stands, 2, None, {"a": "b"}, "", {"a": [1.0, "\ud83d"]})
    assert read(Stand, write(stand)) == stand


def test_fields_of_a_newer_version_are_ignored_and_missing_ones_have_their_default() -> None:
    assert read(Answer, '{"text": "x", "invented": [1]}') == Answer(text="x")
    with pytest.raises(ValueError, match="Receipt"):
        read(Receipt, '{"model": "m"}')
    with pytest.raises(ValueError, match="Answer"):
        read(Answer, "5")


@pytest.mark.parametrize(
    "error",
    [StreamCut("It stopped."), errors.RateLimited("Wait.", status=429, retry_after=2.5, request_id="r")],
    ids=lambda error: error.code,
)
def test_an_error_is_of_the_same_kind_and_says_the_same(error: UpstreamError) -> None:
    back = read(Fault, write(Fault.of(error))).error("Half")
    assert type(back) is type(error)
    assert isinstance(back, UpstreamError)
    assert getattr(back, "partial", "Half") == "Half"
    assert str(back) == str(error)
    assert (back.status, back.retry_after, back.request_id) == (
        error.status,
        error.retry_after,
        error.request_id,
    )


def test_an_error_of_an_unknown_kind_still_says_its_sentence() -> None:
    back = Fault("from_the_future", "Strange.", "Wait.").error()
    assert type(back) is RunapiError
    assert str(back) == "Strange. Wait."
