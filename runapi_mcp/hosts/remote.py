"""A server that already runs somewhere, as each host's config names it: a URL, and a header for its token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from runapi_mcp.errors import InputError
from runapi_mcp.wire.types import JsonObject, JsonValue

HEADER: Final = "Authorization"
BEARER: Final = "Bearer "
NAMES: Final = ("url", "serverUrl", "httpUrl", "uri")
"""What hosts call the URL."""
_NO_URL: Final = "--url: it must be an address such as https://mcp.example.com/mcp."
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Remote:
    """A server on the network.

    Attributes:
        url: Where its MCP endpoint is.
        variable: The variable that holds the token it asks for; empty if it asks for none.
        token: What stands for the token in the config: a reference to the variable, or the token.
        events: Whether the host takes it for one of the older SSE.
        off: Whether the config switches it off.
    """

    url: str
    variable: str = ""
    token: str = ""
    events: bool = False
    off: bool = False

    @property
    def headers(self) -> JsonObject:
        """What a request carries, as most hosts write it; nothing without a token."""
        return {"headers": {HEADER: f"{BEARER}{self.token}"}} if self.token else {}


RemoteShape: TypeAlias = Callable[[Remote], JsonObject]


def remote_of(entry: JsonValue, usual: JsonObject) -> Remote | None:
    """Return the server on the network that a host's entry names; `None` if it names none.

    Args:
        entry: The entry.
        usual: One as the host takes it for Streamable HTTP.
    """
    if not isinstance(entry, dict):
        return None
    url = next((value for name in NAMES if isinstance(value := entry.get(name), str)), "")
    if not url:
        return None
    headers = entry.get("headers")
    said = next(
        (
            value
            for name, value in (headers.items() if isinstance(headers, dict) else ())
            if name.lower() == HEADER.lower() and isinstance(value, str)
        ),
        "",
    )
    variable = entry.get("bearer_token_env_var")
    token = said[len(BEARER) :].strip() if said.lower().startswith(BEARER.lower()) else ""
    kind = entry.get("type")
    # Gemini CLI takes `url`, and Cline one without a type, for the older SSE.
    typed_apart = "httpUrl" in usual or usual.get("type") == "streamableHttp"
    older = kind is None and typed_apart and "httpUrl" not in entry
    events = kind == "sse" or older or url.partition("?")[0].rstrip("/").endswith("/sse")
    off = entry.get("disabled") is True or entry.get("enabled") is False
    return Remote(url, variable if isinstance(variable, str) else "", token, events, off)


def read_url(text: str) -> str:
    """Return the URL of an MCP endpoint.

    Raises:
        InputError: It is none, or holds a password.
    """
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise InputError(_NO_URL, advice="") from None
    if not host or url.scheme not in ("http", "https") or any(c.isspace() for c in text):
        raise InputError(_NO_URL, advice="")
    if url.username or url.password:
        raise InputError("--url: a password does not belong in it.", advice="Name its variable: --token-env.")
    return text


def sends_in_the_open(url: str) -> bool:
    """Whether what is sent to a URL can be read on the way: plain http, to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOCAL


def plain(remote: Remote) -> JsonObject:
    """url, headers."""
    return {"url": remote.url, **remote.headers}


def typed(remote: Remote) -> JsonObject:
    """The same with `type`."""
    return {"type": "http", "url": remote.url, **remote.headers}


def custom(remote: Remote) -> JsonObject:
    """Zed's: the same with `source`."""
    return {"source": "custom", "url": remote.url, **remote.headers}


def windsurf(remote: Remote) -> JsonObject:
    """Windsurf's, which calls the URL `serverUrl`."""
    return {"serverUrl": remote.url, **remote.headers}


def cline(remote: Remote) -> JsonObject:
    """Cline's, which takes a URL without this type for the older SSE."""
    return {"type": "streamableHttp", "url": remote.url, **remote.headers}


def codex(remote: Remote) -> JsonObject:
    """Codex's, which makes the header itself from a variable."""
    return {"url": remote.url, **({"bearer_token_env_var": remote.variable} if remote.variable else {})}


def gemini_cli(remote: Remote) -> JsonObject:
    """Gemini CLI's, to which `url` is the older SSE."""
    return {"httpUrl": remote.url, **remote.headers}


def goose(remote: Remote) -> JsonObject:
    """Goose's extension, which fills its headers in from the variables that are named beside them."""
    entry: JsonObject = {
        "enabled": True,
        "type": "streamable_http",
        "name": "runapi",
        "description": "Gemini through RunAPI",
        "uri": remote.url,
        "timeout": 300,
    }
    named: JsonObject = {"env_keys": [remote.variable]} if remote.variable else {}
    return entry | remote.headers | named


def opencode(remote: Remote) -> JsonObject:
    """Opencode's."""
    return {"type": "remote", "url": remote.url, "enabled": True, **remote.headers}
