"""An outcome as it is printed: for a person, for a pipe, for a program."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, TextIO

from runapi_mcp.terminal.asking import Ending, Outcome
from runapi_mcp.terminal.screen import printable
from runapi_mcp.wire.types import JsonObject

EXIT_CODES: Final[dict[Ending, int]] = {
    "complete": 0,
    "failed": 1,
    "refused": 2,
    "partial": 3,
    "interrupted": 130,
}
"""What a shell is told."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Paper:
    """Where an outcome is printed.

    Attributes:
        out: The terminal, if there is one.
        say: Told the answer, for stdout.
        note: Told what is said about it, for stderr.
        terminal: Whether a person reads `out` on a terminal.
    """

    out: TextIO
    say: Say
    note: Say
    terminal: bool


def printed(outcome: Outcome, paper: Paper) -> int:
    """Print an outcome and return the exit code it stands for."""
    if outcome.reply.is_error:
        paper.note(printable(outcome.reply.text))
    elif paper.terminal:
        _print_markdown(outcome, paper)
    else:
        paper.say(_plain(outcome, paper.note))
    return EXIT_CODES[outcome.ending]


def as_json(outcome: Outcome) -> JsonObject:
    """Return an outcome for programs: text, structure and receipt, whatever there is of each."""
    reply = outcome.reply
    facts: JsonObject = {
        "tool": outcome.question.tool,
        "ending": outcome.ending,
        "text": reply.text,
        "structured": reply.structured,
        "receipt": asdict(reply.receipt) if reply.receipt else None,
        "handle": reply.handle,
        "code": reply.code or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _plain(outcome: Outcome, note: Say) -> str:
    """Return the answer for a pipe; of an extraction the document alone, so that it can be parsed."""
    structured = outcome.reply.structured or {}
    if "data" not in structured:
        return outcome.reply.text
    notes = structured.get("notes")
    if isinstance(notes, list) and notes:
        note(" ".join(map(str, notes)))
    return json.dumps(structured["data"], ensure_ascii=False, indent=2)


def _print_markdown(outcome: Outcome, paper: Paper) -> None:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    console = Console(file=paper.out)
    structured = outcome.reply.structured or {}
    if "data" in structured:
        console.print(Syntax(_plain(outcome, paper.note), "json", background_color="default", word_wrap=True))
    else:
        console.print(Markdown(printable(outcome.reply.text)))
    if receipt := _receipt_line(outcome):
        paper.note(receipt)


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
