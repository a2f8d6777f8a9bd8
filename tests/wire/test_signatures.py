"""The signatures of function calls go back to whoever sent them, from wherever a relay puts them."""

import json
from typing import Any

import pytest

from runapi_mcp.wire.chat import ChatDecoder, messages
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.function_calls import find_signature
from runapi_mcp.wire.gemini import Native
from runapi_mcp.wire.types import Call, Frame, FunctionCall, Turn

SIGNATURE = "SIG-7f3a"
PLACES: dict[str, dict[str, Any]] = {
    "Google's own": {"extra_content": {"google": {"thought_signature": SIGNATURE}}},
    "another provider's": {"extra_content": {"vertex": {"thought_signature": SIGNATURE}}},
    "Google's own, in camel case": {"extra_content": {"google": {"thoughtSignature": SIGNATURE}}},
    "the call": {"thought_signature": SIGNATURE},
    "the call, in camel case": {"thoughtSignature": SIGNATURE},
    "the function": {"function": {"thought_signature": SIGNATURE}},
    "the function, in camel case": {"function": {"thoughtSignature": SIGNATURE}},
    "LiteLLM's fields": {"provider_specific_fields": {"thought_signature": SIGNATURE}},
    "LiteLLM's fields of the function": {
        "function": {"provider_specific_fields": {"thought_signature": SIGNATURE}}
    },
}


def sent(place: dict[str, Any]) -> dict[str, Any]:
    function = {"name": "weather", "arguments": '{"city":"Oslo"}', **place.get("function", {})}
    return {"index": 0, "id": "a1", "type": "function", **place, "function": function}


def decode(*calls: dict[str, Any]) -> FunctionCall:
    fold, decoder = Fold(), ChatDecoder()
    for call in calls:
        for event in decoder.decode(Frame(json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}))):
            fold.feed(event)
    (made,) = fold.partial().function_calls
    return made


@pytest.mark.parametrize("place", PLACES)
def test_a_signature_goes_back_to_the_place_it_came_from(place: str) -> None:
    call = sent(PLACES[place])
    (message,) = messages([Turn("model", (decode(call),))])
    assert isinstance(message, dict)
    assert message["tool_calls"] == [{key: value for key, value in call.items() if key != "index"}]


@pytest.mark.parametrize("place", PLACES)
def test_googles_own_dialect_finds_it_too(place: str) -> None:
    made = decode(sent(PLACES[place]))
    assert find_signature(made) == SIGNATURE
    body: Any = Native().encode(Call("m", (Turn("model", (made,)),))).body
    assert body["contents"][0]["parts"][0]["thoughtSignature"] == SIGNATURE


def test_what_comes_in_a_later_piece_is_added() -> None:
    first = sent({"thought_signature": SIGNATURE})
    later = {"index": 0, "function": {"arguments": "", "seen": 1}, "more": [1]}
    extra = json.loads(decode(first, later).extra)
    assert extra == {"thought_signature": SIGNATURE, "function": {"seen": 1}, "more": [1]}


def test_a_call_with_nothing_beside_has_nothing_to_carry() -> None:
    assert decode(sent({"custom": None})).extra == ""


def test_what_openrouter_keeps_apart_from_a_call_goes_back_beside_the_calls_and_to_googles_own_place() -> (
    None
):
    detail = {"type": "reasoning.encrypted", "data": SIGNATURE, "id": "a1", "format": "google-gemini-v1"}
    decoder, folded = ChatDecoder(), Fold()
    for delta in ({"reasoning_details": [detail]}, {"tool_calls": [sent({})]}):
        folded.feed(*decoder.decode(Frame(json.dumps({"choices": [{"delta": delta}]}))))
    folded.feed(*decoder.end())
    (made,) = folded.partial().function_calls
    (message,) = messages([Turn("model", (made,))])
    assert isinstance(message, dict)
    assert message["reasoning_details"] == [detail]
    assert message["tool_calls"] == [{key: value for key, value in sent({}).items() if key != "index"}]
    body: Any = Native().encode(Call("m", (Turn("model", (made,)),))).body
    assert body["contents"][0]["parts"][0]["thoughtSignature"] == SIGNATURE


def test_without_a_call_nothing_is_made_of_it() -> None:
    decoder, detail = ChatDecoder(), {"type": "reasoning.encrypted", "data": SIGNATURE}
    decoder.decode(Frame(json.dumps({"choices": [{"delta": {"reasoning_details": [detail]}}]})))
    assert decoder.end() == []
