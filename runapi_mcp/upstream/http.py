"""The HTTP client, its headers, and the reading of short bodies."""

import ssl
import threading
import uuid
from contextlib import suppress
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from runapi_mcp import __version__
from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import LOOPBACK, Settings
from runapi_mcp.wire.types import Auth

REQUEST_ID: Final = "X-Client-Request-Id"
"""The header by which RunAPI's support finds a request (wire notes §2)."""
_PROXY: Final = (
    "A proxy that the environment names cannot be used; nothing was sent.",
    "Correct HTTPS_PROXY, ALL_PROXY or NO_PROXY and restart the server; SOCKS takes the package socksio.",
)
_CERTIFICATES: Final = (
    "The certificates that the environment names could not be read; nothing was sent.",
    "Correct or unset SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE, and restart the server.",
)
_TRUST: Final = threading.Lock()


def new_client(settings: Settings) -> httpx.AsyncClient:
    """Return a client that follows no redirect, keeps no cookie, and uses a proxy except to this machine.

    Where the environment makes one impossible, every request of the client raises a SettingsError
    that says so: the server must start and list its tools all the same.
    """
    try:
        return _client(settings, None)
    except (ImportError, ValueError, httpx.InvalidURL):
        # Not their text: it may hold the proxy's password.
        return _client(settings, _Unusable(_PROXY))
    except OSError:
        return _client(settings, _Unusable(_CERTIFICATES))


def _client(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    timeout = settings.connect_timeout
    url = urlsplit(settings.base_url)
    return httpx.AsyncClient(
        # What a silence between reads means is judged in Body, which knows what has come.
        timeout=httpx.Timeout(
            connect=timeout, read=settings.idle_timeout, write=max(timeout, 60.0), pool=timeout
        ),
        limits=httpx.Limits(max_connections=settings.max_running + 16, max_keepalive_connections=20),
        headers={"User-Agent": f"runapi-mcp/{__version__}", "Accept-Encoding": "identity"},
        # One client serves many keys; a cookie would tie their calls together.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        verify=_nobody() if transport or _plain(settings) else trusted(),
        trust_env=url.hostname not in LOOPBACK,
        transport=transport,
    )


class _Unusable(httpx.AsyncBaseTransport):
    """No way to RunAPI."""

    def __init__(self, why: tuple[str, str]) -> None:
        self._what, self._advice = why

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise SettingsError(self._what, advice=self._advice)


def warm(settings: Settings) -> None:
    """Build in a thread what takes long to build and every client needs: which certificates to trust."""
    if not _plain(settings):
        threading.Thread(target=_warm, name="trusted certificates", daemon=True).start()


def _warm() -> None:
    with suppress(OSError):  # said by the first request instead
        trusted()


def trusted() -> ssl.SSLContext:
    """Return the one TLS context of this process; waits if a thread is building it."""
    with _TRUST:
        return _trusted()


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _nobody() -> ssl.SSLContext:
    """Return a context for plain HTTP to this machine, which meets no certificate: it would accept none."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _plain(settings: Settings) -> bool:
    return urlsplit(settings.base_url).scheme == "http"


def new_request_id() -> str:
    """Return an id for one request."""
    return f"runapi-mcp-{uuid.uuid4().hex}"


def auth_header(auth: Auth, key: SecretStr) -> dict[str, str]:
    """Return the header that carries the key."""
    if auth == "bearer":
        return {"Authorization": f"Bearer {key.get_secret_value()}"}
    return {"x-goog-api-key": key.get_secret_value()}


async def read_start(response: httpx.Response, limit: int) -> tuple[str, bool]:
    """Return up to `limit` bytes of a body as text and whether that is all of it; close the response."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > limit:
                break
    finally:
        await response.aclose()
    return body[:limit].decode("utf-8-sig", errors="replace"), len(body) <= limit
