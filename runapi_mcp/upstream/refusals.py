"""A response that is not the stream that was asked for → the error it stands for."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import ProtocolError, RateLimited, Unavailable, UpstreamError
from runapi_mcp.upstream.client import read_start
from runapi_mcp.upstream.redacting import redacted
from runapi_mcp.wire.faults import read_failure_body, refusal

Today = Callable[[], datetime]
"""The wall clock."""

_BODY_BYTES: Final = 65_536
_BODY_SECONDS: Final = 5.0
_LONGEST_WAIT: Final = 86_400.0


async def refused(response: httpx.Response, *, path: str, key: SecretStr, today: Today) -> UpstreamError:
    """Return the error that a response with another status than 200 stands for, and close it."""
    text = await _text(response)
    status = response.status_code
    if status < 300:
        return ProtocolError(f"RunAPI answered {status}, without a stream.")
    failure = read_failure_body(redacted(text, key))
    told = retry_after(response.headers.get("retry-after"), today())
    failure = replace(
        failure,
        message=redacted(failure.message, key),
        retry_after=failure.retry_after if told is None else told,
    )
    return refusal(failure, status, path=path)


def asked_wait(error: UpstreamError) -> float | None:
    """Return the wait that a refusal asks for, in seconds; `None` if waiting is not what it asks for."""
    waits = isinstance(error, RateLimited) or (isinstance(error, Unavailable) and error.status == 503)
    return error.retry_after if waits and not error.hopeless else None


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, at most a day; `None` if it is no wait.

    What is zero, negative or past asks for none: whoever took it for one would call again at once.
    """
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
    return min(seconds, _LONGEST_WAIT) if seconds > 0 else None


async def _text(response: httpx.Response) -> str:
    """Return the start of an error's body; if that cannot be had, the status speaks alone."""
    with anyio.move_on_after(_BODY_SECONDS), suppress(httpx.HTTPError):
        return (await read_start(response, _BODY_BYTES))[0]
    return ""
