"""Draw the main rows of the README's tables, light and dark: ``python -m benchmarks.picture``."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.table import README, Row, read_rows

WIDTH, BARS, LONGEST, BAR, STEP, TITLE = 720, 232, 390, 14, 20, 24
"""Pixels: the picture, left of its bars, the longest, a bar's height, from bar to bar, a title."""


@dataclass(frozen=True)
class Colours:
    page: str
    text: str
    quiet: str
    ours: str
    other: str


@dataclass(frozen=True)
class Group:
    """What is drawn of a row: under which title, in which unit, beside whom."""

    what: str
    title: str
    unit: str
    beside: tuple[str, ...]


SCHEMES: Final = {
    "light": Colours("#ffffff", "#1f2328", "#59636e", "#0b5563", "#8a949e"),
    "dark": Colours("#0d1117", "#f0f6fc", "#9198a1", "#3fb8a9", "#6e7681"),
}
GROUPS: Final = (
    Group(
        "initialize, only a key set, ms",
        "Started, until initialize is answered",
        "ms",
        ("TypeScript SDK", "SDK hello", "fastmcp"),
    ),
    Group(
        "first call answered (instant upstream), ms",
        "Started, until a call is answered",
        "ms",
        ("SDK hello", "SDK with openai", "fastmcp"),
    ),
    Group("first text in a terminal, ms", "A question in the terminal, until its first text", "ms", ("llm",)),
    Group(
        "chat, 20,000 chunks, joined 64",
        "Processor time of a streamed chunk",
        "µs",
        ("openai", "google-genai"),
    ),
    Group(
        "cancel → upstream closed, ms",
        "A call is cancelled, until its upstream is closed",
        "ms",
        ("SDK with openai",),
    ),
)
NAMES: Final[Mapping[str, str]] = {
    "SDK hello": "hello world, Python SDK",
    "TypeScript SDK": "hello world, TypeScript SDK",
    "fastmcp": "hello world, FastMCP",
    "SDK with openai": "Python SDK and openai's",
    "openai": "openai's SDK alone",
    "google-genai": "google-genai alone",
}


def draw(page: str, colours: Colours) -> str:
    """Return the picture of the rows that stand in a page; what was not measured there is left out."""
    rows = read_rows(page)
    parts, told, y = [], [], 14
    for group in GROUPS:
        if (row := rows.get(group.what)) is None:
            continue
        bars = list(_bars(row, group))
        parts.append(_text(16, y + 12, group.title, colours.text, weight=600))
        y += TITLE
        longest = max(figure for _, figure in bars)
        for number, (name, figure) in enumerate(bars):
            length = max(LONGEST * figure / longest, 1)
            fill = colours.other if number else colours.ours
            weight, ink = (400, colours.quiet) if number else (600, colours.text)
            parts.append(_text(BARS - 10, y + 11.5, name, ink, anchor="end", weight=weight))
            parts.append(
                f'<rect x="{BARS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{fill}"/>'
            )
            parts.append(_text(BARS + length + 8, y + 11.5, _say(figure, group), ink, weight=weight))
            y += STEP
        told.append(f"{group.title}: {', '.join(f'{name} {_say(figure, group)}' for name, figure in bars)}.")
        y += 10
    parts.append(_text(16, y + 8, f"Less is better. {_setting(page)}", colours.quiet, size=11))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 22}" role="img" '
        'aria-labelledby="title desc" font-family="system-ui, -apple-system, Segoe UI, Arial, sans-serif">\n'
        '<title id="title">runapi-mcp beside what one would use instead</title>\n'
        f'<desc id="desc">{escape(" ".join(told))} Less is better.</desc>\n'
        f'<rect width="100%" height="100%" rx="6" fill="{colours.page}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def write(folder: Path = README.parents[1] / "docs") -> None:
    """Draw both pictures anew."""
    for scheme, colours in SCHEMES.items():
        picture = draw(README.read_text(encoding="utf-8"), colours)
        (folder / f"figures-{scheme}.svg").write_text(picture, encoding="utf-8")


def _bars(row: Row, group: Group) -> Iterator[tuple[str, float]]:
    """Return who is drawn and how much they took, the first number of their figures; ours first."""
    others = dict(row.others)
    for name, figure in [("runapi-mcp", row.ours), *((each, others.get(each, "")) for each in group.beside)]:
        if found := re.match(r"[\d.,]+", figure):
            yield NAMES.get(name, name), float(found[0].replace(",", ""))


def _say(figure: float, group: Group) -> str:
    return f"{figure:,.{0 if figure >= 10 else 1}f} {group.unit}"


def _setting(page: str) -> str:
    """Return when and where what is drawn first was measured."""
    begun = page.partition("<!-- starts:begin -->")[2]
    found = re.search(r"^\d+ \w+ \d{4}, .*?\.", begun, re.MULTILINE)
    return found[0] if found else ""


def _text(
    x: float, y: float, text: str, fill: str, *, anchor: str = "start", weight: int = 400, size: int = 13
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


if __name__ == "__main__":
    write()
