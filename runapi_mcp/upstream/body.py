"""The bytes of one response → frames, within limits of size and silence.

httpx-sse parses; this mends what it leaves open (wire notes §8): the content type's case, the
charset, a byte-order mark, sizes, a last event without its blank line, and bodies that are not an
event stream at all.
"""

import codecs
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, cast

import anyio
import httpx
from httpx_sse import EventSource

from runapi_mcp.errors import ProtocolError
from runapi_mcp.settings import MIB
from runapi_mcp.upstream.silence import Silence
from runapi_mcp.upstream.tail import Tail
from runapi_mcp.upstream.trace import Trace
from runapi_mcp.wire.bodies import TELLING, Kind, body_kind
from runapi_mcp.wire.types import Frame

_TAIL_BYTES: Final = 65_536
_LONGEST_BLANK: Final = 4_096
"""Bytes of white space before the first of the body that are read to tell what it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of one event and of the stream, and seconds of silence.

    `silence` must also be the read time-out of the client that the response comes from.
    """

    event_bytes: int
    stream_bytes: int
    silence: float


class Body:
    """One response's body, read once.

    Attributes:
        silence: How long it may be silent now; whoever knows what has come may change it.
        ended: Whether the last byte has come.
    """

    def __init__(
        self, response: httpx.Response, limits: Limits, trace: Trace, clock: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._trace = trace
        self._clock = clock
        # httpx annotates it as an iterator; it is a generator, and wants to be closed as one.
        self._source = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
        self._content_type = response.headers.get("content-type", "")
        self._first = b""
        self._tail = Tail(_TAIL_BYTES)
        self._texts: AsyncGenerator[str, None] | None = None
        self._received = 0
        self._event_bytes = 0
        self._now = clock()
        self.headers = {"content-type": "text/event-stream"}
        self.silence = Silence(limits.silence, self._now)
        self.ended = False

    async def kind(self) -> Kind:
        """Return what the body is; waits for as many bytes as it takes to tell."""
        while len(self._first) < _LONGEST_BLANK and len(self._first.strip()) < TELLING:
            piece = await self._read()
            if not piece:
                break
            self._first += piece
        return body_kind(self._content_type, self._first)

    async def events(self) -> AsyncGenerator[Frame, None]:
        """Yield the events of an event stream, those without data left out.

        Raises:
            Stalled: Nothing came for too long.
            ProtocolError: An event, or the stream, is larger than its limit.
        """
        # httpx-sse touches two members of what it is given; this object has them, mended.
        source = EventSource(self)  # type: ignore[arg-type]  # a duck, on purpose: see above
        async with aclosing(source.aiter_sse()) as frames:
            async for sse in frames:
                # A keep-alive can be an event too, one without data: no sign of the answer's life.
                if sse.data or sse.event == "error":
                    self._active()
                    if len(sse.data) > self._limits.event_bytes:
                        raise _too_large("one event", self._limits.event_bytes)
                    yield Frame(sse.data, sse.event)

    def aiter_text(self) -> AsyncGenerator[str, None]:
        """Return the body as UTF-8 text without a byte-order mark, closed by a blank line."""
        self._texts = self._decoded()
        return self._texts

    async def _decoded(self) -> AsyncGenerator[str, None]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        piece = self._first
        while piece:
            yield decoder.decode(piece)
            piece = await self._read()
        yield decoder.decode(b"", final=True) + "\n\n"

    async def text(self, limit: int) -> str:
        """Return up to `limit` bytes of the body as text; the rest is not read.

        Without events every byte is a sign of life.
        """
        pieces, size = [self._first], len(self._first)
        while size < limit and (piece := await self._read()):
            self._active()
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)[:limit].decode("utf-8-sig", errors="replace")

    async def aclose(self) -> None:
        """Let go of the source of bytes; the response is its owner's to close."""
        if self._texts is not None:
            await self._texts.aclose()
        await self._source.aclose()

    async def drain(self) -> None:
        """Read what is left; for the moment after the end, so the connection can be used again."""
        while await self._read():
            pass

    @property
    def ended_unclosed(self) -> bool:
        """Whether the body is over and its last event had no blank line after it."""
        tail = self.tail() if self.ended else ""
        return bool(tail) and not tail.endswith(("\n\n", "\n\r\n", "\r\r"))

    def tail(self) -> str:
        """Return the last 64 KiB as text."""
        return self._tail.text()

    async def _read(self) -> bytes:
        """Return the next bytes; none at the end, or in a silence that means the end."""
        piece = None if self.ended else await self._within_limits()
        if piece is None:
            self.ended = True
            return b""
        self._count(piece)
        return piece

    async def _within_limits(self) -> bytes | None:
        """Return the next bytes; `None` at the end, or in a silence that means the end.

        Raises:
            Stalled: Nothing came for as long as is allowed now.
        """
        silence, began = self.silence, self._clock()
        try:
            return await self._heard_within(silence.left)
        except (TimeoutError, httpx.ReadTimeout):
            if silence.means_end:
                return None
            raise silence.stalled(self._trace.heard_at) from None
        finally:
            self._now = self._clock()
            silence.waited(self._now - began)

    async def _heard_within(self, seconds: float) -> bytes | None:
        if seconds >= self._limits.silence:
            # The client's own read time-out says the same; a second scope would be half the cost of a read.
            return await anext(self._source, None)
        with anyio.fail_after(seconds):
            return await anext(self._source, None)

    def _active(self) -> None:
        self._event_bytes = 0
        self.silence.broken(self._now)

    def _count(self, piece: bytes) -> None:
        size = len(piece)
        self._trace.heard(size, self._now)
        # What was read before without an event: this piece may hold many that are small.
        if self._event_bytes > self._limits.event_bytes:
            raise _too_large("one event", self._limits.event_bytes)
        self._event_bytes += size
        self._received += size
        if self._received > self._limits.stream_bytes:
            raise _too_large("its stream", self._limits.stream_bytes)
        self._tail.add(piece)


def _too_large(what: str, limit: int) -> ProtocolError:
    return ProtocolError(
        f"RunAPI sent more than {limit / MIB:g} MiB in {what}.",
        advice="Ask for less at once; the limits are RUNAPI_MCP_MAX_EVENT_BYTES and _MAX_STREAM_BYTES.",
    )
