"""Token counts: what was left out is worked out, and a count of nothing is no count."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.wire.types import Usage
from runapi_mcp.wire.usage import ChatUsage, NativeUsage, all_tokens, update

CHAT = ("prompt_tokens", "completion_tokens", "total_tokens")
NATIVE = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")


def on_chat(prompt: int | None, output: int | None, total: int | None, **more: Any) -> Usage | None:
    told = {
        name: count for name, count in zip(CHAT, (prompt, output, total), strict=True) if count is not None
    }
    return ChatUsage.model_validate(told | more).read()


def on_native(prompt: int | None, output: int | None, total: int | None, **more: Any) -> Usage | None:
    told = {
        name: count for name, count in zip(NATIVE, (prompt, output, total), strict=True) if count is not None
    }
    return NativeUsage.model_validate(told | more).read()


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ((1234, None, 3282), Usage(1234, 0, 2048)),
        ((1234, 0, 3282), Usage(1234, 0, 2048)),
        ((9, 2, 42), Usage(9, 2, 31)),
        ((9, 2, 11), Usage(9, 2, 0)),
        ((9, None, 9), Usage(9, 0, 0)),
        ((None, 2, 11), Usage(9, 2, 0)),
        ((None, None, 11), Usage(11, 0, 0)),
        ((9, 2, None), Usage(9, 2)),
        ((9, None, None), Usage(9)),
        ((9, 2, 5), Usage(9, 2, 0)),
        ((9, 2, 0), Usage(9, 2, 0)),
    ],
)
def test_a_count_that_is_left_out_is_worked_out_from_the_total(
    told: tuple[int | None, int | None, int | None], usage: Usage
) -> None:
    assert on_chat(*told) == usage
    assert on_native(*told) == usage


def test_thinking_that_is_counted_in_the_output_too_is_taken_out_of_it() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 30}}
    assert on_chat(10, 50, 60, **details) == Usage(10, 20, 30)
    assert on_chat(10, 20, 60, **details) == Usage(10, 20, 30)
    assert on_native(10, 50, 60, thoughtsTokenCount=30) == Usage(10, 20, 30)
    assert on_native(10, 20, 60, thoughtsTokenCount=30) == Usage(10, 20, 30)
    assert on_native(10, 20, 70, thoughtsTokenCount=30, toolUsePromptTokenCount=10) == Usage(20, 20, 30)


@pytest.mark.parametrize("told", [(0, 0, 0), (None, None, None), (0, None, 0), (None, None, 0)])
def test_zeros_alone_say_nothing(told: tuple[int | None, int | None, int | None]) -> None:
    assert on_chat(*told) == on_native(*told) is None


def test_the_words_of_other_interfaces_are_understood() -> None:
    responses = {"input_tokens": 9, "output_tokens": 40, "total_tokens": 49}
    details = {
        "output_tokens_details": {"reasoning_tokens": 31},
        "input_tokens_details": {"cached_tokens": 4},
    }
    assert ChatUsage.model_validate(responses | details).read() == Usage(9, 9, 31, 4)
    snake = {"prompt_token_count": 9, "candidates_token_count": 2, "thoughts_token_count": 31}
    assert NativeUsage.model_validate(snake).read() == Usage(9, 2, 31)


@pytest.mark.parametrize(
    ("known", "new", "usage"),
    [
        (None, Usage(9), Usage(9)),
        (Usage(9, 56, 99), Usage(9, 0, 0), Usage(9, 56, 99)),
        (Usage(9, 56, 99), Usage(0, 0), Usage(9, 56, 99)),
        (Usage(9, 0, 0), Usage(9, 56, 99), Usage(9, 56, 99)),
        (Usage(9, 0, 12), Usage(9, 12, 0), Usage(9, 12, 0)),
        (Usage(9), Usage(None, 0, 0), Usage(9, 0, 0)),
        (Usage(9, 5, 0, 3), Usage(8, 6), Usage(8, 6, 0, 3)),
    ],
)
def test_a_count_without_output_takes_none_of_it_back(known: Usage | None, new: Usage, usage: Usage) -> None:
    assert update(known, new) == usage


counts = st.none() | st.integers(0, 1_000)


@given(counts, counts, st.integers(0, 5_000), counts)
def test_nothing_that_the_total_says_escapes_the_budget(
    prompt: int | None, output: int | None, total: int, thinking: int | None
) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": thinking}}
    chat = on_chat(prompt, output, total, **details)
    for usage in filter(None, (chat, on_native(prompt, output, total, thoughtsTokenCount=thinking))):
        assert all_tokens(usage) >= total
        assert min(usage.input or 0, usage.output or 0, usage.thinking or 0) >= 0
