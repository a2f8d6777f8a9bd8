"""Who may call, and as whom: bearer tokens that the server hands out, RunAPI keys, or JSON web tokens."""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken, TokenVerifier
from pydantic import SecretStr
from starlette.authentication import AuthCredentials
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp import logs
from runapi_mcp.errors import UpstreamError
from runapi_mcp.server.boundary import KEY_CLAIM
from runapi_mcp.settings import key_problem
from runapi_mcp.transports.http.front import refuse
from runapi_mcp.transports.http.shutdown import answer_until
from runapi_mcp.transports.http.tokens import TOKEN_CLAIM, TokenFile, TokenList

_MOST_TOKEN_CHARS: Final = 16_384
_RETRY_SECONDS: Final = 10
_LOGGED_A_MINUTE: Final = 10
FAILED_LOGINS: Final = ("missing", "invalid", "unavailable")
"""Why a request is not let in: no token, one that does not hold, or one that cannot be judged now."""


def token_of(scope: Scope) -> str:
    """Return which of its holder's tokens a request was let in with; "" where that makes no difference."""
    user = scope.get("user")
    claims = user.access_token.claims if isinstance(user, AuthenticatedUser) else None
    return str((claims or {}).get(TOKEN_CLAIM, ""))


class FailedLogins:
    """Counts requests that were not let in, and logs them: a few a minute, and how many more there were.

    Args:
        clock: Seconds that only go forward.

    Attributes:
        counts: How many so far, by reason.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = dict.fromkeys(FAILED_LOGINS, 0)
        self._clock = clock
        self._minute = -60.0
        self._logged = self._more = 0

    def note(self, reason: str, scope: Scope) -> None:
        """Note one; only where it came from and why is told, nothing of what was sent."""
        self.counts[reason] += 1
        if reason == "missing":
            return  # clients ask without a token first, to learn what is needed
        if self._clock() - self._minute >= 60:
            self._minute, self._logged = self._clock(), 0
        if self._logged >= _LOGGED_A_MINUTE:
            self._more += 1
            return
        self._logged += 1
        client = scope.get("client")
        logs.info(
            "login failed",
            reason=reason,
            address=client[0] if client else None,
            path=scope["path"],
            not_logged=self._more or None,
        )
        self._more = 0


class BearerAuth:
    """Lets a request in as the principal its bearer token stands for; else 401 (RFC 6750).

    Args:
        app: What is to be reached.
        verifier: Judges tokens.
        metadata: Where a client learns how to get a token, if there is such a place.
        advice: The sentence that says what to send.
        failed: Told of requests that are not let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        verifier: TokenVerifier,
        metadata: str | None,
        advice: str,
        failed: FailedLogins,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._metadata = metadata
        self._advice = advice
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its principal, or refuse it."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            self._failed.note("missing", scope)
            return await self._refuse(None)(scope, receive, send)
        try:
            user = await self._verify(given)
        except UpstreamError:
            self._failed.note("unavailable", scope)
            text = "The keys of the identity provider cannot be had now. Try again later."
            refusal = refuse(503, "temporarily_unavailable", text, {"Retry-After": str(_RETRY_SECONDS)})
            return await refusal(scope, receive, send)
        if user is None:
            self._failed.note("invalid", scope)
            return await self._refuse("invalid_token")(scope, receive, send)
        # The SDK binds sessions to this user: another's session is unknown.
        scope = {**scope, "user": user, "auth": AuthCredentials(user.scopes)}
        if not isinstance(self._verifier, TokenFile):
            return await self._app(scope, receive, send)
        with self._verifier.in_use(token_of(scope)) as revoked:
            return await answer_until(revoked, self._app, scope, receive, send, status=401)

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


Auth: TypeAlias = TokenList | TokenFile | CallersKeys | JwtAuth


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
        case TokenList() | TokenFile():
            return (
                "Send the header Authorization: Bearer TOKEN, with the token that whoever runs this server "
                "gave you. There is no OAuth here, and nothing to register."
            )
        case JwtAuth(issuer=issuer):
            return f"Send the header Authorization: Bearer TOKEN, with an access token of {issuer}."


@asynccontextmanager
async def open_auth(auth: Auth | None, failed: FailedLogins) -> AsyncIterator[AuthParts]:
    """Give what tells callers apart, for as long as the block lasts; without `auth` all are let in.

    A file of tokens is read again meanwhile when it changes. `failed` is told of who is not let in.
    """
    advice = credentials_advice(auth)
    match auth:
        case None:
            yield AuthParts()
        case JwtAuth():
            # PyJWT brings cryptography, which only this way in needs.
            from runapi_mcp.transports.http.jwt import JwtVerifier, metadata_routes, metadata_url, open_jwks

            async with open_jwks(auth.issuer, url=auth.jwks_url) as keys:
                verifier = JwtVerifier(keys, issuer=auth.issuer, audience=auth.audience)
                bearer = Middleware(BearerAuth, verifier, metadata_url(auth.resource), advice, failed)
                yield AuthParts([bearer], [*metadata_routes(auth.resource, auth.issuer)])
        case TokenFile():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(auth.watch)
                yield AuthParts([Middleware(BearerAuth, auth, None, advice, failed)])
                tasks.cancel_scope.cancel()
        case verifier:
            yield AuthParts([Middleware(BearerAuth, verifier, None, advice, failed)])
