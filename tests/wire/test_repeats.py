"""What a stream says twice is given out once; what only looks so is given out as often as it comes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import fold

from runapi_mcp.models import DialectName
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.types import Answer, Event, Frame

FIRST, REST = "The sky is blue beca", "use short waves scatter more."
WHOLE = FIRST + REST
USAGE = {"usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}}


def answered(dialect: DialectName, *chunks: Any) -> Answer:
    decoder = dialects("/v1")[dialect].decoder()
    frames = [Frame(chunk if isinstance(chunk, str) else json.dumps(chunk)) for chunk in chunks]
    events: list[Event] = [event for frame in frames for event in decoder.decode(frame)]
    return fold([*events, *decoder.end()]).partial()


def delta(content: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish} | more]}


def message(content: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **more},
        "finish_reason": finish,
    }
    return {"choices": [choice]}


def candidate(*texts: str, finish: str | None = None, thought: bool = False) -> dict[str, Any]:
    parts = [{"text": text} | ({"thought": True} if thought else {}) for text in texts]
    return {"candidates": [{"content": {"parts": parts}} | ({"finishReason": finish} if finish else {})]}


@pytest.mark.parametrize(
    "chunks",
    [
        [delta(FIRST), delta(REST), message(WHOLE) | {"object": "chat.completion"} | USAGE],
        [delta(FIRST), delta(REST, "stop"), message(WHOLE)],
        [delta(FIRST), delta(REST), message(WHOLE, None), delta(None, "stop")],
        [delta(FIRST), delta(REST), delta(None, "stop", message={"content": WHOLE})],
        [
            delta(FIRST),
            delta(REST),
            delta("", "stop", message={"content": [{"type": "text", "text": WHOLE}]}),
        ],
        [delta(FIRST), delta(REST), delta(WHOLE, "stop")],
        [delta(FIRST), message(WHOLE)],
        [delta(FIRST), delta(REST, "stop"), delta(REST, "stop")],
        [delta(FIRST), delta(REST, "stop"), delta(REST, "stop"), delta(REST, "stop") | USAGE],
        [delta(FIRST), delta(REST, "stop") | {"id": "a", "created": 1}, delta(REST, "stop") | {"id": "b"}],
        [delta(WHOLE, "stop"), delta(WHOLE, "stop")],
        [message(WHOLE)],
        [message(FIRST, None), message(REST, "stop")],
        [message(FIRST, None), message(REST, None), delta(None, "stop")],
        [message(FIRST, None), message(WHOLE, "stop")],
        # Another text than was streamed adds nothing to what was.
        [delta(FIRST), delta(REST), message("Short waves scatter more.")],
    ],
)
def test_a_last_chunk_that_says_all_again_adds_nothing_on_chat(chunks: list[Any]) -> None:
    answer = answered("chat", *chunks, "[DONE]")
    assert (answer.text, answer.finish and answer.finish.reason) == (WHOLE, "stop")


@pytest.mark.parametrize(
    "chunks",
    [
        [candidate(FIRST), candidate(REST, finish="STOP"), candidate(REST, finish="STOP")],
        [candidate(FIRST), candidate(REST), candidate(WHOLE, finish="STOP")],
        [candidate(FIRST), candidate(REST), candidate(finish="STOP")],
        [candidate(WHOLE, finish="STOP"), candidate(WHOLE, finish="STOP")],
        [candidate(FIRST, finish="STOP"), candidate(REST, finish="STOP")],
    ],
)
def test_a_last_chunk_that_says_all_again_adds_nothing_on_native(chunks: list[Any]) -> None:
    assert answered("native", *chunks).text == WHOLE


def test_short_pieces_that_are_the_same_are_all_given_out() -> None:
    assert answered("native", *[candidate("ha ", finish="STOP")] * 3).text == "ha ha ha "
    assert answered("native", *[candidate("ha ")] * 3, candidate("ha ", finish="STOP")).text == "ha ha ha ha "
    assert answered("chat", *[delta("ha ")] * 3, delta("ha ", "stop")).text == "ha ha ha ha "
    assert answered("chat", delta(WHOLE), delta(WHOLE, "stop")).text == WHOLE * 2


def test_a_message_at_the_end_brings_what_is_missing_and_its_thinking_once() -> None:
    whole = message(f"<think>Plan.</think>{WHOLE}", reasoning_content="Plan.")
    answer = answered("chat", delta("<think>Plan.</think>"), delta(FIRST), whole)
    assert (answer.text, answer.thoughts) == (WHOLE, "Plan.")
    thinking = {"choices": [{"delta": {"reasoning_content": "Plan."}}]}
    assert answered("chat", thinking, delta(FIRST), whole).thoughts == "Plan."
    assert answered("chat", delta(FIRST), whole).thoughts == "Plan."


pieces = st.lists(st.text("ab ", min_size=1, max_size=8), min_size=1, max_size=8)


@given(pieces, st.sampled_from(["message", "twice", "plain"]))
def test_a_text_is_the_same_whether_or_not_its_end_comes_again(texts: list[str], kind: str) -> None:
    chunks = [delta(text) for text in texts]
    if kind == "message":
        chunks.append(message("".join(texts)))
    elif kind == "twice":
        chunks += [delta("The end.", "stop")] * 2
        texts = [*texts, "The end."]
    assert answered("chat", *chunks).text == "".join(texts)


# ---------------------------------------------------------------- fields of thinking


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Plan."},
        {"reasoning": "Plan."},
        {"reasoning_content": "", "reasoning": "Plan."},
        {"reasoning_content": "Plan.", "reasoning": ""},
        {"reasoning_content": "\n", "reasoning": None, "thinking": "Plan."},
        {"reasoning_content": "Plan.", "reasoning": "Plan.", "reasoning_details": [{"text": "Plan."}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Plan."}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}, {"summary": "Plan."}]},
        {"reasoning_details": {"text": "Plan."}, "reasoning": 5},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Plan.", "signature": "x"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Plan."}]}]},
        {"content": [{"type": "reasoning", "text": "Plan."}, {"type": "text", "text": ""}]},
    ],
)
def test_thinking_is_read_from_the_first_field_that_has_any(fields: dict[str, Any]) -> None:
    answer = answered("chat", {"choices": [{"delta": {"content": "", **fields}}]}, delta("Answer.", "stop"))
    assert (answer.thoughts, answer.text) == ("Plan.", "Answer.")


def test_a_line_break_of_thinking_is_kept_where_nothing_else_is_there() -> None:
    chunks = [{"choices": [{"delta": {"reasoning_content": text, "reasoning": ""}}]} for text in "a\nb"]
    assert answered("chat", *chunks).thoughts == "a\nb"


@pytest.mark.parametrize("dialect", ["chat", "native"])
@pytest.mark.parametrize("tag", ["think", "thinking", "thought", "Think"])
def test_thinking_between_tags_is_no_answer_on_either_dialect(dialect: DialectName, tag: str) -> None:
    texts = [f"<{tag[:2]}", f"{tag[2:]}>Pl", f"an.</{tag}>\n", "\nAnswer."]
    chunks = [delta(text) if dialect == "chat" else candidate(text) for text in texts]
    answer = answered(dialect, *chunks)
    assert (answer.thoughts, answer.text) == ("Plan.", "Answer.")
    open_ = answered(dialect, *chunks[:2])
    assert (open_.thoughts, open_.text) == ("", f"<{tag}>Pl")
    only = answered(dialect, *chunks[:3])
    assert (only.thoughts, only.text) == ("", f"<{tag}>Plan.</{tag}>")


def test_thinking_that_a_call_follows_is_thinking() -> None:
    call = {"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": "f"}}]}}]}
    answer = answered("chat", delta("<think>Plan.</think>"), call, "[DONE]")
    assert (answer.thoughts, answer.text) == ("Plan.", "")
    part = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}
    assert answered("native", candidate("<think>Plan.</think>"), part).thoughts == "Plan."
