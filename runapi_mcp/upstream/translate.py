"""httpx's exceptions and refusing responses → our errors; the border in one place.

Which exceptions prove that nothing was sent is the wire notes' §8.1. The messages are ours: httpx
puts header values, the key among them, into some of its own.
"""

import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from pydantic import SecretStr

from runapi_mcp.errors import (
    ProtocolError,
    SettingsError,
    Stalled,
    StreamCut,
    Unreachable,
    UpstreamError,
)

SAFE_TO_REPEAT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What proves that nothing was sent."""
_LONGEST_WAIT: Final = 86_400.0
_SHORTEST_KEY: Final = 8


@contextmanager
def translated(host: str, *, answering: bool) -> Iterator[None]:
    """Turn httpx's exceptions into ours; `answering` says whether a response had begun."""
    unwritten = () if answering else (httpx.InvalidURL, UnicodeError)
    try:
        yield
    except (httpx.HTTPError, *unwritten) as error:
        raise _ours(error, host, answering=answering) from None


def redacted(text: str, key: SecretStr) -> str:
    """Return `text` without the key, which some upstreams echo.

    What is shorter than any key is left alone: it would only spoil the text.
    """
    secret = key.get_secret_value()
    return text.replace(secret, "[key]") if len(secret) >= _SHORTEST_KEY else text


def _ours(error: Exception, host: str, *, answering: bool) -> UpstreamError | SettingsError:
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return Unreachable(f"{host} could not be reached in time.")
        case httpx.ProxyError():
            return Unreachable(f"The proxy on the way to {host} did not let the call through.",
                               advice="Check HTTPS_PROXY; nothing was sent.")  # fmt: skip
        case httpx.ConnectError():
            return Unreachable(f"{host} could not be reached{_why(error)}.")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL() | UnicodeError():
            return SettingsError(
                "The request could not be written; nothing was sent.",
                advice="Check RUNAPI_TOKEN and RUNAPI_BASE_URL.",
            )
        case httpx.DecodingError():
            return ProtocolError("RunAPI's answer is compressed in a way it does not say.")
        case httpx.ReadTimeout():
            return Stalled("RunAPI fell silent.")
    if answering:
        return StreamCut("The connection broke in the middle of the answer.")
    return StreamCut(
        "The connection broke before RunAPI answered; it may have done the work.",
        advice="It is not caused by the arguments; ask again.",
    )


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, at most a day; `None` if it is no wait."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            until = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        seconds = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)


def _why(error: httpx.ConnectError) -> str:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return ": its TLS certificate was not accepted"
            case ssl.SSLError():
                return ": it does not speak TLS as it should"
            case socket.gaierror():
                return ": its name was not found"
            case ConnectionRefusedError():
                return ": the connection was refused"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield what lies behind an exception; of several tries at once, the first."""
    while error is not None:
        yield error
        first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = first or error.__cause__ or error.__context__
