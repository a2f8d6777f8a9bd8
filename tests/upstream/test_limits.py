import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import h11
import pytest
from httpx_sse import EventSource, ServerSentEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sockets import UNTIL_CLOSED, Peer, raw_server
from streams import read

from runapi_mcp.errors import DeadlinePassed, ProtocolError, RunapiError, Stalled, StreamCut
from runapi_mcp.models import DialectName
from runapi_mcp.settings import MIB
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.redact import Redacting, redact
from runapi_mcp.upstream.stream import Limits, encode_body
from runapi_mcp.wire.chat import ChatDecoder
from runapi_mcp.wire.chunks import json_frames
from runapi_mcp.wire.fold import Ending
from runapi_mcp.wire.json_text import dump, dump_pieces
from runapi_mcp.wire.types import Event, Frame, JsonObject, JsonValue, Request, TextDelta, ThoughtDelta
from upstream.asking import ASK, KEY, ask, upstream_at

Answer = Callable[[Peer, bytes], Awaitable[None]]
BOTH: tuple[DialectName, ...] = ("chat", "native")
ONE = b'data: {"choices":[{"delta":{"content":"One"}}]}\n\n'


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("stall-headers", "did not begin to answer for 0.3 s"),
        ("stall-first", "sent nothing for 0.3 s"),
        ("stall-middle", "sent nothing for 0.3 s"),
        ("pings-forever", "keep-alives but no content for 0.3 s"),
    ],
)
@pytest.mark.parametrize("dialect", BOTH)
async def test_silence_is_a_stall_and_keep_alives_are_silence(
    sim: Simulator, dialect: DialectName, scenario: str, words: str
) -> None:
    sim.play(f"{scenario} seconds=30")
    async with upstream_at(sim.base_url, idle_timeout=0.3) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream, dialect)
        assert isinstance(outcome.error, Stalled)
        assert words in str(outcome.error)
        await sim.calls[-1].wait_closed(1)


@pytest.mark.parametrize(
    "keep_alive", [b": ping\n\n", b"id: 7\n\n", b"event: ping\n\n", b"retry: 5\n\n", b"data:\n\n"]
)
async def test_no_form_of_keep_alive_puts_off_the_stall(keep_alive: bytes) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(UNTIL_CLOSED + b"id: 1\n" + ONE)
        while True:
            await peer.say(keep_alive)
            await anyio.sleep(0.05)

    async with raw_server(answer) as server, upstream_at(server.base_url, idle_timeout=0.3) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream)
    assert isinstance(outcome.error, Stalled)
    assert outcome.text == "One"


@pytest.mark.parametrize(
    "scenario", ["endless seconds=30", "pings-forever seconds=30", "slow-drip every=0.5 seconds=30"]
)
async def test_the_deadline_ends_a_stream_whatever_it_sends(sim: Simulator, scenario: str) -> None:
    sim.play(f"{scenario} seconds=30")
    async with upstream_at(sim.base_url, idle_timeout=5.0, deadline=0.4) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream)
        assert isinstance(outcome.error, DeadlinePassed)
        await sim.calls[-1].wait_closed(1)


async def test_the_deadline_counts_the_wait_for_the_first_byte(sim: Simulator) -> None:
    sim.play("stall-headers seconds=30")
    async with upstream_at(sim.base_url, idle_timeout=5.0, deadline=0.3) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream)
    assert isinstance(outcome.error, DeadlinePassed)
    assert f"request id {outcome.trace.request_id}" in str(outcome.error)


async def test_the_deadline_counts_the_waits_that_runapi_asks_for(sim: Simulator) -> None:
    sim.play(*["rate-limit-forever seconds=1"] * 3)
    async with upstream_at(sim.base_url, deadline=0.3) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, DeadlinePassed)
    assert len(sim.calls) == 1


@pytest.mark.parametrize("dialect", BOTH)
async def test_an_event_beyond_its_limit_is_a_protocol_error(sim: Simulator, dialect: DialectName) -> None:
    sim.play("huge-event mb=2")
    async with upstream_at(sim.base_url, max_event_bytes=MIB) as upstream:
        outcome = await ask(upstream, dialect)
        assert isinstance(outcome.error, ProtocolError)
        assert "more than 1 MiB in one event" in str(outcome.error)
        await sim.calls[-1].wait_closed(1)
    assert outcome.trace.received < 2 * MIB


async def test_many_small_events_in_one_read_are_not_one_large_event(sim: Simulator) -> None:
    sim.play("one-write words=2000")
    async with upstream_at(sim.base_url, max_event_bytes=1024) as upstream:
        assert (await ask(upstream)).error is None


async def test_a_stream_beyond_its_limit_is_a_protocol_error(sim: Simulator) -> None:
    sim.play("endless every=0.0001 seconds=30")
    async with upstream_at(sim.base_url, max_stream_bytes=200_000) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, ProtocolError)
    assert "in its stream" in str(outcome.error)
    assert 0 < len(outcome.text) < 200_000


async def test_the_limit_of_a_stream_counts_that_stream_only(sim: Simulator) -> None:
    trace = Trace()
    async with upstream_at(sim.base_url, max_stream_bytes=20_000) as upstream:
        while trace.received < 30_000:
            async with upstream.stream(
                ASK, "chat", key=KEY, trace=trace, patience=0, ending=Ending()
            ) as events:
                assert [event async for event in events]


async def test_a_body_without_events_is_bounded_too() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[")
        while True:
            await peer.say(b" " * 10_000)

    async with (
        raw_server(answer) as server,
        upstream_at(server.base_url, max_stream_bytes=100_000) as upstream,
    ):
        with anyio.fail_after(3):
            outcome = await ask(upstream)
    assert isinstance(outcome.error, ProtocolError)
    assert outcome.trace.received < 200_000


async def test_white_space_without_end_is_not_read_without_end() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while True:
            await peer.say(b"\n" * 500)

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream)
    assert isinstance(outcome.error, StreamCut)
    assert outcome.trace.received < 200_000


async def between_turns(answer: Answer, seen: list[int]) -> int:
    """Have an answer read while another task takes its turns; return how much of it was seen between two."""
    most = 0

    async def take_turns() -> None:
        nonlocal most
        while True:
            most = max(most, sum(seen))
            seen.clear()
            await anyio.lowlevel.checkpoint()

    async with (
        raw_server(answer) as server,
        upstream_at(server.base_url) as upstream,
        anyio.create_task_group() as group,
    ):
        group.start_soon(take_turns)
        await ask(upstream)
        group.cancel_scope.cancel()
    return max(most, sum(seen))


def saying(kind: bytes, body: bytes) -> Answer:
    async def answer(peer: Peer, _: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
        await peer.say(head % (kind, len(body)) + body)

    return answer


async def test_others_have_their_turns_between_the_documents_of_a_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def counted(text: str) -> Iterator[Frame]:
        for frame in json_frames(text):
            seen.append(1)
            yield frame

    monkeypatch.setattr("runapi_mcp.upstream.stream.json_frames", counted)
    assert await between_turns(saying(b"application/json", b'{"choices":[]}\n' * 20_000), seen) <= 128


async def test_others_have_their_turns_between_the_events_that_one_read_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    class Counting(EventSource):
        def iter_sse(self) -> Iterator[ServerSentEvent]:
            for text in self.response.iter_text():
                seen.append(len(text))
                yield ServerSentEvent(data="")

    monkeypatch.setattr("runapi_mcp.upstream.stream.EventSource", Counting)
    assert 0 < await between_turns(saying(b"text/event-stream", b"data:\n\n" * 200_000), seen) <= 16_400


async def test_others_have_their_turns_between_the_small_documents_that_one_read_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def counted(_decoder: ChatDecoder, _frame: Frame) -> Sequence[Event]:
        seen.append(1)
        return ()

    monkeypatch.setattr(ChatDecoder, "decode", counted)
    assert 0 < await between_turns(saying(b"text/event-stream", b"data:{}\n\n" * 50_000), seen) <= 128


CRUMBS = b"".join(b"1\r\n%c\r\n" % octet for octet in ONE * 500) + b"0\r\n\r\n"
CHUNKED = b"HTTP/1.1 %s\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        CHUNKED % b"200 OK" + CRUMBS,
        CHUNKED % b"400 Bad Request" + CRUMBS,
    ],
    ids=["chunks of a byte", "chunks of a byte, of a refusal"],
)
async def test_others_have_their_turns_between_what_an_answer_is_made_of(
    octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    parse = h11.Connection.next_event

    def counted(connection: h11.Connection) -> Any:
        event = parse(connection)
        if connection.our_role is h11.CLIENT and event is not h11.NEED_DATA:
            seen.append(1)
        return event

    monkeypatch.setattr(h11.Connection, "next_event", counted)

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(octets)

    # One read brings ten thousand of them.
    assert 0 < await between_turns(answer, seen) <= 260


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"text/event-stream", b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % (b"x" * 300_000)),
        (b"text/event-stream", b"data:\n" * 60_000 + b"\n" + ONE),
        (b"application/json", b"[" + b'{"choices":[]},\n' * 20_000 + b"{}]"),
    ],
    ids=["a long event", "an event of many lines", "a long body"],
)
async def test_no_long_text_is_read_on_the_event_loop(
    kind: bytes, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[int] = []
    elsewhere: list[int] = []
    loop = threading.get_ident()

    def note(text: str) -> None:
        (here if threading.get_ident() == loop else elsewhere).append(len(text))

    def taken_out(text: str, key: SecretStr) -> str:
        note(text)
        return redact(text, key)

    class Noting(Redacting):
        def feed(self, events: Sequence[Event]) -> Sequence[Event]:
            note("".join(event.text for event in events if isinstance(event, TextDelta)))
            return super().feed(events)

    monkeypatch.setattr("runapi_mcp.upstream.stream.redact", taken_out)
    monkeypatch.setattr("runapi_mcp.upstream.stream.Redacting", Noting)
    async with (
        raw_server(saying(kind, body)) as server,
        upstream_at(server.base_url) as upstream,
    ):
        await ask(upstream)
    assert max(elsewhere) >= 250_000
    assert max(here, default=0) <= 65_536


fields = st.sampled_from(
    [b"data: ", b"data:", b"\n", b"\n\n", b"\r\n\r\n", b"\r", b"event: error\n", b"id: 1\n", b": x\n",
     b"[DONE]", b"\xef\xbb\xbf", b'{"choices":[{"delta":{"content":"', b'"}}]}', b'{"error":', b"[{", b"}]",
     b'{"candidates":[', b'"message":"x"', b"null", b"\\ud83d", b"\xf0\x9f", b"1e999",
     b'"finish_reason":"stop"', b'"usageMetadata":{}']
)  # fmt: skip
odd = st.lists(fields | st.binary(max_size=8), max_size=25).map(b"".join)
types = st.sampled_from(["text/event-stream", "application/json", "text/html", "text/plain", ""])
tight = Limits(event_bytes=2_000, stream_bytes=4_000, silence=5.0)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    octets=odd | st.binary(max_size=300),
    size=st.integers(1, 50),
    content_type=types,
    dialect=st.sampled_from(BOTH),
)
async def test_any_bytes_are_events_or_an_error_of_ours(
    octets: bytes, size: int, content_type: str, dialect: DialectName
) -> None:
    pieces = [octets[start : start + size] for start in range(0, len(octets), size)]
    events, error = await read(pieces, dialect, content_type=content_type, limits=tight)
    assert error is None or isinstance(error, RunapiError)
    assert characters(events) <= len(octets)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(count=st.integers(1, 40), length=st.integers(1, 3_000), size=st.integers(1, 5_000))
async def test_no_more_than_the_limits_ever_comes_out(count: int, length: int, size: int) -> None:
    octets = (b'data: {"choices":[{"delta":{"content":"' + b"x" * length + b'"}}]}\n\n') * count
    pieces = [octets[start : start + size] for start in range(0, len(octets), size)]
    events, error = await read(pieces, "chat", limits=tight)
    assert characters(events) <= tight.stream_bytes
    assert length <= tight.event_bytes or not events
    if len(octets) > tight.stream_bytes:
        assert isinstance(error, ProtocolError)
    elif length + 60 < tight.event_bytes - size:
        assert error is None


def texts(events: list[Event]) -> list[str]:
    found: list[Any] = [event for event in events if isinstance(event, TextDelta | ThoughtDelta)]
    return [event.text for event in found]


def characters(events: list[Event]) -> int:
    return sum(map(len, texts(events)))


async def test_a_large_body_is_not_written_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def watched(value: JsonValue) -> Iterator[bytes]:
        seen.append(threading.get_ident())
        return dump_pieces(value)

    monkeypatch.setattr("runapi_mcp.upstream.stream.dump_pieces", watched)
    body: JsonObject = {"messages": ["x" * 300_000]}
    assert await encode_body(Request("/path", "bearer", body)) == dump(body)
    assert seen
    assert threading.get_ident() not in seen
