"""The bearer tokens that a server hands out: whose they are, a file of them, and how it is written.

A line is ``NAME:TOKEN`` or, as ``runapi-mcp token add`` writes it, ``NAME:sha256:HEX``, from which no token
can be made. What is kept in memory is the digest alone in either case. ``admin`` after it lets its holder
see what everybody used.
"""

import hashlib
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Self

import anyio
from mcp.server.auth.provider import AccessToken

from runapi_mcp.errors import InputError, SettingsError
from runapi_mcp.server.boundary import SEES_ALL
from runapi_mcp.watched import Watched

TOKEN_CLAIM: Final = "runapi_mcp.token"  # noqa: S105  # the name of a claim
"""Under this name a verified credential carries which of its holder's tokens it is."""
MIN_CHARS: Final = 16
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_HASHED: Final = re.compile(r"sha256:([0-9a-f]{64})")
_ADMIN: Final = "admin"
_COMMENT: Final = re.compile(r"\s+#.*")
_ID_CHARS: Final = 8
_ADVICE: Final = (
    "Write NAME:TOKEN, one a line; a name may have several tokens. runapi-mcp token add NAME --tokens FILE "
    "makes one and writes its line."
)
_HEAD: Final = "# Tokens of runapi-mcp serve --auth token; written by runapi-mcp token.\n"


@dataclass(frozen=True, slots=True)
class TokenList:
    """Whose token is whose, and which see what everybody used. Holds no token, only SHA-256 digests."""

    entries: tuple[tuple[str, bytes], ...]
    admins: frozenset[bytes] = frozenset()

    @classmethod
    def read(cls, text: str) -> Self:
        """Read lines of `NAME:TOKEN`; blank ones and those that begin with ``#`` say nothing.

        Raises:
            SettingsError: A line is not that, or there is none. It is named by its number, not quoted.
        """
        found = cls.read_any(text)
        if not found.entries:
            raise SettingsError("There is no token for --auth token.", advice=_ADVICE)
        return found

    @classmethod
    def read_any(cls, text: str) -> Self:
        """Read the same where it may be that nobody has a token any more, if the text says so by a comment.

        Raises:
            SettingsError: A line is not `NAME:TOKEN`, or there is nothing at all: half a file, most likely.
        """
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        entries = tuple(
            (number, *_entry(number, line)) for number, line in lines if line and not line.startswith("#")
        )
        if not any(line for _, line in lines):
            raise SettingsError("There is no token for --auth token: the tokens are empty.", advice=_ADVICE)
        seen: dict[bytes, int] = {}
        for number, _, digest, _ in entries:
            if digest in seen:
                what = f"Lines {seen[digest]} and {number} of the tokens hold the same token."
                raise SettingsError(what, advice=_ADVICE)
            seen[digest] = number
        admins = frozenset(digest for *_, digest, admin in entries if admin)
        return cls(tuple((name, digest) for _, name, digest, _ in entries), admins)

    @property
    def names(self) -> frozenset[str]:
        """Who has a token."""
        return frozenset(name for name, _ in self.entries)

    @property
    def ids(self) -> frozenset[str]:
        """What tells the tokens apart."""
        return frozenset(digest.hex() for _, digest in self.entries)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom a token stands for; it is compared with every entry, in constant time."""
        given, found = _digest(token), None
        for name, digest in self.entries:
            if secrets.compare_digest(digest, given):
                found = name
        if found is None:
            return None
        scopes = [SEES_ALL] if given in self.admins else []
        claims = {TOKEN_CLAIM: given.hex()}
        return AccessToken(token="", client_id=f"token:{found}", scopes=scopes, claims=claims)


class TokenFile:
    """The tokens of a file, as it is now: it is read again when it changes.

    Args:
        path: Where it is.

    Attributes:
        on_revoked: Told the ids of tokens that hold no longer.

    Raises:
        SettingsError: It cannot be read, holds no token, or a line of it is none.
    """

    def __init__(self, path: str) -> None:
        self.file = Watched(path, TokenList.read_any, "the tokens")
        self.on_revoked: list[Callable[[frozenset[str]], Awaitable[None]]] = []
        self._in_use: dict[str, tuple[anyio.Event, int]] = {}
        if not self.entries:
            raise SettingsError("There is no token for --auth token.", advice=_ADVICE)

    @property
    def entries(self) -> tuple[tuple[str, bytes], ...]:
        """Whose token is whose."""
        return self.file.value.entries

    @property
    def names(self) -> frozenset[str]:
        """Who has a token."""
        return self.file.value.names

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom a token stands for now."""
        return await self.file.value.verify_token(token)

    @contextmanager
    def in_use(self, token_id: str) -> Iterator[anyio.Event]:
        """Give what is set when a token is revoked before the block ends."""
        event, users = self._in_use.get(token_id, (anyio.Event(), 0))
        if token_id not in self.file.value.ids:
            event.set()  # it was revoked between the look at it and its use
        self._in_use[token_id] = (event, users + 1)
        try:
            yield event
        finally:
            same, users = self._in_use.get(token_id, (event, 0))
            if same is event and users > 1:
                self._in_use[token_id] = (event, users - 1)
            elif same is event:
                self._in_use.pop(token_id, None)

    async def watch(self) -> None:
        """Read the file whenever it changes, and end what revoked tokens have open; for ever."""
        await self.file.watch(self._note_change)

    async def _note_change(self, before: TokenList, now: TokenList) -> None:
        gone = before.ids - now.ids
        for token_id in gone & self._in_use.keys():
            self._in_use.pop(token_id)[0].set()
        if gone:
            for tell in self.on_revoked:
                await tell(gone)


def _entry(number: int, line: str) -> tuple[str, bytes, bool]:
    """Return a line's name, its token's digest, and whether its holder sees what everybody used."""
    name, colon, token = (part.strip() for part in _COMMENT.sub("", line).partition(":"))
    token, *marks = token.split() or [""]
    admin = marks == [_ADMIN]
    if marks and not admin:
        what = f"Line {number} of the tokens says more after the token than {_ADMIN}."
        raise SettingsError(what, advice=_ADVICE)
    hashed = _HASHED.fullmatch(token)
    if not colon or not _NAME.fullmatch(name) or not (hashed or _TOKEN.fullmatch(token)):
        raise SettingsError(f"Line {number} of the tokens is not NAME:TOKEN.", advice=_ADVICE)
    if hashed:
        return name, bytes.fromhex(hashed[1]), admin
    if len(token) < MIN_CHARS:
        what = f"The token in line {number} of the tokens is shorter than {MIN_CHARS} characters."
        raise SettingsError(what, advice=_ADVICE)
    return name, _digest(token), admin


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


# ---------------------------------------------------------------- written, by runapi-mcp token


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token of a file as people see it: whose it is, what tells it from others, since when."""

    name: str
    id: str
    hashed: bool
    admin: bool
    note: str


def list_tokens(path: Path) -> list[TokenLine]:
    """Return the tokens of a file, in its order.

    Raises:
        SettingsError: It cannot be read, or a line of it is none.
    """
    text = _read(path)
    TokenList.read_any(text or _HEAD)
    return [_line(number, line) for number, line in _token_lines(text)]


def add_token(path: Path, name: str, today: date, *, admin: bool = False) -> str:
    """Write a new token of `name` into a file, hashed, and return it: nothing else ever shows it.

    The holder of an `admin`'s sees what everybody used.

    Raises:
        InputError: The name cannot be one.
        SettingsError: The file cannot be read or written, or a line of it is no token's.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} cannot be a name here.",
            advice="Take letters, digits and . _ @ -, at most 64, a letter or digit first.",
        )
    token = secrets.token_urlsafe(32)
    with _changing(path) as text:
        TokenList.read_any(text or _HEAD)
        kept = text or _HEAD
        kept += "" if kept.endswith("\n") else "\n"
        mark = f" {_ADMIN}" if admin else ""
        _replace(path, f"{kept}{name}:sha256:{_digest(token).hex()}{mark}  # {today.isoformat()}\n")
    return token


def revoke_tokens(path: Path, name: str, token_id: str | None) -> int:
    """Take a name's tokens out of a file, or the one of an id, and return how many those were.

    Raises:
        InputError: There is none.
        SettingsError: The file cannot be read or written, or a line of it is no token's.
    """
    with _changing(path) as text:
        TokenList.read_any(text or _HEAD)
        lines = dict(_token_lines(text))
        gone = {
            number
            for number, line in lines.items()
            if (found := _line(number, line)).name == name and (token_id is None or found.id == token_id)
        }
        if not gone:
            which = f"no token {token_id} of {name}" if token_id else f"no token of {name}"
            raise InputError(f"There is {which} in {path}.", advice="runapi-mcp token list shows all.")
        kept = [line for number, line in enumerate(text.splitlines(), 1) if number not in gone]
        # A file that says nothing at all would be taken for half a file.
        _replace(path, "\n".join(kept if any(map(str.strip, kept)) else [_HEAD.strip()]) + "\n")
    return len(gone)


def _token_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.strip().startswith("#"):
            yield number, line.strip()


def _line(number: int, line: str) -> TokenLine:
    name, digest, admin = _entry(number, line)
    hashed = ":sha256:" in line.replace(" ", "")
    note = line.partition("#")[2].strip() if hashed else ""
    return TokenLine(name, digest.hex()[:_ID_CHARS], hashed, admin, note)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None


@contextmanager
def _changing(path: Path) -> Iterator[str]:
    """Give a file's text, with nobody else changing it until the block ends."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        if sys.platform != "win32":  # which has none: there the last of two writers wins
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
        yield _read(path)
    finally:
        os.close(held)


def _replace(path: Path, text: str) -> None:
    """Put a whole new file in the place of one, with its owner and mode; a new one is its owner's alone."""
    target = Path(os.path.realpath(path))
    try:
        before = target.stat() if target.exists() else None
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if before is not None:
                Path(name).chmod(stat.S_IMODE(before.st_mode))
                if sys.platform != "win32":
                    with suppress(PermissionError):
                        os.chown(name, before.st_uid, before.st_gid)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> SettingsError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return SettingsError(f"{path} cannot be used ({why}).", advice="Check --tokens.")
