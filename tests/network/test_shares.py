"""One caller cannot shut out the others: bodies, sessions, streams and connections are shared."""

import gzip
import json
import random
import shlex
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream
from messages import INITIALIZE, Message
from starlette.types import Message as Sent
from waiting import PATIENCE, became

from network.raw_web import ACCEPT, Web, events, web
from network.web_host import served
from runapi_mcp.generations.admission import MemoryBudget
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.bodies import Bodies, Unreadable, principal_of
from runapi_mcp.transports.http.connections import Connection, Connections, place_of
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.sessions import Session, Sessions
from runapi_mcp.transports.http.tokens import TokenList

ADA, BOB = "token-of-ada-0123456789", "token-of-bob-0123456789"
AUTH = TokenList.read(f"ada:{ADA}\nbob:{BOB}")
LISTED: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
MIB = 1 << 20


@asynccontextmanager
async def two_callers(sim: Simulator, **options: Any) -> AsyncIterator[tuple[Web, Web]]:
    async with (
        served(sim, AUTH, **options) as url,
        web(url, Authorization=f"Bearer {ADA}") as ada,
        web(url, Authorization=f"Bearer {BOB}") as bob,
    ):
        yield ada, bob


async def connect(url: str) -> SocketStream:
    host, _, port = url.removeprefix("http://").partition(":")
    return await anyio.connect_tcp(host, int(port))


async def half_send(stream: SocketStream, size: int, sent: int, token: str = "") -> None:
    """Send the head of a POST and a part of its body."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{bearer}"
    await stream.send(f"{head}Content-Length: {size}\r\n\r\n".encode())
    piece = b" " * 65_536
    for _ in range(sent // len(piece)):
        await stream.send(piece)
    await stream.send(b" " * (sent % len(piece)))


async def said(stream: SocketStream) -> bytes:
    heard = b""
    with anyio.fail_after(PATIENCE):
        try:
            while True:
                heard += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
            return heard


# ------------------------------------------------------------ bodies


async def test_half_sent_bodies_are_held_within_one_budget_and_others_have_theirs(sim: Simulator) -> None:
    env = {"RUNAPI_MCP_MEMORY_BYTES": str(8 * MIB)}
    async with (
        served(sim, AUTH, env=env, max_body=8 * MIB) as url,
        web(url, Authorization=f"Bearer {BOB}") as bob,
        AsyncExitStack() as stack,
    ):
        streams = [await stack.enter_async_context(await connect(url)) for _ in range(6)]
        for stream in streams:
            await half_send(stream, 7 * MIB, 2 * MIB, ADA)
        # Some made room for the others, and were told so.
        answers: list[bytes] = []

        async def hear(stream: SocketStream) -> None:
            answers.append(await said(stream))

        async with anyio.create_task_group() as group:
            for stream in streams:
                group.start_soon(hear, stream)
            await became(lambda: len(answers) >= 3)
            group.cancel_scope.cancel()
        assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        assert all(b"retry-after" in answer.lower() for answer in answers)
        greeted = await bob.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert greeted.status_code == 200


async def test_a_body_that_does_not_fit_into_its_senders_share_is_told_to_come_again(sim: Simulator) -> None:
    env = {"RUNAPI_MCP_MEMORY_BYTES": str(2 * MIB)}
    async with served(sim, AUTH, env=env) as url, await connect(url) as stream:
        with anyio.move_on_after(PATIENCE):
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                await half_send(stream, 4 * MIB, 4 * MIB, ADA)
        answer = await said(stream)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"MiB" in answer


async def test_a_small_body_is_read_however_full_its_senders_share_is() -> None:
    budget = MemoryBudget(MIB)
    bodies = Bodies(HttpOptions(), budget)
    headers = [(b"content-type", b"application/json")]
    scope: Sent = {"type": "http", "client": ("127.0.0.1", 1), "headers": headers}
    budget.reserve("another", budget.room("another"))
    budget.reserve(principal_of(scope), budget.room(principal_of(scope)))

    async def read(size: int) -> int:
        async def receive() -> Sent:
            return {"type": "http.request", "body": b"x" * size}

        with bodies.hold(scope) as body:
            return len(await bodies.read(body, scope, receive))

    assert await read(8_000) == 8_000
    with pytest.raises(Unreadable):
        await read(9_000)


async def test_of_too_many_slow_bodies_those_that_paused_longest_go_and_honest_ones_are_read(
    sim: Simulator,
) -> None:
    async with served(sim, max_bodies=4) as url, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(await connect(url)) for _ in range(12)]
        for number, stream in enumerate(slow):
            await half_send(stream, 100, 10 * (number % 2))  # some send a head, and then nothing
        turned_away: list[bytes] = []

        async def hear(stream: SocketStream) -> None:
            turned_away.append(await said(stream))

        async with web(url) as http, anyio.create_task_group() as tasks:
            for stream in slow:
                tasks.start_soon(hear, stream)
            await became(lambda: len(turned_away) == 8)
            assert all(answer.startswith(b"HTTP/1.1 503") for answer in turned_away)
            assert all(b"(4 bodies, and" in answer for answer in turned_away)
            assert (await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200
            assert (await http.http.get("/healthz")).status_code == 200
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br", "deflate", "zstd", "identity, gzip"])
async def test_a_body_that_is_compressed_is_not_unpacked(sim: Simulator, encoding: str) -> None:
    body = gzip.compress(json.dumps(INITIALIZE).encode())
    async with served(sim) as url, web(url) as http:
        for path in ("/mcp", "/messages/?session_id=0"):
            answer = await http.http.post(path, content=body, headers=ACCEPT | {"Content-Encoding": encoding})
            assert answer.status_code == 415
        plain = ACCEPT | {"Content-Encoding": "identity"}
        assert (await http.http.post("/mcp", json=INITIALIZE, headers=plain)).status_code == 200


# ------------------------------------------------------------ sessions


async def test_the_idle_session_of_whoever_has_most_goes_first(sim: Simulator) -> None:
    async with two_callers(sim, max_sessions=4) as (ada, bob):
        opened: list[dict[str, str]] = []
        for _ in range(6):
            await ada.open_session()
            opened.append(ada.session)
        await bob.open_session()
        statuses = [
            (await ada.http.post("/mcp", json=LISTED, headers=ACCEPT | session)).status_code
            for session in opened
        ]
        # Six into four places, and one of those for another.
        assert statuses == [404, 404, 404, 200, 200, 200]
        for _ in range(5):
            await ada.open_session()
        assert (await bob.http.post("/mcp", json=LISTED, headers=ACCEPT | bob.session)).status_code == 200


ADDRESS = {"type": "http", "client": ("192.0.2.1", 5)}


async def open_sessions(
    *ids: bytes, of: dict[int, str] | None = None
) -> tuple[Sessions, list[Session], list[bytes]]:
    """Sessions of one caller, as many as there may be; the ids of those that went are added to the list.

    Those at some places are `of` other addresses, and not returned.
    """
    gone: list[bytes] = []

    async def end(session: Session) -> None:
        gone.append(session.id)

    sessions = Sessions(len(ids), end, lambda: 0.0)
    for at, session_id in enumerate(ids):
        sessions.add(session_id, {**ADDRESS, "client": ((of or {}).get(at, "192.0.2.1"), 5)})
    found = [
        sessions.find(session_id, principal_of(ADDRESS)) for session_id in ids[: len(ids) - len(of or {})]
    ]
    return sessions, [session for session in found if session is not None], gone


async def test_of_idle_sessions_one_that_nobody_listens_to_goes_first() -> None:
    sessions, [heard, silent], gone = await open_sessions(b"heard", b"silent")
    with sessions.in_use(heard, stream=True):
        with sessions.in_use(silent):
            pass
        assert await sessions.make_room(principal_of(ADDRESS))
    assert gone == [b"silent"]


async def test_nobodys_session_goes_who_has_fewer() -> None:
    sessions, [busy, also_busy], gone = await open_sessions(
        b"busy", b"also busy", b"another's", of={2: "192.0.2.2"}
    )
    for session in (busy, also_busy):
        session.requests["1"] = 1
    assert not await sessions.make_room(principal_of(ADDRESS))
    assert gone == []
    assert await sessions.make_room("a newcomer")
    assert gone == [b"another's"]


async def test_a_session_was_used_when_its_last_use_ended_not_when_it_began() -> None:
    sessions, [long, short], gone = await open_sessions(b"long", b"short")
    with sessions.in_use(long), sessions.in_use(short):
        pass
    assert await sessions.make_room(principal_of(ADDRESS))
    assert gone == [b"short"]


async def test_a_session_with_a_call_in_progress_does_not_go(sim: Simulator) -> None:
    sim.play("slow seconds=1")
    async with two_callers(sim, max_sessions=1) as (ada, bob):
        await ada.open_session()
        async with ada.calling(1, "ask_gemini", prompt="Mine, until it is answered.") as response:
            await sim.wait_for_call()
            refused = await bob.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert refused.json()["error_description"].startswith("1 sessions are in use")
            await response.aread()
        assert "simulated" in events(response)[-1]["result"]["content"][0]["text"]
        assert (await bob.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200


async def test_a_session_that_is_gone_is_no_dead_end_for_a_client_that_initializes(sim: Simulator) -> None:
    async with two_callers(sim) as (ada, bob):
        await ada.open_session()
        gone = {"Mcp-Session-Id": "0" * 32}
        for session in (gone, {"Mcp-Session-Id": ada.session["Mcp-Session-Id"]}):
            answer = await bob.http.post("/mcp", json=INITIALIZE, headers=ACCEPT | session)
            assert answer.status_code == 200
            assert answer.headers["mcp-session-id"] != session["Mcp-Session-Id"]
        assert (await bob.http.post("/mcp", json=LISTED, headers=ACCEPT | gone)).status_code == 404


async def test_a_post_that_opens_no_session_costs_nobody_theirs(sim: Simulator) -> None:
    async with two_callers(sim, max_sessions=1) as (ada, bob):
        await ada.open_session()
        assert (await bob.http.post("/mcp", json=LISTED, headers=ACCEPT)).status_code == 400
        assert (await ada.http.post("/mcp", json=LISTED, headers=ACCEPT | ada.session)).status_code == 200


async def test_one_caller_does_not_take_all_places_for_event_streams(sim: Simulator) -> None:
    async with two_callers(sim, max_sessions=4) as (ada, bob), AsyncExitStack() as stack:
        answers = [await stack.enter_async_context(ada.http.stream("GET", "/sse")) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
        assert "4 clients are connected" in (await answers[-1].aread()).decode()
        mine = await stack.enter_async_context(bob.http.stream("GET", "/sse"))
        assert mine.status_code == 200


# ------------------------------------------------------------ connections


async def test_beyond_the_limit_a_connection_is_answered_503_and_health_has_its_own_place(
    sim: Simulator,
) -> None:
    sim.play("slow seconds=20", "slow seconds=20")
    async with served(sim, max_connections=2) as url, web(url) as http, AsyncExitStack() as stack:
        for number in range(2):
            response = await stack.enter_async_context(
                http.calling(number, "ask_gemini", prompt=f"Hold a connection, {number}.")
            )
            assert response.status_code == 200
        async with web(url) as late:
            for _ in range(3):
                refused = await late.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) > 0
                assert refused.json()["error"] == "busy"
                assert refused.json()["error_description"].startswith("2 connections are open")
            assert (await late.http.get("/healthz")).status_code == 200
            assert (await late.http.get("/metrics")).status_code == 200


async def test_a_burst_beyond_the_limit_is_answered_to_the_last(sim: Simulator) -> None:
    async with served(sim, max_connections=8) as url:
        streams = [await connect(url) for _ in range(24)]
        heard: list[bytes] = []

        async def ask(stream: SocketStream) -> None:
            async with stream:
                with suppress(anyio.BrokenResourceError):
                    await stream.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                heard.append(await said(stream))

        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(ask, stream)
    assert len(heard) == 24
    assert all(answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")) for answer in heard)
    assert sum(answer.startswith(b"HTTP/1.1 200") for answer in heard) >= 8


@pytest.mark.skipif(sys.platform == "win32", reason="what is open is counted by its file descriptors")
async def test_of_many_new_connections_few_are_taken_before_others_have_a_turn(sim: Simulator) -> None:
    def count_open() -> int:
        return sum(1 for _ in Path("/dev/fd").iterdir())

    async with served(sim) as url:
        address = (urlsplit(url).hostname, urlsplit(url).port)
        with ExitStack() as stack:
            for _ in range(200):  # nobody takes them meanwhile: this is the server's own thread
                stack.enter_context(socket.create_connection(address))
            taken = [count_open()]
            while taken[-1] < taken[0] + 200:
                await anyio.lowlevel.checkpoint()
                taken.append(count_open())
    assert max(after - before for before, after in pairwise(taken)) <= 40


async def test_a_place_is_free_again_when_its_connection_is_closed(sim: Simulator) -> None:
    async with served(sim, max_connections=2) as url:
        for _ in range(6):
            async with web(url) as http:
                assert (await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200

        async def free() -> bool:
            async with web(url) as http:
                return (await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200

        await became(free)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_network_is_one_place(address: str, place: str) -> None:
    assert place_of(address) == place


def test_connections_of_one_address_are_as_many_as_would_still_be_free() -> None:
    class Fake:
        def __init__(self, address: str, port: int) -> None:
            self.peer, self.address, self.place = (address, port), address, address
            self.away = False

        def turn_away(self) -> None:
            self.away = True
            connections.forget(self)  # type: ignore[arg-type]

    connections = Connections(10, 1.0, lambda address: address == "proxy")
    admitted = []
    for port in range(8):
        each = Fake("ada", port)
        admitted.append(connections.admit(each))  # type: ignore[arg-type]
        connections.set_used(each)  # type: ignore[arg-type]
    assert admitted == [True] * 5 + [False] * 3
    assert connections.admit(Fake("bob", 1))  # type: ignore[arg-type]
    proxied = [connections.admit(Fake("proxy", port)) for port in range(4)]  # type: ignore[arg-type]
    assert proxied == [True] * 4


# ------------------------------------------------------------ what a session keeps


@pytest.mark.parametrize("path", ["name", "capabilities"])
async def test_a_client_that_says_too_much_of_itself_opens_no_session(sim: Simulator, path: str) -> None:
    params = INITIALIZE["params"]
    fair = {
        "name": params
        | {"clientInfo": {"name": "x", "version": "1", "icons": [{"src": "data:" + "A" * 60_000}]}},
        "capabilities": params | {"capabilities": {"experimental": {"x": {"y": [{}] * 500}}}},
    }
    greedy = {
        "name": params | {"clientInfo": {"name": "x" * 200_000, "version": "1"}},
        "capabilities": params | {"capabilities": {"experimental": {"x": {"y": [{}] * 5_000}}}},
    }
    async with served(sim) as url, web(url) as http:
        answer = await http.http.post("/mcp", json=INITIALIZE | {"params": fair[path]}, headers=ACCEPT)
        assert answer.status_code == 200, answer.text
        answer = await http.http.post("/mcp", json=INITIALIZE | {"params": greedy[path]}, headers=ACCEPT)
    assert answer.status_code == 400
    assert "may have 128 KiB" in answer.text
    assert "mcp-session-id" not in answer.headers


async def test_of_a_body_in_chunks_of_a_byte_no_more_is_read_at_once_than_is_quickly_parsed(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    take_in = Connection.data_received

    def counted(connection: Connection, data: bytes) -> None:
        sizes.append(len(data))
        take_in(connection, data)

    monkeypatch.setattr(Connection, "data_received", counted)
    head = (
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    async with served(sim) as url, await connect(url) as stream:
        await stream.send(head + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n")
        assert (await said(stream)).startswith(b"HTTP/1.1 400")
    assert max(sizes) <= 8_192
    assert sum(sizes) > 600_000


# ------------------------------------------------------------ responses


def response(size: int, sends: Callable[[Sent], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """What sends a response of this size."""

    async def send() -> None:
        length = [(b"content-length", str(size).encode())]
        await sends({"type": "http.response.start", "status": 200, "headers": length})
        await sends({"type": "http.response.body", "body": b"x" * size})

    return send


async def test_responses_that_nobody_reads_count_to_their_callers_share_and_others_get_theirs() -> None:
    budget = MemoryBudget(8 * MIB)
    bodies = Bodies(HttpOptions(), budget)
    statuses: list[int] = []

    async def unread(message: Sent) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        elif len(message["body"]) > 10_000:
            await anyio.sleep_forever()

    async def respond(client: str, send: Callable[[Sent], Awaitable[None]]) -> None:
        scope: Sent = {"type": "http", "client": (client, 1), "headers": []}
        with bodies.sending(scope, send) as counted:
            await response(MIB, counted)()

    read: list[bytes] = []

    async def reading(message: Sent) -> None:
        read.append(message.get("body", b""))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(respond, "127.0.0.1", unread)
            await became(lambda: len(statuses) == 20)
            assert statuses.count(200) == 4
            assert statuses.count(503) == 16
            await respond("127.0.0.2", reading)
            group.cancel_scope.cancel()
    assert b"".join(read) == b"x" * MIB
    assert max(map(len, read)) <= 65_536, "no more at once than is taken in"
    assert budget.used == 0


async def test_of_large_responses_one_is_sent_to_a_caller_however_full_its_share_is() -> None:
    budget, sent = MemoryBudget(8 * MIB), []
    bodies, held = Bodies(HttpOptions(), budget), anyio.Event()
    scope: Sent = {"type": "http", "client": ("127.0.0.1", 1), "headers": []}
    budget.reserve(principal_of(scope), 4 * MIB)  # answers that it has still to fetch

    async def send(message: Sent) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])
        elif len(message["body"]) > 10_000:
            await held.wait()

    async def respond() -> None:
        with bodies.sending(scope, send) as counted:
            await response(MIB, counted)()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(respond)
        await became(lambda: sent == [200])
        await respond()
        assert sent == [200, 503]
        assert budget.used == 5 * MIB
        held.set()
    await respond()
    assert sent == [200, 503, 200]
    assert budget.used == 4 * MIB


async def test_whatever_fills_a_callers_share_it_can_be_fetched_and_stopped(sim: Simulator) -> None:
    chance = random.Random(1)
    text = " ".join("xxx" + chance.randbytes(5_000).hex() for _ in range(30))
    sim.play(f"default text={shlex.quote(text)} pace=0")
    async with two_callers(sim, env={"RUNAPI_MCP_MEMORY_BYTES": str(MIB)}) as (ada, _):
        begun = events(await ada.call(1, "ask_gemini", prompt="Write."))[-1]["result"]
        handle = begun["_meta"]["ai.runapi/receipt"]["handle"]

        async def refused() -> bool:
            # What is too large for the room that is left is told what fills it.
            answer = await ada.call(2, "list_models", _more="x" * 100_000)
            return answer.status_code == 503 and handle in answer.text

        await became(refused)
        small = await ada.call(3, "ask_gemini", prompt="One more?")
        assert handle in small.text
        assert "RUNAPI_MCP_MEMORY_BYTES" in small.text
        fetched = events(await ada.call(4, "get_result", handle=handle))[-1]["result"]
        assert fetched["_meta"]["ai.runapi/receipt"]["status"] in {"complete", "partial"}
        assert "xxx" in fetched["content"][0]["text"]
        stopped = await ada.call(5, "get_result", handle=handle, cancel=True)
        assert stopped.status_code == 200


async def test_a_stream_whose_events_nobody_reads_ends_where_its_callers_share_is_full() -> None:
    budget = MemoryBudget(2 * MIB)
    sent: list[Sent] = []

    async def send(message: Sent) -> None:
        sent.append(message)

    scope: Sent = {"type": "http", "client": ("127.0.0.1", 1), "headers": []}
    with Bodies(HttpOptions(), budget).sending(scope, send) as counted:
        await counted({"type": "http.response.start", "status": 200, "headers": []})
        await counted({"type": "http.response.body", "body": b"x" * MIB, "more_body": True})
        assert budget.used == 0, "it was taken in"
        await counted({"type": "http.response.body", "body": b"x" * 2 * MIB, "more_body": True})
        await counted({"type": "http.response.body", "body": b"x", "more_body": False})
    assert sum(len(message.get("body", b"")) for message in sent) == MIB
    assert sent[-1]["more_body"] is False
