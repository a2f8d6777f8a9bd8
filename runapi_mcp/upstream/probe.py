"""One plain request to RunAPI, without the key: is it there, does it look like itself, what is its clock."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Final

import anyio
import httpx

from runapi_mcp.errors import UpstreamError
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.http import new_client, read_start
from runapi_mcp.upstream.translate import translate_errors

_SECONDS: Final = 15.0
_BYTES: Final = 4096


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
