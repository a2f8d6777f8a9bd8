"""How the server is reached over the network: a frozen value, checked when it is made."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from mcp.server.transport_security import TransportSecuritySettings

from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import LOOPBACK, MIB

_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to
_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


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
        stateless: Serve 2025-era clients without sessions, so that any replica can answer; their
            cancellations then arrive only as closed connections.
        max_body: The largest request.
        body_silence: How long a request's body may pause.
        body_seconds: How long it may take in all.
        head_seconds: How long a connection may take to send a request's head, or stay unused.
        max_sessions: 2025-era sessions open at once.
        max_connections: Connections open at once; beyond it, unused ones are closed for new ones.
        first_byte: When the response to a call begins at the latest.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    drain: float = 0.0
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    stateless: bool = False
    max_body: int = 64 * MIB
    body_silence: float = 10.0
    body_seconds: float = 120.0
    head_seconds: float = 20.0
    max_sessions: int = 2_000
    max_connections: int = 4_000
    first_byte: float = 0.25

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return _is_loopback(self.host)

    @property
    def security(self) -> TransportSecuritySettings:
        """The Host and Origin headers that are answered; the check is always on."""
        names = [*_LOOPBACK_NAMES, *self.allowed_hosts]
        if self.host not in _WILDCARDS:
            names.append(f"[{self.host}]" if ":" in self.host else self.host)
        pages = [f"{scheme}://{name}" for scheme in ("http", "https") for name in _LOOPBACK_NAMES]
        return TransportSecuritySettings(
            allowed_hosts=[*names, *(f"{name}:*" for name in names)],
            allowed_origins=[*self.allowed_origins, *pages, *(f"{page}:*" for page in pages)],
        )

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
        foreign = next((name for name in self.allowed_hosts if not _is_loopback(_without_port(name))), None)
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


def _without_port(name: str) -> str:
    """Return the host that a Host header names."""
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0] if name.count(":") == 1 else name
