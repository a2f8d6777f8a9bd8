import gc
import json
import sys
import weakref
from dataclasses import replace
from typing import Any

import anyio
import pytest
from sockets import CHUNKED, UNTIL_CLOSED, Closed, Peer, raw_server

from runapi_mcp.errors import FailedMidway, ProtocolError, Refused, RunapiError, StreamCut
from runapi_mcp.models import DialectName
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream import stream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.wire.fold import Ending, Fold
from runapi_mcp.wire.types import Finish, Inline, Request, TextDelta, Turn, Usage
from upstream.asking import ASK, CANARY, KEY, ask, upstream_at

BOTH: tuple[DialectName, ...] = ("chat", "native")

WHOLE = [
    "default",
    "no-thoughts",
    "length",
    "blocked-middle",
    "finish",
    "lone-surrogate",
    "ok-wrong-type",
    "ok-json-completion",
    "double-finish",
    "early-stop",
    "unknown-fields",
    "null-fields",
    "no-usage",
    "usage-every-chunk",
    "usage-last-chunk",
    "usage-separate",
    "usage-early-partial",
    "gzip",
    "held-open",
    "no-final-blank-line",
    "bom",
    "lf",
    "crlf",
    "lone-cr",
    "split-utf8",
    "one-write",
    "two-objects",
    "id-and-comments",
    "no-space",
    "upper-content-type",
    "latin1-charset",
    "line-separators",
    "thinking seconds=0.1",
    "split-bytes words=4",
]
CHAT_ONLY = [
    "thought-tags",
    "bare-thought-tags",
    "reasoning-content",
    "reasoning",
    "no-done",
    "data-after-done",
]

ENDINGS: dict[str, str] = {
    "empty-stop": "EmptyAnswer", "length-thinking": "EmptyAnswer", "blocked-prompt": "Blocked",
    "ok-json-error": "Unavailable", "ok-relay-error": "RequestRefused", "ok-html": "ProtocolError",
    "ok-empty": "StreamCut", "ok-empty type=application/json": "StreamCut",
    "ok-empty type=text/plain": "StreamCut",
    "no-content-204": "ProtocolError", "raw-json": "Unavailable", "garbage": "ProtocolError",
    "mid-error": "FailedMidway", "mid-error-event": "FailedMidway", "mid-raw-json": "FailedMidway",
    "mid-error-string": "FailedMidway", "mid-error-finish": "FailedMidway",
    "cut-chunked": "StreamCut", "cut-clean": "StreamCut",
    "cut-mid-event": "StreamCut", "cut-rst": "StreamCut", "cut-before-headers": "StreamCut",
    "cut-gzip": "StreamCut", "false-gzip": "ProtocolError",
}  # fmt: skip
KEEPS_TEXT = {"garbage", "mid-error", "mid-error-event", "mid-raw-json", "mid-error-string",
              "mid-error-finish", "cut-chunked",
              "cut-clean", "cut-mid-event", "cut-gzip"}  # fmt: skip


async def one_event(text: str = "One", finish: str | None = None) -> bytes:
    choice: dict[str, Any] = {"delta": {"content": text}}
    if finish:
        choice["finish_reason"] = finish
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize("dialect", BOTH)
async def test_a_stream_that_is_odd_but_whole_is_a_whole_answer(sim: Simulator, dialect: DialectName) -> None:
    async with upstream_at(sim.base_url, idle_timeout=0.6) as upstream:
        for name in [*WHOLE, *(CHAT_ONLY if dialect == "chat" else ())]:
            sim.play(name)
            outcome = await ask(upstream, dialect)
            assert outcome.error is None, (name, outcome.error)
            assert outcome.answer is not None, name
            assert "imulated" in outcome.answer.text, name
            assert outcome.answer.finish is not None, name
            assert outcome.trace.requests == 1, name


@pytest.mark.parametrize("dialect", BOTH)
async def test_a_stream_that_is_no_answer_is_the_error_it_should_be(
    sim: Simulator, dialect: DialectName
) -> None:
    async with upstream_at(sim.base_url) as upstream:
        for cue, error in ENDINGS.items():
            sim.play(cue)
            outcome = await ask(upstream, dialect)
            assert type(outcome.error).__name__ == error, (cue, outcome.error)
            assert bool(outcome.text) == (cue in KEEPS_TEXT) or cue == "cut-rst", cue
            assert outcome.trace.requests == 1, cue


async def test_each_dialect_shows_the_key_in_its_own_header_only(sim: Simulator) -> None:
    async with upstream_at(sim.base_url) as upstream:
        await ask(upstream, "chat")
        await ask(upstream, "native")
    chat, native = sim.calls
    assert (chat.auth, native.auth) == ("bearer", "x-goog-api-key")
    assert not {"x-goog-api-key", "x-api-key"} & set(chat.headers)
    assert not {"authorization", "x-api-key"} & set(native.headers)
    assert (native.query, chat.query) == ("alt=sse", "")


class _Content(bytearray):
    """A body whose end can be seen."""


@pytest.mark.parametrize("scenario", ["default", "error-d", "cut-rst"])
async def test_what_was_sent_is_let_go_at_once_without_the_collector(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    sent: list[weakref.ref[_Content]] = []
    encode = stream.encode_body

    async def noted(request: Request) -> _Content:
        content = _Content(await encode(request))
        sent.append(weakref.ref(content))
        return content

    monkeypatch.setattr(stream, "encode_body", noted)
    gc.disable()
    try:
        async with upstream_at(sim.base_url) as upstream:
            sim.play(scenario)
            image = Inline("image/png", "A" * 1_000_000)
            outcome = await ask(upstream, call=replace(ASK, turns=(Turn("user", (image,)), *ASK.turns)))
            if outcome.error is not None:
                outcome.error.__traceback__ = outcome.error.__cause__ = outcome.error.__context__ = None
            assert [content() for content in sent] == [None]
    finally:
        gc.enable()
    assert int(sim.calls[0].headers["content-length"]) > 1_000_000


async def test_every_request_streams_and_names_itself(sim: Simulator) -> None:
    async with upstream_at(sim.base_url) as upstream:
        outcomes = [await ask(upstream), await ask(upstream)]
    names = [call.headers["x-client-request-id"] for call in sim.calls]
    assert names == [outcome.trace.request_id for outcome in outcomes]
    assert len(set(names)) == 2
    assert sim.calls[0].headers["accept"] == "text/event-stream"
    assert sim.calls[0].headers["accept-encoding"] == "identity"
    body = sim.calls[0].body
    assert isinstance(body, dict)
    assert body["stream"] is True


async def test_an_error_names_the_request_it_belongs_to(sim: Simulator) -> None:
    async with upstream_at(sim.base_url) as upstream:
        for name in ("no-credit", "cut-clean", "mid-error", "ok-html", "ok-json-error"):
            sim.play(name)
            outcome = await ask(upstream)
            assert outcome.trace.request_id is not None
            assert outcome.trace.request_id in str(outcome.error)


async def test_events_come_as_they_are_written_not_at_the_end(sim: Simulator) -> None:
    sim.play("stall-middle seconds=30")
    async with upstream_at(sim.base_url) as upstream:
        with anyio.fail_after(5):
            trace = Trace()
            async with upstream.stream(
                ASK, "chat", key=KEY, trace=trace, patience=0, ending=Ending()
            ) as events:
                while not isinstance((await anext(events))[-1], TextDelta):
                    pass
                assert sim.calls[-1].closed_at is None
                assert trace.phase == "open"
                assert trace.first_byte_at is not None
                assert trace.received > 0
            await sim.calls[-1].wait_closed(2)
    assert sim.calls[-1].ended == "client left"


@pytest.mark.parametrize("scenario", ["stall-headers", "stall-first", "stall-middle", "pings-forever"])
@pytest.mark.parametrize("dialect", BOTH)
async def test_cancelling_closes_the_socket_whatever_the_stream_is_doing(
    sim: Simulator, dialect: DialectName, scenario: str
) -> None:
    sim.play(f"{scenario} seconds=30")
    async with upstream_at(sim.base_url, idle_timeout=20.0, deadline=20.0) as upstream:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, upstream, dialect)
                call = await sim.wait_for_call()
                if scenario in ("stall-middle", "pings-forever"):
                    await call.wait_first_byte()
                tasks.cancel_scope.cancel()
            await call.wait_closed(1)
    assert call.ended == "client left"


async def test_an_exception_of_the_caller_passes_through_and_closes_the_socket(sim: Simulator) -> None:
    sim.play("stall-middle seconds=30")
    async with upstream_at(sim.base_url) as upstream:

        async def fails_on_its_own() -> None:
            async with upstream.stream(
                ASK, "chat", key=KEY, trace=Trace(), patience=0, ending=Ending()
            ) as events:
                await anext(events)
                b"\xff".decode()

        with pytest.raises(UnicodeDecodeError):
            await fails_on_its_own()
        await sim.calls[-1].wait_closed(1)


async def answer_and_keep(peer: Peer, _: bytes) -> None:
    await peer.say(CHUNKED)
    await peer.chunk(await one_event("One", "stop") + b"data: [DONE]\n\n")
    await peer.say(b"0\r\n\r\n")


async def test_the_connection_is_used_again_after_done() -> None:
    async with raw_server(answer_and_keep) as server, upstream_at(server.base_url) as upstream:
        for _ in range(3):
            assert (await ask(upstream)).text == "One"
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize("farewell", ["without a last chunk", "reset", "noise", "held"])
async def test_however_the_connection_ends_after_done_the_answer_stands(farewell: str) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(CHUNKED)
        await peer.chunk(await one_event("One", "stop") + b"data: [DONE]\n\n")
        if farewell == "held":
            await peer.left()
        if farewell == "noise":
            await peer.say(b"this is no chunk\r\n")
        if farewell == "reset":
            peer.reset()
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        with anyio.fail_after(3):
            outcome = await ask(upstream)
    assert outcome.error is None
    assert outcome.text == "One"


async def test_a_caller_that_takes_its_time_does_not_make_the_stream_stall() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(UNTIL_CLOSED + await one_event("One "))
        await peer.say(await one_event("two.", "stop"))
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url, idle_timeout=0.1) as upstream:
        fold = Fold()
        async with upstream.stream(
            ASK, "chat", key=KEY, trace=Trace(), patience=0, ending=fold.ending
        ) as events:
            async for several in events:
                for event in several:
                    fold.feed(event)
                if isinstance(several[-1], TextDelta):
                    await anyio.sleep(0.25)
    assert fold.answer().text == "One two."


async def test_text_that_was_held_back_to_the_end_is_part_of_the_answer() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(UNTIL_CLOSED + await one_event("<thou"))
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, StreamCut)
    assert outcome.error.partial == "<thou"


async def test_a_json_body_that_keeps_flowing_does_not_stall() -> None:
    chunk = {"candidates": [{"content": {"parts": [{"text": "simulated " * 4}]}, "finishReason": "STOP"}]}

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
        octets = json.dumps([chunk]).encode()
        for start in range(0, len(octets), 20):
            await peer.say(octets[start : start + 20])
            await anyio.sleep(0.1)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url, idle_timeout=0.3) as upstream:
        assert (await ask(upstream, "native")).text == "simulated " * 4


@pytest.mark.parametrize(
    "tail",
    [
        b'data: {"error":{"code":503,"message":"busy"}}\n\n',
        b'event: error\ndata: {"message":"busy"}\n\n',
    ],
)
async def test_an_error_in_a_stream_that_is_then_held_open_is_that_error(tail: bytes) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(UNTIL_CLOSED + await one_event("Half") + tail)
        await peer.left()

    async with raw_server(answer) as server, upstream_at(server.base_url, idle_timeout=0.2) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, FailedMidway)
    assert outcome.error.partial == "Half"


async def test_sources_after_the_finish_of_a_held_stream_do_not_make_it_a_stall() -> None:
    late = b'data: {"candidates":[{"groundingMetadata":{"webSearchQueries":["q"]}}]}\r\n\r\n'
    text = b'data: {"candidates":[{"content":{"parts":[{"text":"One"}]},"finishReason":"STOP"}]}\r\n\r\n'

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(UNTIL_CLOSED + text + late)
        await peer.left()

    async with raw_server(answer) as server, upstream_at(server.base_url, idle_timeout=0.2) as upstream:
        outcome = await ask(upstream, "native")
    assert outcome.error is None
    assert outcome.text == "One"


@pytest.mark.parametrize("first", [b"d", b"\n", b": hi\n"])
async def test_a_stream_of_a_wrong_type_is_known_however_few_bytes_come_first(first: bytes) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
        await peer.say(first)
        await anyio.sleep(0.05)
        await peer.say((await one_event("One", "stop")).removeprefix(first))
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        assert (await ask(upstream)).text == "One"


ECHOES = [
    (b"application/json", b'{"choices": ' + CANARY.encode()),
    (b"text/html", b"<title>key " + CANARY.encode() + b"</title>"),
    (b"text/plain", b"key " + CANARY.encode()),
    (b"text/event-stream", b"key " + CANARY.encode()),
    (b"text/event-stream", b'data: {"choices": "' + CANARY.encode() + b'"}\n\n'),
    (b"text/event-stream", b'data: {"error": "Incorrect key ' + CANARY.encode() + b'"}\n\n'),
    (b"text/event-stream", b'data: {"error": "' + b"x" * 290 + CANARY.encode() + b'"}\n\n'),
    (b"text/event-stream", b'data: {"choices":[{"delta":{"content":"' + CANARY.encode() + b'"}}]}\n\n'),
]


@pytest.mark.parametrize(("content_type", "body"), ECHOES)
async def test_a_key_that_upstream_echoes_goes_no_further(content_type: bytes, body: bytes) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type + b"\r\nconnection: close\r\n\r\n")
        await peer.say(body)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, ProtocolError | Refused | StreamCut)
    assert CANARY[:12] not in f"{outcome.error} {outcome.error!r} {outcome.text}"


async def test_no_generator_is_left_for_the_garbage_collector(sim: Simulator) -> None:
    left: list[str] = []
    hooks = sys.get_asyncgen_hooks()
    finalizer = hooks.finalizer

    def noted(generator: Any) -> None:
        if "httpx/" not in (where := generator.ag_code.co_filename) and "httpcore/" not in where:
            left.append(generator.__qualname__)
        if finalizer is not None:
            finalizer(generator)

    async with upstream_at(sim.base_url, idle_timeout=0.3) as upstream:
        sys.set_asyncgen_hooks(finalizer=noted)
        try:
            for name in ("default", "data-after-done", "held-open", "cut-chunked", "garbage", "mid-error"):
                sim.play(name)
                await ask(upstream)
            async with upstream.stream(
                ASK, "chat", key=KEY, trace=Trace(), patience=0, ending=Ending()
            ) as events:
                await anext(events)
            del events
            gc.collect()
        finally:
            sys.set_asyncgen_hooks(finalizer=finalizer)
    assert left == []


async def test_the_finish_and_the_usage_of_a_real_stream_arrive(sim: Simulator) -> None:
    async with upstream_at(sim.base_url) as upstream:
        outcome = await ask(upstream)
    assert outcome.answer is not None
    assert outcome.answer.finish == Finish("stop", "stop")
    assert isinstance(outcome.answer.usage, Usage)


async def test_a_call_the_dialect_cannot_carry_opens_no_connection(sim: Simulator) -> None:
    call = replace(ASK, turns=(Turn("user", (Inline("application/pdf", "AAAA"),)),))
    async with upstream_at(sim.base_url) as upstream:
        for asked in (call, replace(ASK, temperature=float("inf"))):
            outcome = await ask(upstream, call=asked)
            assert isinstance(outcome.error, RunapiError)
            assert outcome.error.code == "bad_argument"
    assert sim.calls == []
