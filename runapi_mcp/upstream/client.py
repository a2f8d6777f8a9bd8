"""I/O only: one call's stream of events from RunAPI, and the list of its models.

httpx and httpx-sse live in this folder and nowhere else. What the bytes mean is `wire`'s business,
what becomes of the events the caller's. Every error that leaves is one of ours.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import DeadlinePassed, RequestRefused
from runapi_mcp.settings import LOOPBACK, Settings
from runapi_mcp.upstream.http import Phase, Trace, new_client
from runapi_mcp.upstream.model_list import Lists, LiveModel
from runapi_mcp.upstream.pacing import MemoryPacing, Pacing
from runapi_mcp.upstream.prices import PriceBook
from runapi_mcp.upstream.stream import Answering, Asking, Body, Limits, Opener
from runapi_mcp.upstream.translate import translate_errors
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.grounding import REDIRECT_HOST, is_redirect
from runapi_mcp.wire.spelling import find_narrower, spell
from runapi_mcp.wire.types import Call, DialectName, Event, Spelling

__all__ = ["Phase", "Trace", "Upstream"]

_MOST_SPELLINGS: Final = 200


class Upstream:
    """RunAPI, over one process-wide client.

    Args:
        settings: Where RunAPI is, and the limits.
        clock: Seconds that only go forward.
        today: The wall clock, for waits that are given as a date.
        redirects_at: Where Google's redirect links are resolved, instead of at Google: a scheme and
            a host.
        pacing: Who has been asked to wait; by default, what this process knows.

    Attributes:
        prices: What models cost, as far as it is known.
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
        self._clock = clock
        self._dialects = dialects(settings.chat_path)
        self._host = urlsplit(settings.base_url).netloc
        self._client = client = new_client(settings)
        self._opener = Opener(client, settings, pacing or MemoryPacing(clock), clock, today)
        self._lists = Lists(client, settings, today)
        self.prices = PriceBook(client, settings, today)
        self._limits = Limits(settings.max_event_bytes, settings.max_stream_bytes, settings.idle_timeout)
        self._spellings: dict[tuple[str, DialectName], Spelling] = {}
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
        request = self._dialects[dialect].encode(self._spell(call, dialect))
        with self._in_time(trace, self._settings.deadline if within is None else within):
            with translate_errors(self._host, answering=False, trace=trace):
                response = await self._opener.open(Asking(request, call.model, key, trace, patience))
            request = replace(request, body={})  # it was sent, and its files are large
            trace.enter("open")
            try:
                with translate_errors(self._host, answering=True, trace=trace):
                    body = Body(response, self._limits, trace, self._clock)
                    answering = Answering(body, self._dialects[dialect].decoder(), request, key)
                    async with aclosing(body), aclosing(answering.events()) as events:
                        yield events
                        await answering.drain()
            finally:
                await response.aclose()

    def respell(self, call: Call, dialect: DialectName, refused: RequestRefused) -> Call | None:
        """Return a call that was refused for how its schema is written in other words, to be asked once more.

        It is `None` if that cannot help, or was done already. What a model refused is remembered.
        """
        if call.spelling != "wide":
            self._spellings.pop((call.model, dialect), None)  # it was not for that
            return None
        sent = self._spell(call, dialect)
        found = find_narrower(sent, dialect, refused.said)
        if found is None:
            return None
        spelling, lasting = found
        if lasting and len(self._spellings) < _MOST_SPELLINGS:
            self._spellings[call.model, dialect] = spelling
        return spell(call, dialect, spelling)

    def _spell(self, call: Call, dialect: DialectName) -> Call:
        """Return a call in the words that its model takes, as far as is known."""
        known = self._spellings.get((call.model, dialect))
        return spell(call, dialect, known) if known and call.spelling == "wide" else call

    async def models(self, *, key: SecretStr, own: bool = False) -> list[LiveModel]:
        """Return the live list of Gemini models; `own` says that the key is the server's own.

        Raises:
            UpstreamError: It could not be had.
        """
        found = await self._lists.models(key)
        if own:
            self.listed = tuple(model.id for model in found)
        return found

    async def redirects(self, links: Sequence[str]) -> dict[str, str]:
        """Return where Google's redirect links lead, those that say so within two seconds.

        The links of a RunAPI on this machine, which is a simulated one, lead nowhere and are not asked.
        """
        if self._redirects_at is None:
            return {}
        return await resolve_links(self._client, links, ask_at=self._redirects_at)

    @contextmanager
    def _in_time(self, trace: Trace, seconds: float) -> Iterator[None]:
        """End what takes longer, whatever it is waiting for."""
        with anyio.move_on_after(max(seconds, 0.0)) as scope:
            yield
        if scope.cancelled_caught:
            begun = trace.phase == "open"
            what = "The generation ran into" if begun else "RunAPI had not begun to answer by"
            raise DeadlinePassed(f"{what} this server's deadline.", request_id=trace.request_id)


# ---------------------------------------------------------------- redirects

_SECONDS: Final = 2.0
_MOST_LINKS: Final = 50
_MOST_AT_ONCE: Final = 16
_MOST_CHARS: Final = 4_096


async def resolve_links(client: httpx.AsyncClient, links: Sequence[str], *, ask_at: str) -> dict[str, str]:
    """Return where `links` lead, for those that say so within two seconds in all.

    Args:
        client: One that follows no redirect.
        links: Only https links of Google's redirect host are asked about, at most 50.
        ask_at: Where that host is reached: a scheme and a host.
    """
    found: dict[str, str] = {}
    room = anyio.CapacityLimiter(_MOST_AT_ONCE)

    async def ask(link: str) -> None:
        parts = urlsplit(link)
        url = f"{ask_at}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        async with room:
            try:
                location = await _location(client, url)
            except (httpx.HTTPError, httpx.InvalidURL):
                return
        if _is_page(location):
            found[link] = location

    with anyio.move_on_after(_SECONDS):
        async with anyio.create_task_group() as tasks:
            for link in [link for link in dict.fromkeys(links) if is_redirect(link)][:_MOST_LINKS]:
                tasks.start_soon(ask, link)
    return found


async def _location(client: httpx.AsyncClient, url: str) -> str:
    response = await client.head(url, headers={"Accept": "*/*"}, follow_redirects=False)
    return response.headers.get("location", "") if 300 <= response.status_code < 400 else ""


def _is_page(location: str) -> bool:
    try:
        parts = urlsplit(location)
        host = parts.hostname
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and bool(host) and host != REDIRECT_HOST
    return named and len(location) <= _MOST_CHARS
