"""Bad input over the network, each with the status that the specification names."""

import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from messages import INITIALIZE, tool_call
from waiting import PATIENCE

from network.raw_web import ACCEPT, modern_headers, web
from network.web_host import served, web_server
from runapi_mcp.errors import SettingsError
from runapi_mcp.server.app import open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.serve import listening

LIMITS: dict[str, Any] = {
    "max_body": 100_000,
    "body_silence": 0.3,
    "head_seconds": 0.4,
    "max_connections": 40,
    "allowed_hosts": ("mcp.example.com",),
    "allowed_origins": ("https://app.example.com",),
}


@pytest.fixture(scope="module")
async def url(shared_sim: Simulator) -> AsyncIterator[str]:
    async with served(shared_sim, **LIMITS) as base_url:
        yield base_url


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/?session_id=0", "/anything"])
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "evil.example.com", 421),
        ("Host", "127.0.0.1.evil.example.com:80", 421),
        ("Host", "", 421),
        ("Origin", "https://evil.example.com", 403),
        ("Origin", "null", 403),
    ],
)
async def test_a_wrong_name_or_page_is_refused(
    url: str, path: str, header: str, value: str, status: int
) -> None:
    async with web(url) as http:
        answer = await http.http.post(path, json=INITIALIZE, headers=ACCEPT | {header: value})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "mcp.example.com"},
        {"Host": "mcp.example.com:8443"},
        {"Host": "localhost"},
        {"Origin": "https://app.example.com"},
        {"Origin": "http://localhost:6274"},
    ],
)
async def test_allowed_names_and_pages_are_answered(url: str, headers: dict[str, str]) -> None:
    async with web(url) as http:
        answer = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT | headers)
    assert answer.status_code == 200


async def test_a_page_that_may_call_can_read_the_answer(url: str) -> None:
    async with web(url, Origin="https://app.example.com") as page:
        wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        asked = await page.http.options("/mcp", headers=wish)
        answer = await page.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    assert asked.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "mcp-session-id" in answer.headers["access-control-expose-headers"].lower()


async def test_probes_are_answered_under_any_name(url: str) -> None:
    async with web(url, Host="10.1.2.3:8080") as http:
        assert (await http.http.get("/healthz")).json()["status"] == "ok"
        assert (await http.http.get("/readyz")).json() == {"status": "ready", "calls": 0}


@pytest.mark.parametrize("path", ["/mcp", "/messages/?session_id=0"])
async def test_a_body_over_the_limit_is_413(url: str, path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 10_000

    async with web(url) as http:
        declared = await http.http.post(path, content=b"x" * 100_001, headers=ACCEPT)
        streamed = await http.http.post(path, content=pieces(), headers=ACCEPT)
    assert declared.status_code == streamed.status_code == 413
    assert "larger than 100,000 bytes" in declared.text
    assert "Send less" in streamed.text


@pytest.mark.parametrize("kind", [{"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}])
async def test_who_is_still_sending_what_is_not_read_sees_why(url: str, kind: dict[str, str]) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(80):
            yield b"x" * 500_000
            sent += 1

    async with web(url) as http:
        answer = await http.http.post("/mcp", content=pieces(), headers=ACCEPT | kind)
    assert (answer.status_code, sent) == (415, 80)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_an_unknown_session_is_404(url: str, method: str) -> None:
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = ACCEPT | {"Mcp-Session-Id": "0" * 32, "MCP-Protocol-Version": "2025-11-25"}
    async with web(url) as http:
        answer = await http.http.request(
            method, "/mcp", json=listed if method == "POST" else None, headers=headers
        )
        older = await http.http.post(f"/messages/?session_id={'0' * 32}", json=listed, headers=ACCEPT)
    assert answer.status_code == older.status_code == 404


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", ACCEPT, 400),
        (b"[]", ACCEPT, 400),
        (b'"text"', ACCEPT, 400),
        (b"\xff\xfe", ACCEPT, 400),
        (b"[" * 50_000, ACCEPT, 400),
        (json.dumps(INITIALIZE).encode(), {"Content-Type": "text/plain", "Accept": ACCEPT["Accept"]}, 415),
        (json.dumps(INITIALIZE).encode(), ACCEPT | {"Accept": "text/html"}, 406),
        (b"{", ACCEPT | {"MCP-Protocol-Version": "2026-07-28"}, 400),
        (b"[]", ACCEPT | {"MCP-Protocol-Version": "2026-07-28"}, 400),
        (json.dumps(INITIALIZE).encode(), ACCEPT | {"MCP-Protocol-Version": "2031-01-01"}, 400),
    ],
)
async def test_what_is_no_message_is_refused(
    url: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    async with web(url) as http:
        answer = await http.http.post("/mcp", content=content, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "accept", [None, "", "text/event-stream", "TEXT/EVENT-STREAM;q=0.9", "*/*", "application/*, text/*;q=0.5"]
)
async def test_who_takes_events_or_anything_is_answered(url: str, accept: str | None) -> None:
    """Claude.ai's own proxy names events alone (modelcontextprotocol/python-sdk#2349)."""
    async with web(url) as http:
        headers = {"Content-Type": "application/json"} | ({} if accept is None else {"Accept": accept})
        request = http.http.build_request("POST", "/mcp", json=INITIALIZE, headers=headers)
        if accept is None:
            del request.headers["Accept"]  # httpx has one of its own
        answer = await http.http.send(request)
    assert answer.status_code == 200
    assert "protocolVersion" in answer.text


async def test_who_takes_no_events_is_told_what_to_send_in_either_era(url: str) -> None:
    listed = {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {}}
    async with web(url) as http:
        for version in ("2025-06-18", "2026-07-28"):
            headers = ACCEPT | {"Accept": "application/json", "MCP-Protocol-Version": version}
            answer = await http.http.post("/mcp", json=listed, headers=headers)
            assert answer.status_code == 406
            assert answer.json()["id"] == 7
            assert "text/event-stream" in answer.json()["error"]["message"]


async def test_a_notification_needs_no_leave_for_events(url: str) -> None:
    """It has no answer (f/mcptools#69)."""
    async with web(url) as http:
        opened = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        headers = ACCEPT | {"Accept": "application/json", "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await http.http.post("/mcp", json=note, headers=headers)).status_code == 202


@pytest.mark.parametrize(
    "kind", ["Application/JSON", "application/json;charset=UTF-8", "APPLICATION/JSON ; x=y"]
)
async def test_a_media_type_has_no_case(url: str, kind: str) -> None:
    async with web(url) as http:
        answer = await http.http.post(
            "/mcp", content=json.dumps(INITIALIZE), headers=ACCEPT | {"Content-Type": kind}
        )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/mcp", "/messages/?session_id=00000000000000000000000000000000"])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json-rpc", "application/x-www-form-urlencoded", ""]
)
async def test_what_is_not_said_to_be_json_is_refused_with_what_to_say(
    url: str, path: str, kind: str
) -> None:
    async with web(url) as http:
        answer = await http.http.post(
            path, content=json.dumps(INITIALIZE), headers=ACCEPT | {"Content-Type": kind}
        )
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["error_description"]


async def test_a_version_that_is_not_spoken_is_refused_with_those_that_are(url: str) -> None:
    async with web(url) as http:
        for version in ("1.0", "2031-01-01", "garbage"):
            headers = ACCEPT | {"MCP-Protocol-Version": version}
            answer = await http.http.post("/mcp", json=INITIALIZE, headers=headers)
            assert answer.status_code == 400
            error = answer.json()["error"]
            assert (error["code"], error["data"]["requested"]) == (-32022, version)
            assert {"2024-11-05", "2025-11-25", "2026-07-28"} <= set(error["data"]["supported"])


@pytest.mark.parametrize("version", ["", "2025-06-18, 2025-06-18", "2025-06-18,2025-06-18"])
async def test_a_version_that_was_left_empty_or_written_twice_is_no_other(url: str, version: str) -> None:
    async with web(url) as http:
        headers = ACCEPT | {"MCP-Protocol-Version": version}
        answer = await http.http.post("/mcp", json=INITIALIZE, headers=headers)
    assert answer.status_code == 200


async def test_a_lone_surrogate_is_no_harm(url: str) -> None:
    message = tool_call(1, "ask_gemini", modern=True, prompt="half an emoji: \ud83d")
    async with web(url) as http:
        answer = await http.http.post(
            "/mcp", content=json.dumps(message).encode(), headers=modern_headers(message)
        )
    assert answer.status_code == 200
    assert "simulated" in answer.text


async def _connected(url: str) -> SocketStream:
    host, _, port = url.removeprefix("http://").partition(":")
    return await anyio.connect_tcp(host, int(port))


async def _said(stream: SocketStream) -> bytes:
    said = b""
    with anyio.fail_after(PATIENCE):
        try:
            while True:
                said += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return said


async def test_a_body_that_does_not_come_is_given_up(url: str) -> None:
    async with await _connected(url) as slow:
        head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        await slow.send(f'{head}Content-Length: 50\r\n\r\n{{"jsonrpc"'.encode())
        answer = await _said(slow)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"paused for 0.3 s" in answer


@pytest.mark.parametrize("begun", [b"", b"POST /mcp HT", b"GET /healthz HTTP/1.1\r\nHost: local"])
async def test_a_head_that_does_not_come_is_given_up(url: str, begun: bytes) -> None:
    async with await _connected(url) as slow:
        if begun:
            await slow.send(begun)
        assert await _said(slow) == b""


async def test_a_head_that_drips_is_given_up_all_the_same(url: str) -> None:
    async with await _connected(url) as slow, anyio.create_task_group() as tasks:

        async def drip() -> None:
            with anyio.move_on_after(5):
                await slow.send(b"GET /healthz HTTP/1.1\r\n")
                while True:
                    await slow.send(b"X-More: x\r\n")
                    await anyio.sleep(0.05)

        async def dripping() -> None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await drip()

        tasks.start_soon(dripping)
        assert b"200" not in await _said(slow)
        tasks.cancel_scope.cancel()


async def test_idle_connections_make_room_for_those_that_ask(sim: Simulator) -> None:
    limits: dict[str, Any] = {"head_seconds": 60.0, "max_connections": 50}
    async with served(sim, **limits) as url, AsyncExitStack() as idle:
        streams = [await idle.enter_async_context(await _connected(url)) for _ in range(300)]
        async with web(url) as http:
            answer = await http.call(1, "ask_gemini", prompt="Is anyone there?")
        assert "simulated" in answer.text
        closed = 0
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(_until_closed, stream)
            with anyio.fail_after(5):
                while closed < 250:
                    closed = sum(
                        stream.extra(SocketAttribute.raw_socket).fileno() == -1 for stream in streams
                    )
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        still_open = [n for n, s in enumerate(streams) if s.extra(SocketAttribute.raw_socket).fileno() != -1]
        assert min(still_open) >= 200, "the oldest go first"


async def test_more_idle_connections_than_files_are_no_harm(sim: Simulator) -> None:
    few_files = ("sh", "-c", 'ulimit -n 700 && exec "$0" "$@"')
    async with web_server(sim.base_url, before=few_files) as server, AsyncExitStack() as idle:
        for _ in range(750):
            await idle.enter_async_context(await _connected(server.base_url))
        async with web(server.base_url) as http:
            answer = await http.call(1, "ask_gemini", prompt="Is anyone still there?")
        assert "simulated" in answer.text


async def _until_closed(stream: SocketStream) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        await stream.receive()
    await stream.aclose()


async def test_connections_that_are_reset_leave_nothing_behind(url: str) -> None:
    for _ in range(50):
        stream = await _connected(url)
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        await stream.send(head + b"Content-Length: 9\r\n\r\n{")
        await stream.aclose()
    async with web(url) as http:
        assert (await http.http.get("/readyz")).json()["calls"] == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "mcp.example.com"])
def test_a_public_address_without_auth_is_refused_with_the_three_choices(host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        HttpOptions(host=host).need_auth(chosen=False)
    for choice in ("--auth token", "--auth key", "--auth jwt"):
        assert choice in str(refused.value)
    HttpOptions(host=host).need_auth(chosen=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.5"])
def test_this_machines_own_address_needs_no_auth(host: str) -> None:
    HttpOptions(host=host).need_auth(chosen=False)


async def test_an_address_that_is_taken_is_named(url: str) -> None:
    port = int(url.rpartition(":")[2])
    settings = from_env({"RUNAPI_TOKEN": "sk-canary"})
    async with open_app(settings) as app:
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} is in use"):
            async with listening(app, HttpOptions(port=port)):
                pass


async def test_a_body_with_two_lengths_is_refused_and_nothing_is_read_behind_it(sim: Simulator) -> None:
    async with served(sim) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(
                b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            heard = b""
            with anyio.fail_after(PATIENCE), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    heard += await stream.receive()
    assert heard.startswith(b"HTTP/1.1 400")
    assert heard.count(b"HTTP/1.1") == 1


READ = (
    *("Host", "Origin", "X-Forwarded-Prefix", "Authorization", "Accept", "Content-Type", "Last-Event-Id"),
    *("Mcp-Session-Id", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Access-Control-Request-Headers"),
)
STARTS = {"Origin": "http://", "X-Forwarded-Prefix": "/", "Authorization": "Bearer "}
UNITS = (":", ".", "a:", "a.", "1:", "[", "/", "/.", "%", "@", "-", "a ", ",", ";", "=", '"', "é", "é.")


@pytest.mark.parametrize("name", READ)
async def test_whatever_a_head_says_it_is_read_at_once(url: str, name: str) -> None:
    """A Host header of 2,000 colons held the event loop up for 17 s once, before anybody was let in."""
    async with web(url) as http:
        with anyio.fail_after(PATIENCE):
            for unit in UNITS:
                said = f"{STARTS.get(name, '')}{unit * (2_000 // len(unit))}!".encode("latin-1")
                headers = [(b"content-type", b"application/json"), (name.encode(), said)]
                answer = await http.http.post("/mcp", json=INITIALIZE, headers=headers)
                assert answer.status_code < 500
