"""The way in that was chosen, as a value, and the door it makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from runapi_mcp.transports.http.callers.door import Door
from runapi_mcp.transports.http.callers.keys import CallersKeys
from runapi_mcp.transports.http.callers.tokens import TokenList
from runapi_mcp.upstream.jwks import opened_jwks

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


@dataclass(frozen=True, slots=True)
class Way:
    """How requests get in: the middleware in front of the MCP routes, and routes beside them."""

    middleware: list[Middleware] = field(default_factory=list)
    routes: list[BaseRoute] = field(default_factory=list)


Auth: TypeAlias = TokenList | CallersKeys | JwtAuth


@asynccontextmanager
async def way_in(auth: Auth | None) -> AsyncIterator[Way]:
    """Give the way in for as long as the block lasts; without `auth` everyone who gets here is let in."""
    match auth:
        case None:
            yield Way()
        case JwtAuth():
            async with _jwt_way(auth) as way:
                yield way
        case verifier:
            yield Way([Middleware(Door, verifier, None)])


@asynccontextmanager
async def _jwt_way(auth: JwtAuth) -> AsyncIterator[Way]:
    # PyJWT brings cryptography, which only this way in needs.
    from runapi_mcp.transports.http.callers.jwts import JwtVerifier, metadata_routes, metadata_url

    async with opened_jwks(auth.issuer, url=auth.jwks_url) as keys:
        verifier = JwtVerifier(keys, issuer=auth.issuer, audience=auth.audience)
        door = Middleware(Door, verifier, metadata_url(auth.resource))
        yield Way([door], [*metadata_routes(auth.resource, auth.issuer)])
