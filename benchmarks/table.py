"""Figures as rows, and the rows as the README's table."""

import os
import platform
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
    lines = [_machine(), ""]
    for section in sections:
        lines += [
            f"### {section.title}",
            "",
            "| what | ours | beside it | bound | holds |",
            "|---|---|---|---|---|",
        ]
        for row in section.rows:
            beside = " · ".join(f"{name} {figure}" for name, figure in row.others)
            holds = {None: "", True: "yes", False: "**no**"}[row.holds]
            lines.append(f"| {row.what} | **{row.ours}** | {beside} | {row.bound} | {holds} |")
        lines += ["", *section.notes, *([""] if section.notes else [])]
    return "\n".join(lines)


def save(sections: Iterable[Section]) -> None:
    """Put the figures into the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    README.write_text(f"{before}{_BEGIN}\n\n{written(sections)}\n{_END}{after}", encoding="utf-8")


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
