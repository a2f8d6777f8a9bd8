"""Messages over HTTP are read as over stdio, and the requests of a session are told apart."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from messages import INITIALIZE, Message, tool_call
from server.hosting import PATIENCE, server_env
from waiting import became

from network.raw_web import ACCEPT, Web, events, modern_headers, web
from network.web_host import served, web_server
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.messages import MAX_LEVELS

INVALID_REQUEST = -32600
ERAS = pytest.mark.parametrize("era", ["2026", "2025"])


@pytest.fixture(scope="module")
async def url(shared_sim: Simulator) -> AsyncIterator[str]:
    async with served(shared_sim) as base_url:
        yield base_url


@pytest.fixture
async def http(url: str, sim: Simulator) -> AsyncIterator[Web]:
    del sim
    async with web(url) as client:
        yield client


async def _post(http: Web, era: str, content: bytes, message: Message) -> tuple[int, str]:
    if era == "2025" and not http.session:
        await http.open_session()
    headers = ACCEPT | http.session if era == "2025" else modern_headers(message)
    answer = await http.http.post("/mcp", content=content, headers=headers)
    return answer.status_code, answer.text


# Bodies


@ERAS
@pytest.mark.parametrize(
    ("before", "sent"),
    [(b"\xef\xbb\xbf", b"x"), (b"", b"cut \\ud83d"), (b"", b"a\xffb"), (b" \r\n", b"x")],
    ids=["byte order mark", "half a surrogate pair", "invalid UTF-8", "blanks"],
)
async def test_what_stdio_repairs_is_repaired(http: Web, era: str, before: bytes, sent: bytes) -> None:
    message = tool_call(1, "ask_gemini", modern=era == "2026", prompt=f"HERE {era} {before!r} {len(sent)}")
    content = before + json.dumps(message).encode().replace(b"HERE", sent)
    status, said = await _post(http, era, content, message)
    assert status == 200
    assert "simulated" in said


def _nested(levels: int) -> Any:
    content: Any = {}
    for _ in range(levels):
        content = {"items": content}
    return content


@ERAS
@pytest.mark.parametrize(
    ("changes", "request_id", "said"),
    [
        ({"id": None}, None, "string or an integer"),
        ({"id": 1.5}, None, "string or an integer"),
        ({"id": []}, None, "string or an integer"),
        ({"id": True}, None, "string or an integer"),
        ({"params": []}, 1, "params must be an object"),
        ({"params": _nested(MAX_LEVELS)}, 1, f"{MAX_LEVELS} levels"),
    ],
    ids=["null", "fraction", "array", "boolean", "params", "deep"],
)
async def test_a_request_that_is_none_is_refused_as_over_stdio(
    http: Web, era: str, changes: Message, request_id: int | None, said: str
) -> None:
    message = tool_call(1, "ask_gemini", modern=era == "2026", prompt="x")
    status, answer = await _post(http, era, json.dumps(message | changes).encode(), message)
    assert status == 400
    refusal = json.loads(answer)
    assert (refusal["id"], refusal["error"]["code"]) == (request_id, INVALID_REQUEST)
    assert said in refusal["error"]["message"]


@ERAS
async def test_a_batch_is_answered_with_one_sentence(http: Web, era: str) -> None:
    message = tool_call(1, "ask_gemini", modern=era == "2026", prompt="x")
    status, answer = await _post(http, era, json.dumps([message]).encode(), message)
    assert status == 400
    assert "batches are not supported" in json.loads(answer)["error"]["message"]
    assert "pydantic" not in answer


async def test_the_older_transport_refuses_the_same(http: Web) -> None:
    answer = await http.http.post(
        "/messages/?session_id=0", content=b'{"jsonrpc":"2.0","id":null}', headers=ACCEPT
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == INVALID_REQUEST


# Requests of one session


async def test_a_second_request_with_an_id_in_use_is_refused_and_the_first_is_answered(
    http: Web, sim: Simulator
) -> None:
    sim.play("slow seconds=1")
    await http.open_session()
    async with http.calling(9, "ask_gemini", prompt="The first of two.") as first:
        await sim.wait_for_call()
        second = await http.call(9, "ask_gemini", prompt="The second of two.")
        await first.aread()
    assert second.status_code == 400
    assert (second.json()["id"], second.json()["error"]["code"]) == (9, INVALID_REQUEST)
    assert "simulated" in events(first)[-1]["result"]["content"][0]["text"]
    assert len(sim.calls) == 1


async def test_an_id_whose_request_has_ended_and_one_of_another_session_are_free(
    http: Web, url: str, sim: Simulator
) -> None:
    sim.play("slow seconds=1")
    await http.open_session()
    async with web(url) as other, http.calling(9, "ask_gemini", prompt="In one session.") as first:
        await sim.wait_for_call()
        await other.open_session()
        elsewhere = await other.call(9, "list_models")
        await first.aread()
    again = await http.call(9, "list_models")
    assert elsewhere.status_code == again.status_code == 200
    assert "result" in events(elsewhere)[-1]
    assert "result" in events(again)[-1]


async def test_a_cancellation_stops_no_request_but_the_one_it_names(http: Web, sim: Simulator) -> None:
    sim.play("slow seconds=1")
    await http.open_session()
    async with http.calling(7, "ask_gemini", prompt="Is 7 the same as its text?") as response:
        await sim.wait_for_call()
        for other in ("7", " 7", 8, 7.0, None):
            await http.notify("notifications/cancelled", requestId=other)
        await response.aread()
    assert "simulated" in events(response)[-1]["result"]["content"][0]["text"]


async def test_a_cancellation_in_an_unknown_session_is_404(http: Web) -> None:
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    answer = await http.http.post("/mcp", json=cancel, headers=ACCEPT | {"Mcp-Session-Id": "0" * 32})
    assert answer.status_code == 404


async def test_a_stream_that_is_to_be_resumed_begins_anew(http: Web) -> None:
    await http.open_session()
    headers = {**http.session, "Accept": "text/event-stream", "Last-Event-ID": "5"}
    with anyio.fail_after(PATIENCE):
        async with http.http.stream("GET", "/mcp", headers=headers) as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
    assert "result" in events(await http.call(1, "list_models"))[-1]


class OlderClient:
    """A client of the older transport: what it posts, and what comes on its stream."""

    def __init__(self, http: Web, lines: AsyncIterator[str], endpoint: str) -> None:
        self._http = http
        self._lines = lines
        self._endpoint = endpoint

    async def post(self, message: Message) -> None:
        answer = await self._http.http.post(self._endpoint, json=message, headers=ACCEPT)
        assert answer.status_code == 202, answer.text

    async def answer(self, request_id: object) -> Message:
        """Return the answer to a request, past what comes before it."""
        with anyio.fail_after(PATIENCE):
            async for line in self._lines:
                message: Message = json.loads(line[5:]) if line.startswith("data:") else {}
                if "method" not in message and message.get("id") == request_id:
                    assert type(message["id"]) is type(request_id)
                    return message
        raise AssertionError("the stream ended")


@asynccontextmanager
async def older_client(http: Web) -> AsyncIterator[OlderClient]:
    async with http.http.stream("GET", "/sse") as stream:
        lines = stream.aiter_lines()
        endpoint = ""
        while not endpoint.startswith("data:"):
            endpoint = await anext(lines)
        client = OlderClient(http, lines, endpoint.removeprefix("data:").strip())
        await client.post(INITIALIZE)
        await client.answer(INITIALIZE["id"])
        await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield client


async def test_over_the_older_transport_a_cancellation_stops_no_request_but_the_one_it_names(
    http: Web, sim: Simulator
) -> None:
    sim.play("slow seconds=1", "slow seconds=20")
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    async with older_client(http) as client:
        await client.post(tool_call(7, "ask_gemini", modern=False, prompt="Is 7 its text, over SSE?"))
        await sim.wait_for_call()
        for other in ("7", " 7", 8, 7.0, True, None):
            await client.post({**cancel, "params": {"requestId": other}})
        await client.post(tool_call("7", "list_models", modern=False))
        assert "in progress" in (await client.answer("7"))["error"]["message"]
        assert "simulated" in (await client.answer(7))["result"]["content"][0]["text"]
        await client.post(tool_call("7", "ask_gemini", modern=False, prompt="Stop me by my own id."))
        call = await sim.wait_for_call(2)
        await client.post({**cancel, "params": {"requestId": "7"}})
        await call.wait_closed()
    assert call.ended == "client left"


async def test_no_id_of_a_session_is_logged_whole(sim: Simulator) -> None:
    tokens = "ada:token-of-ada-0123456789\nbob:token-of-bob-0123456789"
    async with web_server(
        sim.base_url, "--auth", "token", RUNAPI_MCP_TOKENS=tokens, RUNAPI_MCP_LOG="info"
    ) as server:
        async with (
            web(server.base_url, Authorization="Bearer token-of-ada-0123456789") as ada,
            web(server.base_url, Authorization="Bearer token-of-bob-0123456789") as bob,
        ):
            await ada.open_session()
            session_id = ada.session["Mcp-Session-Id"]
            listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            theft = await bob.http.post("/mcp", json=listed, headers=ACCEPT | ada.session)
            assert theft.status_code == 404
        await became(lambda: session_id[:8] in server.log)
    assert session_id not in server.log


# Starting


async def test_a_port_that_is_taken_is_said_in_a_line(sim: Simulator) -> None:
    def serve(port: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", str(port)]
        env = os.environ | server_env(sim.base_url, {})
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await anyio.to_thread.run_sync(serve, port)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"runapi-mcp: 127.0.0.1:{port} is in use. Choose another with --host and --port."
    ]
