"""JSON web tokens of an identity provider: this server as an OAuth 2.1 resource server.

The provider's public keys (RFC 7517) are fetched when they are needed and kept for a while.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
import jwt
from anyio.abc import TaskGroup
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.routing import Route

from runapi_mcp import __version__
from runapi_mcp.errors import ProtocolError, Unreachable, UpstreamError
from runapi_mcp.settings import LOOPBACK
from runapi_mcp.upstream.http import read_proxies, read_start

KEEP_SECONDS: Final = 600.0
AGAIN_SECONDS: Final = 30.0
"""How long after a fetch, whatever came of it, the next one may be made."""
FAILED_SECONDS: Final = 5.0
"""The same while there are no keys at all."""
_FETCH_SECONDS: Final = 5.0
"""What a fetch may take in all."""
_MOST_BYTES: Final = 256 * 1024
_MOST_KEYS: Final = 100

Jwk = dict[str, object]
Document = TypeVar("Document")


class _KeySet(BaseModel):
    model_config = ConfigDict(extra="ignore")

    keys: list[Jwk]


class _Provider(BaseModel):
    """What the issuer's own document says (RFC 8414, OpenID Connect Discovery)."""

    model_config = ConfigDict(extra="ignore")

    issuer: str
    jwks_uri: str


class Jwks:
    """An issuer's keys by their id.

    Whoever waits for a fetch waits for the one that is under way, and who has a key that is known waits
    for none: forged tokens cannot make a good one wait behind them.

    Args:
        client: Follows no redirect.
        issuer: Whose keys.
        tasks: Where keys are fetched.
        url: Where they are; without it the issuer's documents are asked.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        issuer: str,
        tasks: TaskGroup,
        *,
        url: str | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._client = client
        self._issuer = issuer
        self._tasks = tasks
        self._url = url
        self._clock = clock
        self._keys: list[Jwk] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failure: UpstreamError | None = None
        self._fetching: anyio.Event | None = None

    async def key(self, key_id: object) -> Jwk | None:
        """Return the key with an id, or the only one if no id is given; `None` if there is none.

        Keys are kept for ten minutes; an unknown id has them fetched again, at most twice a minute.
        While they cannot be had, the old ones serve on; that there are none is remembered for 5 s.

        Raises:
            UpstreamError: There are no keys at all.
        """
        found = self._find_key(key_id)
        if (found is None or self._old()) and self._fetching is None and self._may_try():
            self._tried_at = self._clock()
            self._fetching = anyio.Event()
            self._tasks.start_soon(self._refresh, self._fetching)
        if found is None and self._fetching is not None:
            await self._fetching.wait()
            found = self._find_key(key_id)
        if found is None and not self._keys and self._failure is not None:
            raise type(self._failure)(str(self._failure), advice="")
        return found

    def _find_key(self, key_id: object) -> Jwk | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.get("kid") == key_id), None)

    def _old(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > KEEP_SECONDS

    def _may_try(self) -> bool:
        wait = AGAIN_SECONDS if self._keys else FAILED_SECONDS
        return self._tried_at is None or self._clock() - self._tried_at > wait

    async def _refresh(self, done: anyio.Event) -> None:
        try:
            with anyio.fail_after(_FETCH_SECONDS):
                self._keys = (await self._fetch_keys())[:_MOST_KEYS]
        except UpstreamError as failure:
            self._failure = failure
        except TimeoutError:
            self._failure = Unreachable(f"{self._issuer} does not answer.", advice="")
        else:
            self._fetched_at = self._clock()
            self._failure = None
        finally:
            self._fetching = None
            done.set()

    async def _fetch_keys(self) -> list[Jwk]:
        url = self._url or await self._find_url()
        return (await self._fetch(url, TypeAdapter(_KeySet))).keys

    async def _find_url(self) -> str:
        """Return where the issuer says its keys are."""
        parts = urlsplit(self._issuer)
        base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        places = (
            f"{base}{path}/.well-known/openid-configuration",
            f"{base}/.well-known/oauth-authorization-server{path}",
        )
        refusal: UpstreamError | None = None
        for place in places:
            try:
                provider = await self._fetch(place, TypeAdapter(_Provider))
            except UpstreamError as error:
                refusal = error
                continue
            if provider.issuer != self._issuer:
                raise ProtocolError(f"{place} is the document of another issuer.", advice="")
            return _fetchable(provider.jwks_uri)
        assert refusal is not None
        raise refusal

    async def _fetch(self, url: str, kind: TypeAdapter[Document]) -> Document:
        try:
            async with self._client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
                if answer.status_code != 200:
                    raise ProtocolError(f"{url} answered {answer.status_code}.", advice="")
                text, whole = await read_start(answer, _MOST_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Unreachable(f"{url} cannot be had.", advice="") from None
        try:
            if whole:
                return kind.validate_json(text)
        except ValidationError:
            pass
        raise ProtocolError(f"{url} is not the document it should be.", advice="")


def _fetchable(url: str) -> str:
    """Return a URL that keys may be fetched from.

    Raises:
        ProtocolError: It is not https, nor this machine's.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ProtocolError("The issuer's keys are not at an https:// URL.", advice="")
    return url


@asynccontextmanager
async def open_jwks(issuer: str, *, url: str | None = None) -> AsyncIterator[Jwks]:
    """Give an issuer's keys for as long as the block lasts; nothing is fetched before it is needed."""
    headers = {"User-Agent": f"runapi-mcp/{__version__}"}
    async with (
        httpx.AsyncClient(
            timeout=_FETCH_SECONDS, headers=headers, **read_proxies(issuer, url or issuer)
        ) as client,
        anyio.create_task_group() as tasks,
    ):
        yield Jwks(client, issuer, tasks, url=url)
        tasks.cancel_scope.cancel()


ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Asymmetric ones only: with any other, who can check a token could also make one."""
_LEEWAY_SECONDS: Final = 30
_REQUIRED: Final = ("exp", "iss", "aud", "sub")
_LEAST_RSA_BITS: Final = 2048
"""NIST SP 800-131A; RFC 7518, section 3.3, says the same."""
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
            # What must be understood and is not known here (RFC 7515, section 4.1.11); PyJWT before 2.12 lets
            # it pass (GHSA-752w-5fwx-jx9f).
            if algorithm not in ALGORITHMS or "crit" in header:
                return None
            found = await self._keys.key(header.get("kid"))
            if found is None:
                return None
            key = jwt.PyJWK.from_dict(found, algorithm=algorithm)
            if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.PyJWTError, RecursionError):  # the latter before PyJWT 2.13
            return None
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject.strip():
            return None  # everyone without a name would be one caller
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
