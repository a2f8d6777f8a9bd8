"""Git, asked about folders whose owner may mean harm: what may be listed, and what changed between commits.

A repository's own config names programs that git runs (monitors, hooks, filters, drivers, transports). A
folder is therefore listed with an empty repository of ours around it, and a diff reads objects alone:
no work tree, no index, no drivers, no network. Every run has limits of time and bytes, and an environment
without the key.
"""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import IO, Final

from runapi_mcp.errors import InputError
from runapi_mcp.files.paths import is_secret
from runapi_mcp.printable import one_line
from runapi_mcp.settings import MIB

_SECONDS: Final = 10.0
_AFTER: Final = 1.0
"""Seconds that a git has to end once it has closed its stdout."""
_PIECE: Final = 1 << 16
_MOST_LISTED: Final = 16 * MIB
# Most of these name a program in a config that the folder's owner wrote: by core.fsmonitor alone a
# `git status` in a stranger's folder runs what they like (CVE-2022-24765).
_SAFE: Final = (
    *("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.pager=cat"),
    *(
        "-c",
        "core.attributesFile=",
        "-c",
        "protocol.allow=never",
        "-c",
        "gc.auto=0",
        "-c",
        "core.quotePath=false",
    ),
    *("-c", "maintenance.auto=false", "-c", "core.untrackedCache=false"),
    *("--no-pager", "--no-optional-locks"),
)
_NOT_IN_REFS: Final = frozenset(" \t\n:?*[\\\x7f")
_MOST_REF: Final = 200
_LEFT_OUT: Final = 20


def list_files(folder: Path, top: Path) -> list[PurePath] | None:
    """Return the files under `folder` that no `.gitignore` from `top` downwards ignores, from `top`.

    `None` if git is not on this machine, or cannot say.
    """
    git = _find_git(top)
    if git is None:
        return None
    with tempfile.TemporaryDirectory(prefix="runapi-mcp-") as empty:
        made = _run([git, "init", "--quiet", "--bare", "--template=", empty], top, 1024, lone=True)
        where = [f"--git-dir={empty}", f"--work-tree={top}"]
        scope = f":(literal){folder.relative_to(top).as_posix()}" if folder != top else "."
        listing = [git, *_SAFE, *where, "ls-files", "-z", "--others", "--exclude-standard", "--", scope]
        listed = _run(listing, top, _MOST_LISTED, lone=True) if made is not None else None
    if listed is None:
        return None
    # A name that ends in a slash is a repository of its own.
    return sorted(PurePath(name) for name in _names(listed) if not name.endswith("/"))


def diff(refs: str, folders: Sequence[Path], most: int) -> tuple[str, tuple[str, ...]]:
    """Return what changed between two commits, as a patch, and the secret files left out of it.

    Args:
        refs: `REF..REF`, or `REF...REF` to start from where the two parted; an empty one is HEAD.
        folders: The folders that may be read; the first that is in a repository counts.
        most: Bytes of the patch.

    Raises:
        InputError: They name no two commits there, there is no repository or no git, or the patch is
            too large or takes too long.
    """
    dots = "..." if "..." in refs else ".."
    older, _, newer = refs.partition(dots)
    sides = [_check(ref or "HEAD") for ref in (older, newer)]
    top = _repository(folders)
    git = _find_git(top)
    if git is None:
        raise InputError("git is not on this machine's PATH.", advice="Attach the diff as a file.")
    commits = [_commit(git, top, ref) for ref in sides]
    if dots == "...":
        base = _run([git, *_SAFE, "merge-base", *commits], top, 1024)
        if not base:
            raise InputError(
                f"{one_line(refs, 80)}: the two have no commit in common.", advice="Use two dots."
            )
        commits[0] = base.decode().split()[0]
    tree = [
        git,
        *_SAFE,
        "diff-tree",
        "-r",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        "--submodule=short",
    ]
    named = _run([*tree, "--name-only", "-z", *commits], top, _MOST_LISTED)
    secret = [name for name in _names(named or b"") if is_secret(PurePath(name))]
    patch = None
    if named is not None and len(secret) <= _MOST_REF:
        without = [f":(top,exclude,literal){name}" for name in secret]
        patch = _run([*tree, "-p", *commits, "--", ":(top)", *without], top, most)
    if patch is None:
        raise InputError(
            f"{one_line(refs, 80)} is a diff of more than {most / MIB:g} MiB, or takes git too long.",
            advice="Name commits that are closer together.",
        )
    return patch.decode(errors="replace"), tuple(secret[:_LEFT_OUT])


def _names(listed: bytes) -> list[str]:
    """Return the names in a list of git's; Windows has none that is not UTF-8, a commit may."""
    names = (name for name in listed.split(b"\0") if name)
    return [name.decode(errors="replace") if os.name == "nt" else os.fsdecode(name) for name in names]


def _check(ref: str) -> str:
    if ref.startswith("-") or len(ref) > _MOST_REF or _NOT_IN_REFS & set(ref) or not ref.isprintable():
        raise InputError(
            f"{one_line(ref, 60)} is no name of a commit.",
            advice="Write git:REF..REF, such as git:main..HEAD.",
        )
    return ref


def _commit(git: str, top: Path, ref: str) -> str:
    """Return the id of the commit that a name means."""
    found = _run(
        [git, *_SAFE, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"], top, 1024
    )
    if not found:
        raise InputError(
            f"git knows no commit {one_line(ref, 60)} in {top}.",
            advice="Write git:REF..REF, such as git:main..HEAD.",
        )
    return found.decode().strip()


def repository_of(folder: Path) -> Path | None:
    """Return the nearest folder from here upwards that has a `.git`."""
    return next((place for place in (folder, *folder.parents) if os.path.lexists(place / ".git")), None)


def _repository(folders: Sequence[Path]) -> Path:
    """Return the repository of the first folder that is in one, all of which may be read.

    Raises:
        InputError: None is, or its objects are kept elsewhere.
    """
    top = next((top for folder in folders if (top := repository_of(folder)) is not None), None)
    if top is None:
        raise InputError(
            "none of the folders that this server may read is in a git repository.",
            advice="Start it in the repository, or allow its folder with --allow-dir.",
        )
    # A link or a pointer would have git read what is kept in another place.
    if not all(_stays(place, folders) for place in _places(top)):
        raise InputError(
            f"the repository at {top} is kept outside the folders this server may read.",
            advice="Allow the folder that holds its objects with --allow-dir, or attach the diff as a file.",
        )
    return top


def _places(top: Path) -> Iterator[Path]:
    """Yield the places that a repository's names and objects are read from; a worktree has two."""
    own = top / ".git"
    if own.is_file():
        own = top / _first_line(own).removeprefix("gitdir:").strip()
    common = own / _first_line(own / "commondir")
    yield own
    for name in ("", "HEAD", "config", "packed-refs", "refs", "refs/heads", "objects", "objects/pack"):
        yield common / name
    for line in _lines(common / "objects" / "info" / "alternates"):
        yield common / "objects" / line


def _first_line(file: Path) -> str:
    return next(iter(_lines(file)), "")


def _lines(file: Path) -> list[str]:
    """Return the lines of a small file; none if it is not there, or is a pipe that nobody writes to."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as opened:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return opened.read(65_536).splitlines() if regular else []
    except OSError:
        return []


def _stays(place: Path, folders: Sequence[Path]) -> bool:
    resolved = place.resolve()
    return any(resolved.is_relative_to(folder) for folder in folders)


def _find_git(away_from: Path) -> str | None:
    """Return git, from an absolute folder of PATH: never from the project that is asked about."""
    name = "git.exe" if os.name == "nt" else "git"
    for folder in map(Path, os.get_exec_path()):
        if folder.is_absolute() and not folder.is_relative_to(away_from):
            found = folder / name
            if found.is_file() and os.access(found, os.X_OK):
                return str(found)
    return None


def _environment(*, lone: bool) -> Mapping[str, str]:
    """Return what git is given: no key, no terminal to ask on, no network; `lone`, no config but ours."""
    path = os.pathsep.join(folder for folder in os.get_exec_path() if Path(folder).is_absolute())
    home, temporary = str(Path.home()), tempfile.gettempdir()
    env = {"PATH": path, "HOME": home, "USERPROFILE": home, "TEMP": temporary, "TMPDIR": temporary}
    if os.name == "nt":  # without it no program of Windows finds its libraries
        env["SYSTEMROOT"] = os.path.expandvars("%SYSTEMROOT%")
    env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    return env | ({"GIT_CONFIG_GLOBAL": os.devnull} if lone else {})


def _run(words: Sequence[str], folder: Path, most: int, *, lone: bool = False) -> bytes | None:
    """Return what a git says; `None` if it fails, says more than `most` bytes or takes too long."""
    try:
        process = subprocess.Popen(  # noqa: S603  # no shell; its words are ours, or checked
            words,
            cwd=folder,
            env={**_environment(lone=lone), "GIT_CEILING_DIRECTORIES": str(folder.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            # A group of its own, by which all that it started can be ended with it.
            start_new_session=True,
        )
    except OSError:
        return None
    assert process.stdout is not None
    said = bytearray()
    # In a thread of its own: what git started may hold the pipe open for as long as it likes.
    reader = threading.Thread(target=_read, args=(process.stdout, said, most), daemon=True)
    reader.start()
    reader.join(_SECONDS)
    whole = not reader.is_alive() and len(said) <= most
    try:
        code = process.wait(_AFTER if whole else 0)
    except subprocess.TimeoutExpired:
        code = None
    _end(process)
    return bytes(said) if whole and code == 0 else None


def _read(pipe: IO[bytes], said: bytearray, most: int) -> None:
    """Take down what comes, up to a byte more than `most`, and close the pipe."""
    with pipe:
        while len(said) <= most and (piece := pipe.read(min(_PIECE, most + 1 - len(said)))):
            said += piece


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a git and, where processes come in groups, what it started."""
    if sys.platform == "win32":
        process.kill()
    else:
        # Of a group in which only a zombie is left, macOS says that it may not be signalled
        # (airspeed-velocity/asv#304).
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
