"""An outcome as it is printed, while it grows and at its end: for a person, for a pipe, for a program."""

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any, Final, Literal

from runapi_mcp.citations.sources import source_lines
from runapi_mcp.cli.client import Ending, Outcome
from runapi_mcp.cli.outlet import told
from runapi_mcp.cli.parser import Surroundings
from runapi_mcp.cli.screen import Growing, Screen
from runapi_mcp.generations.values import View
from runapi_mcp.tools import list_calls
from runapi_mcp.tools.models import describe, passed_through, which_for_what
from runapi_mcp.tools.reply import Phrasebook, why_partial
from runapi_mcp.wire.types import JsonObject

_COLUMNS: Final = 79


def _explain(view: View) -> str:
    return told(view.error) if view.error is not None else ""


FOR_PEOPLE: Final = Phrasebook(_explain, "it was interrupted.", "--max-output-tokens")


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


def sheet_of(outcome: Outcome) -> Sheet:
    """Return what there is to print of an outcome that is no error."""
    structured = outcome.reply.structured or {}
    match outcome.tool:
        case "ask_gemini" if outcome.view is not None:
            answer, asked = outcome.view.answer, outcome.view.job.call
            thoughts = answer.thoughts.strip() if asked.include_thoughts else ""
            calls = list_calls(answer.function_calls) if asked.functions else []
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
    listed: Any = copy.deepcopy(structured.get("sources", []))
    supports: Any = structured.get("supports", [])
    cited = {number for claim in supports for number in claim["sources"]}
    # In the structured half the claims name their sources, and not the other way round.
    for source in listed:
        source["claims"] = [source["number"]] if source["number"] in cited else []
    return source_lines(listed, markdown=False)


def _table(structured: JsonObject) -> str:
    """Return the models in 80 columns: a line each, what is said of it below, and which are for what."""
    models: Any = structured.get("models", [])
    width = max((len(model["id"]) for model in models), default=0)
    lines = [line for model in models for line in _rows(model, width)]
    below = [which_for_what(structured, "search"), *passed_through(structured)]
    wrapped = (line for text in below for line in wrap(text, _COLUMNS, break_on_hyphens=False))
    return "\n".join([*lines, "", *wrapped])


def _rows(model: JsonObject, width: int) -> Iterator[str]:
    """Yield a model's line and what is said of it."""
    able, remarks = describe(model)
    first, *more = wrap(able, _COLUMNS - width - 2)
    yield f"{model['id']:{width}}  {first}"
    yield from (f"{'':{width}}  {line}" for line in more)
    yield from wrap(remarks, _COLUMNS, initial_indent="    ", subsequent_indent="    ")


EXIT_CODES: Final[dict[Ending, int]] = {
    "complete": 0,
    "failed": 1,
    "refused": 2,
    "partial": 3,
    "interrupted": 130,
}
"""What a shell is told."""

_OF_A_HANDLE: Final = ("handle", "next_offset", "notes", "note")
"""What a structured result says of a generation that ends with this process, or in words for models."""


def print_reply(outcome: Outcome, screen: Screen, around: Surroundings) -> int:
    """Print what the screen has not shown yet of an outcome, and return the exit code it stands for.

    The answer and its sources go to stdout, all that is said about them to stderr.
    """
    if outcome.reply.is_error:
        screen.finish(None)
        around.note(f"runapi-mcp: {_failure(outcome)}")
        return EXIT_CODES[outcome.ending]
    sheet = sheet_of(outcome)
    if sheet.kind == "json" and not around.out.isatty():
        around.say_json(sheet.text)
    else:
        screen.finish(Growing(sheet.text, sheet.thoughts, sheet.below, sheet.kind))
    for note in _notes(outcome):
        around.note(note)
    if around.out.isatty() and (receipt := _receipt_line(outcome)):
        around.note(receipt)
    return EXIT_CODES[outcome.ending]


def structure(outcome: Outcome) -> JsonObject:
    """Return an outcome for programs: text, structure and receipt, whatever there is of each."""
    reply, sheet = outcome.reply, sheet_of(outcome)
    structured = {k: v for k, v in (reply.structured or {}).items() if k not in _OF_A_HANDLE}
    facts: JsonObject = {
        "tool": outcome.tool,
        "ending": outcome.ending,
        "text": _failure(outcome) if reply.is_error else sheet.text,
        "thoughts": sheet.thoughts or None,
        "function_calls": list(sheet.calls) or None,
        "notes": list(_notes(outcome)) or None,
        "structured": structured or None,
        "receipt": asdict(reply.receipt) if reply.receipt else None,
        "code": _code(outcome) or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _failure(outcome: Outcome) -> str:
    """Return why there is no answer."""
    return told(outcome.reply.error) if outcome.reply.error is not None else outcome.reply.text


def _notes(outcome: Outcome) -> Iterator[str]:
    """Yield what must be said beside the answer, a sentence or two each."""
    if outcome.reply.is_error:
        return
    yield from outcome.reply.notes
    if outcome.reply.error is not None:
        yield f"This is the built-in table, not RunAPI's live list: {told(outcome.reply.error)}"
    if outcome.view is not None and (why := why_partial(outcome.view, FOR_PEOPLE)):
        yield f"Partial: {why}"


def _code(outcome: Outcome) -> str:
    """Return the stable code of what went wrong, if anything did."""
    error = outcome.reply.error or (outcome.view.error if outcome.view else None)
    return error.code if error is not None else outcome.reply.code


def _receipt_line(outcome: Outcome) -> str:
    receipt = outcome.reply.receipt
    if receipt is None:
        return ""
    parts = [receipt.model, f"{receipt.seconds:.1f} s"]
    if receipt.seconds_to_first_byte is not None:
        parts.append(f"first byte {receipt.seconds_to_first_byte:.1f} s")
    if receipt.tokens is not None and receipt.tokens.output is not None:
        parts.append(f"{receipt.tokens.output:,} tokens")
    return " · ".join(parts)
