"""Files that a caller names → parts of a turn. Local ones are read here, URLs only passed on.

`paths` knows which local files may be read, `kinds` what kind a file is, `folders` and `git` what is in a
folder or changed between commits.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from pydantic import BaseModel, ConfigDict

from runapi_mcp.errors import InputError
from runapi_mcp.files.kinds import (
    KINDS,
    as_text,
    binary_kind,
    encode_base64,
    find_base64,
    is_meant_as_text,
    is_taken,
    kind_of_url,
    plain_kind,
    read_data_url,
)
from runapi_mcp.files.paths import Reach, reach, resolve_folders
from runapi_mcp.printable import one_line
from runapi_mcp.settings import MIB, Settings
from runapi_mcp.wire.json_text import MAX_TEXT_CHARS, encode_pieces
from runapi_mcp.wire.types import FileRef, FunctionCall, Inline, Linked, Part, Returned, Text, Turn

if TYPE_CHECKING:
    # What folders and commits need is loaded with the first file of this machine.
    from runapi_mcp.files.folders import Gathered

_TYPED: Final = re.compile(r"(.+);type=([A-Za-z]+/[A-Za-z0-9.+-]{1,100})\s*", re.DOTALL)
"""curl's way to say what a file is, for an address that does not."""
_URL: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_DATA: Final = re.compile(r"\s*data:(?:[^,]{0,500},|[\w.+-]{1,100}/[\w.+-])", re.IGNORECASE)
_DIFF: Final = re.compile(r"\s*git:((?:(?!\.\.)\S)*+\.\.\S*+)\s*")
_MOST_URL_CHARS: Final = 8192
_BEFORE_NAME: Final = "File "
_AFTER_NAME: Final = ":\n\n"
_MOST_HEAD: Final = 200
_READERS: Final = RunVar[anyio.CapacityLimiter]("_READERS")
_READERS_AT_ONCE: Final = 8
MOST_TOGETHER: Final = 64 * MIB
"""Bytes of all files of one call; a request is a third larger than what it carries."""


class ResourceLink(BaseModel):
    """An MCP resource link, as a host hands it over; what else it says is not needed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    uri: str
    mimeType: str | None = None  # noqa: N815  # MCP's spelling
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """The parts that stand for a call's files.

    Attributes:
        parts: The parts.
        binary: Whether one needs more than images and text.
        notices: What must be said of what was sent and what was left out, a sentence or two each.
    """

    parts: tuple[Part, ...] = ()
    binary: bool = False
    notices: tuple[str, ...] = ()


async def attach(files: Sequence[str | ResourceLink], settings: Settings) -> Attached:
    """Return the parts for `files`; local ones are read in a worker thread.

    Raises:
        InputError: One line for each file that cannot be used, saying why and what would be right.
    """
    return await anyio.to_thread.run_sync(
        _attach, files, settings, abandon_on_cancel=True, limiter=_limit_readers()
    )


def _limit_readers() -> anyio.CapacityLimiter:
    """Return what lets few calls read their files at once: those bytes are counted once they are read."""
    try:
        return _READERS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_READERS_AT_ONCE)
        _READERS.set(limiter)
        return limiter


def _attach(files: Sequence[str | ResourceLink], settings: Settings) -> Attached:
    allowed = reach(settings.allow_dirs, working_dir=settings.working_dir_files)
    parts: list[Part] = []
    problems: list[str] = []
    notices: list[str] = []
    room = MOST_TOGETHER
    for position, file in enumerate(files):
        try:
            link = _link(file) if isinstance(file, str) else file
            part, notice = _part(link, settings, allowed)
            part = _with_origin(part, link, allowed)
        except InputError as error:
            problems.append(f"files[{position}]: {error}")
            continue
        room -= _weight(part)
        parts.append(part)
        if notice:
            notices.append(notice)
        if room < 0:
            problems.append(f"files: larger than {MOST_TOGETHER // MIB} MiB together; give fewer, or by URL.")
            break
    if problems:
        raise InputError("\n".join(problems), advice="")
    return Attached(tuple(parts), any(is_binary(part) for part in parts), tuple(notices))


def _with_origin(part: Part, link: ResourceLink, allowed: Reach) -> Part:
    """Return a part that says where its content came from; nobody but a local user has it read again."""
    if isinstance(part, Linked | FunctionCall | Returned):
        return part
    uri, name, scheme = "", link.name or "", _scheme(link.uri)
    if allowed.local and scheme in ("", "file"):
        path = allowed.find(link.uri).absolute()
        # Where it was read, links resolved: from there it is read again, whatever folder that is done from.
        (uri,) = resolve_folders([str(path)])
        if uri.startswith("\\\\"):
            uri = str(path)  # a drive of Windows that stands for a share, which is not taken by its own name
        name = link.name or (path.name if path.is_file() else link.uri.strip())
    elif allowed.local and scheme == "git":
        uri = link.uri
    return replace(part, file=_file_ref(part, uri, name, link.mimeType or ""))


def _file_ref(part: Text | Inline, uri: str, name: str, mime_type: str) -> FileRef:
    digest, size = hashlib.sha256(), 0
    for piece in encode_pieces(part.text if isinstance(part, Text) else part.base64):
        digest.update(piece)
        size += len(piece)
    return FileRef(uri, name, mime_type, size, digest.hexdigest())


async def reattach(
    turns: Sequence[Turn], given: Sequence[Part], settings: Settings
) -> tuple[tuple[Turn, ...], tuple[Part, ...], tuple[str, ...]]:
    """Return earlier turns with the contents of their files, which are read again where they are.

    `given` are files that came anew: one that is the same as a missing one takes its place, whatever it is
    called now, and so does one of its name that has changed. What is left of them comes back too, and what
    must be said.

    Raises:
        InputError: A file cannot be had again; what is to be given anew.
    """
    if not any(lacks_content(part) for turn in turns for part in turn.parts):
        return tuple(turns), tuple(given), ()
    return await anyio.to_thread.run_sync(
        _reattach, turns, given, settings, abandon_on_cancel=True, limiter=_limit_readers()
    )


def lacks_content(part: Part) -> bool:
    """Whether a part stands for a file whose content was not kept."""
    if isinstance(part, Inline):
        return not part.base64
    return isinstance(part, Text) and part.file is not None and not part.text


def _reattach(
    turns: Sequence[Turn], given: Sequence[Part], settings: Settings
) -> tuple[tuple[Turn, ...], tuple[Part, ...], tuple[str, ...]]:
    allowed = reach(settings.allow_dirs, working_dir=settings.working_dir_files)
    anew = [p for p in given if isinstance(p, Text | Inline) and p.file is not None]
    used: list[Part] = []
    missing: list[str] = []
    changed: list[str] = []

    def lack(file: FileRef, why: str, part: Part) -> Part:
        """Have the file of its name stand for one that cannot be had, or note that it is missing."""
        if named := next((p for p in anew if p.file and file.name and p.file.name == file.name), None):
            used.append(named)
            changed.append(one_line(file.name, 120))
            return named
        missing.append(why)
        return part

    def whole(part: Part) -> Part:
        if not isinstance(part, Text | Inline) or not lacks_content(part):
            return part
        file = part.file or FileRef("", "", "", 0, "")
        shown = one_line(file.name or file.uri or "a file", 120)
        for each in anew:
            same = _under_name(each, file)
            if same.file and same.file.sha256 == file.sha256:
                used.append(each)
                return same
        if not file.uri:
            return lack(file, f"{shown} came as bytes, more than are kept.", part)
        link = ResourceLink(uri=file.uri, mimeType=file.mime_type or None, name=file.name or None)
        try:
            found, _ = _part(link, settings, allowed)
        except InputError as error:
            return lack(file, f"{shown} cannot be read again: {error.what}", part)
        assert isinstance(found, Text | Inline), "it was read here before"
        now = _file_ref(found, file.uri, file.name, file.mime_type)
        if now.sha256 != file.sha256:
            changed.append(shown)
        return replace(found, file=now)

    restored = tuple(replace(turn, parts=tuple(whole(part) for part in turn.parts)) for turn in turns)
    if missing:
        raise InputError(
            "\n".join(missing),
            advice="Give it again in files, under its name if it has changed, or ask anew with all context.",
        )
    rest = tuple(part for part in given if not any(part is each for each in used))
    notices = (f"Changed since it was sent, and sent as it is now: {', '.join(changed)}.",) if changed else ()
    return restored, rest, notices


def _under_name(part: Text | Inline, file: FileRef) -> Text | Inline:
    """Return a file as it is sent under the name of another, if it may be that one; a text says its name."""
    if not isinstance(part, Text) or part.file is None or part.file.name == file.name:
        return part
    first = part.text[:_MOST_HEAD]
    told, between, _ = first.partition(_AFTER_NAME)
    head, was = _head(file.name), len(told) + len(between)
    if not told.startswith(_BEFORE_NAME) or part.file.size - _size(first[:was]) + _size(head) != file.size:
        return part
    renamed = replace(part, text=head + part.text[was:])
    return replace(renamed, file=_file_ref(renamed, part.file.uri, file.name, file.mime_type))


def _head(name: str) -> str:
    """Return what stands before the text of a file."""
    return f"{_BEFORE_NAME}{one_line(name, 120)}{_AFTER_NAME}"


def _size(text: str) -> int:
    return sum(map(len, encode_pieces(text)))


def _link(file: str) -> ResourceLink:
    """Return the link that a text is: a path or an address, with its type behind it where one was given."""
    plain = len(file) > _MOST_URL_CHARS or file.lstrip()[:5].lower() == "data:"
    typed = None if plain else _TYPED.fullmatch(file)
    return ResourceLink(uri=typed[1], mimeType=typed[2]) if typed else ResourceLink(uri=file)


def _part(link: ResourceLink, settings: Settings, allowed: Reach) -> tuple[Part, str]:
    """Return the part for a file, and what must be said of it."""
    scheme = _scheme(link.uri)
    if scheme != "data" and len(link.uri) > _MOST_URL_CHARS:
        # Of a path so long each part is looked up, which takes minutes.
        what = "URL" if scheme else "path"
        raise InputError(
            f"this {what} has more than {_MOST_URL_CHARS:,} characters.",
            advice="Save it, and give the path." if scheme else "Give each file as an item of its own.",
        )
    match scheme:
        case "data":
            return _from_data_url(link.uri, link.name or "data", settings.max_file_bytes), ""
        case "https":
            return _link_to(link), ""
        case "git":
            return _from_diff(link.uri, allowed, settings)
        case "" | "file":
            return _from_path(link, settings, allowed)
        case scheme:
            raise InputError(
                f"{one_line(scheme, 40)}: URLs are not taken.",
                advice="Use a path, file://, https:// or data:.",
            )


def _scheme(uri: str) -> str:
    """Return what kind of address it is; empty for a path, which may hold a colon too."""
    if _DATA.match(uri):
        return "data"
    if _DIFF.fullmatch(uri):
        return "git"
    found = _URL.match(uri)
    return found[1].lower() if found else ""


def _link_to(link: ResourceLink) -> Linked:
    parts = _parts_of(link.uri)
    kind = plain_kind(link.mimeType or "") or kind_of_url(parts.hostname or "", parts.path, parts.query)
    if not kind:
        raise InputError(
            f"{one_line(link.uri, 120)} does not say what it leads to.",
            advice="Say it behind the address, as in https://…;type=application/pdf (or image/png, "
            "text/plain, video/mp4), or save it and give its path. For a web page, ask search_web.",
        )
    if not is_taken(kind):
        raise _refuse_kind(one_line(link.uri, 120))
    return Linked(kind, link.uri)


def _parts_of(url: str) -> SplitResult:
    """Return a URL's parts.

    Raises:
        InputError: It is none that can be passed on.
    """
    parts = _split(url)
    if parts is None or not parts.hostname or not url.isprintable():
        raise InputError("this is not a URL that can be passed on.", advice="It takes https://HOST/PATH.")
    if parts.username is not None:
        raise InputError("a URL with a user name or password in it is not passed on.")
    return parts


def _split(url: str) -> SplitResult | None:
    """Return a URL's parts; `None` if its host or port cannot be one."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _from_path(link: ResourceLink, settings: Settings, allowed: Reach) -> tuple[Part, str]:
    path = allowed.find(link.uri)
    shown = one_line(link.name or link.uri.strip(), 200)
    if allowed.local:
        from runapi_mcp.files import folders

        if folders.is_pattern(link.uri) and not allowed.is_there(path):
            start, pattern = folders.split_pattern(str(path))
            folder = allowed.judge(allowed.find(start))
            return _gather(folders.gather(folder, pattern, shown, allowed))
        if allowed.is_there(path) and path.is_dir():
            return _gather(folders.gather(allowed.judge(path), "", shown, allowed))
        if link.uri.lstrip().startswith("git:") and not allowed.is_there(path):
            raise InputError(
                f"{shown} names no two commits.",
                advice="Write git:HEAD~1..HEAD, say. What is not committed is in no such diff: attach the "
                "files that changed, or a file with what git diff prints.",
            )
    content = allowed.read(path, settings.max_file_bytes + 1)
    said = plain_kind(link.mimeType or "")
    return _from_bytes(content, link.name or path.name, settings.max_file_bytes, said), ""


def _gather(found: "Gathered") -> tuple[Part, str]:
    return Text(found.text), found.plan


def _from_diff(name: str, allowed: Reach, settings: Settings) -> tuple[Part, str]:
    if not allowed.local:
        raise InputError("a diff is taken over stdio alone.", advice="Attach it as a file, or in the prompt.")
    from runapi_mcp.files import git

    refs = name.strip().removeprefix("git:")
    patch, secret = git.diff(refs, allowed.folders, min(settings.max_file_bytes, MAX_TEXT_CHARS))
    if not patch.strip():
        raise InputError(f"{one_line(refs, 80)} changes nothing.", advice="Name two commits that differ.")
    left = (
        f" Left out, as it may hold secrets: {', '.join(one_line(n, 80) for n in secret)}." if secret else ""
    )
    tokens = f"{len(patch) // 4:,}"
    return Text(f"Diff {refs}:\n\n{patch}"), f"Diff {one_line(refs, 80)}: about {tokens} tokens.{left}"


def _from_data_url(url: str, name: str, limit: int) -> Part:
    if found := find_base64(url, limit):
        return Inline(*found)
    content = read_data_url(url, limit)
    if content is None:
        raise _too_large(name, limit)
    return _from_bytes(content, name, limit)


def _from_bytes(content: bytes, name: str, limit: int, said: str = "") -> Part:
    """Return the part for a file's content; `said` is its type where the caller named one."""
    shown = one_line(name, 120)
    if len(content) > limit:
        raise _too_large(shown, limit)
    if not content:
        raise InputError(f"{shown} is empty.")
    if kind := binary_kind(content):
        return Inline(kind, encode_base64(content))
    text = as_text(content)
    if text is None and said.startswith(("image/", "audio/", "video/")) and is_taken(said):
        return Inline(said, encode_base64(content))
    if text is None:
        raise _not_utf8(shown) if is_meant_as_text(content) else _refuse_kind(shown)
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(
            f"{shown} is a text of more than {MAX_TEXT_CHARS:,} characters, more than any model reads.",
            advice="Attach the part that matters.",
        )
    return Text(f"{_head(name)}{text}\n")


def _too_large(name: str, limit: int) -> InputError:
    return InputError(
        f"{one_line(name, 120)} is larger than {limit / MIB:g} MiB.",
        advice="RUNAPI_MCP_MAX_FILE_BYTES sets the limit; an https:// URL has none here.",
    )


def _refuse_kind(shown: str) -> InputError:
    return InputError(f"{shown} is of a kind that is not taken.", advice=f"Taken: {KINDS}.")


def _not_utf8(shown: str) -> InputError:
    return InputError(f"{shown} seems to be text, but is not UTF-8.", advice="Convert it to UTF-8 first.")


def _weight(part: Part) -> int:
    match part:
        case Inline(_, encoded):
            return len(encoded) * 3 // 4
        case Text(text):
            return len(text)
        case _:
            return 0


def is_binary(part: Part) -> bool:
    """Whether a part is a file that needs more than images and text."""
    return isinstance(part, Inline | Linked) and not part.mime_type.startswith("image/")
