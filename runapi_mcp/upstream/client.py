"""I/O only: one call's stream of events from RunAPI, and the list of its models.

httpx and httpx-sse live in this folder and nowhere else. What the bytes mean is `wire`'s business,
what becomes of the events the caller's. Every error that leaves is one of ours.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.beside import beside
from runapi_mcp.errors import DeadlinePassed, NotFound, RequestRefused, UpstreamError
from runapi_mcp.settings import LOOPBACK, Settings
from runapi_mcp.upstream.http import Phase, Trace, new_client
from runapi_mcp.upstream.model_list import Listing, Lists, Standing, Standings
from runapi_mcp.upstream.pacing import MemoryPacing, Pacing
from runapi_mcp.upstream.prices import PriceBook
from runapi_mcp.upstream.stream import Answering, Asking, Body, Limits, Opener, Readers
from runapi_mcp.upstream.translate import Today, translate_errors, utc_now
from runapi_mcp.wire.dialects import Dialect, dialects
from runapi_mcp.wire.fold import Ending
from runapi_mcp.wire.grounding import REDIRECT_HOST, is_redirect
from runapi_mcp.wire.schema.narrow import find_narrower, spell
from runapi_mcp.wire.types import Call, DialectName, Event, Inline, Request, Spelling

__all__ = ["Phase", "Trace", "Upstream"]

_MOST_SPELLINGS: Final = 200
_LIST_AND_CALL: Final = 2
_NOWHERE: Final = "It was found neither at {}: check RUNAPI_BASE_URL (it is {}), or run `runapi-mcp doctor`."


async def _encode(dialect: Dialect, call: Call) -> Request:
    """Return the request for a call; with files in a thread, since one dialect copies them into addresses."""
    if any(isinstance(part, Inline) for turn in call.turns for part in turn.parts):
        return await beside(dialect.encode, call)
    return dialect.encode(call)


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
        today: Today = utc_now,
        redirects_at: str | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.today = today
        self._root = settings.chat_paths[0]
        self._dialects = {root: dialects(root) for root in settings.chat_paths}
        self._finding = anyio.Lock()
        self._listless: set[str] = set()  # the paths that had no list when they were last asked
        self._host = urlsplit(settings.base_url).netloc
        self._client = client = new_client(settings)
        self._opener = Opener(client, settings, pacing or MemoryPacing(clock), clock, today)
        self._lists = Lists(client, settings, today)
        self._standings = Standings()
        self.prices = PriceBook(client, settings, today)
        self._limits = Limits(settings.max_event_bytes, settings.max_stream_bytes, settings.idle_timeout)
        self._readers = Readers()
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
        ending: Ending,
        within: float | None = None,
    ) -> AsyncIterator[AsyncGenerator[Sequence[Event], None]]:
        """Ask for `call` and give an iterator over the events of the answer, those of each chunk together.

        Leaving the block closes the connection, whatever state the stream is in. `ending` is that of the
        fold to which all events are added before the next are asked for: by it the end is known, which not
        every upstream closes its stream to tell. `patience` is how
        many seconds may go into waits that RunAPI asks for (429 and 503, at most twice), `within` how
        many seconds all of it may take; by default, as long as the settings let one generation take.

        Raises:
            InputError: The dialect cannot carry the call.
            UpstreamError: No stream came. While iterating: it broke, stalled, or is no stream.
        """
        spoken, call = self._dialects[self._root][dialect], self._spell(call, dialect)
        request = await _encode(spoken, call)
        seconds = self._settings.deadline if within is None else within
        with anyio.move_on_after(max(seconds, 0.0)) as scope:
            with translate_errors(self._host, answering=False, trace=trace):
                try:
                    response = await self._opener.open(Asking(request, call.model, key, trace, patience))
                except NotFound as missing:
                    # Native is at one path in all documents (docs/wire.md §1.1).
                    if dialect != "chat" or not await self._leave_route(missing, request.path, key, trace):
                        raise
                    request = await _encode(self._dialects[self._root][dialect], call)
                    with self._return_to_route(missing, request.path):
                        response = await self._opener.open(Asking(request, call.model, key, trace, patience))
            request = replace(request, body={})  # it was sent, and its files are large
            trace.enter("open")
            self._readers.add(1)
            try:
                with translate_errors(self._host, answering=True, trace=trace):
                    body = Body(response, self._limits, trace, self._clock, self._readers, key)
                    answering = Answering(body, spoken.decoder(), request, key, ending)
                    async with aclosing(body), aclosing(answering.events()) as events:
                        yield events
                        await answering.drain()
            finally:
                self._readers.add(-1)
                await response.aclose()
        if scope.cancelled_caught:
            what = "The generation ran into" if trace.phase == "open" else "RunAPI had not begun to answer by"
            raise DeadlinePassed(f"{what} this server's deadline.", request_id=trace.request_id)

    def respell(self, call: Call, dialect: DialectName, refused: RequestRefused) -> Call | None:
        """Return a call that was refused for how its schema is written in other words, to be asked once more.

        It is `None` if that cannot help, or was done already. What a model refused is remembered.
        """
        if "signature" in refused.said.lower() and (unsigned := call.unsigned()) != call:
            # "Corrupted thought signature": it was another account's (google-gemini/gemini-cli#13467).
            return unsigned
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

    async def models(self, *, key: SecretStr, own: bool = False) -> Listing:
        """Return the live list of models; `own` says that the key is the server's own.

        The path in use is asked, then the other that chat may have, then Google's.

        Raises:
            UpstreamError: It could not be had.
        """
        standing = self.standing(key)
        for root in sorted(self._settings.chat_paths, key=lambda path: path != self._root):
            try:
                listing = await self._list_at(root, key, standing)
            except NotFound:
                continue
            break
        else:
            listing = await self._lists.native(key)
            standing.note_listing(listing, self.today().date())
        if own:
            self.listed = listing.ids
        return listing

    async def listing(self, *, key: SecretStr) -> Listing:
        """Return the live list of the path in use, by one request; it is remembered.

        Raises:
            UpstreamError: It could not be had.
        """
        return await self._list_at(self._root, key, self.standing(key))

    def standing(self, key: SecretStr) -> Standing:
        """Return what this process knows of the models that a key may use."""
        return self._standings.of(key)

    @property
    def chat_path(self) -> str:
        """Where chat is asked for now."""
        return self._root

    async def _list_at(self, root: str, key: SecretStr, standing: Standing) -> Listing:
        today = self.today().date()
        standing.asked, standing.asked_on = standing.asked + 1, today
        try:
            listing = await self._lists.openai(root, key)
        except NotFound:
            self._listless.add(root)
            raise
        self._listless.discard(root)
        standing.note_listing(listing, today)
        return listing

    async def _leave_route(self, missing: NotFound, path: str, key: SecretStr, trace: Trace) -> bool:
        """Whether a call that found nothing at `path` is to be made elsewhere: chat is at another path now.

        The seed has it at one path and RunAPI's later documents at another (docs/wire.md §1.1). A 404
        may mean the model as well. Where what it says leaves that open, the path's own free list is asked
        for: one that has a list is there. Whether the other path is, the call shows that is made there, since
        a refused one costs nothing; to ask for its list as well would be a request more.
        """
        roots = self._settings.chat_paths
        if len(roots) == 1 or missing.status != 404 or missing.lacking == "model":
            return False
        async with self._finding:
            if not trace.detours_left:
                return False
            if path.startswith(f"{self._root}/"):  # else another call has just found it
                missing.advice = NotFound.default_advice  # which would name the other path
                if missing.lacking != "route" and not await self._lacks_list(key, trace):
                    return False
                self._move_to(self._other(self._root))
            trace.detours += 1
            return True

    async def _lacks_list(self, key: SecretStr, trace: Trace) -> bool:
        """Whether the path in use has no list; it is asked for if there is room for the call behind it."""
        if trace.detours_left < _LIST_AND_CALL:
            return self._root in self._listless
        trace.detours += 1
        with suppress(UpstreamError):
            await self._list_at(self._root, key, self.standing(key))
        return self._root in self._listless

    @contextmanager
    def _return_to_route(self, missing: NotFound, path: str) -> Iterator[None]:
        """Go back to the path that was left, where RunAPI says of the other that there is no such route.

        Where a 404 of that one says nothing either, it stays, and its own list tells at the next call.

        Raises:
            NotFound: It was not found there; as the first path said it, if it is the route that is not.
        """
        try:
            yield
        except NotFound as elsewhere:
            if elsewhere.lacking == "model":
                raise
            elsewhere.advice = missing.advice = _NOWHERE.format(
                " nor ".join(self._settings.chat_paths), self._settings.base_url
            )
            if elsewhere.lacking != "route":
                raise
            if path.startswith(f"{self._root}/"):
                self._move_to(self._other(self._root))
            raise missing from None

    def _other(self, root: str) -> str:
        return next(path for path in self._settings.chat_paths if path != root)

    def _move_to(self, root: str) -> None:
        if root != self._root:
            logs.info("chat path", was=self._root, now=root)
            self._root = root

    async def redirects(self, links: Sequence[str]) -> dict[str, str]:
        """Return where Google's redirect links lead, those that say so within two seconds.

        The links of a RunAPI on this machine, which is a simulated one, lead nowhere and are not asked.
        """
        if self._redirects_at is None:
            return {}
        return await resolve_links(self._client, links, ask_at=self._redirects_at)


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
    # Google's link says in Location where it leads (docs/wire.md §6.3).
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
