"""How the server is reached over the network: a frozen value, checked when it is made."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import LOOPBACK, MIB
from runapi_mcp.transports.http.names import (
    LOOPBACK_NAMES,
    HostName,
    is_page_of_this_machine,
    read_allowed_host,
    read_origin,
    read_prefix,
)

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
