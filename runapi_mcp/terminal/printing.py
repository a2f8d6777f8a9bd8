"""An outcome as it is printed: for a person, for a pipe, for a program."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Final, TextIO

from runapi_mcp.terminal.asking import Ending, Outcome
from runapi_mcp.terminal.screen import console_on, printable
from runapi_mcp.terminal.sheet import Sheet, sheet_of
from runapi_mcp.terminal.wording import partial, told
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

_OF_A_HANDLE: Final = ("handle", "next_offset", "notes", "note")
"""What a structured result says of a generation that ends with this process, or in words for models."""


@dataclass(frozen=True)
class Paper:
    """Where an outcome is printed.

    Attributes:
        out: The terminal, if there is one.
        say: Told the answer, for stdout.
        say_json: The same, where it is JSON.
        note: Told what is said about it, for stderr.
        terminal: Whether a person reads `out` on a terminal.
    """

    out: TextIO
    say: Say
    say_json: Say
    note: Say
    terminal: bool


def printed(outcome: Outcome, paper: Paper) -> int:
    """Print an outcome and return the exit code it stands for.

    The answer and its sources go to stdout, all that is said about them to stderr.
    """
    if outcome.reply.is_error:
        paper.note(f"runapi-mcp: {printable(_failure(outcome))}")
        return EXIT_CODES[outcome.ending]
    sheet = sheet_of(outcome)
    if paper.terminal:
        _print_for_eyes(sheet, paper)
    elif sheet.kind == "json":
        paper.say_json(sheet.plain)
    else:
        paper.say(sheet.plain)
    for note in _notes(outcome):
        paper.note(printable(note))
    if paper.terminal and (receipt := _receipt_line(outcome)):
        paper.note(receipt)
    return EXIT_CODES[outcome.ending]


def as_json(outcome: Outcome) -> JsonObject:
    """Return an outcome for programs: text, structure and receipt, whatever there is of each."""
    reply, sheet = outcome.reply, sheet_of(outcome)
    structured = {k: v for k, v in (reply.structured or {}).items() if k not in _OF_A_HANDLE}
    facts: JsonObject = {
        "tool": outcome.question.tool,
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
    if outcome.view is not None and (why := partial(outcome.view)):
        yield why


def _code(outcome: Outcome) -> str:
    """Return the stable code of what went wrong, if anything did."""
    error = outcome.reply.error or (outcome.view.error if outcome.view else None)
    return error.code if error is not None else outcome.reply.code


def _print_for_eyes(sheet: Sheet, paper: Paper) -> None:
    """Print Markdown as it is meant to look, JSON in colours, and what has lines of its own as it is."""
    from rich.markdown import Markdown
    from rich.syntax import Syntax
    from rich.text import Text

    console = console_on(paper.out)
    if sheet.thoughts:
        console.print(Text(f"{printable(sheet.thoughts)}\n", style="dim"))
    if sheet.kind == "json":
        console.print(Syntax(printable(sheet.text), "json", background_color="default", word_wrap=True))
    elif sheet.kind == "markdown":
        console.print(Markdown(printable(sheet.text)))
    else:
        paper.say(printable(sheet.text))
    for lines in sheet.below:
        paper.say(f"\n{printable(lines)}")


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
