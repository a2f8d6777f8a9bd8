"""I/O only: one call's stream of events from RunAPI, and the list of its models.

httpx and httpx-sse live in this folder and nowhere else. What the bytes mean is `wire`'s business,
what becomes of the events the caller's. Every error that leaves is one of ours.
"""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import (
    DeadlinePassed,
    InputError,
    NotFound,
    ProtocolError,
    RateLimited,
    RunapiError,
    Stalled,
    Unavailable,
    UpstreamError,
)
from runapi_mcp.settings import LOOPBACK, Settings
from runapi_mcp.telemetry import trace_header
from runapi_mcp.upstream.answering import Answering
from runapi_mcp.upstream.body import Body, Limits
from runapi_mcp.upstream.client import auth_header, new_client, read_start
from runapi_mcp.upstream.pacing import MemoryPacing, Pacing, paced_name
from runapi_mcp.upstream.redirects import resolved
from runapi_mcp.upstream.trace import Phase, Trace
from runapi_mcp.upstream.translate import SAFE_TO_REPEAT, redacted, retry_after, translated
from runapi_mcp.wire import dialects
from runapi_mcp.wire.citations import REDIRECT_HOST
from runapi_mcp.wire.documents import dumped
from runapi_mcp.wire.faults import read_failure_body, refusal
from runapi_mcp.wire.listing import LiveModel, read_page
from runapi_mcp.wire.types import Auth, Call, DialectName, Event, Request

__all__ = ["Phase", "Trace", "Upstream"]

_ERROR_BODY_BYTES: Final = 65_536
_ERROR_BODY_SECONDS: Final = 5.0
_MOST_WAITS: Final = 2
_LIST_SECONDS: Final = 15.0
_LIST_BYTES: Final = 4 * 1024 * 1024
_MOST_PAGES: Final = 20


class Upstream:
    """RunAPI, over one process-wide client.

    Args:
        settings: Where RunAPI is, and the limits.
        clock: Seconds that only go forward.
        today: The wall clock, for waits that are given as a date.
        redirects_at: Where Google's redirect links are resolved, instead of at Google: a scheme and
            a host.
        pacing: Who has been asked to wait; by default, what this process knows.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
        redirects_at: str | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self._settings = settings
        self._pacing = pacing or MemoryPacing(clock)
        self._clock = clock
        self._today = today
        self._dialects = dialects(settings.chat_path)
        self._host = urlsplit(settings.base_url).netloc
        self._client = new_client(settings)
        self._limits = Limits(settings.max_event_bytes, settings.max_stream_bytes, settings.idle_timeout)
        self.listed: tuple[str, ...] = ()
        """Model ids of the last live list that the server's own key saw; empty before there was one."""
        simulated = urlsplit(settings.base_url).hostname in LOOPBACK
        self._redirects_at = redirects_at or (None if simulated else f"https://{REDIRECT_HOST}")

    @property
    def base_url(self) -> str:
        """Where RunAPI is."""
        return self._settings.base_url

    async def aclose(self) -> None:
        """Close the client and its idle connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def stream(
        self,
        call: Call,
        dialect: DialectName,
        *,
        key: SecretStr,
        trace: Trace,
        patience: float,
        within: float | None = None,
    ) -> AsyncIterator[AsyncGenerator[Event, None]]:
        """Ask for `call` and give an iterator over the events of the answer.

        Leaving the block closes the connection, whatever state the stream is in. `patience` is how
        many seconds may go into waits that RunAPI asks for (429 and 503, at most twice), `within` how
        many seconds all of it may take; by default, as long as the settings let one generation take.

        Raises:
            InputError: The dialect cannot carry the call.
            UpstreamError: No stream came. While iterating: it broke, stalled, or is no stream.
        """
        request = self._dialects[dialect].encode(call)
        with self._in_time(trace, self._settings.deadline if within is None else within):
            with self._translated(trace, answering=False):
                response = await self._open(request, key, trace, self._clock() + patience)
            trace.enter("open")
            try:
                body = Body(response, self._limits, trace, self._clock)
                answering = Answering(body, self._dialects[dialect].decoder(), request, trace, key)
                with self._translated(trace, answering=True):
                    async with aclosing(body), aclosing(answering.events()) as events:
                        yield events
                        await answering.drain()
            finally:
                await response.aclose()

    async def models(self, *, key: SecretStr) -> list[LiveModel]:
        """Return the live list of Gemini models.

        The OpenAI-style list is asked first, Google's where that path does not exist.

        Raises:
            UpstreamError: Neither list could be had.
        """
        try:
            found = (await self._page(f"{self._settings.chat_path}/models", "bearer", key))[0]
        except NotFound:
            found = await self._native_models(key)
        if key == self._settings.key:
            self.listed = tuple(model.id for model in found)
        return found

    async def redirects(self, links: Sequence[str]) -> dict[str, str]:
        """Return where Google's redirect links lead, those that say so within two seconds.

        The links of a RunAPI on this machine, which is a simulated one, lead nowhere and are not asked.
        """
        if self._redirects_at is None:
            return {}
        return await resolved(self._client, links, ask_at=self._redirects_at)

    async def _native_models(self, key: SecretStr) -> list[LiveModel]:
        found: list[LiveModel] = []
        token: str | None = ""
        for _ in range(_MOST_PAGES):
            query = f"?pageToken={quote(token, safe='')}" if token else ""
            page, token = await self._page(f"/v1beta/models{query}", "x-goog-api-key", key)
            found += page
            if not token:
                break
        return found

    # ------------------------------------------------------------ opening a stream

    async def _open(
        self, request: Request, key: SecretStr, trace: Trace, patient_until: float
    ) -> httpx.Response:
        """Return a response with status 200, waiting where RunAPI asks for it and there is time."""
        content = _encoded(request)
        waits = 0
        while True:
            await self._keep_pace(key, trace, patient_until)
            trace.enter("connecting")
            response = await self._send(request, content, key, trace)
            if response.status_code == 200:
                return response
            error = await self._refused(response, request.path, key, trace)
            seconds = _asked_wait(error)
            if seconds and isinstance(error, RateLimited):
                await self._pacing.ask(paced_name(key), seconds)
            if seconds is None or waits == _MOST_WAITS or self._clock() + seconds > patient_until:
                raise error
            waits += 1
            await self._wait(seconds, trace)

    async def _keep_pace(self, key: SecretStr, trace: Trace, patient_until: float) -> None:
        """Wait out what RunAPI asked of another call with this key.

        Raises:
            RateLimited: That would take longer than there is patience for; nothing was sent.
        """
        seconds = await self._pacing.left(paced_name(key))
        if seconds and self._clock() + seconds > patient_until:
            raise RateLimited(
                f"RunAPI asked this key to wait, {seconds:.0f} s more; nothing was sent.",
                advice="Call again after that.",
                retry_after=seconds,
            )
        if seconds:
            await self._wait(seconds, trace)

    async def _send(self, request: Request, content: bytes, key: SecretStr, trace: Trace) -> httpx.Response:
        """Send once, and once more where the first try proves that nothing was sent."""
        try:
            return await self._post(request, content, key, trace)
        except SAFE_TO_REPEAT:
            return await self._post(request, content, key, trace)

    async def _post(self, request: Request, content: bytes, key: SecretStr, trace: Trace) -> httpx.Response:
        trace.requests += 1
        trace.request_id = f"runapi-mcp-{uuid.uuid4().hex}"
        headers = auth_header(request.auth, key) | {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Client-Request-Id": trace.request_id,
            **trace_header(),
        }
        url = self._settings.base_url + request.path
        post = self._client.build_request("POST", url, headers=headers, content=content)
        silence = self._settings.idle_timeout
        try:
            with anyio.fail_after(silence):
                return await self._client.send(post, stream=True)
        except TimeoutError:
            raise Stalled(f"RunAPI did not begin to answer for {silence:g} s.") from None

    async def _wait(self, seconds: float, trace: Trace) -> None:
        trace.waiting_until = self._clock() + seconds
        trace.enter("waiting")
        await anyio.sleep(seconds)
        trace.waited += seconds

    async def _refused(
        self, response: httpx.Response, path: str, key: SecretStr, trace: Trace
    ) -> UpstreamError:
        """Return the error that a response other than 200 stands for, and close it."""
        text = await _error_text(response)
        status = response.status_code
        if status < 300:
            return ProtocolError(f"RunAPI answered {status}, without a stream.")
        failure = read_failure_body(redacted(text, key))
        told = retry_after(response.headers.get("retry-after"), self._today())
        failure = replace(
            failure,
            message=redacted(failure.message, key),
            retry_after=failure.retry_after if told is None else told,
        )
        return refusal(failure, status, request_id=trace.request_id or "", path=path)

    # ------------------------------------------------------------ the list

    async def _page(self, path: str, auth: Auth, key: SecretStr) -> tuple[list[LiveModel], str | None]:
        """Return one page of a list and the token of the next.

        Raises:
            UpstreamError: It could not be had, is larger than 4 MiB, or is no list.
        """
        trace = Trace(request_id=f"runapi-mcp-{uuid.uuid4().hex}")
        headers = auth_header(auth, key) | {"X-Client-Request-Id": trace.request_id or ""}
        get = self._client.build_request("GET", self._settings.base_url + path, headers=headers)
        with self._translated(trace, answering=False):
            try:
                with anyio.fail_after(_LIST_SECONDS):
                    text = await self._body_of(get, path, key, trace)
            except TimeoutError:
                raise Stalled(f"RunAPI did not send its list of models within {_LIST_SECONDS:g} s.") from None
            return read_page(redacted(text, key))

    async def _body_of(self, get: httpx.Request, path: str, key: SecretStr, trace: Trace) -> str:
        response = await self._client.send(get, stream=True)
        if response.status_code != 200:
            raise await self._refused(response, path, key, trace)
        text, whole = await read_start(response, _LIST_BYTES)
        if not whole:
            raise ProtocolError(f"RunAPI sent more than {_LIST_BYTES} bytes as its list of models.")
        return text

    @contextmanager
    def _in_time(self, trace: Trace, seconds: float) -> Iterator[None]:
        """End what takes longer, whatever it is waiting for."""
        with anyio.move_on_after(max(seconds, 0.0)) as scope:
            yield
        if scope.cancelled_caught:
            begun = trace.phase == "open"
            what = "The generation ran into" if begun else "RunAPI had not begun to answer by"
            raise DeadlinePassed(f"{what} this server's deadline.", request_id=trace.request_id)

    @contextmanager
    def _translated(self, trace: Trace, *, answering: bool) -> Iterator[None]:
        """Translate httpx's exceptions, and name the request in the errors that can carry it."""
        try:
            with translated(self._host, answering=answering):
                yield
        except RunapiError as error:
            # httpx's own exception may hold the key, in its text or in the request it carries.
            error.__context__ = None
            if isinstance(error, UpstreamError):
                error.request_id = error.request_id or trace.request_id
            raise


def _encoded(request: Request) -> bytes:
    try:
        return dumped(request.body)
    except (ValueError, RecursionError):
        raise InputError(
            "The request holds a number that JSON cannot carry, or is nested too deeply."
        ) from None


def _asked_wait(error: UpstreamError) -> float | None:
    """Return the wait that a refusal asks for; `None` if waiting is not what it asks for."""
    waits = isinstance(error, RateLimited) or (isinstance(error, Unavailable) and error.status == 503)
    return error.retry_after if waits and not error.hopeless else None


async def _error_text(response: httpx.Response) -> str:
    """Return the start of an error's body; if that cannot be had, the status speaks alone."""
    with anyio.move_on_after(_ERROR_BODY_SECONDS), suppress(httpx.HTTPError):
        return (await read_start(response, _ERROR_BODY_BYTES))[0]
    return ""
