"""A folder or a pattern of names, as one text: what is in it, what is left out, how much it is."""

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Final

from runapi_mcp.errors import InputError
from runapi_mcp.files import git
from runapi_mcp.files.kinds import as_text, binary_kind
from runapi_mcp.files.paths import Reach, is_secret
from runapi_mcp.printable import one_line

MOST_BYTES: Final = 4_000_000
"""Of all the text of a folder: about a million tokens, which is what models take."""
_MOST_FILES: Final = 5_000
_MOST_SEEN: Final = 50_000
_SECONDS: Final = 20.0
_LOOKED_AT: Final = 8_192
_NAMED: Final = 5
_CHARS_A_TOKEN: Final = 4
_MOST_PATTERN: Final = 500
_MOST_SPELLINGS: Final = 64
_PASSED_OVER: Final = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".nox"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", ".idea", ".gradle", ".terraform"),
    }
)
"""Folders that are looked into only where git can say that they are not ignored."""
_NO_TEXT: Final = "not UTF-8 text"
_ALTERNATIVES: Final = re.compile(r"\{([^{}/]*,[^{}/]*)\}")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The text of many files.

    Attributes:
        text: All of it, each file under its name.
        plan: How many files and about how many tokens that is, and what was left out, in a sentence or two.
    """

    text: str
    plan: str


@dataclass
class _Plan:
    """What of a folder goes, and what does not and why."""

    taken: list[tuple[PurePath, int]] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, why: str, name: PurePath) -> None:
        self.left.setdefault(why, []).append(name.as_posix())

    def describe_left(self) -> str:
        """Say what is left out and why; empty if nothing is."""
        kinds = "; ".join(f"{len(names)} {why} ({_few(names)})" for why, names in self.left.items())
        return f" Left out: {kinds}." if kinds else ""


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern of names."""
    return any(mark in name for mark in "*?[") or _ALTERNATIVES.search(name) is not None


def gather(folder: Path, pattern: str, shown: str, reach: Reach) -> Gathered:
    """Return the text files under a folder, by name.

    Args:
        folder: The folder, judged already.
        pattern: Which of its files, from it; empty for all.
        shown: What the caller called it.
        reach: Which folders may be read.

    Raises:
        InputError: There are none, too many, or they are too large together; the largest are named.
    """
    until = time.monotonic() + _SECONDS
    wanted = _spellings(pattern)
    plan, note = _Plan(), ""
    listed, by_git = _list(folder, reach)
    for name in listed:
        if time.monotonic() > until:
            raise InputError(
                f"{shown} takes more than {_SECONDS:g} s to look through.", advice="Name a smaller folder."
            )
        if not wanted or any(_matches(name.parts, spelling) for spelling in wanted):
            _judge(folder, name, plan, reach)
    if not plan.taken:
        nothing = "holds no text file" if not pattern else "matches no text file"
        advice = f"It was looked for in {folder}."
        if _NO_TEXT in plan.left:
            advice += " Images, PDF, audio and video are given each by its own path."
        raise InputError(f"{shown} {nothing}.{plan.describe_left()}", advice=advice)
    _check_size(shown, plan)
    if not by_git:
        note = " Without git, what .gitignore names is not left out."
    text = "\n".join(_texts(folder, plan, reach))
    count = len(plan.taken)
    tokens = f"{len(text) // _CHARS_A_TOKEN:,}"
    files = "1 file" if count == 1 else f"{count:,} files"
    said = f"{shown}: {files}, about {tokens} tokens.{plan.describe_left()}{note}"
    return Gathered(f"Files of {shown}:\n\n{text}", said)


def _list(folder: Path, reach: Reach) -> tuple[list[PurePath], bool]:
    """Return the files under a folder, from it, in a stable order, and whether git told what is ignored."""
    top = git.repository_of(folder)
    top = top if top is not None and reach.holds(top) else folder
    listed = git.list_files(folder, top)
    if listed is not None:
        return [name.relative_to(folder.relative_to(top)) for name in listed[:_MOST_SEEN]], True
    return sorted(_walk(folder)), not (folder / ".gitignore").exists()


def _walk(folder: Path) -> Iterator[PurePath]:
    seen = 0
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in files:
            seen += 1
            if seen > _MOST_SEEN:
                return
            yield PurePath(here, name).relative_to(folder)


def _judge(folder: Path, name: PurePath, plan: _Plan, reach: Reach) -> None:
    """Say of one file whether it goes; of its content only the beginning is read for that."""
    path = folder / name
    if is_secret(name):
        plan.leave("that may hold secrets", name)
        return
    try:
        start = reach.read(path, _LOOKED_AT)
        size = path.stat().st_size
    except (InputError, OSError):
        plan.leave("that cannot be read here", name)
        return
    # The end of what was read may cut a character in two.
    if binary_kind(start) or all(as_text(start[: len(start) - cut]) is None for cut in range(4)):
        plan.leave(_NO_TEXT, name)
    elif size:
        plan.taken.append((name, size))


def _check_size(shown: str, plan: _Plan) -> None:
    together = sum(size for _, size in plan.taken)
    count = len(plan.taken)
    if together <= MOST_BYTES and count <= _MOST_FILES:
        return
    largest = sorted(plan.taken, key=lambda file: -file[1])[:_NAMED]
    named = ", ".join(f"{one_line(name.as_posix(), 80)} ({size / 1e6:.1f} MB)" for name, size in largest)
    raise InputError(
        f"{shown} is {count:,} text files of {together / 1e6:.1f} MB together, about "
        f"{together // _CHARS_A_TOKEN:,} tokens; it may be {MOST_BYTES / 1e6:g} MB in {_MOST_FILES:,} files.",
        advice=f"Name a smaller folder or a pattern such as src/**/*.py. The largest: {named}.",
    )


def _texts(folder: Path, plan: _Plan, reach: Reach) -> Iterator[str]:
    """Yield each file under its name; what turns out to be no text further on is left out and said."""
    together, kept = 0, []
    for name, size in plan.taken:
        content = reach.read(folder / name, MOST_BYTES + 1)
        together += len(content)
        text = as_text(content)
        if text is None or together > MOST_BYTES:
            plan.leave("not UTF-8 text" if text is None else "that grew meanwhile", name)
            continue
        kept.append((name, size))
        yield f"File {one_line(name.as_posix(), 300)}:\n\n{text}\n"
    plan.taken[:] = kept


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(one_line(name, 60) for name in names[:_NAMED]) + more


def split_pattern(name: str) -> tuple[str, str]:
    """Return the folder that a pattern starts from, and what of it is a pattern."""
    parts = name.replace("\\", "/").split("/") if os.name == "nt" else name.split("/")
    first = next((at for at, part in enumerate(parts) if is_pattern(part)), len(parts))
    return "/".join(parts[:first]) or ("/" if name.startswith("/") else "."), "/".join(parts[first:])


def _spellings(pattern: str) -> list[tuple[str, ...]]:
    """Return a pattern's parts; `{a,b}` makes it several patterns.

    Raises:
        InputError: It is too long, or makes too many.
    """
    spellings, whole = [pattern] if pattern else [], list[tuple[str, ...]]()
    while spellings:
        spelling = spellings.pop()
        if len(spelling) > _MOST_PATTERN or len(spellings) + len(whole) > _MOST_SPELLINGS:
            raise InputError(
                f"this pattern has more than {_MOST_PATTERN:,} characters, or more than {_MOST_SPELLINGS:,} "
                "ways to be read.",
                advice="Name a folder, or a simpler pattern.",
            )
        found = _ALTERNATIVES.search(spelling)
        if found is None:
            whole.append(tuple(part for part in spelling.split("/") if part not in ("", ".")))
        else:
            spellings += [
                spelling[: found.start()] + one + spelling[found.end() :] for one in found[1].split(",")
            ]
    return whole


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path's parts match a pattern's; `**` is any number of folders.

    Worked off part by part, so that the time is their product however many `**` there are.
    """
    reached: Iterable[int] = {0}
    for part in parts:
        here = set(_past_stars(reached, pattern))
        reached = {
            at if pattern[at] == "**" else at + 1
            for at in here
            if at < len(pattern) and (pattern[at] == "**" or fnmatchcase(part, pattern[at]))
        }
    return len(pattern) in _past_stars(reached, pattern)


def _past_stars(reached: Iterable[int], pattern: Sequence[str]) -> Iterator[int]:
    for at in reached:
        yield at
        while at < len(pattern) and pattern[at] == "**":
            at += 1
            yield at
