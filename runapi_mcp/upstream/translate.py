"""httpx's exceptions → our errors; the border in one place.

Which exceptions prove that nothing was sent is the wire notes' §8.1. The messages are ours: httpx
puts header values, the key among them, into some of its own.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from runapi_mcp.errors import (
    ProtocolError,
    RunapiError,
    SettingsError,
    Stalled,
    StreamCut,
    Unreachable,
    UpstreamError,
)
from runapi_mcp.upstream.trace import Trace

SAFE_TO_REPEAT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What proves that nothing was sent."""
_AGAIN: Final = (
    "It is not caused by the arguments; ask again, and check RUNAPI_BASE_URL if it happens every time."
)


@contextmanager
def translated(host: str, *, answering: bool, trace: Trace | None = None) -> Iterator[None]:
    """Turn httpx's exceptions into ours, and name the request in the errors that can carry it.

    Args:
        host: What was asked.
        answering: Whether a response had begun.
        trace: Where the request's id stands, and how much of the answer has come.
    """
    unwritten = () if answering else (httpx.InvalidURL, UnicodeError)
    try:
        try:
            yield
        except (httpx.HTTPError, *unwritten) as error:
            begun = answering and (trace is None or trace.received > 0)
            raise _ours(error, host, answering=answering, begun=begun) from None
    except RunapiError as error:
        # httpx's own exception may hold the key, in its text or in the request it carries.
        error.__context__ = None
        if trace and isinstance(error, UpstreamError):
            error.request_id = error.request_id or trace.request_id
        raise


def _ours(error: Exception, host: str, *, answering: bool, begun: bool) -> UpstreamError | SettingsError:
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
    if begun:
        return StreamCut("The connection broke in the middle of the answer.")
    if not answering and _malformed(error):
        return ProtocolError(f"What answered at {host} does not speak HTTP as it should.")
    what = "anything of the answer came" if answering else "RunAPI answered"
    return StreamCut(f"The connection broke before {what}; it may have done the work.", advice=_AGAIN)


def _malformed(error: Exception) -> bool:
    """Whether something came that is not HTTP.

    httpcore hands on what its parser raised; that nothing came to be parsed it says in words of its own.
    """
    cause = error.__cause__ if isinstance(error, httpx.RemoteProtocolError) else None
    return cause is not None and any(isinstance(part, Exception) for part in cause.args)


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
