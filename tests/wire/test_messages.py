"""A conversation as the chat dialect's messages."""

import pytest

from runapi_mcp.wire.chat import messages
from runapi_mcp.wire.types import FunctionCall, JsonObject, JsonValue, Part, Returned, Text, Turn


def test_a_functions_result_is_a_message_of_its_own_before_what_is_said_with_it() -> None:
    turn = Turn("user", (Returned("f1", "lookup", "42"), Text("Now?")))
    assert messages([turn]) == [
        {"role": "tool", "tool_call_id": "f1", "name": "lookup", "content": "42"},
        {"role": "user", "content": "Now?"},
    ]


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ((), None),
        ((Text("Let me see."),), "Let me see."),
        ((Text("a"), Text("b")), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
    ],
)
def test_calls_stand_beside_what_was_said_with_them(said: tuple[Part, ...], content: object) -> None:
    call = FunctionCall("f1", "lookup", '{"q": 1}', "c2ln")
    made: JsonObject = {
        "id": "f1",
        "type": "function",
        "function": {"name": "lookup", "arguments": '{"q": 1}'},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    }
    assert messages([Turn("model", (*said, call))]) == [
        {"role": "assistant", "content": content, "tool_calls": [made]}
    ]


def test_a_call_without_an_id_and_its_result_are_tied_by_the_name() -> None:
    turns = [
        Turn("model", (FunctionCall("", "lookup", "{}"),)),
        Turn("user", (Returned("", "lookup", "42"),)),
    ]
    called, returned = messages(turns)
    assert called == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_lookup_1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
        ],
    }
    assert returned == {
        "role": "tool", "tool_call_id": "call_lookup_1", "name": "lookup", "content": "42",
    }  # fmt: skip


def test_two_calls_never_share_an_id_and_each_result_has_its_own() -> None:
    calls = (FunctionCall("", "lookup", "{}"), FunctionCall("", "lookup", "{}"), FunctionCall("x", "f", "{}"))
    results = (Returned("", "lookup", "1"), Returned("", "lookup", "2"), Returned("x", "f", "3"))
    called, *returned = [
        dict(message) for message in map(as_object, messages([Turn("model", calls), Turn("user", results)]))
    ]
    ids = [as_object(call)["id"] for call in as_list(called["tool_calls"])]
    assert len(set(map(str, ids))) == 3
    assert [(message["tool_call_id"], message["content"]) for message in returned] == list(
        zip(ids, ["1", "2", "3"], strict=True)
    )


def test_what_a_relay_put_into_a_call_goes_back_where_it_stood() -> None:
    extra = '{"thought_signature": "S", "function": {"thoughtSignature": "T"}, "extra_content": {"vertex": {"x": 1}}}'  # noqa: E501
    (made,) = messages([Turn("model", (FunctionCall("f1", "f", "{}", "unused", extra),))])
    (call,) = as_list(as_object(made)["tool_calls"])
    assert call == {
        "thought_signature": "S",
        "extra_content": {"vertex": {"x": 1}},
        "id": "f1",
        "type": "function",
        "function": {"thoughtSignature": "T", "name": "f", "arguments": "{}"},
    }


def as_object(value: JsonValue) -> JsonObject:
    assert isinstance(value, dict)
    return value


def as_list(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list)
    return value


def test_a_turn_of_nothing_is_no_message() -> None:
    assert messages([Turn("user", ())]) == []
