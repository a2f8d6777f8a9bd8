"""What a terminal shows while a generation runs: its text as it grows, and a line of evidence."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

import anyio

from runapi_mcp.generations.store import Followable
from runapi_mcp.progress import progress_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Watch: TypeAlias = Callable[[], Followable | None]
Screen: TypeAlias = Callable[[Watch], Coroutine[Any, Any, None]]
"""Shows what is followed until it is cancelled."""

_PACE: Final = 0.1
_MARGIN: Final = 4
_MOST_TAIL: Final = 20_000
_WIDEST: Final = 1_000
_USUAL_WIDTH: Final = 80
_USUAL_HEIGHT: Final = 24


async def no_screen(_watch: Watch) -> None:
    """Show nothing."""


def live_screen(stream: TextIO, *, with_text: bool) -> Screen:
    """Return a screen that draws on a terminal, and leaves it as it was.

    Args:
        stream: The terminal.
        with_text: Whether the text itself is drawn, not only the line of evidence.
    """
    console = console_on(stream)

    async def show(watch: Watch) -> None:
        from rich.live import Live

        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(_drawn(watch(), console, with_text=with_text), refresh=True)
                await anyio.sleep(_PACE)

    return show


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


def _drawn(generation: Followable | None, console: "Console", *, with_text: bool) -> "RenderableType":
    from rich.console import Group
    from rich.markdown import Markdown
    from rich.text import Text

    if generation is None:
        return Text("connecting", style="dim")
    text = generation.view().answer.text if with_text else ""
    evidence = generation.evidence()
    # Where the text itself is seen, its last words need not be repeated below it.
    said = progress_line(replace(evidence, tail="", described="") if text else evidence)
    line = Text(f"▸ {printable(said)}", style="dim", no_wrap=True, overflow="ellipsis")
    return Group(Markdown(printable(tail(text, console.height - _MARGIN))), line) if text else line


def tail(text: str, lines: int) -> str:
    """Return the last lines of a Markdown text; a fence that was opened before them is opened again."""
    recent = text[-_MOST_TAIL:]
    kept = "\n".join(recent.splitlines()[-max(lines, 1) :])
    before = text[: len(text) - len(kept)]
    inside = sum(line.lstrip().startswith("```") for line in before.splitlines()) % 2
    return f"```\n{kept}" if inside else kept


def printable(text: str) -> str:
    """Return a text without what would command a terminal: the text is the upstream's, and untrusted."""
    return "".join("�" if _commands(c) else c for c in text)


def _commands(char: str) -> bool:
    """Whether a character is a control character, or half of one that no terminal can show."""
    return (char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"
