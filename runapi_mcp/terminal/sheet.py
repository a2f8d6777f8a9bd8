"""What there is to print of an outcome, by tool: the answer, and what stands below it in plain lines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from runapi_mcp.terminal.asking import Outcome
from runapi_mcp.tools import asked_for
from runapi_mcp.wire.types import JsonObject

_ABILITIES: Final = {
    "search": "SEARCH",
    "structured_output": "JSON",
    "function_calling": "FUNCTIONS",
    "files": "FILES",
}
_REDIRECT: Final = " (a Google redirect link; it expires)"


@dataclass(frozen=True)
class Sheet:
    """What there is to print.

    Attributes:
        text: The answer.
        kind: How it is written.
        thoughts: A summary of the thinking, if it was asked for.
        sources: What it rests on, a line each.
        calls: The functions that the model asks for.
    """

    text: str
    kind: Literal["markdown", "json", "lines"] = "markdown"
    thoughts: str = ""
    sources: str = ""
    calls: tuple[JsonObject, ...] = ()

    @property
    def below(self) -> tuple[str, ...]:
        """What follows the answer."""
        calls = json.dumps(self.calls, ensure_ascii=False, indent=2) if self.calls else ""
        return tuple(block for block in (f"Sources:\n{self.sources}" if self.sources else "", calls) if block)

    @property
    def plain(self) -> str:
        """All of it, for a pipe."""
        lead = f"Thinking:\n{self.thoughts}\n\nAnswer:" if self.thoughts else ""
        text = f"{lead}\n{self.text}" if lead else self.text
        return "\n\n".join(block for block in (text, *self.below) if block)


def sheet_of(outcome: Outcome) -> Sheet:
    """Return what there is to print of an outcome that is no error."""
    structured = outcome.reply.structured or {}
    match outcome.question.tool:
        case "ask_gemini" if outcome.view is not None:
            answer, asked = outcome.view.answer, outcome.view.job.call
            thoughts = answer.thoughts.strip() if asked.include_thoughts else ""
            calls = asked_for(answer.function_calls) if asked.functions else []
            return Sheet(answer.text, thoughts=thoughts, calls=tuple(calls))
        case "search_web":
            return Sheet(outcome.reply.answer, sources=_sources(structured))
        case "extract_json":
            return Sheet(outcome.reply.answer, "json")
        case "list_models":
            return Sheet(_table(structured), "lines")
    return Sheet(outcome.reply.answer)


def _sources(structured: JsonObject) -> str:
    """Return the sources of a search, a line each."""
    listed: Any = structured.get("sources", [])
    return "\n".join(
        f"[{source['number']}] {source['title']} - {source['url']}{_REDIRECT if source['redirect'] else ''}"
        for source in listed
    )


def _table(structured: JsonObject) -> str:
    """Return the models, a line each, and the defaults."""
    models: Any = structured.get("models", [])
    rows = [["MODEL", *_ABILITIES.values(), "EFFORT", "NOTE"], *map(_row, models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    default, search = structured.get("default"), structured.get("search_default")
    return "\n".join([*lines, "", f"Default: {default}; for search: {search}."])


def _row(model: Mapping[str, Any]) -> list[str]:
    if not model["known"]:
        stands = f"stands for {model['stands_for']}" if "stands_for" in model else "abilities not known"
        return [model["id"], *("?" for _ in _ABILITIES), "?", stands]
    able = ["yes" if model[name] else "no" for name in _ABILITIES]
    efforts = "/".join(model["reasoning_effort"]) or "no"
    stands = f"Stands for {model['stands_for']}." if "stands_for" in model else ""
    return [model["id"], *able, efforts, " ".join(part for part in (stands, model.get("note", "")) if part)]
