"""Tokens, added up."""

from runapi_mcp.wire.types import Usage


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
