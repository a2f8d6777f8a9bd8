"""One call's stream, top to bottom: a request is sent, its body is read, its frames become events.

httpx-sse parses; what it leaves open is mended here (docs/wire.md §7.1): the content type's case, the
charset, a byte-order mark, sizes, a last event without its blank line, and bodies that are not an event
stream at all. What a 429 or 503 asks for is waited out in `pacing`.
"""

import codecs
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import anyio
import anyio.lowlevel
import httpx
from httpx_sse import EventSource
from pydantic import SecretStr

from runapi_mcp.beside import beside
from runapi_mcp.errors import InputError, ProtocolError, Stalled, StreamCut, UpstreamError
from runapi_mcp.printable import quote_text
from runapi_mcp.settings import MIB, Settings
from runapi_mcp.telemetry import trace_header
from runapi_mcp.upstream.http import (
    CRUMBS_IN_A_ROW,
    REQUEST_ID,
    Connection,
    Trace,
    auth_header,
    new_request_id,
    read_pieces,
)
from runapi_mcp.upstream.pacing import Pacing, Waits, name_pace
from runapi_mcp.upstream.redact import Redacting, redact
from runapi_mcp.upstream.translate import SAFE_TO_REPEAT, Today, read_refusal
from runapi_mcp.wire.chunks import TELLING, Kind, body_kind, json_frames, stray_failure
from runapi_mcp.wire.dialects import Decoder
from runapi_mcp.wire.faults import headline
from runapi_mcp.wire.fold import Ending, join_texts
from runapi_mcp.wire.json_text import dump, dump_pieces, is_larger
from runapi_mcp.wire.refusals import refusal
from runapi_mcp.wire.types import Done, Event, Failure, Frame, JsonObject, Request

_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream",
    "Cache-Control": "no-store",
}
_STALE_SECONDS: Final = 2.0
"""Seconds within which a kept connection shows that it was closed: the time of a round trip and more."""
_PIECE_BYTES: Final = 262_144
_MOST_HERE: Final = 262_144
"""Characters of a body that is written on the event loop; it takes a few milliseconds."""
_BLANK_LINES: Final = ("\n\n", "\n\r\n", "\r\r")
_JSON_LINE: Final = re.compile(r"\n[{\[]")
_JSON_LINE_CR: Final = re.compile(r"\r[{\[]")
"""A line that begins as JSON does is none of an event's. Of two patterns each has a sign to leap to."""
_EVENT_STREAM: Final = {"content-type": "text/event-stream"}
_SEAM: Final = 2
"""Characters of a text that a blank line may have begun with, when the text after it ends that."""
_TAIL_CHARS: Final = 65_536
_SOME_CHARS: Final = 256
_LONGEST_BLANK: Final = 4_096
"""Bytes of white space before the first of the body that are read to tell what it is."""
_DRAIN_SECONDS: Final = 0.25
"""Seconds of reading on after the end: a stream that is left costs a new connection (docs/wire.md §4)."""
_GRACE_SECONDS: Final = 2.0
"""Silence after a finish, some text and its usage that means the end (docs/wire.md §4)."""
_LONG_GRACE_SECONDS: Final = 10.0
"""The same after a finish alone: its usage, or text after an early finish, may still come."""
_FEW: Final = 50
"""Streams of a process that are read as they come."""
_PAUSE_EACH: Final = 0.002
_LONGEST_PAUSE: Final = 0.2
"""Seconds by which each of more streams has all of them read later, and by which they are at most.

At twenty chunks a second a pause of less than a tenth costs more wake-ups than it saves.
"""
_AT_ONCE: Final = 0.01
"""Seconds within which a piece comes that need not be waited for, however often the system breaks in."""
_LITTLE: Final = 16_384
"""Bytes between two waits that are no sign of a stream that comes as fast as it goes."""
_READ_IN_A_ROW: Final = 16_384
_FRAMES_IN_A_ROW: Final = 128
"""Bytes and documents that are read before others have a turn: some milliseconds' worth at worst."""
_PARSED_HERE: Final = 65_536
"""Characters of what came that are read on the event loop; it takes ten milliseconds of the worst."""
_JSON_BYTES: Final = 8 * MIB
"""Bytes of a body without events that are read: they are looked at in one go, for tens of milliseconds."""
_PAGE_BYTES: Final = 65_536


# ---------------------------------------------------------------- open


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
        self._headers = httpx.Headers(client.headers)
        self._headers.update(_HEADERS)
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
        content = await encode_body(asking.request)
        name = name_pace(asking.key, asking.model)
        waits = Waits(self._pacing, name, asking.trace, asking.patience, self._clock)
        while True:
            await waits.keep_pace()
            asking.trace.enter("connecting")
            response = await self._send(asking, content)
            if response.status_code == 200:
                return response
            path, key = asking.request.path, asking.key
            await waits.wait_out(await read_refusal(response, path=path, key=key, today=self._today))

    async def _send(self, asking: Asking, content: bytes | bytearray) -> httpx.Response:
        """Send once, and once more where the first try shows that nothing was sent, or that nobody read it.

        A kept connection can be closed by the other side in the very moment in which it is used again:
        upstreams close idle ones after 30 to 75 s. Then the request went to a socket that nobody read
        any more, and what comes back is the end of the connection, or a reset, within a round trip and
        without a byte. That is the one break after which it is sent again (RFC 9112 §9.3.1 has such
        retries in mind). A request that broke a new connection is not: whoever accepted it read it. Nor
        is one that broke a kept connection later: somebody had begun to work, and would be paid twice.
        Some close politely: a 408 says that no request came in time (RFC 9110 §15.5.9; notroj/neon#128).
        """
        connection, sent = Connection(), self._clock()
        try:
            response = await self._post(asking, content, connection)
            if response.status_code != 408 or not self._is_stale(connection, sent):
                return response
            await response.aclose()
        except SAFE_TO_REPEAT:
            pass
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if not self._is_stale(connection, sent):
                raise
        return await self._post(asking, content, Connection())

    def _is_stale(self, connection: Connection, sent: float) -> bool:
        return not connection.is_new and self._clock() - sent <= _STALE_SECONDS

    async def _post(
        self, asking: Asking, content: bytes | bytearray, connection: Connection
    ) -> httpx.Response:
        trace = asking.trace
        trace.requests += 1
        trace.request_id = new_request_id()
        sending = _Sending(content)
        url = httpx.URL(self._base_url + asking.request.path)
        headers = httpx.Headers(_headers(asking, url, len(content)))
        # Not `build_request`, which writes all of them anew: they are held as long as the stream.
        headers.update(self._headers)
        post = httpx.Request("POST", url, headers=headers, stream=sending, extensions={"trace": connection})
        try:
            with anyio.move_on_after(self._silence):
                return await self._client.send(post, stream=True)
        except httpx.TransportError as error:
            if not connection.at_proxy or isinstance(error, httpx.ProxyError):
                raise
            late = isinstance(error, httpx.TimeoutException)
            raise (httpx.ConnectTimeout if late else httpx.ProxyError)("No tunnel was opened.") from None
        finally:
            sending.let_go()
        raise Stalled(f"RunAPI did not begin to answer for {self._silence:g} s.")


def _headers(asking: Asking, url: httpx.URL, size: int) -> dict[str, str]:
    """Return the headers that differ from request to request."""
    return {
        "Host": url.netloc.decode("ascii"),
        **auth_header(asking.request.auth, asking.key),
        "Content-Length": str(size),
        REQUEST_ID: asking.trace.request_id or "",
        **trace_header(),
    }


class _Sending(httpx.AsyncByteStream):
    """A request's body on its way, in pieces, so that others have their turn between two.

    httpx keeps a body that it is given whole in a cycle of response and stream, until the collector
    comes: for large files that is much memory for a long time.
    """

    def __init__(self, content: bytes | bytearray) -> None:
        self._content = content
        self._at = 0

    def __aiter__(self) -> "_Sending":
        return self

    async def __anext__(self) -> bytes:
        piece = bytes(self._content[self._at : self._at + _PIECE_BYTES])
        if not piece:
            raise StopAsyncIteration
        self._at += len(piece)
        return piece

    def let_go(self) -> None:
        """Hold nothing any more."""
        self._content = b""


async def encode_body(request: Request) -> bytes | bytearray:
    """Return a request's body as JSON; a large one is written in a thread, piece by piece.

    Raises:
        InputError: It cannot be written.
    """
    try:
        if not is_larger(request.body, _MOST_HERE):
            return dump(request.body)
        return await beside(_write_in_pieces, request.body)
    except (ValueError, RecursionError):
        raise InputError(
            "The request holds a number that JSON cannot carry, or is nested too deeply."
        ) from None


def _write_in_pieces(body: JsonObject) -> bytearray:
    content = bytearray()
    for piece in dump_pieces(body):
        content += piece
    return content


# ---------------------------------------------------------------- body


class Silence:
    """Counts the seconds spent waiting since the last event.

    Only waiting counts: a caller that takes its time between two events does not make a stream stall.

    Attributes:
        usual: Seconds after which a stream has stalled.
        allowed: Seconds after which it has now.
        left: Seconds that are left of them.
        means_end: Whether silence now means the end rather than a stall.
        since: When the last event came, by the clock.
    """

    def __init__(self, usual: float, now: float) -> None:
        self.usual = usual
        self.left = usual
        self.means_end = False
        self.since = now
        self.allowed = usual

    def end_within(self, seconds: float) -> None:
        """From now on that much silence means the end."""
        self.means_end = True
        self._allow(min(self.usual, seconds))

    def go_on(self) -> None:
        """Take that back: more is to come after all."""
        self.means_end = False
        self._allow(self.usual)

    def _allow(self, seconds: float) -> None:
        self.left += seconds - self.allowed
        self.allowed = seconds

    def stall(self, heard_at: float | None) -> Stalled:
        """Return the error for one that took too long; `heard_at` is when the last byte came."""
        if heard_at is not None and heard_at - self.since > self.allowed / 2:
            return Stalled(f"RunAPI sent keep-alives but no content for {self.allowed:g} s.")
        return Stalled(f"RunAPI sent nothing for {self.allowed:g} s.")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of one event and of the stream, and seconds of silence.

    `silence` must also be the read time-out of the client that the response comes from.
    """

    event_bytes: int
    stream_bytes: int
    silence: float


class Readers:
    """How many streams a process reads at once, and how long each lets text pile up before it asks for more.

    What a chunk that comes alone costs is nearly all the wake-up for it. Few streams are read as they come.
    Of many, each waits a little first and then takes all that has come at one stroke: their text is later
    by that, and a process has more of its time left.

    Attributes:
        pause: Seconds to wait before more is asked for, after a piece that had to be waited for.
    """

    def __init__(self) -> None:
        self._count = 0
        self.pause = 0.0

    def add(self, more: int) -> None:
        """Note that there are more, or fewer."""
        self._count += more
        self.pause = min(self._count * _PAUSE_EACH, _LONGEST_PAUSE) if self._count > _FEW else 0.0


class Body:
    """One response's body, read once; what it gives is without the key, which some upstreams echo.

    Attributes:
        silence: How long it may be silent now; whoever knows what has come may change it.
        tail: The last text of its events: some, or 64 KiB from the first line on that is of none.
        ended_unclosed: Whether it is over and its last event, which is still to come, had no blank line
            after it.
    """

    def __init__(
        self,
        response: httpx.Response,
        limits: Limits,
        trace: Trace,
        clock: Callable[[], float],
        readers: Readers,
        key: SecretStr,
    ) -> None:
        self._key = key
        self._readers = readers
        self._limits = limits
        self._trace = trace
        self._clock = clock
        self._source = read_pieces(response)
        self._content_type = response.headers.get("content-type", "")
        self._first = b""
        self._strayed = False
        self._ended = False
        self.ended_unclosed = False
        self._received = 0
        self._unpaused = _LITTLE  # a first wait is for the model, and says nothing of its pace
        self._waited = False
        self._in_a_row = 0
        self._unheard = 0
        self._now = clock()
        self.silence = Silence(limits.silence, self._now)
        self.tail = ""

    async def kind(self) -> Kind:
        """Return what the body is; waits for as many bytes as it takes to tell."""
        while len(self._first) < _LONGEST_BLANK and len(self._first.strip()) < TELLING:
            piece = await self._read()
            if not piece:
                break
            self._first += piece
        return body_kind(self._content_type, self._first)

    async def events(self) -> AsyncGenerator[Sequence[Frame], None]:
        """Yield the events of an event stream, those that came together at once.

        Raises:
            ProtocolError: One of them is larger than its limit.
        """
        # Whatever charset it names; to the mark httpx-sse would lose the first event (docs/wire.md §7.1).
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        piece, self._first = self._first.removeprefix(codecs.BOM_UTF8), b""
        rest: list[str] = []
        closed = False
        while piece:
            for at in range(0, len(piece), _READ_IN_A_ROW):
                if at:
                    # One read may hold ten thousand empty events.
                    await anyio.lowlevel.checkpoint()
                # What came before without an event: this part may hold many that are small.
                if self._unheard > self._limits.event_bytes:
                    raise _too_large("one event", self._limits.event_bytes)
                part = piece[at : at + _READ_IN_A_ROW]
                self._unheard += len(part)
                text = decoder.decode(part)
                # A blank line may come in two parts itself.
                seam = "".join(rest[-_SEAM:])[-_SEAM:]
                end = len(text) if text.endswith(_BLANK_LINES) else _find_end(seam + text) - len(seam)
                if end <= 0:
                    rest.append(text)
                    continue
                whole = "".join((*rest, text[:end]))
                rest = [text[end:]] if end < len(text) else []
                here = len(whole) <= _PARSED_HERE
                frames = self._parse(whole) if here else await beside(self._parse, whole)
                for first in range(0, len(frames), _FRAMES_IN_A_ROW):
                    if first:
                        await anyio.lowlevel.checkpoint()
                    yield frames[first : first + _FRAMES_IN_A_ROW]
            piece = await self._read()
            if not piece and not closed:
                # Parsers drop a last event without its blank line (docs/wire.md §7.1).
                self.ended_unclosed, closed, piece = bool("".join(rest).strip()), True, b"\n\n"

    def _parse(self, text: str) -> Sequence[Frame]:
        """Return the events in a text that ends with one of them."""
        text = redact(text, self._key)
        self._strayed = (
            self._strayed
            or text.startswith(("{", "["))
            or _JSON_LINE.search(text) is not None
            or ("\r" in text and _JSON_LINE_CR.search(text) is not None)
        )
        self.tail = (self.tail + text)[-_TAIL_CHARS if self._strayed else -_SOME_CHARS :]
        # httpx-sse touches two members of a response, which it reads to its end.
        response = SimpleNamespace(headers=_EVENT_STREAM, iter_text=(text,).__iter__)
        frames: list[Frame] = []
        most = self._limits.event_bytes
        for event in EventSource(response).iter_sse():  # type: ignore[arg-type]  # a duck, on purpose
            data = event.data
            if len(data) > most:
                raise _too_large("one event", most)
            # A keep-alive can be an event too, one without data: no sign of the answer's life.
            if data or event.event == "error":
                frames.append(Frame(data, event.event))
        if frames:
            self._unheard = 0
            self.silence.left, self.silence.since = self.silence.allowed, self._now
        return frames

    async def text(self, limit: int) -> str:
        """Return up to `limit` bytes of the body as text; the rest is not read.

        Without events every byte is a sign of life.
        """
        pieces, size = [self._first], len(self._first)
        while size < limit and (piece := await self._read()):
            self.silence.left = self.silence.allowed
            pieces.append(piece)
            size += len(piece)
        text = b"".join(pieces)[:limit].decode("utf-8-sig", errors="replace")
        here = len(text) <= _PARSED_HERE
        text = redact(text, self._key) if here else await beside(redact, text, self._key)
        self.tail = text[-_TAIL_CHARS:]
        return text

    async def aclose(self) -> None:
        """Let go of the source of bytes; the response is its owner's to close."""
        await self._source.aclose()

    async def drain(self) -> None:
        """Read what is left; for the moment after the end, so the connection can be used again."""
        while await self._read():
            pass

    async def _read(self) -> bytes:
        """Return the next bytes; none at the end, or in a silence that means the end.

        Raises:
            Stalled: Nothing came for as long as is allowed now.
            ProtocolError: The stream is larger than its limit.
        """
        if self._ended:
            return b""
        silence, trace = self.silence, self._trace
        paused = self._waited and not silence.means_end and self._readers.pause
        if paused:
            await anyio.sleep(paused)
        began = self._clock()
        try:
            if silence.left >= self._limits.silence:
                # The client's own time-out says the same; a second scope would be half the cost of a read.
                piece = await anext(self._source, b"")
            else:
                with anyio.fail_after(max(silence.left, 0.0)):
                    piece = await anext(self._source, b"")
        except (TimeoutError, httpx.ReadTimeout):
            if not silence.means_end:
                raise silence.stall(trace.heard_at) from None
            piece = b""
        self._now = self._clock()
        silence.left -= self._now - began
        # What has piled up in a pause comes at once but for its first piece, and is taken without another.
        self._waited = not paused and self._now - began > _AT_ONCE
        # As `take_turns` does, which would be three calls more for each chunk.
        self._in_a_row = 0 if self._waited or paused else self._in_a_row + 1
        if self._in_a_row == CRUMBS_IN_A_ROW:
            self._in_a_row = 0
            await anyio.lowlevel.checkpoint()
        if self._waited:
            self._waited, self._unpaused = self._unpaused < _LITTLE, 0
        self._unpaused += len(piece)
        if not piece:
            self._ended = True
            return b""
        trace.received += len(piece)
        trace.heard_at = self._now
        if trace.first_byte_at is None:
            trace.first_byte_at = self._now
        self._received += len(piece)
        if self._received > self._limits.stream_bytes:
            raise _too_large("its stream", self._limits.stream_bytes)
        return piece


def _find_end(text: str) -> int:
    """Return where the last blank line of a text ends; 0 if it has none."""
    return max(text.rfind(blank) + len(blank) if blank in text else 0 for blank in _BLANK_LINES)


def _too_large(what: str, limit: int) -> ProtocolError:
    return ProtocolError(
        f"RunAPI sent more than {limit / MIB:g} MiB in {what}.",
        advice="Ask for less at once; the limits are RUNAPI_MCP_MAX_EVENT_BYTES and _MAX_STREAM_BYTES.",
    )


# ---------------------------------------------------------------- events


class Answering:
    """Reads one body as an answer.

    Args:
        body: It.
        decoder: Knows the dialect.
        request: What was asked.
        key: The key, to take it out of the text where it comes in pieces.
        ending: What the events given out so far say about the end; whoever takes them feeds it.
    """

    def __init__(
        self, body: Body, decoder: Decoder, request: Request, key: SecretStr, ending: Ending
    ) -> None:
        self._body = body
        self._decoder = decoder
        self._request = request
        self._redacting = Redacting(key)
        self._ending = ending

    async def events(self) -> AsyncGenerator[Sequence[Event], None]:
        """Yield the answer's events, those of each chunk together, to its end or to ``[DONE]``.

        Raises:
            Refused: The answer is an error at status 200, with nothing before it.
            StreamCut: There is no answer in it at all.
            ProtocolError: It is not a stream this dialect knows.
            Stalled, DeadlinePassed: It went silent for too long.
        """
        async with aclosing(await self._source()) as source:
            async for lot in source:
                found: list[Event] = []
                wrong: ProtocolError | None = None
                decode, take_out = self._decoder.decode, self._redacting.feed
                # Of what came together only the first can be long: what is behind it came with its end.
                here = len(lot[0].text) <= _PARSED_HERE
                try:
                    for frame in lot:
                        found += decode(frame) if here else await beside(decode, frame)
                        if found and isinstance(found[-1], Done):
                            break
                except ProtocolError as error:
                    wrong = error
                told = join_texts(found) if len(lot) > 1 else found
                if events := take_out(told) if here else await beside(take_out, told):
                    yield events if self._ending.begun else self._judge(events)
                    # Some hold the socket now, or send more (docs/wire.md §4).
                    if isinstance(events[-1], Done):
                        return
                if wrong is not None:
                    if self._body.ended_unclosed:
                        break  # half an event, completed by the blank line that Body adds: the stream was cut
                    raise wrong
                if self._ending.said or self._ending.failed:
                    self._expect_end()
        if events := [*self._redacting.feed(self._decoder.end()), *self._redacting.end()]:
            yield events
        # After a finish too.
        if failure := stray_failure(self._body.tail):
            yield self._judge(self._redacting.feed((failure,)))
        if not self._ending.begun:
            raise self._nothing()

    async def drain(self) -> None:
        """After ``[DONE]``: read what little is left, so that the connection can be used again."""
        if self._ending.done:
            # The answer is whole: however the connection ends now is no error.
            with anyio.move_on_after(_DRAIN_SECONDS), suppress(httpx.HTTPError, UpstreamError):
                await self._body.drain()

    async def _source(self) -> AsyncGenerator[Sequence[Frame], None]:
        """Return the events of whatever kind of body this is.

        Raises:
            StreamCut, ProtocolError: It is not one that has events.
        """
        match await self._body.kind():
            case "events":
                return self._body.events()
            # An array where alt=sse was not heard, or a refusal at 200 (docs/wire.md §3.2, §6.2).
            case "json":
                return self._documents()
            case "page":
                page = headline(await self._body.text(_PAGE_BYTES))
                raise ProtocolError(f"A web page came instead of a stream: {quote_text(page)}.")
            case "unknown":
                text = (await self._body.text(_PAGE_BYTES)).strip()
                if not text:
                    raise self._nothing()
                raise ProtocolError(f"What came is not a stream: {quote_text(text)}.")

    async def _documents(self) -> AsyncGenerator[Sequence[Frame], None]:
        text = await self._body.text(_JSON_BYTES)
        frames, count = json_frames(text), 0
        # Before the first the values of all of them are counted.
        frame = next(frames, None) if len(text) <= _PARSED_HERE else await beside(next, frames, None)
        while frame is not None:
            yield (frame,)
            count += 1
            if count % _FRAMES_IN_A_ROW == 0:
                await anyio.lowlevel.checkpoint()
            frame = next(frames, None)

    def _judge(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return events before which nothing has come of an answer.

        Raises:
            Refused: One of them is a refusal in disguise.
        """
        ending = Ending()
        for event in events:
            if isinstance(event, Failure) and not (ending.begun or self._ending.begun):
                # Any report of an error may come at 200 (docs/wire.md §3.2).
                raise refusal(event, 200, path=self._request.path)
            ending.feed(event)
        return events

    def _expect_end(self) -> None:
        """Once the finish or a failure has come, silence is the end, sooner if nothing more is due."""
        silence = self._body.silence
        if self._ending.settled or self._ending.failed:
            silence.end_within(_GRACE_SECONDS)
        elif self._ending.finished:
            silence.end_within(_LONG_GRACE_SECONDS)
        elif silence.means_end:
            silence.go_on()

    def _nothing(self) -> UpstreamError:
        tail = self._body.tail.strip()
        if not tail:
            return StreamCut(
                "RunAPI's answer was empty.", advice="Ask again; it is not caused by the arguments."
            )
        return StreamCut(
            f"RunAPI's stream held no answer; what came was {quote_text(tail)}.",
            advice="It is not caused by the arguments; ask again.",
        )
