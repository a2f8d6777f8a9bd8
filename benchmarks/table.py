"""Figures as rows, and the rows as the README's table."""

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

README: Final = Path(__file__).with_name("README.md")
_BEGIN: Final = "<!-- figures:begin, written by make bench -->"
_END: Final = "<!-- figures:end -->"
_PACKAGES: Final = ("mcp", "fastmcp", "openai", "google-genai", "httpx", "httpx-sse", "pydantic", "anyio")


@dataclass(frozen=True)
class Row:
    """One line: what was measured, ours, and what stands beside it.

    Attributes:
        what: What was measured, with its unit.
        ours: Our figure.
        others: The others', the floor first.
        bound: What was to be reached, in words; empty if nothing was.
        holds: Whether it was; `None` if there is no bound.
    """

    what: str
    ours: str
    others: Sequence[tuple[str, str]] = ()
    bound: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Section:
    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the paired ratios: what two neighbouring runs share of the machine's noise cancels."""
    return statistics.median(one / other for one, other in zip(mine, theirs, strict=True))


def written(sections: Iterable[Section]) -> str:
    return "\n".join([_machine(), "", *map(_block, sections)])


def _block(section: Section) -> str:
    lines = [
        f"### {section.title}",
        "",
        "| what | ours | beside it | bound | holds |",
        "|---|---|---|---|---|",
    ]
    for row in section.rows:
        beside = " · ".join(f"{name} {figure}" for name, figure in row.others)
        holds = {None: "", True: "yes", False: "**no**"}[row.holds]
        lines.append(f"| {row.what} | **{row.ours}** | {beside} | {row.bound} | {holds} |")
    return "\n".join([*lines, "", *section.notes, *([""] if section.notes else [])])


def save(sections: Sequence[Section], *, all_of_them: bool = True) -> None:
    """Put the figures into the README: in place of all that are there, or of these sections' own."""
    before, _, rest = README.read_text(encoding="utf-8").partition(_BEGIN)
    old, _, after = rest.partition(_END)
    new = f"\n\n{written(sections)}\n"
    if not all_of_them:
        head, *kept = re.split(r"(?m)^(?=### )", old)
        blocks = {block.partition("\n")[0]: block for block in kept}
        blocks |= {f"### {section.title}": f"{_block(section)}\n" for section in sections}
        new = head + "".join(blocks.values())
    README.write_text(f"{before}{_BEGIN}{new}{_END}{after}", encoding="utf-8")


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    cpu = next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), ""
    )
    named = [
        f"Python {platform.python_version()}",
        *(each for each in map(_package, _PACKAGES) if each),
        _node(),
    ]
    versions = ", ".join(filter(None, named))
    return f"{os.cpu_count()} cores, {cpu or platform.machine()}, {platform.system()}. {versions}."


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _node() -> str:
    try:
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        return f"Node {told.stdout.strip()}"
    except (OSError, subprocess.CalledProcessError):
        return ""
