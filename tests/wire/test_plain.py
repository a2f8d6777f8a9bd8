"""The short way through a chunk says what the long way says, for any chunk."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runapi_mcp.errors import ProtocolError
from runapi_mcp.wire import chat, gemini
from runapi_mcp.wire.plain import plain_chat, plain_native
from runapi_mcp.wire.types import Decoder, Event, Frame

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 7, "", "x", [], {}, [{}], {"x": 1}, "</thought>", 1.5]
)
text: st.SearchStrategy[Any] = st.one_of(st.sampled_from(["word ", "<thou", "ght>", "</thought>", ""]), odd)


def either(usual: Any, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.fixed_dictionaries(usual, optional=optional), odd)


delta = either(
    {"content": text},
    role=st.just("assistant"),
    refusal=odd,
    reasoning=text,
    extra_content=odd,
    tool_calls=odd,
)
choice = either(
    {"index": st.just(0), "delta": delta},
    finish_reason=st.sampled_from([None, "stop", 7]),
    message=delta,
    logprobs=odd,
)
usage = either({"prompt_tokens": st.one_of(st.integers(0, 9), odd)}, completion_tokens=odd, total_tokens=odd)
chats = either(
    {"choices": st.one_of(st.lists(choice, min_size=1, max_size=2), odd)},
    model=st.sampled_from(["m", "n", 7, None, ""]),
    usage=usage,
    error=odd,
    id=odd,
    grounding_metadata=odd,
    status=odd,
)
part = either({"text": text}, thought=odd, functionCall=odd, thoughtSignature=odd)
content = either({"parts": st.one_of(st.lists(part, min_size=1, max_size=2), odd)}, role=odd)
candidate = either({"content": content}, index=odd, finishReason=odd, groundingMetadata=odd)
metered = either(
    {"promptTokenCount": st.one_of(st.integers(0, 9), odd)}, candidatesTokenCount=odd, thoughtsTokenCount=odd
)
natives = either(
    {"candidates": st.one_of(st.lists(candidate, min_size=1, max_size=2), odd)},
    modelVersion=st.sampled_from(["m", "n", 7, None, ""]),
    usageMetadata=metered,
    promptFeedback=odd,
    error=odd,
    responseId=odd,
)


SAID = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
ENDED = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
SHOWN = {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}


def told(decoder: Decoder, chunks: list[Any]) -> list[Event | str]:
    said: list[Event | str] = []
    for chunk in chunks:
        try:
            said += decoder.decode(Frame(json.dumps(chunk)))
        except ProtocolError as error:
            said.append(str(error))
    return [*said, *decoder.end()]


def nothing_plain(_frame: str, _served: str | None, _followed: int | None) -> None:
    """What the short way says when every chunk has to go the long way."""


@given(st.lists(chats, max_size=4))
@example([SAID | {"model": "m"}, SAID | {"model": "n"}])
@example([SAID, ENDED])
@example([{"choices": [{"delta": {"content": "\ud83d"}}]}])
def test_a_chat_chunk_says_the_same_on_both_ways(chunks: list[Any]) -> None:
    short = told(chat.ChatDecoder(), chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat, "plain_chat", nothing_plain)
        assert told(chat.ChatDecoder(), chunks) == short


@given(st.lists(natives, max_size=4))
@example([SHOWN | {"modelVersion": "m"}, SHOWN | {"modelVersion": "n"}])
@example([{"candidates": [{"content": {"parts": [{"text": "\ud83d"}]}}]}])
def test_a_native_chunk_says_the_same_on_both_ways(chunks: list[Any]) -> None:
    short = told(gemini.NativeDecoder(), chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemini, "plain_native", nothing_plain)
        assert told(gemini.NativeDecoder(), chunks) == short


def test_the_usual_chunks_go_the_short_way() -> None:
    usual = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
    }
    assert plain_chat(json.dumps(usual), "m", 0)
    metered = usual | {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    assert plain_chat(json.dumps(metered), "m", 0)
    native = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "a", "thought": True}]}, "index": 0}]
    }
    assert plain_native(json.dumps(native), "m", 0)
