"""What each dialect says of tokens → :class:`Usage`."""

from typing import Annotated, Final, TypeAlias

from pydantic import Field

from runapi_mcp.wire.json_text import Lax, Maybe
from runapi_mcp.wire.types import Usage

_MOST: Final = 1_000_000_000
_Count: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
"""Tokens of one answer; no model takes or writes a thousandth of the most."""


class _Details(Lax):
    cached_tokens: Maybe[_Count] = None
    reasoning_tokens: Maybe[_Count] = None


class ChatUsage(Lax):
    """A chat chunk's ``usage`` (wire notes §5.3)."""

    prompt_tokens: Maybe[_Count] = None
    completion_tokens: Maybe[_Count] = None
    total_tokens: Maybe[_Count] = None
    prompt_tokens_details: Maybe[_Details] = None
    completion_tokens_details: Maybe[_Details] = None

    def read(self) -> tuple[Usage, ...]:
        """Return it in our words: output without thinking; nothing if it says nothing."""
        prompt, output, total = (
            self.prompt_tokens,
            self.completion_tokens,
            self.total_tokens,
        )
        told = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None
        thinking = told
        if None not in (prompt, output, total):
            # Google leaves thinking out of completion_tokens and counts it in the total; OpenAI's own
            # shape counts it in both and names it in the details (wire notes §5.3).
            unexplained = (total or 0) - (prompt or 0) - (output or 0)
            thinking = told or max(unexplained, 0)
            if told and unexplained < told:
                output = max((output or 0) - told, 0)
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return _told(prompt, output, thinking, cached)


class NativeUsage(Lax):
    """A native chunk's ``usageMetadata`` (wire notes §6.3)."""

    prompt: Maybe[_Count] = Field(None, alias="promptTokenCount")
    candidates: Maybe[_Count] = Field(None, alias="candidatesTokenCount")
    thoughts: Maybe[_Count] = Field(None, alias="thoughtsTokenCount")
    tool_use: Maybe[_Count] = Field(None, alias="toolUsePromptTokenCount")
    cached: Maybe[_Count] = Field(None, alias="cachedContentTokenCount")

    def read(self) -> tuple[Usage, ...]:
        """Return it in our words: what tools were given counts as input; nothing if it says nothing."""
        asked = None if self.prompt is None else self.prompt + (self.tool_use or 0)
        return _told(asked, self.candidates, self.thoughts, self.cached)


def _told(*counts: int | None) -> tuple[Usage, ...]:
    return () if counts == _SILENT else (Usage(*counts),)


_SILENT: Final = (None, None, None, None)


def added(one: Usage | None, other: Usage | None) -> Usage | None:
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
