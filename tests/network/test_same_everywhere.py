"""The same call gives the same result: over stdio, over Streamable HTTP of both eras, and over SSE."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from server.hosting import Host, hosted

from network.web_host import NETWORK, Measured, WebServer, web_host, web_server
from runapi_mcp.sim import Simulator, simulate

pytestmark = pytest.mark.parametrize("kind", ["stdio", *NETWORK])


@pytest.fixture(scope="session")
def new_sim() -> Callable[[], AbstractAsyncContextManager[Simulator]]:
    return partial(simulate, bridge=True)


@pytest.fixture(scope="module")
async def server(shared_sim: Simulator) -> AsyncIterator[WebServer]:
    async with web_server(shared_sim.base_url, RUNAPI_MCP_IDLE_TIMEOUT="1") as running:
        yield running


@pytest.fixture(scope="module")
async def hosts(shared_sim: Simulator, server: WebServer) -> AsyncIterator[dict[str, Host]]:
    async with anyio.create_task_group(), _all(shared_sim, server) as hosts:
        yield hosts


@asynccontextmanager
async def _all(shared_sim: Simulator, server: WebServer) -> AsyncIterator[dict[str, Host]]:
    async with (
        hosted(shared_sim.base_url, RUNAPI_MCP_IDLE_TIMEOUT="1") as stdio,
        web_host("http-2026", server.base_url) as modern,
        web_host("http-2025", server.base_url) as session,
        web_host("sse", server.base_url) as older,
    ):
        yield {"stdio": stdio, "http-2026": modern, "http-2025": session, "sse": older}


@pytest.fixture
def host(kind: str, hosts: dict[str, Host], sim: Simulator) -> Host:
    del sim
    return hosts[kind]


async def test_the_era_is_the_one_that_is_meant(kind: str, host: Host) -> None:
    era = {"stdio": "2026-07-28", "http-2026": "2026-07-28", "http-2025": "2025-11-25", "sse": "2025-11-25"}
    assert host.client.session.protocol_version == era[kind]


async def test_the_same_tools_are_listed(host: Host, kind: str, hosts: dict[str, Host]) -> None:
    del kind
    listed = await host.client.list_tools()
    expected = await hosts["stdio"].client.list_tools()
    assert [tool.model_dump() for tool in listed.tools] == [tool.model_dump() for tool in expected.tools]


async def test_an_answer_is_text_with_its_receipt(host: Host, kind: str, sim: Simulator) -> None:
    called = await host.call("ask_gemini", prompt=f"Why is the sky blue, over {kind}?")
    assert "simulated" in called.text
    assert called.result.structured_content is None
    assert called.receipt["status"] == "complete"
    assert len(sim.calls) == 1


async def test_a_long_text_gets_there_whole(host: Host, kind: str, sim: Simulator) -> None:
    prompt = f"{kind} " + 'word é 🌱 \\ud83d "\n' * 20_000
    called = await host.call("ask_gemini", prompt=prompt)
    assert "simulated" in called.text
    body = sim.calls[0].body
    assert isinstance(body, dict)
    assert body["messages"] == [{"role": "user", "content": prompt}]


async def test_structured_results_come_in_both_halves(host: Host, kind: str) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    called = await host.call("extract_json", schema=schema, text=f"name: Ada, by {kind}")
    assert called.facts["status"] == "complete"
    assert "name" in called.text


async def test_the_first_progress_comes_at_once_and_the_rest_rises(
    host: Host, kind: str, sim: Simulator
) -> None:
    sim.play("slow seconds=1.2")
    called = await host.call("ask_gemini", prompt=f"Slowly, over {kind}.")
    assert called.notes[0].at < 0.5
    rising = [note.progress for note in called.notes]
    assert rising == sorted(set(rising))
    assert len(rising) >= 3
    assert {note.total for note in called.notes} == {None}
    assert len(host.heard) >= 3, "this is how a test sees progress that no call asked for"


async def test_a_call_without_a_progress_token_gets_none(host: Host, kind: str) -> None:
    host.heard.clear()
    called = await host.silently("ask_gemini", prompt=f"Quietly, over {kind}.")
    assert "simulated" in called.text
    assert not host.heard


async def test_a_call_that_runs_on_is_fetched_by_its_handle(host: Host, kind: str, sim: Simulator) -> None:
    sim.play("slow seconds=1")
    running = await host.call("ask_gemini", prompt=f"Take your time, over {kind}.", wait_seconds=0.2)
    assert running.receipt["status"] == "running"
    assert running.handle in running.text
    rest = await host.call("get_result", handle=running.handle)
    assert rest.receipt["status"] == "complete"
    assert len(sim.calls) == 1


async def test_cancelling_a_call_closes_its_upstream_within_50_ms(
    host: Host, kind: str, sim: Simulator, measured: Measured
) -> None:
    sim.play("slow seconds=20")
    began = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: host.call("ask_gemini", on_note=began, prompt=f"Too long, over {kind}."))
        call = await sim.wait_for_call()
        await call.wait_first_byte()
        await began.wait()
        cancelled_at = time.monotonic()
        tasks.cancel_scope.cancel()
    await call.wait_closed()
    measured(f"{kind}: cancel", call, cancelled_at)
    assert "simulated" in (await host.call("ask_gemini", prompt=f"Still there, {kind}?")).text


async def test_a_bad_argument_is_taught_in_the_result(host: Host, kind: str) -> None:
    del kind
    called = await host.call("ask_gemini", prompt="x", colour="red")
    assert called.failed
    assert "colour" in called.text
    assert "pydantic" not in called.text


async def test_an_unknown_tool_is_a_protocol_error(host: Host, kind: str) -> None:
    del kind
    with pytest.raises(MCPError) as refused:
        await host.call("ask_claude", prompt="x")
    assert refused.value.error.code == types.INVALID_PARAMS
    assert "ask_gemini" in refused.value.error.message


async def test_an_unknown_handle_is_an_error_with_a_code(host: Host, kind: str) -> None:
    called = await host.call("get_result", handle=f"g_{kind}")
    assert called.failed
    assert called.code == "unknown_handle"


async def test_a_refused_key_says_whose_move_it_is(host: Host, kind: str, sim: Simulator) -> None:
    sim.play("bad-key-401")
    called = await host.call("ask_gemini", prompt=f"Who am I, over {kind}?")
    assert called.failed
    assert called.code == "key_refused"
    assert "RUNAPI_TOKEN" in called.text


async def test_a_cut_stream_keeps_what_was_received(host: Host, kind: str, sim: Simulator) -> None:
    sim.play("cut-chunked")
    called = await host.call("ask_gemini", prompt=f"Cut me short, over {kind}.")
    assert called.receipt["status"] == "partial"
    assert "resume" in called.text


async def test_the_whole_text_is_a_resource(host: Host, kind: str, sim: Simulator) -> None:
    del sim
    called = await host.call("ask_gemini", prompt=f"Write, over {kind}.")
    read = await host.client.read_resource(f"generation://{called.handle}")
    assert isinstance(read.contents[0], types.TextResourceContents)
    [answer] = called.result.content
    assert isinstance(answer, types.TextContent)
    assert read.contents[0].text == answer.text
