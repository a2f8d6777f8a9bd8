"""Opening a stream: its request, a second try where nothing was sent, the waits that RunAPI asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import InputError, RateLimited, Stalled
from runapi_mcp.settings import Settings
from runapi_mcp.telemetry import trace_header
from runapi_mcp.upstream.client import REQUEST_ID, auth_header, new_request_id
from runapi_mcp.upstream.pacing import LONGEST, Pacing, paced_name
from runapi_mcp.upstream.refusals import Today, asked_wait, refused
from runapi_mcp.upstream.trace import Trace
from runapi_mcp.upstream.translate import SAFE_TO_REPEAT
from runapi_mcp.wire.documents import dumped
from runapi_mcp.wire.types import Request

_MOST_WAITS: Final = 2


@dataclass(frozen=True, slots=True)
class Asking:
    """One request on its way out.

    Attributes:
        request: What is sent.
        model: For which model.
        key: Whose key goes with it.
        trace: Where its course is noted.
        patience: Seconds that may go into waits that RunAPI asks for.
    """

    request: Request
    model: str
    key: SecretStr
    trace: Trace
    patience: float

    @property
    def paced(self) -> str:
        """Under which name it waits with others."""
        return paced_name(self.key, self.model)


class Opener:
    """Opens streams over one client."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: Settings,
        pacing: Pacing,
        clock: Callable[[], float],
        today: Today,
    ) -> None:
        self._client = client
        self._base_url = settings.base_url
        self._silence = settings.idle_timeout
        self._pacing = pacing
        self._clock = clock
        self._today = today

    async def open(self, asking: Asking) -> httpx.Response:
        """Return a response with status 200, waiting where RunAPI asks for it and there is time.

        Raises:
            InputError: The request cannot be written as JSON.
            UpstreamError: RunAPI refused, or asks for a longer wait than there is patience for.
        """
        content = _encoded(asking.request)
        until = self._clock() + asking.patience
        waits = 0
        while True:
            await self._keep_pace(asking, until)
            asking.trace.enter("connecting")
            response = await self._send(asking, content)
            if response.status_code == 200:
                return response
            error = await refused(response, path=asking.request.path, key=asking.key, today=self._today)
            seconds = asked_wait(error)
            if seconds and isinstance(error, RateLimited):
                await self._pacing.ask(asking.paced, min(seconds, LONGEST))
            if seconds is None or waits == _MOST_WAITS or self._clock() + seconds > until:
                raise error
            waits += 1
            await self._wait(seconds, asking.trace)

    async def _keep_pace(self, asking: Asking, until: float) -> None:
        """Wait out what RunAPI asked of another call with this key and model.

        Raises:
            RateLimited: That would take longer than there is patience for; nothing was sent.
        """
        seconds = await self._pacing.left(asking.paced)
        if seconds and self._clock() + seconds > until:
            raise RateLimited(
                f"RunAPI asked calls of this key and model to wait, {seconds:.0f} s more; nothing was sent.",
                advice="Call again after that.",
                retry_after=seconds,
            )
        if seconds:
            await self._wait(seconds, asking.trace)

    async def _send(self, asking: Asking, content: bytes) -> httpx.Response:
        """Send once, and once more where the first try proves that nothing was sent."""
        try:
            return await self._post(asking, content)
        except SAFE_TO_REPEAT:
            return await self._post(asking, content)

    async def _post(self, asking: Asking, content: bytes) -> httpx.Response:
        trace = asking.trace
        trace.requests += 1
        trace.request_id = new_request_id()
        headers = auth_header(asking.request.auth, asking.key) | {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Cache-Control": "no-store",
            REQUEST_ID: trace.request_id,
            **trace_header(),
        }
        url = self._base_url + asking.request.path
        post = self._client.build_request("POST", url, headers=headers, content=content)
        try:
            with anyio.fail_after(self._silence):
                return await self._client.send(post, stream=True)
        except TimeoutError:
            raise Stalled(f"RunAPI did not begin to answer for {self._silence:g} s.") from None

    async def _wait(self, seconds: float, trace: Trace) -> None:
        trace.waiting_until = self._clock() + seconds
        trace.enter("waiting")
        await anyio.sleep(seconds)
        trace.waited += seconds


def _encoded(request: Request) -> bytes:
    try:
        return dumped(request.body)
    except (ValueError, RecursionError):
        raise InputError(
            "The request holds a number that JSON cannot carry, or is nested too deeply."
        ) from None
