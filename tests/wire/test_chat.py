import json
from dataclasses import replace
from typing import Any

import pytest

from runapi_mcp.errors import InputError, ProtocolError
from runapi_mcp.wire.chat import Chat
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.types import (
    Call,
    Event,
    Failure,
    Finish,
    FinishReason,
    Frame,
    Function,
    FunctionCallDelta,
    Inline,
    Linked,
    Request,
    Text,
    TextDelta,
    Turn,
    Usage,
)

ASK = Call("gemini-2.5-pro", (Turn("user", (Text("Hi"),)),))


def body(call: Call) -> dict[str, Any]:
    request: dict[str, Any] = Chat().encode(call).body
    return request


def decoded(*chunks: object) -> list[Event]:
    decoder = Chat().decoder()
    events = [event for chunk in chunks for event in decoder.decode(Frame(json.dumps(chunk)))]
    return [*events, *decoder.end()]


def test_the_request_goes_to_the_chat_path_with_a_bearer_key() -> None:
    assert Chat("/v1").encode(ASK) == Request("/v1/chat/completions", "bearer", body(ASK))
    assert dialects("/v1")["chat"].encode(ASK).path == "/v1/chat/completions"


def test_a_plain_question_asks_for_a_stream_with_usage_and_nothing_more() -> None:
    assert body(ASK) == {
        "model": "gemini-2.5-pro",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"effort": "low"}, "reasoning_effort", "low"),
        ({"include_thoughts": True}, "include_thoughts", True),
        ({"max_output_tokens": 7}, "max_tokens", 7),
        ({"temperature": 0.0}, "temperature", 0.0),
        ({"stop": ("END",)}, "stop", ["END"]),
        ({"seed": 0}, "seed", 0),
        ({"search": True}, "tools", [{"type": "function", "function": {"name": "googleSearch"}}]),
        (
            {"functions": (Function("f", "does f", {"type": "object", "properties": {"a": {}}}),)},
            "tools",
            [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "description": "does f",
                        "parameters": {"type": "object", "properties": {"a": {}}},
                    },
                }
            ],
        ),
        ({"schema": {}}, "response_format", {"type": "json_object"}),
        (
            {"schema": {"type": "null"}},
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "null"}}},
        ),
    ],
)
def test_a_wish_becomes_one_field_of_the_request(change: dict[str, Any], field: str, value: object) -> None:
    asked = body(replace(ASK, **change))
    assert asked.pop(field) == value
    assert asked == body(ASK)


def test_the_system_text_is_the_first_message() -> None:
    assert body(replace(ASK, system="Be brief."))["messages"][0] == {
        "role": "system",
        "content": "Be brief.",
    }


def test_images_are_sent_as_data_urls_or_as_links() -> None:
    parts = (Text("See"), Inline("image/png", "AAAA"), Linked("image/jpeg", "https://a.example/x.jpg"))
    assert body(replace(ASK, turns=(Turn("user", parts),)))["messages"][0]["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/x.jpg"}},
    ]


@pytest.mark.parametrize("part", [Inline("application/pdf", "AAAA"), Linked("video/mp4", "https://a/x")])
def test_a_file_that_is_no_image_is_refused_before_anything_is_sent(part: Inline | Linked) -> None:
    with pytest.raises(InputError, match=r"images only, not (application/pdf|video/mp4)"):
        body(replace(ASK, turns=(Turn("user", (part,)),)))


def test_a_continued_call_ends_with_the_models_words_and_a_request_to_go_on() -> None:
    messages = body(ASK.continued("Half"))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "Half"


def test_the_bytes_of_a_file_are_not_in_the_calls_repr() -> None:
    assert "SECRET" not in repr(Inline("image/png", "SECRET"))


def calls(*deltas: object) -> list[FunctionCallDelta]:
    events = decoded(*({"choices": [{"delta": {"tool_calls": [delta]}}]} for delta in deltas))
    return [event for event in events if isinstance(event, FunctionCallDelta)]


def test_arguments_sent_as_an_object_become_json_text() -> None:
    assert calls({"id": "a", "function": {"name": "f", "arguments": {"q": "ü"}}})[0].arguments == '{"q": "ü"}'


@pytest.mark.parametrize("text", ["null", "5", '"text"', "{", '{"choices":5}', '{"choices":[{"delta":[]}]}'])
def test_a_frame_that_is_no_chunk_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="could not be read"):
        Chat().decoder().decode(Frame(text))


def test_a_frame_without_text_says_nothing() -> None:
    assert Chat().decoder().decode(Frame(" ")) == ()


def test_only_the_first_choice_is_read() -> None:
    chunk = {"choices": [{"delta": {"content": "one"}}, {"delta": {"content": "two"}}]}
    assert decoded(chunk) == [TextDelta("one")]


def test_a_reasoning_that_only_looks_like_sources_is_thought_after_all() -> None:
    chunks = ({"choices": [{"delta": {"reasoning_content": text}}]} for text in ('[{"a', '": 1}]'))
    assert [getattr(event, "text", None) for event in decoded(*chunks)] == ['[{"a": 1}]']


@pytest.mark.parametrize(
    ("said", "reason"),
    [("length", "length"), ("LENGTH", "length"), ("Stop", "stop"), ("MAX_TOKENS", "length")],
)
def test_a_finish_is_known_in_any_case_and_quoted_as_it_was_said(said: str, reason: FinishReason) -> None:
    assert decoded({"choices": [{"delta": {}, "finish_reason": said}]}) == [Finish(said, reason)]


def test_a_chunk_with_an_error_beside_its_text_gives_both() -> None:
    chunk = {"choices": [{"delta": {"content": "one"}}], "error": "out"}
    assert decoded(chunk) == [TextDelta("one"), Failure("out")]


@pytest.mark.parametrize(
    ("choice", "beside", "failure"),
    [
        ({"error": {"message": "died", "code": 502}}, {}, Failure("died", 502)),
        ({"error": "died"}, {}, Failure("died")),
        ({"error": {"message": "died"}}, {"error": "other"}, Failure("died")),
        ({}, {"error": {"message": "died", "code": 502}}, Failure("died", 502)),
        ({}, {"message": "died"}, Failure("died")),
        ({}, {"code": 503, "msg": "died"}, Failure("died", 503)),
    ],
)
def test_a_finish_that_is_an_error_is_told_in_runapis_words(
    choice: dict[str, Any], beside: dict[str, Any], failure: Failure
) -> None:
    chunk = {"choices": [{"delta": {"content": "one"}, "finish_reason": "error", **choice}], **beside}
    assert decoded(chunk) == [TextDelta("one"), failure, Finish("error", "error")]


def test_an_error_in_a_choice_is_one_whatever_its_finish_says() -> None:
    chunk = {"choices": [{"delta": {}, "finish_reason": "stop", "error": {"message": "died"}}]}
    assert decoded(chunk) == [Failure("died"), Finish("stop", "stop")]
    assert decoded({"choices": [{"delta": {}, "finish_reason": "stop"}], "message": "ok"}) == [
        Finish("stop", "stop")
    ]


@pytest.mark.parametrize("error", [None, "", {}, [], False])
def test_an_empty_error_is_no_error(error: object) -> None:
    assert decoded({"choices": [], "error": error, "usage": {"prompt_tokens": 1}}) == [Usage(1)]


def test_a_chunk_whose_code_says_success_is_no_error() -> None:
    assert decoded({"code": 200, "msg": "ok"}) == []
    assert decoded({"code": 0, "msg": "ok"}) == []


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 6}, Usage(5, 2, 0)),
        ({"completion_tokens": 2}, Usage(None, 2)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(5, 2, 3),
        ),
    ],
)
def test_thinking_tokens_are_what_the_total_leaves_unexplained(
    usage: dict[str, Any], expected: Usage
) -> None:
    assert decoded({"choices": [], "usage": usage}) == [expected]
