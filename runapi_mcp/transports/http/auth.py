"""Who may call, and as whom: bearer tokens that the server hands out, RunAPI keys, or JSON web tokens."""

import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken, TokenVerifier
from pydantic import SecretStr
from starlette.authentication import AuthCredentials
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.errors import SettingsError, UpstreamError
from runapi_mcp.server.boundary import KEY_CLAIM
from runapi_mcp.settings import key_problem
from runapi_mcp.transports.http.front import refuse

_MOST_TOKEN_CHARS: Final = 16_384
_RETRY_SECONDS: Final = 10


class BearerAuth:
    """Lets a request in as the principal its bearer token stands for; else 401 (RFC 6750).

    Args:
        app: What is to be reached.
        verifier: Judges tokens.
        metadata: Where a client learns how to get a token, if there is such a place.
        advice: The sentence that says what to send.
    """

    def __init__(self, app: ASGIApp, verifier: TokenVerifier, metadata: str | None, advice: str) -> None:
        self._app = app
        self._verifier = verifier
        self._metadata = metadata
        self._advice = advice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its principal, or refuse it."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            return await self._refuse(None)(scope, receive, send)
        try:
            user = await self._verify(given)
        except UpstreamError:
            text = "The keys of the identity provider cannot be had now. Try again later."
            refusal = refuse(503, "temporarily_unavailable", text, {"Retry-After": str(_RETRY_SECONDS)})
            return await refusal(scope, receive, send)
        if user is None:
            return await self._refuse("invalid_token")(scope, receive, send)
        # The SDK binds sessions to this user: another's session is unknown.
        scope = {**scope, "user": user, "auth": AuthCredentials(user.scopes)}
        return await self._app(scope, receive, send)

    async def _verify(self, given: list[bytes]) -> AuthenticatedUser | None:
        scheme, _, token = given[0].decode("latin-1").partition(" ")
        token = token.strip()
        if len(given) > 1 or scheme.lower() != "bearer" or not 0 < len(token) <= _MOST_TOKEN_CHARS:
            return None
        found = await self._verifier.verify_token(token)
        return AuthenticatedUser(found) if found else None

    def _refuse(self, error: str | None) -> Response:
        """Return the challenge; only a token that was given can have an error (RFC 6750, section 3.1)."""
        about = {"realm": "runapi-mcp"}
        if error:
            about |= {"error": error, "error_description": "The token is not valid here, or has expired."}
        if self._metadata:
            about["resource_metadata"] = self._metadata
        challenge = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in about.items())
        said = "The token is not valid here, or has expired. " if error else ""
        headers = {"WWW-Authenticate": challenge}
        return refuse(401, error or "unauthorized", said + self._advice, headers)


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


_DIGEST_CHARS: Final = 32


class CallersKeys:
    """Takes any key that could be one; RunAPI is the judge of it."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom a key stands for: a digest of it, with the key where no repr shows it."""
        if key_problem("key", token):
            return None
        owner = f"key:{hashlib.sha256(token.encode()).hexdigest()[:_DIGEST_CHARS]}"
        return AccessToken(token="", client_id=owner, scopes=[], claims={KEY_CLAIM: SecretStr(token)})


AuthKind: TypeAlias = Literal["token", "key", "jwt"]


@dataclass(frozen=True, slots=True)
class JwtAuth:
    """Tokens of an identity provider.

    Attributes:
        issuer: Who makes them.
        audience: Whom they must be meant for.
        resource: The URL by which clients reach this server's /mcp.
        jwks_url: Where the issuer's keys are; without it the issuer's own documents say.
    """

    issuer: str
    audience: str
    resource: str
    jwks_url: str | None = None


Auth: TypeAlias = TokenList | CallersKeys | JwtAuth


@dataclass(frozen=True, slots=True)
class AuthParts:
    """What tells callers apart: middleware before the MCP routes, and routes beside them."""

    middleware: list[Middleware] = field(default_factory=list)
    routes: list[BaseRoute] = field(default_factory=list)


def credentials_advice(auth: Auth | None) -> str:
    """Return the sentence that says what a caller sends to be let in; "" where nothing is needed."""
    match auth:
        case None:
            return ""
        case CallersKeys():
            return (
                "Send the header Authorization: Bearer YOUR_RUNAPI_KEY, with a RunAPI key of your own. "
                "There is no OAuth here, and nothing to register."
            )
        case TokenList():
            return (
                "Send the header Authorization: Bearer TOKEN, with the token that whoever runs this server "
                "gave you. There is no OAuth here, and nothing to register."
            )
        case JwtAuth(issuer=issuer):
            return f"Send the header Authorization: Bearer TOKEN, with an access token of {issuer}."


@asynccontextmanager
async def open_auth(auth: Auth | None) -> AsyncIterator[AuthParts]:
    """Give what tells callers apart, for as long as the block lasts; without `auth` all are let in."""
    advice = credentials_advice(auth)
    match auth:
        case None:
            yield AuthParts()
        case JwtAuth():
            # PyJWT brings cryptography, which only this way in needs.
            from runapi_mcp.transports.http.jwt import JwtVerifier, metadata_routes, metadata_url, open_jwks

            async with open_jwks(auth.issuer, url=auth.jwks_url) as keys:
                verifier = JwtVerifier(keys, issuer=auth.issuer, audience=auth.audience)
                bearer = Middleware(BearerAuth, verifier, metadata_url(auth.resource), advice)
                yield AuthParts([bearer], [*metadata_routes(auth.resource, auth.issuer)])
        case verifier:
            yield AuthParts([Middleware(BearerAuth, verifier, None, advice)])
