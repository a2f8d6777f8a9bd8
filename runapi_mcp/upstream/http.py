"""The HTTP client, its headers, the reading of short bodies, and the trace of one stream."""

import re
import socket
import ssl
import threading
import uuid
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio.lowlevel
import httpx
from pydantic import SecretStr

from runapi_mcp import __version__
from runapi_mcp.errors import ProtocolError, SettingsError
from runapi_mcp.printable import one_line
from runapi_mcp.settings import LOOPBACK, Settings
from runapi_mcp.wire.grounding import REDIRECT_HOST
from runapi_mcp.wire.types import Auth

Phase: TypeAlias = Literal["connecting", "waiting", "open"]


def _nobody() -> None:
    """Tell no one."""


@dataclass(slots=True)
class Trace:
    """Written by the upstream while it works, read by whoever follows. Times are the clock's.

    Attributes:
        phase: What the upstream is doing.
        heard_at: When the last byte of any kind came, a keep-alive included.
        first_byte_at: When the first byte of a stream came.
        waiting_until: When the wait that RunAPI asked for ends, in phase "waiting".
        requests: How many requests were sent.
        detours: How many were added by looking for the route or for a model: free lists that were asked for,
            and calls made anew.
        waited: Seconds spent in waits that RunAPI asked for.
        request_id: The `X-Client-Request-Id` of the last request.
        received: Bytes of the stream so far.
        on_phase: Called at each change of phase.
    """

    phase: Phase = "connecting"
    heard_at: float | None = None
    first_byte_at: float | None = None
    waiting_until: float | None = None
    requests: int = 0
    detours: int = 0
    waited: float = 0.0
    request_id: str | None = None
    received: int = 0
    on_phase: Callable[[], None] = field(default=_nobody, repr=False)

    @property
    def detours_left(self) -> int:
        """How many more may be added: two a call, so that a call is made three times at most."""
        return max(_MOST_DETOURS - self.detours, 0)

    def enter(self, phase: Phase) -> None:
        """Change the phase and say so."""
        self.phase = phase
        self.on_phase()


_MOST_DETOURS: Final = 2
REQUEST_ID: Final = "X-Client-Request-Id"
"""The header by which RunAPI's support finds a request (docs/wire.md §1.3)."""
_PROXY: Final = (
    "A proxy that the environment names cannot be used; nothing was sent.",
    "Correct HTTPS_PROXY or ALL_PROXY and restart the server; SOCKS takes the package socksio.",
)
_CERTIFICATES: Final = (
    "The certificates that the environment names could not be read; nothing was sent.",
    "Correct or unset SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE, and restart the server.",
)
_TRUST: Final = threading.Lock()
_IDLE_SECONDS: Final = 300.0
"""Seconds after which an idle connection is closed from here. An agent's calls are 20 to 60 s apart, and
upstreams close idle connections after 30 to 75 s themselves; a new one costs it two round trips."""
_KEEP_ALIVE: Final = {
    "TCP_KEEPIDLE": 20, "TCP_KEEPALIVE": 20,  # the same: Linux and Windows, macOS
    "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 50_000,  # milliseconds; Linux. Probes are not sent while something is unacknowledged.
}  # fmt: skip
"""By these a peer that is gone is found within a minute, and a NAT on the way keeps its entry, whatever
a model thinks: the idle time-out is fifteen."""
_SESSIONS: Final[dict[str, ssl.SSLSession]] = {}
_MOST_SESSIONS: Final = 8
"""Hosts are RunAPI and, for redirects, Google; each has one."""
_PIECE: Final = 65_536
CRUMBS_IN_A_ROW: Final = 16
"""Pieces of a body that are read before others have a turn; one read may bring many chunks of a byte."""
_INFLATED_IN_A_ROW: Final = 2_048
"""Bytes of a compressed body that are read before others have a turn; each member copies what is left."""
_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_ZLIB_HEADER: Final = 2
"""Bytes of zlib's header: they name the method, 8, and are a multiple of 31 as a number (RFC 1950)."""
_UNREADABLE: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})


def new_client(settings: Settings) -> httpx.AsyncClient:
    """Return a client that follows no redirect, keeps no cookie, and uses a proxy except to this machine.

    Where the environment makes one impossible, every request of the client raises a SettingsError
    that says so: the server must start and list its tools all the same.
    """
    try:
        # Where links lead is asked through a proxy too; without the proxy's own package that is left.
        for urls in ((settings.base_url, f"https://{REDIRECT_HOST}"), (settings.base_url,)):
            with suppress(ImportError, ValueError, httpx.InvalidURL):
                return _client(settings, None, read_proxies(*urls))
    except OSError:
        return _client(settings, _Unusable(_CERTIFICATES), {})
    # Not what httpx said: it may hold the proxy's password.
    return _client(settings, _Unusable(_PROXY), {})


def read_proxies(*urls: str) -> dict[str, Any]:
    """Return by which proxy the environment has some URLs asked, as arguments of a client of httpx.

    Its own reading fails for networks of IPv6 and hosts in brackets, which others write into NO_PROXY of
    their own accord (orbstack/orbstack#2456, basicmachines-co/basic-memory#1541); Python's compares names.
    """
    parts = [urlsplit(url) for url in urls]
    direct = [part for part in parts if _is_direct(part.hostname or "", part.netloc)]
    known = {} if len(direct) == len(parts) else getproxies()
    proxy = known.get(parts[0].scheme) or known.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy:
        # So GNOME and Clash write it (NousResearch/hermes-agent#95051, clash-verge-rev/clash-verge-rev#6887).
        proxy = re.sub(r"\Asocks://", "socks5://", proxy, flags=re.IGNORECASE)
        urlsplit(proxy).port  # noqa: B018  # judged only when it is asked for: 99999 fails as a bug otherwise
    hosts = [f"[{part.hostname}]" if ":" in (part.hostname or "") else part.hostname for part in direct]
    return {"trust_env": False, "proxy": proxy, "mounts": {f"all://{host}": None for host in hosts}}


def _is_direct(host: str, place: str) -> bool:
    """Whether a host is asked without a proxy; `place` has its port too."""
    return host in LOOPBACK or bool(proxy_bypass(host) or proxy_bypass(place))


def _client(
    settings: Settings, transport: httpx.AsyncBaseTransport | None, proxies: Mapping[str, Any]
) -> httpx.AsyncClient:
    timeout = settings.connect_timeout
    return httpx.AsyncClient(
        # What a silence between reads means is judged in Body, which knows what has come.
        timeout=httpx.Timeout(
            connect=timeout, read=settings.idle_timeout, write=max(timeout, 60.0), pool=timeout
        ),
        limits=httpx.Limits(
            max_connections=settings.max_running + 16,
            max_keepalive_connections=20,
            keepalive_expiry=_IDLE_SECONDS,
        ),
        # Compressed and not flushed, an answer comes all at once, at its end (docs/wire.md §1.3).
        headers={"User-Agent": f"runapi-mcp/{__version__}", "Accept-Encoding": "identity"},
        # One client serves many keys; a cookie would tie their calls together.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # A key does not follow a redirect (docs/wire.md §1.2).
        follow_redirects=False,
        verify=_trust_nobody() if transport or _is_plain(settings) else tls_context(),
        transport=transport,
        **{"trust_env": False, **proxies},
    )


class _Unusable(httpx.AsyncBaseTransport):
    """No way to RunAPI."""

    def __init__(self, why: tuple[str, str]) -> None:
        self._what, self._advice = why

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise SettingsError(self._what, advice=self._advice)


def warm(settings: Settings) -> None:
    """Build in a thread what takes long to build and every client needs: which certificates to trust."""
    if not _is_plain(settings):
        threading.Thread(target=_warm, name="trusted certificates", daemon=True).start()


def _warm() -> None:
    with suppress(OSError):  # said by the first request instead
        tls_context()


def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of this process; waits if a thread is building it."""
    with _TRUST:
        return _build_tls_context()


@cache
def _build_tls_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.sslobject_class = _Resuming
    return context


class _Resuming(ssl.SSLObject):
    """A TLS connection that goes on from the session of the last one to the same host, if there was one.

    Neither httpx nor httpcore has a word for it, and Python's `ssl` resumes nothing by itself. It saves the
    server its signature and us its certificates, a round trip as well where it speaks TLS 1.2.
    """

    _begun = False

    def do_handshake(self) -> None:
        """Offer the session once: this is called until the handshake is over."""
        known = _SESSIONS.get(self.server_hostname or "")
        if known is not None and not self._begun:
            self.session = known
        self._begun = True
        super().do_handshake()

    def keep_session(self) -> None:
        """Keep the session for the next connection; in TLS 1.3 it comes with the first bytes of an answer."""
        session, host = self.session, self.server_hostname or ""
        if (
            session is not None
            and session.has_ticket
            and (host in _SESSIONS or len(_SESSIONS) < _MOST_SESSIONS)
        ):
            _SESSIONS[host] = session


def _trust_nobody() -> ssl.SSLContext:
    """Return a context for plain HTTP to this machine, which meets no certificate: it would accept none."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_plain(settings: Settings) -> bool:
    return urlsplit(settings.base_url).scheme == "http"


def new_request_id() -> str:
    """Return an id for one request."""
    return f"runapi-mcp-{uuid.uuid4().hex}"


def auth_header(auth: Auth, key: SecretStr) -> dict[str, str]:
    """Return the header that carries the key."""
    if auth == "bearer":
        return {"Authorization": f"Bearer {key.get_secret_value()}"}
    # What RunAPI shows for native (docs/wire.md §1.2).
    return {"x-goog-api-key": key.get_secret_value()}


class Connection:
    """What the transport tells of the connection that one request goes over: its `trace` extension.

    Attributes:
        is_new: Whether it was opened for this request, and not kept from another.
        at_proxy: Whether a proxy was asked for a tunnel and has not answered: nothing else was sent.
    """

    def __init__(self) -> None:
        self.is_new = False
        self.at_proxy = False
        self._silence: float | None = None
        self._tls: object = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Note that a connection is opened, directly or to a proxy; have it kept alive, its session kept."""
        if ".connect_tcp." in event:
            self.is_new = True
            if event.endswith(".complete"):
                keep_alive(info["return_value"].get_extra_info("socket"))
        elif event.endswith(".start_tls.complete"):
            self._tls = info["return_value"].get_extra_info("ssl_object")
        elif event.endswith(".send_request_headers.started"):
            self._note_request(info["request"])
        elif event.endswith(".receive_response_headers.complete"):
            self.at_proxy = False
            if isinstance(self._tls, _Resuming):
                self._tls.keep_session()

    def _note_request(self, request: Any) -> None:  # noqa: ANN401  # httpcore's
        """Let a proxy take as long to open a tunnel as a connection may: httpcore waits as for an answer."""
        self.at_proxy = request.method == b"CONNECT"
        allowed = request.extensions["timeout"]
        if self.at_proxy:
            self._silence, allowed["read"] = allowed["read"], allowed["connect"]
        elif self._silence is not None:
            self._silence, allowed["read"] = None, self._silence


def keep_alive(raw: socket.socket) -> None:
    """Have the system find out within a minute that a socket's peer is gone, as far as it can."""
    with suppress(OSError, AttributeError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            with suppress(OSError, AttributeError):
                raw.setsockopt(socket.IPPROTO_TCP, option, value)


# ---------------------------------------------------------------- bodies


def read_pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield a body's bytes; those of a compressed one in pieces of 64 KiB at most.

    For what is here nobody waits: whoever reads gives others their turns, as :func:`take_turns` does.

    We ask for no compression. Some proxies compress all the same, and httpx inflates whatever a piece
    holds at once, as often as the header says: ``gzip, gzip`` made 4 GB of 14 kB.

    Raises:
        ProtocolError: It is compressed more than once, or in another way than gzip or deflate.
    """
    # What `aiter_raw` would give, without counting. It is a generator, and wants to be closed as one.
    raw = cast("AsyncGenerator[bytes, None]", aiter(cast("httpx.AsyncByteStream", response.stream)))
    named = response.headers.get("content-encoding", "").lower().split(",")
    codings = [coding for coding in map(str.strip, named) if coding in _WINDOWS or coding in _UNREADABLE]
    if not codings:
        return raw
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        how = one_line(", ".join(codings), 60)
        raise ProtocolError(f"The answer is compressed ({how}), which was not asked for.")
    return _inflate(take_turns(raw), _WINDOWS[codings[0]])


async def take_turns(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the same pieces, with turns for others between them."""
    count = 0
    async with aclosing(pieces):
        async for piece in pieces:
            count += 1
            if count % CRUMBS_IN_A_ROW == 0:
                await anyio.lowlevel.checkpoint()
            yield piece


async def _inflate(raw: AsyncGenerator[bytes, None], window: int) -> AsyncGenerator[bytes, None]:
    inflater: Any = None
    ended, compressed = False, b""
    async with aclosing(raw):
        async for piece in raw:
            for at in range(0, len(piece), _INFLATED_IN_A_ROW):
                if at:
                    # Of members of a few bytes, one read holds thousands.
                    await anyio.lowlevel.checkpoint()
                compressed += piece[at : at + _INFLATED_IN_A_ROW]
                if inflater is None:
                    if len(compressed) < _ZLIB_HEADER:
                        continue
                    # Some servers take the word deflate for what it says, and leave out zlib's header.
                    headed = compressed[0] & 0x8F == 8 and int.from_bytes(compressed[:_ZLIB_HEADER]) % 31 == 0
                    bare = window == zlib.MAX_WBITS and not headed
                    inflater = zlib.decompressobj(-window if bare else window)
                inflated = b""
                while compressed or len(inflated) == _PIECE:
                    if inflater.eof:  # gzip may be written in several members, one after the other
                        inflater, ended = zlib.decompressobj(window), True
                    try:
                        inflated = inflater.decompress(compressed, _PIECE)
                    except zlib.error:
                        if ended:
                            return  # what stands after a whole one is padding
                        raise ProtocolError("The answer is compressed in a way it does not say.") from None
                    compressed = inflater.unconsumed_tail or inflater.unused_data
                    if inflated:
                        yield inflated


async def read_start(response: httpx.Response, limit: int) -> tuple[str, bool]:
    """Return up to `limit` bytes of a body as text and whether that is all of it; close the response.

    Raises:
        ProtocolError: It is compressed in a way that is not read; see :func:`read_pieces`.
    """
    body = bytearray()
    try:
        async with aclosing(take_turns(read_pieces(response))) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > limit:
                    break
    finally:
        await response.aclose()
    return body[:limit].decode("utf-8-sig", errors="replace"), len(body) <= limit
