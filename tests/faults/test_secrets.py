"""The key is in no output, whatever happens; and the log tells what it should, and no more."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from forked import forked
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import SecretStr
from server.hosting import CANARY, Host, in_process, server_env

from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator

ECHOES = {
    "an error body": (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
        '{{"error": {{"message": "You sent {echo}", "code": "{echo}", "status": "{echo}"}}}}',
    ),
    "an error page": (
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n",
        "<html><head><title>{echo}</title></head><body>{echo}</body></html>",
    ),
    "a redirect": (
        b"HTTP/1.1 302 Found\r\nlocation: https://example.org/" + CANARY.encode() + b"\r\n\r\n",
        "{echo}",
    ),
    "a page instead of a stream": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n",
        "<html><head><title>{echo}</title></head></html>",
    ),
    "no stream at all": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n",
        "{echo}",
    ),
    "the answer": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        'data: {{"choices":[{{"index":0,"delta":{{"content":"{echo}"}},"finish_reason":"stop"}}]}}\n\n',
    ),
    "a failure in the stream": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        (
            'data: {{"choices":[{{"index":0,"delta":{{"content":"half"}}}}]}}\n\n'
            'data: {{"error": {{"message": "{echo}"}}}}\n\n'
        ),
    ),
    "what is no event": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        "{echo}\n\ndata: {echo}\n\n",
    ),
    "a broken header": (b"HTTP/1.1 200 OK\r\n" + CANARY.encode() + b"\r\n\r\n", ""),
}


@asynccontextmanager
async def _echoing(head: bytes, body: str) -> AsyncIterator[str]:
    """A server that sends the key it was given back; gives its URL."""

    async def answer(stream: SocketStream) -> None:
        async with stream:
            asked = await stream.receive(65_536)
            assert CANARY.encode() in asked
            await stream.send(head + body.format(echo=f"Bearer {CANARY}").encode())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        yield f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("place", ECHOES)
async def test_a_key_that_comes_back_from_upstream_is_taken_out(place: str) -> None:
    async with (
        _echoing(*ECHOES[place]) as url,
        in_process(url, RUNAPI_MCP_IDLE_TIMEOUT="0.5") as host,  # which searches all that is said
    ):
        called = await host.call("ask_gemini", prompt="Q")
        listed = await host.call("list_models")
    assert CANARY not in called.text + called.result.model_dump_json()
    assert "bug" not in called.text
    assert listed.facts["source"] == "static"


def test_no_repr_holds_the_key() -> None:
    settings = from_env({"RUNAPI_TOKEN": CANARY})
    assert isinstance(settings.key, SecretStr)
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)


async def test_no_repr_of_what_runs_holds_the_key(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        called = await host.call("ask_gemini", prompt="Q [[sim:cut-clean]]")
        app = host.app
        assert app is not None
        generation = await app.generations.find(called.handle, "local")
        told = [app, vars(app.upstream), vars(app.generations), generation, vars(generation)]
        assert not [each for each in told if CANARY in repr(each)]


# ---------------------------------------------------------------- the log

PROMPT = "What is the melting point of unobtainium?"


async def _logged(sim: Simulator, path: Path, **env: str) -> list[dict[str, Any]]:
    """What a real server process logs over a few calls that end in different ways."""
    program, *words = forked()
    server = StdioServerParameters(command=program, args=words, env=server_env(sim.base_url, env))
    with path.open("w+", encoding="utf-8") as stderr:
        async with Client(stdio_client(server, stderr)) as client:
            host = Host(client)
            await host.call("ask_gemini", prompt=PROMPT)
            await host.call("ask_gemini", prompt=f"{PROMPT} [[sim:bad-key-401]]")
            await host.call("ask_gemini", prompt=PROMPT + "x" * 100_000)
            await host.call("ask_gemini", prompt="")
        stderr.seek(0)
        written = stderr.read()
    assert CANARY not in written
    assert all(len(line) < 12_000 for line in written.splitlines())
    return [json.loads(line) for line in written.splitlines()]


async def test_the_log_has_a_line_for_each_call_and_generation_and_no_content(
    sim: Simulator, tmp_path: Path
) -> None:
    lines = await _logged(sim, tmp_path / "log", RUNAPI_MCP_LOG="debug")
    calls = [line for line in lines if line["event"] == "call"]
    generations = [line for line in lines if line["event"] == "generation"]
    assert [call["outcome"] for call in calls] == ["ok", "error", "ok", "error"]
    assert [call.get("error") for call in calls] == [None, "key_refused", None, "bad_argument"]
    assert all(call["tool"] == "ask_gemini" and call["seconds"] < 5 for call in calls)
    assert len({call["request"] for call in calls}) == 4
    assert [line["status"] for line in generations] == ["complete", "failed", "complete"]
    assert generations[1]["error"] == "key_refused"
    sent = [seen.headers["x-client-request-id"] for seen in sim.calls]
    assert [line["client_request_id"] for line in generations] == sent
    assert [call.get("generation") for call in calls][:3] == [line["generation"] for line in generations]
    assert all(isinstance(line["tokens_output"], int) for line in generations if line["status"] == "complete")
    assert {line["phase"] for line in lines if line["event"] == "phase"} >= {"connecting", "open"}
    assert "unobtainium" not in json.dumps(lines)
    assert "simulated answer" not in json.dumps(lines)
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in lines)


async def test_content_is_logged_only_when_asked_for_and_cut_to_a_bound(
    sim: Simulator, tmp_path: Path
) -> None:
    lines = await _logged(sim, tmp_path / "log", RUNAPI_MCP_LOG="debug", RUNAPI_MCP_LOG_CONTENT="1")
    arguments = [line["arguments"] for line in lines if line["event"] == "arguments"]
    answers = [line["answer"] for line in lines if line["event"] == "answer"]
    assert PROMPT in arguments[0]
    assert "simulated answer" in answers[0]
    assert max(map(len, arguments)) <= 4_000


async def test_at_info_there_are_no_steps_and_off_there_is_nothing(sim: Simulator, tmp_path: Path) -> None:
    lines = await _logged(sim, tmp_path / "info", RUNAPI_MCP_LOG="info", RUNAPI_MCP_LOG_CONTENT="1")
    assert {line["event"] for line in lines} == {"call", "generation"}
    assert await _logged(sim, tmp_path / "off", RUNAPI_MCP_LOG="off") == []
