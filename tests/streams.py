"""Bytes through the real pieces of the upstream path, without a socket; and values to compare with."""

import dataclasses
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from runapi_mcp.errors import RunapiError
from runapi_mcp.models import DialectName
from runapi_mcp.settings import MIB
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.stream import Answering, Body, Limits, Readers
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.fold import Ending, Fold, join_texts
from runapi_mcp.wire.types import Event, Request, ThoughtDelta

KEY = SecretStr("sk-canary-0123456789")
FRAMES = Path(__file__).parent / "wire" / "frames"
ROOMY = Limits(event_bytes=MIB, stream_bytes=4 * MIB, silence=5.0)


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def read(
    pieces: Iterable[bytes],
    dialect: DialectName,
    *,
    content_type: str = "text/event-stream",
    limits: Limits = ROOMY,
) -> tuple[list[Event], RunapiError | None]:
    """Return the events that the pieces make, and the error that ended them if one did."""
    response = httpx.Response(200, headers={"content-type": content_type}, stream=Pieces(pieces))
    body = Body(response, limits, Trace(), time.monotonic, Readers(), KEY)
    decoder = dialects("/v1beta/openai")[dialect].decoder()
    ending = Ending()
    answering = Answering(body, decoder, Request("/x", "bearer", {}), KEY, ending)
    events: list[Event] = []
    try:
        async with aclosing(body), aclosing(answering.events()) as source:
            async for several in source:
                for event in several:
                    ending.feed(event)
                    events.append(event)
    except RunapiError as error:
        return events, error
    return events, None


def joined(events: Iterable[Event]) -> list[Event]:
    """Return events with neighbouring texts, and neighbouring thoughts, made one."""
    made: list[Event] = []
    for event in join_texts([*events]):
        match made[-1] if made else None, event:
            case ThoughtDelta(before), ThoughtDelta(more):
                made[-1] = ThoughtDelta(before + more)
            case _:
                made.append(event)
    return made


def plain(events: Iterable[Event]) -> list[Any]:
    """Return events as JSON has them: name and fields, those at their defaults left out."""
    return [[type(event).__name__, _fields(event)] for event in events]


def _fields(value: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if part != field.default:
            shown[field.name] = json.loads(json.dumps(part, default=_fields))
    return shown


def fold(events: Sequence[Event]) -> Fold:
    made = Fold()
    for event in events:
        made.feed(event)
    return made
