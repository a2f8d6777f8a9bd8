"""Files that a caller names → parts of a turn. Local ones are read here, URLs only passed on.

A local file must lie under an allowed folder after every link in its path is resolved; it must be
a regular file, and within its size limit. Its kind is judged by its first bytes.
"""

import base64
import binascii
import mimetypes
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import anyio.to_thread

from runapi_mcp.errors import InputError
from runapi_mcp.settings import MIB, Settings
from runapi_mcp.wire.types import Inline, Linked, Part, Text

_SIGNATURES: Final[tuple[tuple[bytes, int, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypheic", 4, "image/heic"),
    (b"ftypmif1", 4, "image/heif"),
    (b"%PDF-", 0, "application/pdf"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ftypM4A", 4, "audio/mp4"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
)
KINDS: Final = (
    "images (PNG, JPEG, WebP, HEIC), PDF, audio (WAV, MP3, OGG, FLAC, M4A), video (MP4, WebM), text"
)
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)?(?:;[a-z-]+=[^;,]*)*(;base64)?,", re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Attached:
    """The parts that stand for a call's files, and whether one needs more than images and text."""

    parts: tuple[Part, ...] = ()
    binary: bool = False


async def attach(files: Sequence[str], settings: Settings) -> Attached:
    """Return the parts for `files`; local ones are read in a worker thread.

    Raises:
        InputError: One line for each file that cannot be used, saying why and what would be right.
    """
    return await anyio.to_thread.run_sync(_attach, files, settings) if files else Attached()


def _attach(files: Sequence[str], settings: Settings) -> Attached:
    parts: list[Part] = []
    problems: list[str] = []
    for position, name in enumerate(files):
        try:
            parts.append(_part(name, settings))
        except InputError as error:
            problems.append(f"files[{position}]: {error}")
    if problems:
        raise InputError("\n".join(problems), advice="")
    return Attached(tuple(parts), any(_is_binary(part) for part in parts))


def _part(name: str, settings: Settings) -> Part:
    scheme = "" if _WINDOWS_PATH.match(name) else urlsplit(name[:2048]).scheme.lower()
    match scheme:
        case "data":
            return _from_data_url(name, settings.max_file_bytes)
        case "https":
            return Linked(_kind_of_url(name), name)
        case "" | "file":
            return _from_disk(_local_path(name), settings)
        case _:
            raise InputError(f"{scheme}: URLs are not taken.", advice="Use a path, https:// or data:.")


def _from_data_url(url: str, limit: int) -> Part:
    found = _DATA_URL.match(url)
    if not found or not found[2]:
        raise InputError("this data: URL is not base64.", advice="Write data:TYPE;base64,DATA.")
    try:
        content = base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the data: URL's base64 is broken.") from None
    return _from_bytes(content, "data", limit, (found[1] or "").lower())


def _from_disk(path: Path, settings: Settings) -> Part:
    content = _read(_allowed(path, settings), path, settings.max_file_bytes + 1)
    return _from_bytes(content, path.name, settings.max_file_bytes, "")


def _read(resolved: Path, named: Path, most: int) -> bytes:
    """Return up to `most` bytes of a regular file; a device or pipe is refused without blocking."""
    # O_NOFOLLOW: the path is resolved, so a link here was put in place after the check.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(resolved, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InputError(f"{named} does not exist.") from None
    except OSError as error:
        raise InputError(f"{named} cannot be read ({error.strerror}).") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{named} is not a regular file.")
        return file.read(most)


def _from_bytes(content: bytes, name: str, limit: int, declared: str) -> Part:
    if len(content) > limit:
        raise InputError(
            f"{name} is larger than {limit / MIB:g} MiB.",
            advice="RUNAPI_MCP_MAX_FILE_BYTES sets the limit; an https:// URL has none here.",
        )
    if not content:
        raise InputError(f"{name} is empty.")
    kind = _kind_of_bytes(content) or (
        declared if declared.startswith(("image/", "audio/", "video/")) else ""
    )
    if kind:
        return Inline(kind, base64.b64encode(content).decode())
    try:
        return Text(f"File {name}:\n\n{content.decode()}\n")
    except UnicodeDecodeError:
        raise InputError(f"{name} is of a kind that is not taken.", advice=f"Taken: {KINDS}.") from None


def _kind_of_bytes(content: bytes) -> str | None:
    return next((kind for mark, at, kind in _SIGNATURES if content[at : at + len(mark)] == mark), None)


def _kind_of_url(url: str) -> str:
    """Return a URL's media type by the suffix of its path; without one it is taken for an image."""
    guessed, _ = mimetypes.guess_type(urlsplit(url).path)
    return guessed or "image/jpeg"


def _is_binary(part: Part) -> bool:
    return not isinstance(part, Text) and not part.mime_type.startswith("image/")


def _local_path(name: str) -> Path:
    if name.lower().startswith("file:"):
        url = urlsplit(name)
        if url.netloc not in ("", "localhost"):
            raise InputError("a file:// URL of another machine is not taken.")
        name = unquote(url.path)
    if not name or "\0" in name:
        raise InputError("this is not a path.")
    return Path(name)


def _allowed(path: Path, settings: Settings) -> Path:
    """Return the path with every link resolved, if it is under an allowed folder.

    Whether a path outside the folders exists is not told.
    """
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError):
        raise InputError(f"{path} cannot be resolved.") from None
    roots = [Path.cwd().resolve(), *(Path(root).expanduser().resolve() for root in settings.allow_dirs)]
    if not any(resolved.is_relative_to(root) for root in roots):
        raise InputError(
            f"{path} is outside the folders this server may read ({', '.join(map(str, roots))}).",
            advice="Whoever set it up can allow more with --allow-dir or RUNAPI_MCP_ALLOW_DIR.",
        )
    return resolved
