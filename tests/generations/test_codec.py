"""Values as JSON and back: another server of the fleet sees the same."""

import json

import pytest

from runapi_mcp import errors
from runapi_mcp.errors import RunapiError, StreamCut, UpstreamError
from runapi_mcp.generations.store.records import dumped, plain, read, read_error, written_error
from runapi_mcp.generations.values import Job, Receipt
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


def through_json(value: object) -> object:
    return json.loads(dumped(plain(value)))


@pytest.mark.parametrize("value", [CALL, ANSWER, Answer(), Call("m", ())], ids=str)
def test_what_is_read_is_what_was_written(value: object) -> None:
    assert read(type(value), through_json(value)) == value  # type: ignore[arg-type]  # JSON, by construction


def test_a_job_keeps_all_but_the_hooks_of_its_tool() -> None:
    job = Job("ask_gemini", {"prompt": "x"}, CALL, "native", "ann", ("Mind this.",), "begun")
    back = read(Job, plain(job))
    assert back == Job("ask_gemini", {"prompt": "x"}, CALL, "native", "ann", ("Mind this.",), "begun")
    assert back.same_as == job.same_as


def test_fields_of_a_newer_version_are_ignored_and_missing_ones_have_their_default() -> None:
    assert read(Answer, {"text": "x", "invented": [1]}) == Answer(text="x")
    with pytest.raises(ValueError, match="no Receipt"):
        read(Receipt, {"model": "m"})
    with pytest.raises(ValueError, match="no Answer"):
        read(Answer, 5)


@pytest.mark.parametrize(
    "error",
    [StreamCut("It stopped."), errors.RateLimited("Wait.", status=429, retry_after=2.5, request_id="r")],
    ids=lambda error: error.code,
)
def test_an_error_is_of_the_same_kind_and_says_the_same(error: UpstreamError) -> None:
    back = read_error(written_error(error))
    assert type(back) is type(error)
    assert isinstance(back, UpstreamError)
    assert str(back) == str(error)
    assert (back.status, back.retry_after, back.request_id) == (
        error.status,
        error.retry_after,
        error.request_id,
    )


def test_an_error_of_an_unknown_kind_still_says_its_sentence() -> None:
    back = read_error({"code": "from_the_future", "what": "Strange.", "advice": "Wait."})
    assert type(back) is RunapiError
    assert str(back) == "Strange. Wait."
    assert read_error(None) is None
