"""In front of the MCP routes: no request without a bearer token that stands for someone."""

from typing import Final

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import TokenVerifier
from starlette.authentication import AuthCredentials
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.errors import UpstreamError

_MOST_TOKEN_CHARS: Final = 16_384
_RETRY_SECONDS: Final = 10


class Door:
    """Lets a request in as the principal its bearer token stands for; else 401 (RFC 6750).

    Args:
        app: What is behind the door.
        verifier: Judges tokens.
        metadata: Where a client learns how to get a token, if there is such a place.
    """

    def __init__(self, app: ASGIApp, verifier: TokenVerifier, metadata: str | None) -> None:
        self._app = app
        self._verifier = verifier
        self._metadata = metadata

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its principal, or refuse it."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            return await self._refusal(None)(scope, receive, send)
        try:
            user = await self._user(given)
        except UpstreamError:
            text = "The keys of the identity provider cannot be had now."
            return await _unavailable(text)(scope, receive, send)
        if user is None:
            return await self._refusal("invalid_token")(scope, receive, send)
        # The SDK binds sessions to this user: another's session is unknown.
        scope = {**scope, "user": user, "auth": AuthCredentials(user.scopes)}
        return await self._app(scope, receive, send)

    async def _user(self, given: list[bytes]) -> AuthenticatedUser | None:
        scheme, _, token = given[0].decode("latin-1").partition(" ")
        token = token.strip()
        if len(given) > 1 or scheme.lower() != "bearer" or not 0 < len(token) <= _MOST_TOKEN_CHARS:
            return None
        found = await self._verifier.verify_token(token)
        return AuthenticatedUser(found) if found else None

    def _refusal(self, error: str | None) -> Response:
        """Return the challenge; only a token that was given can have an error (RFC 6750, section 3.1)."""
        about = {"realm": "runapi-mcp"}
        if error:
            about |= {"error": error, "error_description": "The token is not valid here, or has expired."}
        if self._metadata:
            about["resource_metadata"] = self._metadata
        challenge = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in about.items())
        body = {"error": error or "unauthorized", "error_description": "Send Authorization: Bearer TOKEN."}
        return JSONResponse(body, 401, {"WWW-Authenticate": challenge})


def _unavailable(text: str) -> Response:
    return JSONResponse({"error": text}, 503, {"Retry-After": str(_RETRY_SECONDS)})
