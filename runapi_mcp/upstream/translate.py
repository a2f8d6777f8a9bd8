"""What went wrong on the way to RunAPI, as our errors: httpx's exceptions, and HTTP's refusals.

The border is in one place. Which exceptions prove that nothing was sent: docs/wire.md §7.2. The
messages are ours: httpx puts header values, the key among them, into some of its own.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import (
    ProtocolError,
    RunapiError,
    SettingsError,
    Stalled,
    StreamCut,
    Unreachable,
    UpstreamError,
)
from runapi_mcp.upstream.http import Trace, read_start
from runapi_mcp.upstream.redact import redact
from runapi_mcp.wire.faults import read_failure_body
from runapi_mcp.wire.refusals import refusal

SAFE_TO_REPEAT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What proves that nothing was sent."""
_AGAIN: Final = (
    "It is not caused by the arguments; ask again, and check RUNAPI_BASE_URL if it happens every time."
)


@contextmanager
def translate_errors(host: str, *, answering: bool, trace: Trace | None = None) -> Iterator[None]:
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
        case httpx.ReadTimeout():
            return Stalled("RunAPI fell silent.")
    if begun:
        return StreamCut("The connection broke in the middle of the answer.")
    if not answering and _is_malformed(error):
        return ProtocolError(f"What answered at {host} does not speak HTTP as it should.")
    what = "anything of the answer came" if answering else "RunAPI answered"
    return StreamCut(f"The connection broke before {what}; it may have done the work.", advice=_AGAIN)


def _is_malformed(error: Exception) -> bool:
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


Today = Callable[[], datetime]
"""The wall clock."""


def utc_now() -> datetime:
    """Return what the machine's wall clock says, in UTC."""
    return datetime.now(UTC)


_BODY_BYTES: Final = 65_536
_BODY_SECONDS: Final = 5.0
_LONGEST_WAIT: Final = 86_400.0


async def read_refusal(response: httpx.Response, *, path: str, key: SecretStr, today: Today) -> UpstreamError:
    """Return the error that a response with another status than 200 stands for, and close it."""
    text = await _text(response)
    status = response.status_code
    if status < 300:
        return ProtocolError(f"RunAPI answered {status}, without a stream.")
    failure = read_failure_body(redact(text, key))
    # Google has the wait in the body; where both are, the header's counts (docs/wire.md §3.3).
    told = read_retry_after(response.headers, today())
    failure = replace(
        failure,
        message=redact(failure.message, key),
        retry_after=failure.retry_after if told is None else told,
    )
    return refusal(failure, status, path=path)


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a response's headers ask for, at most a day; `None` if they ask for no wait.

    ``retry-after-ms`` is Azure's and LiteLLM's, ``Retry-After`` seconds or a date. What is zero, negative
    or past asks for none: whoever took it for one would call again at once.
    """
    exact, header = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    seconds = _number(exact) / 1000 or _number(header)
    if not seconds and header:
        with suppress(ValueError, OverflowError):
            until = parsedate_to_datetime(header)
            seconds = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds()
    return min(seconds, _LONGEST_WAIT) if seconds > 0 else None


def _number(header: str) -> float:
    """Return a header as a number above zero; 0 if it is none."""
    try:
        number = float(header)
    except ValueError:
        return 0.0
    return number if number > 0 else 0.0


async def _text(response: httpx.Response) -> str:
    """Return the start of an error's body; if that cannot be had, the status speaks alone."""
    with anyio.move_on_after(_BODY_SECONDS), suppress(httpx.HTTPError, ProtocolError):
        return (await read_start(response, _BODY_BYTES))[0]
    return ""
