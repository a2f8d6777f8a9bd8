from dataclasses import replace
from typing import Any

import pytest

from runapi_mcp.errors import ProtocolError
from runapi_mcp.models import choose_dialect
from runapi_mcp.wire.gemini import Native
from runapi_mcp.wire.types import (
    Call,
    Done,
    Failure,
    Frame,
    Function,
    FunctionCall,
    Inline,
    Linked,
    Returned,
    Text,
    Turn,
    Usage,
)

ASK = Call("gemini-3-flash-preview", (Turn("user", (Text("Hi"),)),))


def body(call: Call) -> dict[str, Any]:
    request: dict[str, Any] = Native().encode(call).body
    return request


def test_the_request_asks_the_models_own_path_for_events_with_googles_header() -> None:
    request = Native().encode(ASK)
    assert request.path == "/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse"
    assert request.auth == "x-goog-api-key"


def test_a_plain_question_is_its_contents_and_nothing_more() -> None:
    assert body(ASK) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


@pytest.mark.parametrize(
    ("change", "added"),
    [
        ({"system": "Be brief."}, {"systemInstruction": {"parts": [{"text": "Be brief."}]}}),
        ({"search": True}, {"tools": [{"googleSearch": {}}]}),
        (
            {"functions": (Function("f", "does f", {"type": "object", "properties": {"a": {}}}),)},
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "f",
                                "description": "does f",
                                "parametersJsonSchema": {"type": "object", "properties": {"a": {}}},
                            }
                        ]
                    }
                ]
            },
        ),
        ({"max_output_tokens": 7}, {"generationConfig": {"maxOutputTokens": 7}}),
        ({"temperature": 0.0}, {"generationConfig": {"temperature": 0.0}}),
        ({"stop": ("END",)}, {"generationConfig": {"stopSequences": ["END"]}}),
        ({"seed": 0}, {"generationConfig": {"seed": 0}}),
        ({"schema": {}}, {"generationConfig": {"responseMimeType": "application/json"}}),
        (
            {"schema": {"type": "null"}},
            {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": {"type": "null"},
                }
            },
        ),
        ({"include_thoughts": True}, {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}),
        ({"effort": "high"}, {"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}}),
    ],
)
def test_a_wish_becomes_its_own_field(change: dict[str, Any], added: dict[str, Any]) -> None:
    assert body(replace(ASK, **change)) == body(ASK) | added


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"])
def test_no_model_that_takes_budgets_and_no_levels_is_sent_here(model: str) -> None:
    assert choose_dialect(model, (), "native") == "chat"


def test_files_are_carried_inline_or_by_link() -> None:
    parts = (Inline("application/pdf", "AAAA"), Linked("video/mp4", "https://a.example/x"))
    assert body(replace(ASK, turns=(Turn("model", parts),)))["contents"] == [
        {
            "role": "model",
            "parts": [
                {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://a.example/x"}},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (
            FunctionCall("f1", "lookup", '{"q": "ü"}', "c2ln"),
            {
                "functionCall": {"id": "f1", "name": "lookup", "args": {"q": "ü"}},
                "thoughtSignature": "c2ln",
            },
        ),
        (FunctionCall("", "lookup", ""), {"functionCall": {"name": "lookup", "args": {}}}),
        (FunctionCall("", "lookup", "[1]"), {"functionCall": {"name": "lookup", "args": {}}}),
    ],
)
def test_a_call_of_an_earlier_turn_goes_back_with_its_signature(call: FunctionCall, part: object) -> None:
    turn = Turn("model", (call,))
    assert body(replace(ASK, turns=(turn,)))["contents"] == [{"role": "model", "parts": [part]}]


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ('{"price": 3}', {"price": 3}),
        ("[1, 2]", {"result": "[1, 2]"}),
        ("three", {"result": "three"}),
        ("[" * 100_000, {"result": "[" * 100_000}),
    ],
    ids=["object", "array", "text", "too deep"],
)
def test_what_a_function_gave_is_sent_as_an_object(content: str, response: object) -> None:
    turn = Turn("user", (Returned("f1", "lookup", content),))
    made = {"id": "f1", "name": "lookup", "response": response}
    assert body(replace(ASK, turns=(turn,)))["contents"] == [
        {"role": "user", "parts": [{"functionResponse": made}]}
    ]


@pytest.mark.parametrize(
    "text", ["null", "[5]", '{"candidates":{}}', '{"candidates":[{"content":{"parts":5}}]}']
)
def test_a_frame_that_is_no_chunk_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="could not be read"):
        Native().decoder().decode(Frame(text))


def test_frames_without_content_say_nothing() -> None:
    decoder = Native().decoder()
    assert decoder.decode(Frame("")) == ()
    assert decoder.decode(Frame("[DONE]")) == (Done(),)
    assert decoder.decode(Frame('{"candidates":[]}')) == []
    assert [*decoder.end()] == []


def test_an_error_event_is_a_failure_whatever_it_holds() -> None:
    assert Native().decoder().decode(Frame("", "error")) == (Failure(""),)


def test_the_tokens_of_tool_use_count_as_input() -> None:
    usage = '{"usageMetadata":{"promptTokenCount":9,"toolUsePromptTokenCount":5,"candidatesTokenCount":1}}'
    assert Native().decoder().decode(Frame(usage)) == [Usage(14, 1)]
    assert Native().decoder().decode(Frame('{"usageMetadata":{"thoughtsTokenCount":3}}')) == [
        Usage(thinking=3)
    ]
