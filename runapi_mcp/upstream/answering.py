"""One response → the events of an answer: frames decoded, endings judged, errors told apart."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import ProtocolError, StreamCut, UpstreamError, quoted
from runapi_mcp.upstream.body import Body
from runapi_mcp.upstream.redacting import Redacting, redacted
from runapi_mcp.wire.bodies import json_frames, stray_failure
from runapi_mcp.wire.ending import Ending
from runapi_mcp.wire.faults import headline, refusal
from runapi_mcp.wire.types import (
    Decoder,
    Done,
    Event,
    Failure,
    Finish,
    Frame,
    Request,
)

_DRAIN_SECONDS: Final = 0.25
_GRACE_SECONDS: Final = 2.0
"""Silence after a finish, some text and its usage that means the end (wire notes §8, held sockets)."""
_LONG_GRACE_SECONDS: Final = 10.0
"""The same after a finish alone: its usage, or text after an early finish, may still come."""
_JSON_BYTES: Final = 64 * 1024 * 1024
_PAGE_BYTES: Final = 65_536


class Answering:
    """Reads one body as an answer."""

    def __init__(self, body: Body, decoder: Decoder, request: Request, key: SecretStr) -> None:
        self._body = body
        self._decoder = decoder
        self._request = request
        self._key = key
        self._redacting = Redacting(key)
        self._ending = Ending()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the answer's events, to its end or to ``[DONE]``.

        Raises:
            Refused: The answer is an error at status 200, with nothing before it.
            StreamCut: There is no answer in it at all.
            ProtocolError: It is not a stream this dialect knows.
            Stalled, DeadlinePassed: It went silent for too long.
        """
        async with aclosing(await self._frames()) as frames:
            async for frame in frames:
                for event in self._decoded(frame):
                    for shown in self._redacting.feed(event):
                        yield self._judged(shown)
                    if isinstance(event, Done):
                        return
        for event in self._held_back():
            yield self._judged(event)
        for event in self._leftover():
            yield self._judged(event)

    def _held_back(self) -> Sequence[Event]:
        held = [shown for event in self._decoder.end() for shown in self._redacting.feed(event)]
        return [*held, *self._redacting.end()]

    async def drain(self) -> None:
        """After ``[DONE]``: read what little is left, so that the connection can be used again."""
        if self._ending.done:
            # The answer is whole: however the connection ends now is no error.
            with anyio.move_on_after(_DRAIN_SECONDS), suppress(httpx.HTTPError, UpstreamError):
                await self._body.drain()

    async def _frames(self) -> AsyncGenerator[Frame, None]:
        """Return the frames of whatever kind of body this is.

        Raises:
            StreamCut, ProtocolError: It is not one that has frames.
        """
        match await self._body.kind():
            case "events":
                return self._body.events()
            case "json":
                return self._documents()
            case "page":
                raise ProtocolError(f"A web page came instead of a stream: {quoted(await self._headline())}.")
            case "unknown":
                raise await self._no_stream()

    async def _documents(self) -> AsyncGenerator[Frame, None]:
        for frame in json_frames(await self._text(_JSON_BYTES)):
            yield frame

    def _decoded(self, frame: Frame) -> Sequence[Event]:
        text = redacted(frame.text, self._key)
        try:
            # Nothing to redact, and the frame is used as it is.
            return self._decoder.decode(frame if text is frame.text else Frame(text, frame.event))
        except ProtocolError:
            if self._body.ended_unclosed:
                # Half an event, completed by the blank line that Body adds: the stream was cut.
                return ()
            raise

    def _judged(self, event: Event) -> Event:
        """Note what an event means for the end; raise it if it is a refusal in disguise."""
        if isinstance(event, Failure):
            event = replace(event, message=redacted(event.message, self._key))
            if not self._ending.begun:
                raise self._refusal(event)
        if isinstance(event, Finish):
            event = replace(
                event, raw=redacted(event.raw, self._key), message=redacted(event.message, self._key)
            )
        self._ending.feed(event)
        self._expect_end()
        return event

    def _expect_end(self) -> None:
        """Once the finish or a failure has come, silence is the end, sooner if nothing more is due."""
        silence = self._body.silence
        if self._ending.settled or self._ending.failed:
            silence.end_within(_GRACE_SECONDS)
        elif self._ending.finished:
            silence.end_within(_LONG_GRACE_SECONDS)
        elif silence.means_end:
            silence.go_on()

    def _leftover(self) -> list[Event]:
        """Return the failure that stood in the stream without being an event of it.

        Raises:
            StreamCut: The body was empty.
        """
        if self._ending.finished or self._ending.done:
            return []
        failure = stray_failure(self._body.tail())
        if failure:
            return [failure]
        if not self._ending.begun:
            raise self._nothing()
        return []

    def _nothing(self) -> UpstreamError:
        tail = redacted(self._body.tail(), self._key).strip()
        if not tail:
            return StreamCut(
                "RunAPI's answer was empty.", advice="Ask again; it is not caused by the arguments."
            )
        return StreamCut(
            f"RunAPI's stream held no answer; what came was {quoted(tail)}.",
            advice="It is not caused by the arguments; ask again.",
        )

    def _refusal(self, failure: Failure) -> UpstreamError:
        return refusal(failure, 200, path=self._request.path)

    async def _headline(self) -> str:
        return headline(await self._text(_PAGE_BYTES))

    async def _no_stream(self) -> UpstreamError:
        text = (await self._text(_PAGE_BYTES)).strip()
        if not text:
            return self._nothing()
        return ProtocolError(f"What came is not a stream: {quoted(text)}.")

    async def _text(self, limit: int) -> str:
        return redacted(await self._body.text(limit), self._key)
