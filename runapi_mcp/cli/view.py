"""What is shown of an answer: while it grows, and at its end; to a person, into a pipe, to a program.

A terminal gets each part of the answer as soon as it is whole, as Markdown that stays and scrolls, with the
part that is being written and a line of evidence below it. A pipe, and a terminal that can do nothing, get
the text as it comes.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TextIO

import anyio

from runapi_mcp.citations.sources import source_lines
from runapi_mcp.cli.client import Ending, Outcome, Watch
from runapi_mcp.cli.outlet import explain, printable
from runapi_mcp.cli.parser import Surroundings
from runapi_mcp.generations.store import Followable
from runapi_mcp.generations.store.replica import Replica
from runapi_mcp.generations.values import View
from runapi_mcp.printable import remove_unseen
from runapi_mcp.progress import progress_line
from runapi_mcp.tools import list_calls
from runapi_mcp.tools.models import describe, passed_through, which_for_what
from runapi_mcp.tools.reply import Phrasebook, why_partial
from runapi_mcp.wire.types import JsonObject

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_PACE: Final = 0.1
_MARGIN: Final = 4
_MOST_TAIL: Final = 20_000
_WIDEST: Final = 1_000
_USUAL_WIDTH: Final = 80
_USUAL_HEIGHT: Final = 24
# As rich tells a terminal that cannot move its cursor (Console.is_dumb_terminal): Emacs' shell is one.
_DUMB: Final = ("dumb", "unknown")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM: Final = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])\s")


@dataclass(frozen=True)
class Sheet:
    """What there is to show, now or at the end.

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
        """All of it, as text: each state begins with the one before."""
        if not self.thoughts:
            return "\n\n".join(block for block in (self.text, *self.below) if block)
        answer = f"\n\nAnswer:\n{self.text}" if self.text or self.below else ""
        return "\n\n".join([f"Thinking:\n{self.thoughts}{answer}", *self.below])


def _sheet_so_far(generation: Followable | None) -> Sheet | None:
    """Return what stands of an answer so far; `None` of one that is changed at its end, as by markers."""
    if generation is None:
        return None
    view = generation.view()
    if view.job.tool != "ask_gemini":
        return None
    thoughts = view.answer.thoughts.strip() if view.job.call.include_thoughts else ""
    return Sheet(view.answer.text, thoughts=thoughts)


class Screen(Protocol):
    """Shows an answer while it grows, and what is left of it at its end."""

    async def show(self, watch: Watch) -> None:
        """Show what is followed until cancelled."""

    def finish(self, growing: Sheet | None) -> None:
        """Show what was not shown yet; `None` if there is no more to come."""


def screen_for(out: TextIO, err: TextIO, env: Mapping[str, str], *, quiet: bool = False) -> Screen:
    """Return what shows an answer on the streams of a command; `quiet` shows nothing of its growing."""
    able = env.get("TERM", "") not in _DUMB
    if quiet:
        return Pipe(out, None, silent=True)
    if out.isatty() and able:
        return Terminal(out)
    return Pipe(out, err if err.isatty() and able and not out.isatty() else None)


class Pipe:
    """Writes the text as it comes; a line of evidence stands on the terminal beside it until some came.

    What another process is answering is written when it is whole, but for a terminal.

    Args:
        out: Where the text goes.
        beside: The terminal beside it, if there is one.
        silent: Whether nothing is written before the end.
    """

    def __init__(self, out: TextIO, beside: TextIO | None, *, silent: bool = False) -> None:
        self._out = out
        self._beside = beside
        self._silent = silent
        self._said = ""

    async def show(self, watch: Watch) -> None:
        """Write what comes until cancelled."""
        if self._silent:
            return
        if self._beside is not None:
            await self._show_beside(watch)
        while True:
            if growing := self._find_growing(watch()):
                self._write(growing.plain)
            await anyio.sleep(_PACE)

    async def _show_beside(self, watch: Watch) -> None:
        assert self._beside is not None
        console = console_on(self._beside)
        from rich.live import Live

        with Live(console=console, auto_refresh=False, transient=True) as live:
            while not ((growing := self._find_growing(watch())) and growing.plain):
                live.update(evidence_line(watch()), refresh=True)
                await anyio.sleep(_PACE)

    def _find_growing(self, followed: Followable | None) -> Sheet | None:
        # What another process drops is asked anew, and a program cannot know of the first words.
        shown = self._out.isatty() or not isinstance(followed, Replica)
        return _sheet_so_far(followed) if shown else None

    def _write(self, text: str) -> None:
        if text.startswith(self._said):
            more, self._said = text[len(self._said) :], text
            if more:
                self._out.write(printable(more) if self._out.isatty() else remove_unseen(more))

    def finish(self, growing: Sheet | None) -> None:
        """Write the rest, and end the line."""
        if growing is None:
            if self._said:
                self._out.write("\n")
            return
        if not growing.plain.startswith(self._said):
            self._said = ""
            self._out.write("\n\n")
        self._write(growing.plain)
        self._out.write("\n")


class Terminal:
    """Draws Markdown: what is whole stays where it was printed, the rest is drawn anew below it."""

    def __init__(self, stream: TextIO) -> None:
        self._console = console_on(stream)
        self._stream = stream
        self._thought = ""
        self._written = ""

    async def show(self, watch: Watch) -> None:
        """Draw until cancelled; what was drawn and not printed is then taken away."""
        from rich.live import Live

        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                self._draw(watch(), live)
                await anyio.sleep(_PACE)

    def _draw(self, generation: Followable | None, live: "Live") -> None:
        growing = _sheet_so_far(generation)
        if growing is not None:
            thoughts = growing.thoughts
            self._think(thoughts if growing.text else thoughts[: find_settled(thoughts)])
            self._write(growing.text[: find_settled(growing.text, len(self._written))])
        live.update(self._render_unsettled(generation, growing), refresh=True)

    def _think(self, thoughts: str) -> None:
        """Print thoughts that have not been printed yet."""
        from rich.text import Text

        if len(thoughts) > len(self._thought) and thoughts.startswith(self._thought):
            more = thoughts[len(self._thought) :].strip("\n")
            self._thought = thoughts
            if more:
                self._console.print(Text(f"{printable(more)}\n", style="dim"))

    def _write(self, text: str) -> None:
        """Print Markdown that has not been printed yet."""
        from rich.markdown import Markdown

        if len(text) > len(self._written) and text.startswith(self._written):
            more = text[len(self._written) :].strip("\n")
            between, self._written = "\n" if self._written else "", text
            if more:
                self._stream.write(between)
                self._console.print(Markdown(printable(more)))

    def _render_unsettled(self, generation: Followable | None, growing: Sheet | None) -> "RenderableType":
        """Return what is not whole yet, as much of its end as there is room for, and a line of evidence."""
        from rich.console import Group
        from rich.markdown import Markdown
        from rich.segment import Segments
        from rich.text import Text

        line = evidence_line(generation, with_tail=growing is None or not (growing.text or growing.thoughts))
        if generation is None:
            return line
        text = generation.view().answer.text if growing is None else growing.text[len(self._written) :]
        rows = max(self._console.height - _MARGIN, 1)
        part: RenderableType = Markdown(printable(tail(text, rows)))
        if growing is not None and not growing.text:
            part = Text(printable(tail(growing.thoughts[len(self._thought) :], rows)), style="dim")
        lines = self._console.render_lines(part, pad=False, new_lines=True)[-rows:]
        return Group(Segments([segment for row in lines for segment in row]), line) if lines else line

    def finish(self, growing: Sheet | None) -> None:
        """Print what is left, as it is meant to look."""
        from rich.syntax import Syntax

        if growing is None:
            return
        self._think(growing.thoughts)
        if growing.kind == "markdown":
            if not growing.text.startswith(self._written):
                self._written = ""
            self._write(growing.text)
        elif growing.kind == "json":
            shown = Syntax(printable(growing.text), "json", background_color="default", word_wrap=True)
            self._console.print(shown)
        else:
            self._stream.write(f"{printable(growing.text)}\n")
        for lines in growing.below:
            self._stream.write(f"\n{printable(lines)}\n")


def evidence_line(generation: Followable | None, *, with_tail: bool = True) -> "RenderableType":
    """Return the signs of life as one dim line; the last words are left out where they are seen anyway."""
    from rich.text import Text

    if generation is None:
        return Text("connecting", style="dim")
    evidence = generation.evidence()
    said = progress_line(evidence if with_tail else replace(evidence, tail="", described=""))
    return Text(f"▸ {printable(said)}", style="dim", no_wrap=True, overflow="ellipsis")


def find_settled(text: str, start: int = 0) -> int:
    """Return how far a Markdown text is whole blocks that what follows cannot change.

    A block ends at a blank line outside a fence, once a line has begun that does not belong to it: neither
    indented nor one more item of its list.

    Args:
        text: The text so far.
        start: Where to begin: the end of whole blocks.
    """
    fence, after_blank, in_list, at, end = "", False, False, start, start
    for line in text[start:].splitlines(keepends=True):
        begun = bool(line.strip())
        if begun and after_blank and not fence and not line.startswith((" ", "\t")):
            item = _ITEM.match(line) is not None
            if not (in_list and (item or line.strip("-*+0123456789.) \n") == "")):
                end, in_list = at, item
        elif begun and at == start:
            in_list = _ITEM.match(line) is not None
        if found := _FENCE.match(line):
            mark = found[1]
            if not fence:
                fence = mark
            elif mark[0] == fence[0] and len(mark) >= len(fence) and not line[found.end() :].strip():
                fence = ""
        after_blank = not begun
        at += len(line)
    return end


def console_on(stream: TextIO) -> "Console":
    """Return a console that prints on a stream, of a size that can be printed on."""
    from rich.console import Console

    console = Console(file=stream)
    # COLUMNS and LINES may say anything; in no columns at all nothing would be shown.
    if not 0 < console.width <= _WIDEST:
        console.width = _USUAL_WIDTH
    if console.height < 1:
        console.height = _USUAL_HEIGHT
    return console


def tail(text: str, lines: int) -> str:
    """Return the last lines of a Markdown text; a fence that was opened before them is opened again."""
    recent = text[-_MOST_TAIL:]
    kept = "\n".join(recent.splitlines()[-max(lines, 1) :])
    before = text[: len(text) - len(kept)]
    inside = sum(line.lstrip().startswith("```") for line in before.splitlines()) % 2
    return f"```\n{kept}" if inside else kept


# ---------------------------------------------------------------- at its end


_COLUMNS: Final = 79


def _explain(view: View) -> str:
    return explain(view.error) if view.error is not None else ""


FOR_PEOPLE: Final = Phrasebook(_explain, "it was interrupted.", "--max-output-tokens")


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
        screen.finish(sheet)
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
    return explain(outcome.reply.error) if outcome.reply.error is not None else outcome.reply.text


def _notes(outcome: Outcome) -> Iterator[str]:
    """Yield what must be said beside the answer, a sentence or two each."""
    if outcome.reply.is_error:
        return
    yield from outcome.reply.notes
    if outcome.reply.error is not None:
        yield f"This is the built-in table, not RunAPI's live list: {explain(outcome.reply.error)}"
    if outcome.ending == "interrupted" and outcome.view is not None and outcome.view.status != "complete":
        # Whatever ended the generation: a second Ctrl-C ends it as the end of this process would.
        yield f"Partial: {FOR_PEOPLE.cancelled}"
    elif outcome.view is not None and (why := why_partial(outcome.view, FOR_PEOPLE)):
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
