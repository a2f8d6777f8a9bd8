"""How often a link that is swapped in time leads out of the folder that may be read.

A process of its own swaps without a pause, while files are read here under a name that leads inside and out
by turns. Beside it the same race against what servers do that judge a name and then open it: a race that
this one does not win either says nothing.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

from benchmarks.table import Row, Section
from runapi_mcp.errors import InputError
from runapi_mcp.files import paths
from runapi_mcp.files.paths import Reach

TRIES: Final = 17_500
INSIDE, OUTSIDE, REFUSED = "fine", "canary-secret", "refused"
Step = Callable[[], None]


def _links_file(here: Path, secret: Path) -> tuple[Path, Sequence[Step]]:
    """A link that leads to a file inside, then to one outside."""
    inside, link, new = here / "note.txt", here / "link.txt", here / "new"
    inside.write_text(INSIDE)

    def lead_to(target: Path) -> None:
        new.symlink_to(target)
        new.replace(link)

    lead_to(inside)
    return link, (partial(lead_to, secret), partial(lead_to, inside))


def _swaps_file(here: Path, secret: Path) -> tuple[Path, Sequence[Step]]:
    """A file that becomes a link to one outside, and a file again."""
    file, new = here / "name.txt", here / "new"

    def become_file() -> None:
        new.write_text(INSIDE)
        new.replace(file)

    def become_link() -> None:
        new.symlink_to(secret)
        new.replace(file)

    become_file()
    return file, (become_link, become_file)


def _swaps_folder(here: Path, secret: Path) -> tuple[Path, Sequence[Step]]:
    """A folder above the file that becomes a link to one outside, and a folder again."""
    folder, aside, link = here / "sub", here / "aside", here / "link"
    folder.mkdir()
    (folder / secret.name).write_text(INSIDE)

    def become_link() -> None:
        folder.rename(aside)
        link.symlink_to(secret.parent)
        link.rename(folder)

    def become_folder() -> None:
        folder.unlink()
        aside.rename(folder)

    return folder / secret.name, (become_link, become_folder)


def _swaps_upper_folder(here: Path, secret: Path) -> tuple[Path, Sequence[Step]]:
    """The same, two folders above the file."""
    (secret.parent / "deep").mkdir()
    (secret.parent / "deep" / secret.name).write_text(OUTSIDE)
    folder, steps = here / "sub", _swaps_folder(here, secret)[1]
    (folder / "deep").mkdir()
    (folder / "deep" / secret.name).write_text(INSIDE)
    return folder / "deep" / secret.name, steps


WAYS: Final[Mapping[str, Callable[[Path, Path], tuple[Path, Sequence[Step]]]]] = {
    "a link": _links_file,
    "a file": _swaps_file,
    "a folder": _swaps_folder,
    "the folder above it": _swaps_upper_folder,
}


@contextmanager
def swapping(way: str, top: Path) -> Iterator[tuple[Path, Path]]:
    """Swap in a process of its own; gives the folder that may be read, and the path to read there."""
    command = [sys.executable, "-m", "benchmarks.links", way, str(top)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout
        try:
            yield top / "here", Path(process.stdout.readline().decode().strip())
        finally:
            process.kill()


def swap(way: str, top: Path) -> None:
    """Print the path to read, and swap until this process is ended."""
    here, outside = top / "here", top / "outside"
    here.mkdir()
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_text(OUTSIDE)
    path, steps = WAYS[way](here, secret)
    print(path, flush=True)
    while True:
        for step in steps:
            step()


def by_descriptor(here: Path, path: Path) -> bytes:
    return Reach((here,)).read(path, 100)


def by_name(here: Path, path: Path) -> bytes:
    """Do what this is measured beside: judge where the name leads, and open it."""
    if not path.resolve().is_relative_to(here):
        raise InputError("outside")
    return path.read_bytes()


def race(way: str, read: Callable[[Path, Path], bytes], tries: int) -> Counter[str]:
    """Read so many times in a race; count what came of it: what was read, or refused."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as top, swapping(way, Path(top).resolve()) as (here, path):
        while found.total() < tries or not found[INSIDE]:
            try:
                found[read(here, path).decode()] += 1
            except (InputError, OSError):
                found[REFUSED] += 1
    return found


def section(*, quick: bool) -> Section:
    tries = TRIES // 4 if quick else TRIES
    made = Section("Links that are swapped in time, and files that are read meanwhile")
    for way in WAYS:
        walked = race(way, by_descriptor, tries)
        # As on Windows, where no folder can be walked.
        with patch.object(paths, "_WALKS", new=False):
            looked_up = race(way, by_descriptor, tries)
        named = race(way, by_name, tries)
        led_out = walked[OUTSIDE] + looked_up[OUTSIDE]
        row = Row(
            f"{way} is swapped, {tries:,} reads, folder by folder and in one step each: led out",
            f"{led_out}",
            [
                ("judged by name, then opened", f"{named[OUTSIDE]:,}"),
                ("first", "536 of 17,492"),
                ("read inside", f"{walked[INSIDE]:,}, {looked_up[INSIDE]:,}"),
                ("refused", f"{walked[REFUSED]:,}, {looked_up[REFUSED]:,}"),
            ],
            "≤ 0",
            not led_out and bool(walked[INSIDE] and looked_up[INSIDE]),
        )
        made.rows.append(row)
    made.notes.append(
        "Another process swaps without a pause. In one step is how files are opened where no folder can be "
        "walked (Windows): what was opened is then asked for its own path. A name that is judged and then "
        "opened shows that the race can be won."
    )
    return made


if __name__ == "__main__":
    swap(sys.argv[1], Path(sys.argv[2]))
