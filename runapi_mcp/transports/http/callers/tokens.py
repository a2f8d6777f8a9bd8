"""Static bearer tokens: a line for each, kept only as digests."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

from mcp.server.auth.provider import AccessToken

from runapi_mcp.errors import SettingsError

MIN_CHARS: Final = 16
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ADVICE: Final = (
    "Write NAME:TOKEN, one a line; a name may have several tokens. A token is made with, for example, "
    "python -c 'import secrets; print(secrets.token_urlsafe(32))'."
)


@dataclass(frozen=True, slots=True)
class TokenList:
    """Whose token is whose. Holds no token, only SHA-256 digests."""

    entries: tuple[tuple[str, bytes], ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """Read lines of `NAME:TOKEN`; blank ones and those that begin with ``#`` say nothing.

        Raises:
            SettingsError: A line is not that, or there is none. It is named by its number, not quoted.
        """
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        entries = tuple(_entry(number, line) for number, line in lines if line and not line.startswith("#"))
        if not entries:
            raise SettingsError("There is no token for --auth token.", advice=_ADVICE)
        if len({digest for _, digest in entries}) < len(entries):
            raise SettingsError("Two lines of the tokens hold the same token.", advice=_ADVICE)
        return cls(entries)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom a token stands for; it is compared with every entry, in constant time."""
        given, found = _digest(token), None
        for name, digest in self.entries:
            if secrets.compare_digest(digest, given):
                found = name
        return AccessToken(token="", client_id=f"token:{found}", scopes=[]) if found else None


def _entry(number: int, line: str) -> tuple[str, bytes]:
    name, colon, token = (part.strip() for part in line.partition(":"))
    if not colon or not _NAME.fullmatch(name) or not _TOKEN.fullmatch(token):
        raise SettingsError(f"Line {number} of the tokens is not NAME:TOKEN.", advice=_ADVICE)
    if len(token) < MIN_CHARS:
        what = f"The token in line {number} of the tokens is shorter than {MIN_CHARS} characters."
        raise SettingsError(what, advice=_ADVICE)
    return name, _digest(token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
