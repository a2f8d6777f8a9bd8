"""How a call ends before its time: its client leaves, or the server does."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from mcp import Client
from mcp.client.sse import sse_client
from messages import ENVELOPE
from waiting import PATIENCE

from network.raw_web import Web, events, modern_headers, web
from network.web_host import Measured, WebServer, served, web_server
from runapi_mcp.sim import Simulator
from runapi_mcp.sim.record import SeenCall


@pytest.fixture
def sim(sim: Simulator) -> Simulator:
    sim.play("slow seconds=20")
    return sim


@pytest.fixture(scope="module")
async def server(shared_sim: Simulator) -> AsyncIterator[WebServer]:
    async with web_server(shared_sim.base_url) as running:
        yield running


@pytest.fixture
async def http(server: WebServer) -> AsyncIterator[Web]:
    async with web(server.base_url) as client:
        yield client


@dataclass
class Stoppable:
    """A server in this process that can be told to stop while its clients go on."""

    base_url: str
    stop: anyio.Event = field(default_factory=anyio.Event)
    stopped: anyio.Event = field(default_factory=anyio.Event)


@asynccontextmanager
async def stoppable(sim: Simulator, **options: Any) -> AsyncIterator[Stoppable]:
    async def serve(*, task_status: TaskStatus[Stoppable]) -> None:
        async with served(sim, **options) as url:
            server = Stoppable(url)
            task_status.started(server)
            await server.stop.wait()
        server.stopped.set()

    async with anyio.create_task_group() as tasks:
        server: Stoppable = await tasks.start(serve)
        yield server
        server.stop.set()


async def _begun(sim: Simulator) -> SeenCall:
    call = await sim.wait_for_call()
    await call.wait_first_byte()
    return call


@pytest.mark.parametrize("era", ["2026", "2025"])
async def test_a_closed_response_closes_the_upstream(
    http: Web, sim: Simulator, era: str, measured: Measured
) -> None:
    if era == "2025":
        await http.open_session()
    async with http.calling(1, "ask_gemini", prompt=f"Closed, {era}.") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        call = await _begun(sim)
        since = time.monotonic()
    await call.wait_closed()
    measured(f"http-{era}: closed response", call, since)


async def test_a_closed_response_without_sessions_closes_the_upstream(
    sim: Simulator, measured: Measured
) -> None:
    async with stoppable(sim, stateless=True) as server, web(server.base_url) as http:
        http.session = {"MCP-Protocol-Version": "2025-11-25"}
        async with http.calling(1, "ask_gemini", prompt="Closed, without a session."):
            call = await _begun(sim)
            since = time.monotonic()
        await call.wait_closed()
        measured("http-2025 --stateless: closed response", call, since)


async def test_a_cancellation_posted_into_a_session_closes_the_upstream(
    http: Web, sim: Simulator, measured: Measured
) -> None:
    await http.open_session()
    async with http.calling(7, "ask_gemini", prompt="Cancelled by POST.") as response:
        call = await _begun(sim)
        since = time.monotonic()
        await http.notify("notifications/cancelled", requestId=7)
        await call.wait_closed()
        await response.aread()
    measured("http-2025: cancelled POST", call, since)
    assert events(response)[-1]["error"]["code"] == -32800


async def test_a_deleted_session_closes_the_upstream(http: Web, sim: Simulator, measured: Measured) -> None:
    await http.open_session()
    async with http.calling(1, "ask_gemini", prompt="Deleted."):
        call = await _begun(sim)
        since = time.monotonic()
        assert (await http.http.delete("/mcp", headers=http.session)).status_code == 200
        await call.wait_closed()
    measured("http-2025: deleted session", call, since)


async def test_a_closed_event_stream_closes_the_upstream(
    server: WebServer, sim: Simulator, measured: Measured
) -> None:
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            async with Client(sse_client(f"{server.base_url}/sse"), mode="legacy") as client:
                await client.call_tool("ask_gemini", {"prompt": "The stream closes."})

        tasks.start_soon(ask)
        call = await _begun(sim)
        since = time.monotonic()
        tasks.cancel_scope.cancel()
    await call.wait_closed()
    measured("sse: closed stream", call, since)


async def test_a_call_that_was_handed_over_outlives_its_connection(http: Web, sim: Simulator) -> None:
    sim.reset()
    sim.play("slow seconds=1")
    answer = await http.call(1, "ask_gemini", prompt="Handed over.", wait_seconds=0.1)
    handle = events(answer)[-1]["result"]["_meta"]["ai.runapi/receipt"]["handle"]
    async with web(str(http.http.base_url)) as later:
        fetched = await later.call(2, "get_result", handle=handle)
    assert events(fetched)[-1]["result"]["_meta"]["ai.runapi/receipt"]["status"] == "complete"
    await sim.calls[-1].wait_closed()
    assert sim.calls[-1].ended == "complete"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopped_server_closes_the_upstream_and_gives_what_there_is(
    sim: Simulator, number: signal.Signals, measured: Measured
) -> None:
    async with web_server(sim.base_url) as server, web(server.base_url) as http:
        async with http.calling(1, "ask_gemini", prompt=f"Stopped by {number.name}.") as response:
            call = await _begun(sim)
            since = time.monotonic()
            server.process.send_signal(number)
            await call.wait_closed()
            await response.aread()
        await server.leaves()
    measured(number.name, call, since)
    result = events(response)[-1]["result"]
    assert result["_meta"]["ai.runapi/receipt"]["status"] == "partial"
    assert "This server was stopped." in result["content"][-1]["text"]
    assert "simulated" in result["content"][0]["text"]


async def test_draining_lets_live_calls_end_and_takes_no_new_ones(sim: Simulator) -> None:
    sim.reset()
    sim.play("slow seconds=1.5")
    async with stoppable(sim, drain=10.0) as server, web(server.base_url) as http:
        assert (await http.http.get("/readyz")).status_code == 200
        async with http.calling(1, "ask_gemini", prompt="Almost done.") as response:
            await _begun(sim)
            server.stop.set()
            while (ready := await http.http.get("/readyz")).status_code == 200:
                pass
            assert ready.json() == {"status": "leaving", "calls": 1}
            refused = await http.call(2, "ask_gemini", prompt="Too late.")
            assert refused.status_code == 503
            assert 1 <= int(refused.headers["retry-after"]) <= 10
            assert (await http.http.get("/healthz")).status_code == 200
            listed = {"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {"_meta": ENVELOPE}}
            tools = await http.http.post("/mcp", json=listed, headers=modern_headers(listed))
            assert tools.status_code == 200
            await response.aread()
        await server.stopped.wait()
    assert events(response)[-1]["result"]["_meta"]["ai.runapi/receipt"]["status"] == "complete"
    assert len(sim.calls) == 1


async def test_draining_lets_end_what_a_handle_promises_where_it_can_be_fetched_afterwards(
    sim: Simulator, tmp_path: Path
) -> None:
    sim.play("slow seconds=3")
    env = {"RUNAPI_MCP_STORE": str(tmp_path)}
    async with stoppable(sim, drain=30.0, env=env) as server, web(server.base_url) as http:
        begun = await http.call(1, "ask_gemini", prompt="Go on without me.", wait_seconds=0.2)
        receipt = events(begun)[-1]["result"]["_meta"]["ai.runapi/receipt"]
        assert receipt["status"] == "running"
        server.stop.set()
        await server.stopped.wait()
    async with served(sim, env=env) as url, web(url) as http:
        fetched = await http.call(1, "get_result", handle=receipt["handle"])
    assert events(fetched)[-1]["result"]["_meta"]["ai.runapi/receipt"]["status"] == "complete"


async def test_a_cancellation_is_taken_while_draining(sim: Simulator) -> None:
    async with stoppable(sim, drain=60.0) as server, web(server.base_url) as http:
        await http.open_session()
        async with http.calling(7, "ask_gemini", prompt="Never mind.") as response:
            call = await _begun(sim)
            server.stop.set()
            while (await http.http.get("/readyz")).status_code == 200:
                pass
            await http.notify("notifications/cancelled", requestId=7)
            await call.wait_closed()
            await response.aread()
        with anyio.fail_after(PATIENCE):
            await server.stopped.wait()


async def test_draining_ends_with_partial_answers_when_its_time_is_over(sim: Simulator) -> None:
    async with stoppable(sim, drain=0.5) as server, web(server.base_url) as http:
        async with http.calling(1, "ask_gemini", prompt="Never done in time.") as response:
            call = await _begun(sim)
            began = time.monotonic()
            server.stop.set()
            await response.aread()
        await server.stopped.wait()
    assert call.closed_at is not None
    assert call.closed_at - began >= 0.45
    receipt = events(response)[-1]["result"]["_meta"]["ai.runapi/receipt"]
    assert receipt["status"] == "partial"
    assert receipt["handle"]


async def test_a_call_over_sse_gets_its_partial_answer_too(sim: Simulator) -> None:
    async with stoppable(sim) as server:

        async def stop() -> None:
            await _begun(sim)
            server.stop.set()

        transport = sse_client(f"{server.base_url}/sse")
        async with Client(transport, mode="legacy") as client, anyio.create_task_group() as tasks:
            await client.list_tools()  # else it does so after the call
            tasks.start_soon(stop)
            result = await client.call_tool("ask_gemini", {"prompt": "Stopped over SSE."})
        await server.stopped.wait()
    assert "This server was stopped." in str(result.content)


async def test_a_second_signal_ends_the_draining(sim: Simulator) -> None:
    async with web_server(sim.base_url, "--drain", "60") as server, web(server.base_url) as http:
        async with http.calling(1, "ask_gemini", prompt="In a hurry.") as response:
            await _begun(sim)
            server.process.send_signal(signal.SIGTERM)
            while (await http.http.get("/readyz")).status_code == 200:
                pass
            server.process.send_signal(signal.SIGTERM)
            await response.aread()
        await server.leaves()
    assert "This server was stopped." in events(response)[-1]["result"]["content"][-1]["text"]


async def test_a_server_with_open_streams_and_nothing_to_do_leaves_at_once(sim: Simulator) -> None:
    async with stoppable(sim, drain=60.0) as server, web(server.base_url) as http:
        await http.open_session()
        listening = {**http.session, "Accept": "text/event-stream"}
        async with (
            http.http.stream("GET", "/mcp", headers=listening) as session,
            http.http.stream("GET", "/sse") as older,
        ):
            assert session.status_code == older.status_code == 200
            server.stop.set()
            await session.aread()
            with anyio.fail_after(PATIENCE):
                await server.stopped.wait()
