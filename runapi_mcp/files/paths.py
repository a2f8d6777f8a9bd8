"""Local files, read only where the one who set the server up allows it.

A path is judged after every link in it is resolved, and what was judged is opened from the top down
without following any: a link put in place meanwhile, of the file or of a folder above it, leads
nowhere. Whether a path outside the allowed folders exists is not told.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

from runapi_mcp.errors import InputError, one_line

_NEVER: Final = tuple(Path(folder) for folder in ("/proc", "/sys", "/dev"))
"""Folders whose files show the machine and this process, its key included; never read."""
_WALKS: Final = os.open in os.supports_dir_fd
"""Whether a file can be opened in a folder that is open; not on Windows."""
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe must not wait for its other end."""
# O_PATH: a folder on the way may be one that can be passed through, and not listed.
_FOLDER: Final = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", os.O_RDONLY)


def local_path(name: str) -> Path:
    """Return the path that a name or a `file://` URL means.

    Raises:
        InputError: It is no path of this machine.
    """
    if name[:5].lower() == "file:":
        name = _path_of(name)
    if name.startswith(("\\\\", "//")):
        raise InputError("a network path is not taken.", advice="Copy the file into an allowed folder.")
    if not name.strip():
        raise InputError("empty.", advice="Give a path, or a file://, https:// or data: URL.")
    if not name.isprintable():
        raise InputError("this path holds a line break or another character that is not seen.")
    return Path(name)


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InputError("this is not a URL.", advice="Write file:///PATH, or the path alone.") from None
    if parts.netloc.lower() not in ("", "localhost"):
        raise InputError(
            "a file:// URL of another machine is not taken.", advice="Write file:///PATH, with three slashes."
        )
    path = unquote(parts.path)
    return path.lstrip("/") if os.name == "nt" else path


def roots(allow_dirs: Sequence[str], *, working_dir: bool) -> tuple[Path, ...]:
    """Return the folders that files may come from: the working directory and those allowed by setting.

    A working directory that is the user's home or holds it, the top of the file system above all, is
    none: hosts start servers there when they know of no project, and everything of the user's is under
    it. Nor is any where callers come over the network (`working_dir` is false).
    """
    here = _here() if working_dir else None
    own = () if here is None or _holds_home(here) else (here,)
    return (*own, *(_at_home(folder).resolve() for folder in allow_dirs))


def _holds_home(folder: Path) -> bool:
    if folder == Path(folder.anchor):
        return True
    with suppress(OSError, RuntimeError):  # the user may have none
        return Path.home().resolve().is_relative_to(folder)
    return False


def _at_home(folder: str) -> Path:
    """Return a folder with its ~ replaced; one of a user that is not there stays, and holds nothing."""
    with suppress(RuntimeError):
        return Path(folder).expanduser()
    return Path(folder)


def _here() -> Path | None:
    with suppress(OSError):  # it may be gone
        return Path.cwd().resolve()
    return None


def read_allowed(path: Path, folders: Sequence[Path], most: int) -> bytes:
    """Return up to `most` bytes of a regular file under one of `folders`.

    Raises:
        InputError: It is outside of them, is not there, cannot be read, or is no regular file.
    """
    with _opened(path, _allowed(path, folders)) as file:
        opened = os.fstat(file.fileno())
        if not stat.S_ISREG(opened.st_mode):
            raise InputError(f"{_shown(path)} is not a regular file.")
        if not _WALKS and not _is_still(_allowed(path, folders), opened):
            raise InputError(f"{_shown(path)} changed while it was being opened.")
        return file.read(most)


def _opened(path: Path, resolved: Path) -> BinaryIO:
    try:
        # One step: a directory can be opened, but not as a file, and is closed again.
        return open(resolved, "rb", opener=_open_without_links)
    except FileNotFoundError:
        start = "" if path.is_absolute() else f"A relative path starts at {_here()}; give the whole one."
        raise InputError(f"{_shown(path)} does not exist.", advice=start) from None
    except OSError as error:
        raise InputError(f"{_shown(path)} cannot be read ({error.strerror}).") from None


def _open_without_links(path: str, flags: int) -> int:
    """Open a path none of whose parts may be a link; return the descriptor.

    Each part is opened in the folder whose descriptor the part before gave, so that what was opened
    is what the path said, whatever is swapped meanwhile. O_NOFOLLOW on the whole path would see to
    its last part only.
    """
    flags |= _NO_LINK | _NO_WAIT
    if not _WALKS:
        return os.open(path, flags)
    top, *between, last = Path(path).parts
    folder = os.open(top, _FOLDER)
    try:
        for name in between:
            below = os.open(name, _FOLDER | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(last, flags, dir_fd=folder)
    finally:
        os.close(folder)


def _allowed(path: Path, folders: Sequence[Path]) -> Path:
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError):
        raise InputError(f"{_shown(path)} cannot be resolved.") from None
    if any(resolved.is_relative_to(folder) for folder in _NEVER):
        raise InputError(f"{_shown(path)} is not a file to read.")
    if not any(resolved.is_relative_to(folder) for folder in folders):
        shown = ", ".join(map(str, folders)) or "there is none"
        raise InputError(
            f"{_shown(path)} is outside the folders this server may read ({shown}).",
            advice="Whoever set it up can allow more with --allow-dir or RUNAPI_MCP_ALLOW_DIR.",
        )
    return resolved


def _is_still(path: Path, opened: os.stat_result) -> bool:
    """Whether `path` is the file that was opened: all that can be asked where no folder can be walked."""
    try:
        now = path.stat()
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)


def _shown(path: Path) -> str:
    return one_line(str(path), 200)
