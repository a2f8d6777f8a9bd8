"""Plain requests: is RunAPI there, does it look like itself, what is its clock; is a server of ours there."""

import ssl
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx

from runapi_mcp.errors import UpstreamError
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.http import new_client, read_pieces, read_start, take_turns
from runapi_mcp.upstream.translate import translate_errors

_SECONDS: Final = 15.0
_BYTES: Final = 4096
_MOST_BYTES: Final = 1 << 20
_ANSWERS: Final = (b'"result"', b'"error"', b"event: endpoint", b"event:endpoint")


@dataclass(frozen=True, slots=True)
class Probe:
    """What came back.

    Attributes:
        url: What was asked for.
        status: The HTTP status.
        html: Whether it is a page for people instead of JSON.
        start: The start of the body, untrusted.
        date: The `Date` header.
        seconds: How long it took.
        tls: The TLS version; empty without TLS.
        certificate_until: When the certificate ends, where that is known.
    """

    url: str
    status: int
    html: bool
    start: str
    date: datetime | None
    seconds: float
    tls: str = ""
    certificate_until: datetime | None = None


async def probe(settings: Settings, root: str) -> Probe:
    """Ask for the list of models at a chat path without a key, and return what came back, whatever it is.

    Raises:
        UpstreamError: Nothing came back within 15 seconds.
    """
    url = f"{settings.base_url}{root}/models"
    began = perf_counter()
    with translate_errors(httpx.URL(url).host, answering=False):
        try:
            async with new_client(settings) as client:
                with anyio.fail_after(_SECONDS):
                    response = await client.send(client.build_request("GET", url), stream=True)
                    body, _ = await read_start(response, _BYTES)
        except TimeoutError:
            raise UpstreamError(f"{httpx.URL(url).host} did not answer within {_SECONDS:g} s.") from None
    version, until = _tls(response)
    kind = response.headers.get("content-type", "").lower()
    html = "html" in kind or body.lstrip()[:9].lower().startswith(("<!doctype", "<html"))
    date = _date(response.headers.get("date"))
    return Probe(url, response.status_code, html, body, date, perf_counter() - began, version, until)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server on the network answered.

    Attributes:
        url: What was asked.
        status: The HTTP status.
        kind: The content type.
        body: The body, or its first event; untrusted.
        location: Where a redirect leads.
        session: The session that it is in.
    """

    url: str
    status: int
    kind: str
    body: str
    location: str = ""
    session: str = ""


async def ask_server(
    url: str, token: str, message: bytes | None, session: str = "", *, method: str = ""
) -> Reply:
    """Send an MCP server a message, or ask for its stream of events, and return what comes first.

    Raises:
        UpstreamError: Nothing came back within 15 seconds.
        SettingsError: The URL is none, or no request can be made.
    """
    headers = {"Accept": "application/json, text/event-stream" if message else "text/event-stream"}
    headers |= {"Content-Type": "application/json"} if message else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Mcp-Session-Id": session} if session else {}
    method = method or ("POST" if message else "GET")
    with translate_errors(urlsplit(url).hostname or url, answering=False):
        try:
            async with new_client(Settings(base_url=url)) as client:
                with anyio.fail_after(_SECONDS):
                    request = client.build_request(method, url, content=message, headers=headers)
                    response = await client.send(request, stream=True)
                    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                    body = await _first(response, events=kind == "text/event-stream")
        except TimeoutError:
            raise UpstreamError(f"{url} did not answer within {_SECONDS:g} s.") from None
    location, session = response.headers.get("location", ""), response.headers.get("mcp-session-id", "")
    return Reply(url, response.status_code, kind, body, location, session)


async def _first(response: httpx.Response, *, events: bool) -> str:
    """Return a body, or of a stream its first event that is more than a notification; close the response."""
    body = b""
    async with aclosing(take_turns(read_pieces(response))) as pieces:
        async for piece in pieces:
            body += piece
            whole = body.replace(b"\r", b"").rpartition(b"\n\n")[0]
            if len(body) > _MOST_BYTES or (events and any(word in whole for word in _ANSWERS)):
                break
    await response.aclose()
    return body[:_MOST_BYTES].decode(errors="replace")


def _date(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _tls(response: httpx.Response) -> tuple[str, datetime | None]:
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("ssl_object") if stream is not None else None
    if connection is None:
        return "", None
    until = (connection.getpeercert() or {}).get("notAfter")
    seconds = ssl.cert_time_to_seconds(until) if until else None
    return connection.version() or "TLS", None if seconds is None else datetime.fromtimestamp(seconds, UTC)
