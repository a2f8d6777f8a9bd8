"""How the server is reached over the network: the flags of ``runapi-mcp serve``, and what they come to.

Names have no case (RFC 9110, section 4.2.3), and people copy addresses from browsers and proxies: what is
meant beyond doubt is taken, what would never match is refused when the server starts.
"""

import argparse
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import LOOPBACK, MIB, read_base_url

if TYPE_CHECKING:
    from runapi_mcp.transports.http.auth import Auth, JwtAuth

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NAME: Final = re.compile(r"(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)")
_AUTHORITY: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_BARE_IPV6: Final = re.compile(r"(?=[^:]*:[^:]*:)[0-9a-f:.]++")
_HOST_CHARS: Final = 300
"""Of a name (RFC 1035: 253) or an address, its port, and some spare; requests say of these what they like."""
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")
_PREFIX_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class HostName:
    """A name or address in small letters, IPv6 in brackets, and a port if one was given."""

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a Host header says.

        Raises:
            ValueError: It is no host.
        """
        text = text.strip().lower()
        if len(text) > _HOST_CHARS:
            raise ValueError("a name or an address, with a port if need be")
        if _BARE_IPV6.fullmatch(text):
            text = f"[{text}]"
        parts = _AUTHORITY.fullmatch(text)
        name = parts[1].removesuffix(".") if parts else ""
        if parts is None or not _NAME.fullmatch(name):
            raise ValueError("a name or an address, with a port if need be")
        return cls(name, int(parts[2]) if parts[2] else None)

    def allows(self, named: "HostName") -> bool:
        """Whether a request that names a host so means this one: any port of it, if this has none."""
        if self.name != named.name:
            return False
        # Clients leave a scheme's own port out.
        return self.port is None or named.port == self.port or (named.port is None and self.port in {80, 443})

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


def read_allowed_host(text: str) -> str:
    """Return the name that a setting means; of a URL its host.

    Raises:
        ValueError: It names no host, with what would be one.
    """
    text = text.strip()
    if "*" in text:
        raise ValueError("one name each; there are no wildcards")
    if "://" in text:
        parts = urlsplit(text)
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"the name alone, such as {parts.hostname or 'mcp.example.com'}")
        text = parts.netloc
    text = text.rstrip("/")
    if not text.isascii():
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            raise ValueError("a name or an address, with a port if need be") from None
    return str(HostName.parse(text))


def read_origin(text: str) -> str:
    """Return an origin as browsers send it: small letters, no port where it is the scheme's own, no path.

    Raises:
        ValueError: It is none, with what would be one.
    """
    if len(text) > 2 * _HOST_CHARS:
        raise ValueError("a page's origin, such as https://app.example.com")
    scheme, separator, rest = text.strip().lower().partition("://")
    rest = rest.rstrip("/")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ValueError("a page's origin, such as https://app.example.com; there are no wildcards")
    if not rest.isascii():
        try:
            rest = rest.encode("idna").decode()
        except UnicodeError:
            raise ValueError("a page's origin, such as https://app.example.com") from None
    try:
        host = HostName.parse(rest)
    except ValueError:
        example = f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
        if "*" in rest:
            raise ValueError("one page's origin each; there are no wildcards") from None
        raise ValueError(f"an origin without a path, such as {example}") from None
    if host.port == _DEFAULT_PORTS.get(scheme):
        host = HostName(host.name)
    return f"{scheme}://{host}"


def is_page_of_this_machine(origin: str) -> bool:
    """Whether an origin, as :func:`read_origin` returns it, is of the loopback, on whatever port."""
    scheme, _, host = origin.partition("://")
    return scheme in {"http", "https"} and HostName.parse(host).name in LOOPBACK_NAMES


def read_prefix(text: str) -> str:
    """Return the path that a proxy takes away, with a slash before it and none behind; "" for none.

    Raises:
        ValueError: It is no plain path.
    """
    segments = [segment for segment in text.strip().split("/") if segment]
    plain = all(_SEGMENT.fullmatch(segment) and segment.strip(".") for segment in segments)
    if not plain or len(text) > _PREFIX_CHARS or "://" in text:
        raise ValueError("a path, such as /runapi")
    return "".join(f"/{segment}" for segment in segments)


# ---------------------------------------------------------------- how it is reached


MOST_WORKERS: Final = 64
_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Where to listen, whom to answer, and the limits. Times are seconds, sizes bytes.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        drain: What calls in progress get when the server is told to stop.
        allowed_hosts: Names the server is reached by, besides those of this machine; with a port
            only that port, without one any. They need a way to tell callers apart.
        allowed_origins: Origins of web pages that may call, besides those of this machine.
        path_prefix: What a proxy takes away from the front of paths.
        trusted_proxies: Addresses and networks whose ``X-Forwarded-Prefix`` counts, besides this machine.
        stateless: Serve 2025-era clients without sessions, so that any replica can answer; their
            cancellations then arrive only as closed connections.
        max_body: The largest request.
        max_bodies: Bodies that may be on their way at once; beyond it, the one that paused longest goes.
        body_silence: How long a request's body may pause.
        body_seconds: How long it may take in all.
        head_seconds: How long a connection may take to send a request's head, or stay unused.
        max_sessions: 2025-era sessions and older clients' streams open at once, each; beyond it, idle
            sessions of whoever has most of them go.
        max_connections: Connections open at once; beyond it, unused ones are closed for new ones.
        ready_grace: How long the store or the key may be missing before ``/readyz`` says so.
        workers: Processes that serve; each is one for itself in all the limits here.
        first_byte: When the response to a call begins at the latest.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    drain: float = 0.0
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    path_prefix: str = ""
    trusted_proxies: tuple[str, ...] = ()
    stateless: bool = False
    max_body: int = 64 * MIB
    max_bodies: int = 256
    body_silence: float = 10.0
    body_seconds: float = 120.0
    head_seconds: float = 20.0
    max_sessions: int = 2_000
    max_connections: int = 4_000
    ready_grace: float = 30.0
    workers: int = 1
    first_byte: float = 0.25

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return _is_loopback(self.host)

    def __post_init__(self) -> None:
        """Bring names, origins and the prefix into one form.

        Raises:
            SettingsError: One of them could never match.
        """
        names = tuple(_read("--allowed-host", name, read_allowed_host) for name in self.allowed_hosts)
        pages = tuple(_read("--allowed-origin", page, read_origin) for page in self.allowed_origins)
        proxies = tuple(_read("--trusted-proxy", net, _read_network) for net in self.trusted_proxies)
        object.__setattr__(self, "allowed_hosts", names)
        object.__setattr__(self, "allowed_origins", pages)
        object.__setattr__(self, "trusted_proxies", proxies)
        object.__setattr__(self, "path_prefix", _read("--path-prefix", self.path_prefix, read_prefix))

    @property
    def names(self) -> tuple[HostName, ...]:
        """The hosts that requests may name; the check is always on."""
        names = [*LOOPBACK_NAMES, *self.allowed_hosts]
        if self.host not in _WILDCARDS:
            names.append(self.host)
        return tuple(HostName.parse(name) for name in names)

    def allows_page(self, origin: str) -> bool:
        """Whether a page with this Origin header may call, and read what it is answered."""
        try:
            page = read_origin(origin)
        except ValueError:
            return False
        return page in self.allowed_origins or is_page_of_this_machine(page)

    def trusts(self, address: str) -> bool:
        """Whether what a proxy at this address says of itself counts: this machine's own does."""
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return peer.is_loopback or any(peer in ipaddress.ip_network(net) for net in self.trusted_proxies)

    def need_auth(self, *, chosen: bool) -> None:
        """Refuse to be reachable from other machines by everyone.

        Raises:
            SettingsError: It would be, and no way to tell callers apart was chosen.
        """
        if not self.loopback and not chosen:
            raise SettingsError(
                f"--host {self.host} can be reached from other machines, and everyone who reaches it could "
                "spend your RunAPI credit.",
                advice="Choose who may call: --auth token (bearer tokens that you hand out), --auth key "
                "(each caller brings a RunAPI key of their own) or --auth jwt (tokens of your identity "
                "provider).",
            )
        foreign = next((name for name in self.allowed_hosts if not _is_loopback(_bare(name))), None)
        if foreign is not None and not chosen:
            raise SettingsError(
                f"--allowed-host {foreign} lets in what was sent to another name than this machine's "
                "own, and everyone who can send one could spend your RunAPI credit.",
                advice="Choose who may call with --auth token, --auth key or --auth jwt, or leave "
                "--allowed-host out.",
            )


def _is_loopback(host: str) -> bool:
    if host.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bare(name: str) -> str:
    """Return a host without its port and brackets."""
    return HostName.parse(name).name.strip("[]")


def _read_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError("an address or a network, such as 10.0.0.0/8") from None


def _read(flag: str, text: str, read: Callable[[str], str]) -> str:
    try:
        return read(text)
    except ValueError as wanted:
        raise SettingsError(f"{flag} is {text[:200]!r}.", advice=f"It takes {wanted}.") from None


# ---------------------------------------------------------------- the flags


TOKENS: Final = "RUNAPI_MCP_TOKENS"
"""The variable that may hold what the file of ``--tokens`` does."""
_OPTIONS: Final = (
    "host", "port", "drain", "allowed_hosts", "allowed_origins", "path_prefix", "trusted_proxies",
    "stateless", "ready_grace", "workers",
)  # fmt: skip
_AUTH: Final = ("auth", "tokens", "issuer", "audience", "jwks_url", "public_url")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what ``serve`` takes; a flag that is not given leaves no trace."""
    parser.add_argument("--http", action="store_true", help="serve over the network instead of stdio")
    add = parser.add_argument_group("with --http", argument_default=argparse.SUPPRESS).add_argument
    add("--host", help="address to listen on; one that others reach needs --auth. Default: 127.0.0.1")
    add("--port", type=_port, help="port to listen on; 0 for any free one. Default: 8080")
    add("--workers", type=_workers, metavar="N", help="processes that serve, one a core. Default: 1")
    add("--drain", type=_seconds, metavar="S", help="seconds live calls get at the end. Default: 0")
    add(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        metavar="NAME",
        help="a name it is reached by, besides this machine's; needs --auth; may be given again",
    )
    add(
        "--allowed-origin",
        dest="allowed_origins",
        action="append",
        metavar="URL",
        help="a web page's origin that may call; may be given again",
    )
    add("--path-prefix", metavar="PATH", help="what a proxy takes away from paths, such as /runapi")
    add(
        "--trusted-proxy",
        dest="trusted_proxies",
        action="append",
        metavar="NET",
        help="a proxy's address or network, whose X-Forwarded-Prefix counts; may be given again",
    )
    add(
        "--ready-grace",
        type=_seconds,
        metavar="S",
        help="seconds the store or the key may be missing before /readyz is 503. Default: 30",
    )
    add("--stateless", action="store_true", help="no sessions for 2025-era clients: any replica may answer")
    _add_auth_flags(parser)


def _add_auth_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("who may call", argument_default=argparse.SUPPRESS).add_argument
    add(
        "--auth",
        choices=("token", "key", "jwt"),
        help="token: bearer tokens that you hand out; key: each caller brings a RunAPI key; "
        "jwt: tokens of an identity provider",
    )
    add("--tokens", metavar="FILE", help=f"for token: NAME:TOKEN, one a line; or the same in {TOKENS}")
    add("--issuer", metavar="URL", help="for jwt: who makes the tokens")
    add("--audience", metavar="X", help="for jwt: whom they are for; best the URL of this server's /mcp")
    add("--jwks-url", metavar="URL", help="for jwt: where the issuer's keys are, if it does not say itself")
    add("--public-url", metavar="URL", help="for jwt: the URL of this server's /mcp. Default: --audience")


def options_from(
    given: argparse.Namespace, env: Mapping[str, str]
) -> "tuple[HttpOptions, Auth | None] | None":
    """Return the options that the flags stand for, and who may call; `None` is stdio.

    Raises:
        SettingsError: They do not fit together, or would let everyone in.
    """
    chosen = {name: getattr(given, name) for name in (*_OPTIONS, *_AUTH) if hasattr(given, name)}
    if not getattr(given, "http", False):
        if chosen:
            raise SettingsError(f"{', '.join(chosen)}: of use with --http only.", advice="Add --http.")
        return None
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in chosen.items()
        if name in _OPTIONS
    }
    options = HttpOptions(**values)
    options.need_auth(chosen="auth" in chosen)
    return options, _auth(chosen, env)


def _auth(chosen: Mapping[str, str], env: Mapping[str, str]) -> "Auth | None":
    needed = {"tokens": "token", "issuer": "jwt", "audience": "jwt", "jwks_url": "jwt", "public_url": "jwt"}
    for flag, kind in needed.items():
        if flag in chosen and chosen.get("auth") != kind:
            name = flag.replace("_", "-")
            raise SettingsError(f"--{name} is of use with --auth {kind} only.", advice=f"Add --auth {kind}.")
    match chosen.get("auth"):
        case "token":
            from runapi_mcp.transports.http.tokens import TokenFile, TokenList

            return TokenFile(chosen["tokens"]) if "tokens" in chosen else TokenList.read(env.get(TOKENS, ""))
        case "key":
            from runapi_mcp.transports.http.auth import CallersKeys

            return CallersKeys()
        case "jwt":
            return _jwt(chosen)
        case _:
            return None


def _jwt(chosen: Mapping[str, str]) -> "JwtAuth":
    from runapi_mcp.transports.http.auth import JwtAuth

    if "issuer" not in chosen or "audience" not in chosen:
        raise SettingsError("--auth jwt needs to know whose tokens.", advice="Add --issuer and --audience.")
    urls = {
        "issuer": chosen["issuer"],
        "public-url": chosen.get("public_url", chosen["audience"]),
        **({"jwks-url": chosen["jwks_url"]} if "jwks_url" in chosen else {}),
    }
    for name, url in urls.items():
        try:
            read_base_url(url)
        except ValueError as wanted:
            raise SettingsError(f"--{name} is {url!r}.", advice=f"It takes {wanted}.") from None
    return JwtAuth(chosen["issuer"], chosen["audience"], urls["public-url"], chosen.get("jwks_url"))


def _number(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise argparse.ArgumentTypeError(f"a number from {low:g} to {high:g}")
        return value

    return number


_seconds = _number(0, 3600)


def _workers(text: str) -> int:
    return int(_number(1, MOST_WORKERS)(text))


def _port(text: str) -> int:
    return int(_number(0, 65535)(text))
