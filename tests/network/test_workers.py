"""Several worker processes behind one address: to whoever calls they are one server."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import mcp_types as types
import pytest
from forked import forked
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from server.hosting import PATIENCE, Host, server_env
from waiting import became

from network.raw_web import ACCEPT, Web, events, web
from network.test_operations import lines
from network.web_host import NETWORK, WebServer, web_host, web_server
from runapi_mcp.sim import Simulator

if sys.platform == "win32":
    pytest.skip("there is no --workers there", allow_module_level=True)

SLOW = "[[sim:slow seconds=30]]"
TOKENS = "ann:token-of-ann-0123456789\nbob:token-of-bob-0123456789"
ANN = "Bearer token-of-ann-0123456789"


@asynccontextmanager
async def two(sim: Simulator, *flags: str, **env: str) -> AsyncIterator[WebServer]:
    """A server of two workers."""
    env = {"RUNAPI_MCP_LOG": "info", "RUNAPI_MCP_STORE": ""} | env
    async with web_server(sim.base_url, "--workers", "2", *flags, **env) as server:
        await became(lambda: len(workers(server)) == 2)
        await became(lambda: is_ready(server))
        yield server


@pytest.fixture(scope="module")
async def shared_two(shared_sim: Simulator) -> AsyncIterator[WebServer]:
    async with two(shared_sim) as server:
        yield server


@pytest.fixture
def server(shared_two: WebServer, sim: Simulator) -> WebServer:
    del sim
    return shared_two


async def is_ready(server: WebServer) -> bool:
    """Whether both of its workers answer."""
    async with httpx.AsyncClient() as http:
        numbers = (await http.get(f"{server.base_url}/metrics")).text
    return all(f'runapi_mcp_ready{{worker="{number}"}} 1.0' in numbers for number in (0, 1))


def workers(server: WebServer) -> list[int]:
    """The process ids of a server's workers."""
    pid = server.process.pid
    if sys.platform == "linux":
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    else:  # where /proc is not, pgrep is: Linux images may be without it
        listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(each) for each in listed.split()]


def runs(pid: int) -> bool:
    """Whether there is a process of this number."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def load(http: httpx.AsyncClient) -> dict[str, float]:
    """How many calls each worker has."""
    text = (await http.get("/metrics")).text
    found = re.findall(r'^runapi_mcp_calls_in_flight\{worker="(\d)"\} (\S+)', text, re.MULTILINE)
    return {worker: float(count) for worker, count in found}


async def session_on(server: WebServer, worker: int, http: Web) -> None:
    """Open a session on one of the workers."""
    for _ in range(100):
        if http.session.get("Mcp-Session-Id", "").endswith(f".{worker}"):
            return
        async with httpx.AsyncClient(base_url=server.base_url) as other:
            opened = Web(other)
            await opened.open_session()
            http.session = opened.session
    pytest.fail("A hundred connections went to the same worker.")


def receipt(response: httpx.Response) -> dict[str, object]:
    found: dict[str, object] = events(response)[-1]["result"]["_meta"]["ai.runapi/receipt"]
    return found


# Handles, joining, limits


async def test_a_handle_begun_on_one_worker_is_read_on_each(server: WebServer, sim: Simulator) -> None:
    for _ in range(2):
        async with web(server.base_url) as http:
            begun = await http.call(1, "ask_gemini", prompt="A story. [[sim:slow seconds=2]]", wait_seconds=1)
            handle = receipt(begun)["handle"]
        # Connections of their own, that stay open: by then each worker has had one.
        async with web(server.base_url) as one, web(server.base_url) as other:
            for http in (one, other):
                read = await http.call(1, "get_result", handle=handle, wait_seconds=30)
                assert receipt(read)["status"] == "complete"
    assert {seen.closed_at is not None for seen in sim.calls} == {True}


async def test_one_question_at_two_workers_is_asked_once(server: WebServer, sim: Simulator) -> None:
    # A worker that cannot look for the same question in 50 ms asks it: on a busy machine both may.
    for attempt in range(10):
        asked_before, said = len(sim.calls), list[httpx.Response]()
        prompt = f"Same, {attempt}? [[sim:slow seconds=2]]"
        async with (
            web(server.base_url) as one,
            web(server.base_url) as other,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_note_answer, one, prompt, said)
            await sim.wait_for_call(asked_before + 1)
            tasks.start_soon(_note_answer, other, prompt, said)
        if len(sim.calls) == asked_before + 1:
            assert len({receipt(response)["handle"] for response in said}) == 1
            return
    pytest.fail("In ten attempts no worker joined what the other had begun.")


async def _note_answer(http: Web, prompt: str, said: list[httpx.Response]) -> None:
    said.append(await http.call(1, "ask_gemini", prompt=prompt, wait_seconds=20))


async def test_a_callers_calls_are_counted_over_all_workers(sim: Simulator) -> None:
    flags = ("--auth", "token")
    env = {"RUNAPI_MCP_TOKENS": TOKENS, "RUNAPI_MCP_MAX_CALLS_PER_USER": "2"}
    async with two(sim, *flags, **env) as server, anyio.create_task_group() as tasks:
        for number in range(2):
            tasks.start_soon(_hold_open, server, number)
            await sim.wait_for_call(number + 1)
        async with web(server.base_url, Authorization=ANN) as http:
            assert sorted((await load(http.http)).values()) == [1, 1]
            refused = await http.call(9, "ask_gemini", prompt="A third?")
        assert "as many as each caller may have" in refused.text
        tasks.cancel_scope.cancel()


async def _hold_open(server: WebServer, number: int) -> None:
    prompt = f"{number}. {SLOW}"
    async with (
        web(server.base_url, Authorization=ANN) as http,
        http.calling(number, "ask_gemini", prompt=prompt) as response,
    ):
        await response.aread()


async def test_calls_are_spread_evenly(server: WebServer, sim: Simulator) -> None:
    async with web(server.base_url) as http, anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as opening:
            for number in range(12):
                opening.start_soon(_begin, server, number, tasks)
        assert sorted((await load(http.http)).values()) == [6, 6]
        tasks.cancel_scope.cancel()


async def _begin(server: WebServer, number: int, tasks: anyio.abc.TaskGroup) -> None:
    """Begin a call, and have it open in `tasks`."""

    async def call(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        prompt = f"{number}. {SLOW}"
        async with (
            web(server.base_url) as http,
            http.calling(1, "ask_gemini", prompt=prompt) as response,
        ):
            async for _ in response.aiter_bytes():
                task_status.started()
                await anyio.sleep_forever()

    await tasks.start(call)


# Sessions


@pytest.mark.parametrize("kind", NETWORK)
async def test_a_client_is_answered_whichever_worker_its_requests_come_to(
    server: WebServer, sim: Simulator, kind: str
) -> None:
    for _ in range(3):
        async with web_host(kind, server.base_url) as host:
            for number in range(6):
                async with anyio.create_task_group() as tasks:
                    for part in "ab":
                        tasks.start_soon(_ask, host, f"{kind} {number} {part}")


async def _ask(host: Host, prompt: str) -> None:
    called = await host.call("ask_gemini", prompt=prompt)
    assert called.receipt["status"] == "complete"
    assert called.messages


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_sessions_requests_find_its_worker(server: WebServer, sim: Simulator, worker: int) -> None:
    async with web(server.base_url) as http:
        await session_on(server, worker, http)
        for number in range(4):
            async with httpx.AsyncClient(base_url=server.base_url, timeout=10) as fresh:
                client = Web(fresh)
                client.session = http.session
                answer = await client.call(number, "ask_gemini", prompt=f"In a session, {number}.")
                assert events(answer)[-1]["id"] == number
                assert answer.headers["mcp-session-id"] == http.session["Mcp-Session-Id"]
        async with httpx.AsyncClient(base_url=server.base_url) as fresh:
            ended = await fresh.delete("/mcp", headers=ACCEPT | http.session)
            assert ended.status_code == 200
            gone = await fresh.delete("/mcp", headers=ACCEPT | http.session)
            assert gone.status_code == 404


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_response_that_is_closed_cancels_its_call_on_the_worker_of_its_session(
    server: WebServer, sim: Simulator, worker: int
) -> None:
    async with web(server.base_url) as http:
        await session_on(server, worker, http)
        async with http.calling(1, "ask_gemini", prompt=f"Closed. {SLOW}"):
            call = await sim.wait_for_call()
        await call.wait_closed()
        assert call.ended == "client left"


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_cancellation_by_post_reaches_the_worker_of_its_session(
    server: WebServer, sim: Simulator, worker: int
) -> None:
    async with web(server.base_url) as http:
        await session_on(server, worker, http)
        async with http.calling(7, "ask_gemini", prompt=f"Cancelled. {SLOW}"):
            call = await sim.wait_for_call()
            async with httpx.AsyncClient(base_url=server.base_url) as fresh:
                canceller = Web(fresh)
                canceller.session = http.session
                await canceller.notify("notifications/cancelled", requestId=7)
            await call.wait_closed()


async def test_a_session_of_a_number_that_no_worker_has_is_unknown(server: WebServer, sim: Simulator) -> None:
    async with web(server.base_url) as http:
        await http.open_session()
        for made_up in (".7", ".99", ".x", ".1.0", "." + "9" * 60):
            bare = http.session["Mcp-Session-Id"].partition(".")[0]
            http.session["Mcp-Session-Id"] = f"{bare}{made_up}"
            answer = await http.call(1, "list_models")
            assert answer.status_code == 404, made_up


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_one_connection_carries_requests_of_sessions_of_several_workers(
    server: WebServer, sim: Simulator, order: tuple[int, int]
) -> None:
    # A proxy sends what comes from all of its clients over the few connections that it keeps open.
    async with web(server.base_url) as proxy:
        sessions = []
        for worker in order:
            await session_on(server, worker, proxy)
            sessions.append(proxy.session)
        for number in range(6):
            proxy.session = sessions[number % 2]
            answer = await proxy.call(number, "ask_gemini", prompt=f"Over one connection, {number}.")
            assert events(answer)[-1]["id"] == number


@pytest.mark.parametrize("kind", ["http-2025", "sse"])
async def test_what_a_server_asks_its_host_is_answered_though_the_answer_comes_to_another_worker(
    sim: Simulator, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "prices"
    file.write_text("gemini-2.5-flash 1 10\n")
    env = {"RUNAPI_MCP_PRICES": str(file), "RUNAPI_MCP_ASK_ABOVE_COST": "0.01"}
    asked: list[str] = []

    async def person(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        del context
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={})

    async with two(sim, **env) as server:
        for number in range(1, 5):
            url = server.base_url
            wire = sse_client(f"{url}/sse") if kind == "sse" else streamable_http_client(f"{url}/mcp")
            async with Client(wire, mode="legacy", elicitation_callback=person) as client:
                arguments = {"prompt": f"{number}?", "model": "gemini-2.5-flash", "max_output_tokens": 2_000}
                assert not (await client.call_tool("ask_gemini", arguments)).is_error
            assert len(asked) == number


# What whoever runs it sees


async def test_numbers_are_told_of_each_worker_whichever_is_asked(sim: Simulator) -> None:
    async with two(sim) as server, web(server.base_url) as one, web(server.base_url) as other:
        for http in (one, other):
            await http.call(1, "list_models")
        for http in (one, other):
            text = (await http.http.get("/metrics")).text
            counted = re.findall(r'^runapi_mcp_calls_total\{.*worker="(\d)"\} (\S+)', text, re.MULTILINE)
            assert sorted(counted) == [("0", "1.0"), ("1", "1.0")]
            assert len(re.findall("^# TYPE runapi_mcp_calls_total ", text, re.MULTILINE)) == 1
            assert (await http.http.get("/readyz")).json() == {"status": "ready", "calls": 0}


async def test_a_token_that_is_revoked_holds_on_no_worker(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKENS)
    async with (
        two(sim, "--auth", "token", "--tokens", str(file)) as server,
        web(server.base_url, Authorization=ANN) as one,
        web(server.base_url, Authorization=ANN) as other,
    ):
        for http in (one, other):
            assert (await http.call(1, "list_models")).status_code == 200
        file.write_text(TOKENS.replace("ann:", "# ann:"))
        server.process.send_signal(signal.SIGHUP)
        for http in (one, other):

            async def refused(http: Web = http) -> bool:
                return (await http.call(2, "list_models")).status_code == 401

            await became(refused)


async def test_what_no_worker_can_start_with_is_said_once(sim: Simulator, tmp_path: Path) -> None:
    # Not as with uvicorn, where a child process that dies at its start is started for ever.
    code, said = await ended_at_once(sim, RUNAPI_MCP_PRICES=str(tmp_path / "none"))
    assert code == 2
    assert said.count("runapi-mcp: ") == 1


async def test_workers_without_anything_to_share_are_refused(sim: Simulator) -> None:
    code, said = await ended_at_once(sim, RUNAPI_MCP_STORE="memory")
    assert code == 2
    assert "2 workers need a store, and RUNAPI_MCP_STORE is memory, which none can share." in said


async def ended_at_once(sim: Simulator, **env: str) -> tuple[int, str]:
    """How a server of two workers ends that cannot start, and what it says."""
    command = [*forked(), "serve", "--http", "--port", "0", "--workers", "2"]
    ours = os.environ | server_env(sim.base_url, {"RUNAPI_MCP_STORE": "", **env})
    with anyio.fail_after(PATIENCE):
        ended = await anyio.run_process(command, env=ours, check=False)
    return ended.returncode, ended.stderr.decode()


# A worker dies, and all leave


async def test_workers_whose_parent_is_killed_leave_and_leave_nothing(sim: Simulator, tmp_path: Path) -> None:
    async with two(sim, TMPDIR=str(tmp_path)) as server:
        before = workers(server)
        assert [path async for path in anyio.Path(tmp_path).iterdir()]
        server.process.kill()
        await became(lambda: not any(map(runs, before)))
        assert not [path async for path in anyio.Path(tmp_path).iterdir()]


async def test_a_worker_that_is_killed_is_started_again_and_the_other_serves_on(sim: Simulator) -> None:
    async with two(sim) as server, web(server.base_url) as other, web(server.base_url) as http:
        await session_on(server, 0, http)
        await session_on(server, 1, other)
        before = workers(server)
        os.kill(before[0], signal.SIGKILL)
        await became(lambda: before[0] not in workers(server))
        assert await _status(server, http.session) == 404, "so that a host begins a new session"
        assert await _status(server, other.session) == 200
        await became(lambda: len(workers(server)) == 2 and workers(server) != before)
        await became(lambda: is_ready(server))
        assert await _status(server, http.session) == 404
        assert await _status(server, other.session) == 200
        assert "worker died, and is started again" in server.log


async def _status(server: WebServer, session: dict[str, str]) -> int:
    """What a request of a session is answered, over a connection of its own."""
    async with web(server.base_url) as fresh:
        fresh.session = session
        return (await fresh.call(1, "list_models")).status_code


async def test_what_a_killed_worker_ran_is_partial_by_its_handle_and_can_be_resumed(sim: Simulator) -> None:
    async with two(sim) as server, web(server.base_url) as http:
        begun = await http.call(1, "ask_gemini", prompt="Cut. [[sim:slow seconds=20]]", wait_seconds=2)
        handle, seen = receipt(begun)["handle"], await sim.wait_for_call()
        await became(lambda: any(line["event"] == "call" for line in lines(server)))
        number = next(line["worker"] for line in lines(server) if line["event"] == "call")
        os.kill(workers(server)[number], signal.SIGKILL)
        await seen.wait_closed()
        async with web(server.base_url) as fresh:
            found = await fresh.call(2, "get_result", handle=handle, wait_seconds=20)
            assert "its server went away" in found.text
            assert receipt(found)["status"] == "partial"
            resumed = await fresh.call(3, "get_result", handle=handle, resume=True, wait_seconds=1)
        assert receipt(resumed)["status"] in {"running", "complete"}


async def test_a_term_lets_what_runs_on_every_worker_end(sim: Simulator) -> None:
    async with two(sim, "--drain", "20") as server, anyio.create_task_group() as tasks:
        said: list[httpx.Response] = []

        async def ask(number: int) -> None:
            async with web(server.base_url) as http:
                prompt = f"Drained {number}? [[sim:slow seconds=2]]"
                said.append(await http.call(number, "ask_gemini", prompt=prompt))

        for number in range(4):
            tasks.start_soon(ask, number)
            await sim.wait_for_call(number + 1)
        # As systemd does: to the parent and to each worker.
        for pid in (server.process.pid, *workers(server)):
            os.kill(pid, signal.SIGTERM)
        await became(lambda: len(said) == 4)
        assert [receipt(response)["status"] for response in said] == ["complete"] * 4
        await server.leaves()
