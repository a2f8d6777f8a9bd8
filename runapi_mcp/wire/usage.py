"""What each dialect says of tokens → :class:`Usage`."""

from typing import Annotated, Final, TypeAlias

from pydantic import AliasChoices, Field

from runapi_mcp.wire.lax import Lax, Maybe
from runapi_mcp.wire.types import Usage

_MOST: Final = 1_000_000_000
_Count: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
"""Tokens of one answer; no model takes or writes a thousandth of the most."""


class _Details(Lax):
    cached: Maybe[_Count] = Field(None, alias="cached_tokens")
    thinking: Maybe[_Count] = Field(None, alias="reasoning_tokens")


class ChatUsage(Lax):
    """A chat chunk's ``usage`` (wire notes §5.3), or what a relay makes of it in the words of Responses."""

    prompt: Maybe[_Count] = Field(None, validation_alias=AliasChoices("prompt_tokens", "input_tokens"))
    completion: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("completion_tokens", "output_tokens")
    )
    total: Maybe[_Count] = Field(None, alias="total_tokens")
    read_details: Maybe[_Details] = Field(
        None, validation_alias=AliasChoices("prompt_tokens_details", "input_tokens_details")
    )
    written_details: Maybe[_Details] = Field(
        None, validation_alias=AliasChoices("completion_tokens_details", "output_tokens_details")
    )

    def read(self) -> Usage | None:
        """Return it in our words, if it says anything."""
        thinking = self.written_details.thinking if self.written_details else None
        cached = self.read_details.cached if self.read_details else None
        return _count(self.prompt, self.completion, thinking, self.total, cached)


class NativeUsage(Lax):
    """A native chunk's ``usageMetadata`` (wire notes §6.3), in either casing."""

    prompt: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("promptTokenCount", "prompt_token_count")
    )
    candidates: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("candidatesTokenCount", "candidates_token_count")
    )
    thoughts: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("thoughtsTokenCount", "thoughts_token_count")
    )
    tool_use: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    )
    cached: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("cachedContentTokenCount", "cached_content_token_count")
    )
    total: Maybe[_Count] = Field(None, validation_alias=AliasChoices("totalTokenCount", "total_token_count"))

    def read(self) -> Usage | None:
        """Return it in our words, if it says anything: what tools were given counts as input."""
        asked = None if self.prompt is None else self.prompt + (self.tool_use or 0)
        return _count(asked, self.candidates, self.thoughts, self.total, self.cached)


def _count(
    prompt: int | None, output: int | None, thinking: int | None, total: int | None, cached: int | None
) -> Usage | None:
    """Return the counts of one chunk: output without thinking, what was left out from the total.

    Google leaves a count of zero out. On chat it leaves thinking out of the output and counts it in the
    total; OpenAI's own shape, and some bridges to Google's, count it in both and name it in the details
    (wire notes §5.3, §6.3). Counts that are all zero are of a relay that knows none (§11 row 10).
    """
    if not any((prompt, output, thinking, total)):
        return None
    if total is not None and total < (prompt or 0) + (output or 0):
        # A total that is less than its parts, or zero, is one that somebody left out.
        thinking = thinking or 0
    elif total is not None:
        if prompt is None:
            prompt = max(total - (output or 0) - (thinking or 0), 0)
        output = output or 0
        unexplained = max(total - prompt - output, 0)
        if not thinking:
            thinking = unexplained
        elif unexplained < thinking:
            output = max(total - prompt - thinking, 0)
        else:
            # What tools were given, where it is counted and not named.
            prompt += unexplained - thinking
    return Usage(prompt, output, thinking, cached)


def update(known: Usage | None, new: Usage) -> Usage:
    """Return what is known after a later count: what it does not say stays.

    One without any output says nothing of the output that was counted before (wire notes §11 row 10).
    """
    if known is None:
        return new
    silent = not new.output and not new.thinking
    return Usage(
        known.input if new.input in (None, 0) and known.input else new.input,
        known.output if new.output is None or (silent and known.output) else new.output,
        known.thinking if new.thinking is None or (silent and known.thinking) else new.thinking,
        known.cached if new.cached is None else new.cached,
    )


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the sum of two counts; what neither said stays unsaid."""
    if one is None or other is None:
        return one or other
    return Usage(
        _sum(one.input, other.input),
        _sum(one.output, other.output),
        _sum(one.thinking, other.thinking),
        _sum(one.cached, other.cached),
    )


def all_tokens(usage: Usage | None) -> int:
    """Return what counts against a budget: tokens read, thought and written."""
    return sum(filter(None, (usage.input, usage.output, usage.thinking))) if usage else 0


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
