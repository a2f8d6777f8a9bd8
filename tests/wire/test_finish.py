"""Why a model stopped, in whoever's words."""

import json
from typing import Any

import pytest
from streams import fold

from runapi_mcp.errors import Blocked
from runapi_mcp.models import DialectName
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.fold import ends_open, explain_block, is_whole, read_block, read_finish
from runapi_mcp.wire.types import (
    Answer,
    Event,
    Failure,
    Finish,
    FinishReason,
    Frame,
    FunctionCall,
    PromptBlocked,
)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"), ("STOP", "stop"), ("FinishReason.STOP", "stop"), ("end_turn", "stop"),
        ("finish_reason: stop", "stop"), ("stop (eos_token)", "stop"),
        ("length", "length"), ("MAX_TOKENS", "length"), ("maxTokens", "length"), ("Max tokens", "length"),
        ("FINISH_REASON_MAX_TOKENS", "length"),
        ("tool_calls", "tool"), ("tool-calls", "tool"), ("TOOL_USE", "tool"), ("function_call", "tool"),
        ("content_filter", "filtered"), ("content-filter", "filtered"), ("SAFETY", "filtered"),
        ("safety", "filtered"), ("RECITATION", "filtered"),
        ("content_filter: PROHIBITED_CONTENT", "filtered"),
        ("Content_Filter:RECITATION", "filtered"), ("content_filter: OTHER", "filtered"),
        ("content_filter: A_NEW_ONE", "filtered"), ("finish: SPII", "filtered"), ("refusal", "filtered"),
        ("OTHER", "error"), ("Language", "error"), ("MALFORMED_FUNCTION_CALL", "error"),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", "error"), ("function_call_filter: NEW", "error"),
        ("malformed_function_call", "error"), ("UNEXPECTED_TOOL_CALL", "error"), ("error", "error"),
        ("A_NEW_ONE", "unknown"), ("完", "unknown"), ("7", "unknown"), ("x" * 10_000, "unknown"),
    ],
)  # fmt: skip
def test_a_finish_is_read_in_any_case_and_behind_any_prefix(said: str, reason: FinishReason) -> None:
    assert read_finish(said) == Finish(said, reason)


@pytest.mark.parametrize("said", [None, "", " ", "null", "None", "FINISH_REASON_UNSPECIFIED", "unspecified"])
def test_a_word_for_no_finish_is_none(said: str | None) -> None:
    assert read_finish(said) is None


@pytest.mark.parametrize(
    ("said", "native", "finish"),
    [
        ("stop", "SAFETY", Finish("SAFETY", "filtered")),
        ("error", "MALFORMED_FUNCTION_CALL", Finish("MALFORMED_FUNCTION_CALL", "error")),
        ("stop", "MAX_TOKENS", Finish("MAX_TOKENS", "length")),
        ("odd", "RECITATION", Finish("RECITATION", "filtered")),
        ("stop", "STOP", Finish("stop", "stop")),
        ("stop", "ODD", Finish("stop", "stop")),
        ("tool_calls", "STOP", Finish("tool_calls", "tool")),
        ("length", "STOP", Finish("length", "length")),
        ("stop", None, Finish("stop", "stop")),
    ],
)
def test_the_vendors_own_word_counts_where_the_relays_says_less(
    said: str, native: str | None, finish: Finish
) -> None:
    assert read_finish(said, native) == finish


@pytest.mark.parametrize(
    ("said", "blocked"),
    [(None, ""), ("", ""), ("BLOCK_REASON_UNSPECIFIED", ""), ("BLOCKED_REASON_UNSPECIFIED", ""),
     ("blocked_reason_unspecified", ""), ("SAFETY", "SAFETY"), ("other", "other")],
)  # fmt: skip
def test_a_prompt_is_blocked_for_a_reason(said: str | None, blocked: str) -> None:
    assert read_block(said) == blocked


def test_what_was_blocked_is_explained_by_the_categories_that_were_marked() -> None:
    ratings = [
        {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
        {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "HIGH", "blocked": True},
        {"category": 5, "blocked": True},
        None,
    ]
    filters = {"violence": {"filtered": True, "severity": "high"}, "hate": {"filtered": False}, "x": 5}
    assert explain_block(None, ratings, filters) == "HARM_CATEGORY_HATE_SPEECH, violence"
    assert explain_block("It was hate.", ratings) == "It was hate.: HARM_CATEGORY_HATE_SPEECH"
    assert explain_block(None, 5, None, "x") == ""


# ---------------------------------------------------------------- on the wire


def events(dialect: DialectName, *chunks: dict[str, Any]) -> list[Event]:
    decoder = dialects("/v1")[dialect].decoder()
    found = [event for chunk in chunks for event in decoder.decode(Frame(json.dumps(chunk)))]
    return [*found, *decoder.end()]


@pytest.mark.parametrize(
    ("dialect", "chunk", "reason"),
    [
        ("chat", {"choices": [], "prompt_feedback": {"block_reason": "OTHER"}}, "OTHER"),
        ("chat", {"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
        ("native", {"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
        ("native", {"prompt_feedback": {"block_reason": "JAILBREAK"}}, "JAILBREAK"),
    ],
)  # fmt: skip
def test_a_refused_prompt_is_blocked_on_both_dialects(
    dialect: DialectName, chunk: dict[str, Any], reason: str
) -> None:
    found = events(dialect, chunk)
    assert found == [PromptBlocked(reason)]
    assert isinstance(fold(found).error(), Blocked)


def test_a_blocked_answer_names_the_category_on_both_dialects() -> None:
    rating = [{"category": "HARM_CATEGORY_HATE_SPEECH", "blocked": True}]
    chat = {"choices": [{"delta": {}, "finish_reason": "content_filter: SAFETY", "safety_ratings": rating}]}
    native = {"candidates": [{"finishReason": "SAFETY", "safetyRatings": rating}]}
    for dialect, chunk in (("chat", chat), ("native", native)):
        error = fold(events(dialect, chunk)).error()  # type: ignore[arg-type]  # a literal, in a tuple
        assert isinstance(error, Blocked)
        assert "SAFETY: HARM_CATEGORY_HATE_SPEECH" in error.what
    prompt = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": rating}}
    assert "SAFETY: HARM_CATEGORY_HATE_SPEECH" in str(fold(events("native", prompt)).error())


def test_a_chat_finish_brings_its_explanation() -> None:
    said = {"finish_reason": "OTHER", "finish_message": "It was that."}
    assert events("chat", {"choices": [{"delta": {}, **said}]}) == [Finish("OTHER", "error", "It was that.")]
    refused = {"delta": {"refusal": "I will not."}, "finish_reason": "refusal"}
    assert events("chat", {"choices": [refused]}) == [Finish("refusal", "filtered", "I will not.")]
    native = {"finish_reason": "stop", "native_finish_reason": "SAFETY"}
    assert events("chat", {"choices": [{"delta": {}, **native}]}) == [Finish("SAFETY", "filtered")]


# ---------------------------------------------------------------- whether an answer is whole


CALL = FunctionCall("a", "f", "{}")


@pytest.mark.parametrize(
    ("reason", "failed", "text", "calls", "whole"),
    [
        ("stop", False, "half of it that", (), True),
        ("stop", True, "half of it that", (), False),
        ("stop", True, "A sentence.", (), True),
        ("stop", True, '{"a": 1', (), False),
        ("stop", True, '{"a": 1}', (), True),
        ("tool", False, "", (CALL,), True),
        ("tool", False, "half of it that", (), False),
        ("tool", False, "A sentence.", (), True),
        ("unknown", False, "half of it that", (), False),
        ("unknown", False, "A sentence.", (), True),
        ("unknown", False, "", (CALL,), True),
        ("length", False, "A sentence.", (), False),
        ("filtered", False, "A sentence.", (), False),
        ("error", False, "A sentence.", (), False),
    ],
)
def test_an_answer_is_whole_unless_something_says_that_it_is_not(
    reason: FinishReason, failed: bool, text: str, calls: tuple[FunctionCall, ...], whole: bool
) -> None:
    failure = Failure("busy", 503) if failed else None
    answer = Answer(text, function_calls=calls, finish=Finish("x", reason), failure=failure)
    assert is_whole(answer) is whole
    assert not is_whole(Answer(text, function_calls=calls))


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ("A sentence.", False), ("“Said.”", False), ("Really?", False), ("文。", False), ("- a\n- b)", False),
        ("```py\nx\n```", False), ("```py\nx.", True), ("It ends in a", True), ("It ends, ", True),
        ('{"a": [1]}', False), ('{"a": [1]', True), ('[{"a": 1}', True), ("[1] is a source.", False),
        ('{"a": 1}\nThat is all.', False), ("", True),
        ("{" * 100_000, True),
    ],
)  # fmt: skip
def test_an_answer_ends_open_if_more_of_it_must_come(text: str, open_: bool) -> None:
    assert ends_open(Answer(text)) is open_
