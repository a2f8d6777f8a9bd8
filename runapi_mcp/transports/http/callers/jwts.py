"""JSON web tokens of an identity provider: this server as an OAuth 2.1 resource server."""

from typing import Final

import jwt
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from pydantic import AnyHttpUrl
from starlette.routing import Route

from runapi_mcp.upstream.jwks import Jwks

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Asymmetric ones only: with any other, who can check a token could also make one."""
_LEEWAY_SECONDS: Final = 30
_REQUIRED: Final = ("exp", "iss", "aud", "sub")
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


class JwtVerifier:
    """Judges tokens by issuer, audience, expiry, algorithm and signature.

    Args:
        keys: The issuer's public keys.
        issuer: Who must have made a token.
        audience: Whom it must be meant for.
    """

    def __init__(self, keys: Jwks, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom a token stands for, or `None` if it does not hold.

        Raises:
            UpstreamError: The issuer's keys cannot be had.
        """
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                return None
            found = await self._keys.key(header.get("kid"))
            if found is None:
                return None
            claims = jwt.decode(
                token,
                jwt.PyJWK.from_dict(found, algorithm=algorithm),
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": list(_REQUIRED)},
            )
        except jwt.PyJWTError:
            return None
        subject = str(claims["sub"])
        return AccessToken(
            token="",
            client_id=f"jwt:{self._issuer}#{subject}",
            scopes=str(claims.get("scope", "")).split(),
            expires_at=int(claims["exp"]) + _LEEWAY_SECONDS,
            subject=subject,
            claims={"iss": self._issuer},
        )


def metadata_url(resource: str) -> str:
    """Return where the metadata of a protected resource is (RFC 9728, section 3.1)."""
    return str(build_resource_metadata_url(AnyHttpUrl(resource)))


def metadata_routes(resource: str, issuer: str) -> list[Route]:
    """Return the routes of the metadata: where RFC 9728 puts it, and without the resource's path."""
    routes = create_protected_resource_routes(
        AnyHttpUrl(resource), [AnyHttpUrl(issuer)], resource_name="runapi-mcp"
    )
    return [*routes, *(Route(WELL_KNOWN, route.endpoint) for route in routes if route.path != WELL_KNOWN)]
