"""Figures as rows, and rows as the README's tables, each between two comments that hold its name."""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

README: Final = Path(__file__).with_name("README.md")
TYPESCRIPT: Final = Path(__file__).with_name("servers") / "typescript"
TYPESCRIPT_SDK: Final = "@modelcontextprotocol/sdk"
_HEAD: Final = ("| what | ours | beside it | bound | holds |", "|---|---|---|---|---|")
_HOLDS: Final[Mapping[bool | None, str]] = {None: "", True: "yes", False: "**no**"}


@dataclass(frozen=True)
class Row:
    """One line: what was measured, ours, and what stands beside it.

    Attributes:
        what: What was measured, with its unit.
        ours: Our figure.
        others: The others', the floor first.
        bound: What was to be reached, in words; empty if nothing was.
        holds: Whether it was; `None` if there is no bound, or what it is measured by is not here.
    """

    what: str
    ours: str
    others: Sequence[tuple[str, str]] = ()
    bound: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Section:
    """Rows that were measured in one run.

    Attributes:
        peers: The packages that stand beside ours, or that ours stands on, by the name of their index.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    peers: Sequence[str] = ()


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the paired ratios: what two neighbouring runs share of the machine's noise cancels."""
    return statistics.median(one / other for one, other in zip(mine, theirs, strict=True))


def at_most(
    what: str, figure: float, most: float, others: Sequence[tuple[str, str]] = (), *, form: str = ".0f"
) -> Row:
    """Return a row that holds if the figure is no more than a bound."""
    return Row(what, f"{figure:{form}}", others, f"≤ {most:,g}", figure <= most)


def compare(
    mine: Sequence[float], theirs: Sequence[float] | None, most: float, rival: str
) -> tuple[str, bool | None]:
    """Return a bound, so many times what a rival takes, and whether it holds; unknown without the rival."""
    if not theirs:
        return f"≤ {most:g} × {rival}: not measured", None
    times = ratio(mine, theirs)
    return f"≤ {most:g} × {rival}: {times:.2f}", times <= most


def write_section(section: Section, newest: Mapping[str, str]) -> str:
    """Return a section as Markdown: when and where it was measured, its rows and notes."""
    lines = [f"### {section.title}", "", _setting(section.peers, newest), "", *_HEAD]
    for row in section.rows:
        beside = " · ".join(f"{name}: {figure}" for name, figure in row.others)
        lines.append(f"| {row.what} | **{row.ours}** | {beside} | {row.bound} | {_HOLDS[row.holds]} |")
    for note in section.notes:
        lines += ["", note]
    return "\n".join(lines)


def read_rows(page: str) -> dict[str, Row]:
    """Return the rows that stand in a page, by what was measured."""
    found = {}
    for line in page.splitlines():
        if match := re.fullmatch(r"\| (.+?) \| \*\*(.+?)\*\* \| (.*?) ?\| (.*?) ?\| (.*?) ?\|", line):
            what, ours, beside, bound, said = match.groups()
            pairs = [each.partition(": ") for each in beside.split(" · ") if each]
            holds = next(holds for holds, word in _HOLDS.items() if word == said)
            found[what] = Row(what, ours, [(name, figure) for name, _, figure in pairs], bound, holds)
    return found


def save(name: str, text: str, page: Path = README) -> None:
    """Put a section into its place in a page; what else stands there is left as it is."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    assert found, f"the page has no place for {name}"
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def find_newest() -> dict[str, str]:
    """Return what package indexes have that is newer than what is here; nothing where none can be asked."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries=0", "--timeout=10"]
    found = {
        each["name"]: each["latest_version"] for each in _ask(*pip, "list", "--outdated", "--format=json")
    }
    outdated = _ask("npm", "outdated", "--json", "--fetch-retries=0") or {}
    return found | {name: each["latest"] for name, each in outdated.items() if "current" in each}


def _ask(*command: str) -> Any:  # noqa: ANN401  # whatever JSON says
    """Return what a package manager prints as JSON; complaints, which name its index, are dropped."""
    with suppress(OSError, subprocess.TimeoutExpired, json.JSONDecodeError):
        told = subprocess.run(
            command, cwd=TYPESCRIPT, capture_output=True, text=True, check=False, timeout=120
        )
        return json.loads(told.stdout)
    return []


def _setting(peers: Iterable[str], newest: Mapping[str, str]) -> str:
    now = datetime.now(UTC)
    machine = f"{now.day} {now:%B %Y}, {os.cpu_count()} cores, {_processor()}, {platform.system()}"
    named = [f"Python {platform.python_version()}"]
    for peer in peers:
        if here := _version(peer):
            later = f" ({newest[peer]} is out)" if newest.get(peer, here) != here else ""
            named.append(f"{peer} {here}{later}")
        else:
            named.append(f"{peer} is not here")
    return f"{machine}. {', '.join(named)}."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    named = re.search(r"^model name\s*: (.*)", text, re.MULTILINE)
    return named[1] if named else platform.machine()


def _version(name: str) -> str:
    """Return which version of a package is here, of either index; empty if none is."""
    if name == TYPESCRIPT_SDK:
        package = TYPESCRIPT / "node_modules" / name / "package.json"
        return str(json.loads(package.read_text("utf-8"))["version"]) if package.exists() else ""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
