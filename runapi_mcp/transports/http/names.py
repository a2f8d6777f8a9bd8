"""Names of hosts and origins of web pages: what a setting allows, and what a request says.

Names have no case (RFC 9110, section 4.2.3), and people copy addresses from browsers and proxies: what
is meant beyond doubt is taken, what would never match is refused when the server starts.
"""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NAME: Final = re.compile(r"(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)")
_AUTHORITY: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_BARE_IPV6: Final = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*")
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
