"""Connections to RunAPI: kept as long as RunAPI keeps them, watched while they are silent, and no bombs."""

import gzip
import socket
import sys
import zlib
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sockets import CHUNKED, UNTIL_CLOSED, Closed, Peer, raw_server

from runapi_mcp.errors import ProtocolError, StreamCut, Unavailable
from runapi_mcp.settings import Settings
from runapi_mcp.upstream import http
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Connection, new_client, read_pieces
from upstream.asking import KEY, Outcome, ask, upstream_at

ANSWER = (
    b'data: {"choices":[{"delta":{"content":"Well."},"finish_reason":"stop"}],"usage":{"total_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
Handler = Callable[[Peer, bytes], Awaitable[None]]


async def tell(peer: Peer) -> None:
    await peer.say(CHUNKED)
    await peer.chunk(ANSWER)
    await peer.say(b"0\r\n\r\n")


def leaving_second(*, reset: bool) -> Handler:
    """A server whose connections end at their second request, unread."""
    seen: list[Peer] = []

    async def answer(peer: Peer, _: bytes) -> None:
        if any(peer is known for known in seen):
            if reset:
                peer.reset()
            raise Closed
        seen.append(peer)
        await tell(peer)

    return answer


# ---------------------------------------------------------------- kept and closed


@pytest.mark.parametrize("reset", [False, True])
async def test_a_kept_connection_that_ends_as_it_is_used_again_fails_no_call(reset: bool) -> None:
    async with raw_server(leaving_second(reset=reset)) as server, upstream_at(server.base_url) as upstream:
        outcomes = [await ask(upstream) for _ in range(4)]
    assert [outcome.error for outcome in outcomes] == [None] * 4
    assert [outcome.text for outcome in outcomes] == ["Well."] * 4
    assert [outcome.trace.requests for outcome in outcomes] == [1, 2, 2, 2]


async def test_a_kept_connection_that_was_too_late_by_its_own_words_fails_no_call() -> None:
    count = 0

    async def answer(peer: Peer, _: bytes) -> None:
        nonlocal count
        count += 1
        if count in (2, 4):  # a second of its connection, and then a first
            await peer.say(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            raise Closed
        await tell(peer)
        if count == 3:
            raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcomes = [await ask(upstream) for _ in range(3)]
    assert [outcome.text for outcome in outcomes] == ["Well.", "Well.", ""]
    assert [outcome.trace.requests for outcome in outcomes] == [1, 2, 1]
    assert isinstance(outcomes[2].error, Unavailable)


async def test_it_is_sent_again_once_and_no_more() -> None:
    count = 0

    async def answer(peer: Peer, _: bytes) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise Closed
        await tell(peer)

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        assert (await ask(upstream)).error is None
        outcome = await ask(upstream)
    assert isinstance(outcome.error, StreamCut)
    assert len(server.requests) == 3


async def test_a_kept_connection_that_ends_later_is_no_idle_one_and_nothing_is_paid_twice() -> None:
    now = 0.0

    def clock() -> float:
        return now

    count = 0

    async def answer(peer: Peer, _: bytes) -> None:
        nonlocal count, now
        count += 1
        if count > 1:
            now += 2.5  # it had begun to work
            raise Closed
        await tell(peer)

    async with raw_server(answer) as server:
        upstream = Upstream(Settings(key=KEY, base_url=server.base_url), clock=clock)
        assert (await ask(upstream)).error is None
        outcome = await ask(upstream)
        await upstream.aclose()
    assert isinstance(outcome.error, StreamCut)
    assert len(server.requests) == 2


async def test_a_kept_connection_that_brought_a_byte_of_an_answer_is_not_asked_again() -> None:
    count = 0

    async def answer(peer: Peer, _: bytes) -> None:
        nonlocal count
        count += 1
        if count > 1:
            await peer.say(CHUNKED)
            raise Closed
        await tell(peer)

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        await ask(upstream)
        outcome = await ask(upstream)
    assert isinstance(outcome.error, StreamCut)
    assert len(server.requests) == 2


@pytest.mark.parametrize("kept", [0.03, 0.06, 0.075])
async def test_no_call_fails_against_an_upstream_that_closes_idle_connections(kept: float) -> None:
    """A thousandth of the time in which upstreams do: 30, 60 and 75 s; pauses around that moment."""

    async def answer(peer: Peer, _: bytes) -> None:
        asked = b"first"
        while asked:
            await tell(peer)
            asked = b""
            with anyio.move_on_after(kept):
                asked = await peer.request()
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        for pause in (0.0, kept / 2, kept * 0.97, kept, kept * 1.03, kept * 2, kept, kept):
            await anyio.sleep(pause)
            outcome: Outcome = await ask(upstream)
            assert outcome.error is None
            assert outcome.text == "Well."


def test_connections_are_kept_for_longer_than_upstreams_keep_them() -> None:
    assert http._IDLE_SECONDS > 75


# ---------------------------------------------------------------- watched


@pytest.mark.skipif(sys.platform != "linux", reason="what can be set and read is the platform's own")
async def test_a_peer_that_is_gone_is_found_within_a_minute() -> None:
    found: list[int] = []

    async def answer(peer: Peer, _: bytes) -> None:
        await tell(peer)

    async with raw_server(answer) as server:
        connection = Connection()
        async with (
            new_client(Settings(base_url=server.base_url)) as client,
            client.stream("GET", server.base_url, extensions={"trace": connection}) as response,
        ):
            raw = response.extensions["network_stream"].get_extra_info("socket")
            assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            found = [raw.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
    idle, between, count, unacknowledged = found
    assert idle + between * count <= 60
    assert unacknowledged <= 60_000
    assert connection.is_new


async def test_every_call_watches_the_connection_that_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[object] = []
    monkeypatch.setattr("runapi_mcp.upstream.http.keep_alive", watched.append)

    async def answer(peer: Peer, _: bytes) -> None:
        await tell(peer)

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        for _ in range(3):
            assert (await ask(upstream)).error is None
    assert len(watched) == server.connections == 1


# ---------------------------------------------------------------- compressed


def packed(content: bytes, coding: str) -> bytes:
    match coding:
        case "gzip":
            return gzip.compress(content)
        case "x-gzip":
            return gzip.compress(content[:7]) + gzip.compress(content[7:]) + b"\0" * 9
        case "deflate":
            return zlib.compress(content)
    raw = zlib.compressobj(wbits=-15)
    return raw.compress(content) + raw.flush()


async def read(octets: bytes, coding: str, size: int = 1000) -> list[bytes]:
    async def cut() -> object:
        for at in range(0, len(octets), size):
            yield octets[at : at + size]

    response = httpx.Response(200, headers={"content-encoding": coding}, content=cut())  # type: ignore[arg-type]
    return [piece async for piece in read_pieces(response)]


@given(
    st.binary(max_size=3_000), st.sampled_from(["gzip", "x-gzip", "deflate", "Deflate"]), st.integers(1, 500)
)
def test_a_compressed_body_is_read_however_it_is_cut(content: bytes, coding: str, size: int) -> None:
    assert b"".join(anyio.run(read, packed(content, coding), coding, size)) == content


async def test_a_bomb_comes_out_in_small_pieces() -> None:
    pieces = await read(packed(b"\0" * 50_000_000, "gzip"), "gzip", 10**6)
    assert max(map(len, pieces)) <= 65_536
    assert sum(map(len, pieces)) == 50_000_000


async def test_others_have_their_turns_between_the_members_of_a_compressed_body() -> None:
    octets, turns, most = gzip.compress(b": x\n") * 5_000, 0, 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        await anyio.lowlevel.checkpoint()
        assert b"".join(await read(octets, "gzip", len(octets))) == b": x\n" * 5_000
        most = turns
        tasks.cancel_scope.cancel()
    assert most >= len(octets) // 4_096


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,deflate", "br", "zstd", "GZIP , Gzip"])
async def test_what_is_compressed_twice_or_in_ways_nobody_asked_for_is_refused_unread(coding: str) -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 1_000_000))

    async def answer(peer: Peer, _: bytes) -> None:
        named = UNTIL_CLOSED.replace(
            b"connection:", b"content-encoding: " + coding.encode() + b"\r\nconnection:"
        )
        await peer.say(named + bomb)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, ProtocolError)
    assert "which was not asked for" in str(outcome.error)
    assert outcome.error.request_id == outcome.trace.request_id


async def test_a_bomb_ends_at_the_limit_of_a_stream() -> None:
    bomb = gzip.compress(b": \n" * 30_000_000)

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(UNTIL_CLOSED.replace(b"connection:", b"content-encoding: gzip\r\nconnection:") + bomb)
        raise Closed

    async with (
        raw_server(answer) as server,
        upstream_at(server.base_url, max_stream_bytes=1 << 20, max_event_bytes=1 << 20) as upstream,
    ):
        outcome = await ask(upstream)
    assert isinstance(outcome.error, ProtocolError)
    assert "RunAPI sent more than 1 MiB" in str(outcome.error)


async def test_the_names_of_no_compression_are_no_compression() -> None:
    assert (
        await read(b"plain", "identity")
        == await read(b"plain", "")
        == await read(b"plain", "utf-8")
        == [b"plain"]
    )
