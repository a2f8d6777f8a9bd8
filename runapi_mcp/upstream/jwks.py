"""The public keys of an identity provider (RFC 7517), fetched when they are needed and kept for a while."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from runapi_mcp import __version__
from runapi_mcp.errors import ProtocolError, Unreachable, UpstreamError
from runapi_mcp.settings import LOOPBACK
from runapi_mcp.upstream.client import read_start

KEEP_SECONDS: Final = 600.0
AGAIN_SECONDS: Final = 30.0
"""How long after a fetch, whatever came of it, the next one may be made."""
_FETCH_SECONDS: Final = 5.0
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

    Args:
        client: Follows no redirect.
        issuer: Whose keys.
        url: Where they are; without it the issuer's documents are asked.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        issuer: str,
        *,
        url: str | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._client = client
        self._issuer = issuer
        self._url = url
        self._clock = clock
        self._lock = anyio.Lock()
        self._keys: list[Jwk] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    async def key(self, key_id: object) -> Jwk | None:
        """Return the key with an id, or the only one if no id is given; `None` if there is none.

        Keys are kept for ten minutes; an unknown id has them fetched again, at most twice a minute.
        While they cannot be had, the old ones serve on.

        Raises:
            UpstreamError: There are no keys at all.
        """
        found = self._known(key_id)
        if found is None or self._old():
            async with self._lock:
                if self._may_try():
                    await self._refresh()
            found = self._known(key_id)
        return found

    def _known(self, key_id: object) -> Jwk | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.get("kid") == key_id), None)

    def _old(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > KEEP_SECONDS

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at > AGAIN_SECONDS

    async def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = (await self._fetched_keys())[:_MOST_KEYS]
        except UpstreamError:
            if not self._keys:
                self._tried_at = None
                raise
        else:
            self._fetched_at = self._clock()

    async def _fetched_keys(self) -> list[Jwk]:
        url = self._url or await self._keys_url()
        return (await self._document(url, TypeAdapter(_KeySet))).keys

    async def _keys_url(self) -> str:
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
                provider = await self._document(place, TypeAdapter(_Provider))
            except UpstreamError as error:
                refusal = error
                continue
            if provider.issuer != self._issuer:
                raise ProtocolError(f"{place} is the document of another issuer.", advice="")
            return _fetchable(provider.jwks_uri)
        assert refusal is not None
        raise refusal

    async def _document(self, url: str, kind: TypeAdapter[Document]) -> Document:
        try:
            with anyio.fail_after(_FETCH_SECONDS):
                async with self._client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
                    if answer.status_code != 200:
                        raise ProtocolError(f"{url} answered {answer.status_code}.", advice="")
                    text, whole = await read_start(answer, _MOST_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
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
async def opened_jwks(issuer: str, *, url: str | None = None) -> AsyncIterator[Jwks]:
    """Give an issuer's keys for as long as the block lasts; nothing is fetched before it is needed."""
    async with httpx.AsyncClient(
        timeout=_FETCH_SECONDS, headers={"User-Agent": f"runapi-mcp/{__version__}"}
    ) as client:
        yield Jwks(client, issuer, url=url)
