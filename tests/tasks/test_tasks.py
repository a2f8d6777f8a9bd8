"""The tasks extension over real stdio: a call that outlives its hold window becomes a task."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from runapi_mcp.sim import Simulator, simulate

TASKS = "io.modelcontextprotocol/tasks"
Message = dict[str, Any]


class TaskHost:
    """A 2026-07-28 host that speaks raw lines."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._next = 0

    async def ask(self, method: str, *, declares: bool = True, **params: Any) -> Message:
        assert self._process.stdin is not None
        self._next += 1
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}} if declares else {}},
        }
        request = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params | {"_meta": meta}}
        await self._process.stdin.send(json.dumps(request).encode() + b"\n")
        with anyio.fail_after(20):
            while True:
                answer: Message = json.loads(await self._lines.receive_until(b"\n", 1 << 24))
                if answer.get("id") == self._next:
                    return answer

    async def call(self, tool: str, *, declares: bool = True, **arguments: Any) -> Message:
        answer = await self.ask("tools/call", declares=declares, name=tool, arguments=arguments)
        result: Message = answer["result"]
        return result

    async def ended(self, task_id: str) -> Message:
        with anyio.fail_after(20):
            while True:
                task: Message = (await self.ask("tasks/get", taskId=task_id))["result"]
                if task["status"] != "working":
                    return task


@asynccontextmanager
async def host(sim: Simulator) -> AsyncIterator[TaskHost]:
    env = {**os.environ, "RUNAPI_TOKEN": "sk-canary-tasks", "RUNAPI_BASE_URL": sim.base_url}
    async with await anyio.open_process(
        [sys.executable, "-m", "runapi_mcp"], env=env, stderr=None
    ) as process:
        try:
            yield TaskHost(process)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Simulator]:
    async with simulate() as simulator:
        yield simulator


@pytest.fixture(scope="module")
async def client(upstream: Simulator) -> AsyncIterator[TaskHost]:
    async with host(upstream) as raw:
        yield raw


@pytest.fixture
def sim(upstream: Simulator) -> Simulator:
    upstream.reset()
    return upstream


async def test_a_call_that_ends_in_time_is_answered_at_once(client: TaskHost) -> None:
    result = await client.call("ask_gemini", prompt="Hello?")
    assert result["resultType"] == "complete"
    assert "simulated" in result["content"][0]["text"]


async def test_a_call_that_outlives_its_hold_window_becomes_a_task_that_completes(
    client: TaskHost, sim: Simulator
) -> None:
    sim.play("slow seconds=1")
    created = await client.call("ask_gemini", prompt="Take your time.", wait_seconds=0.2)
    assert created["resultType"] == "task"
    assert created["status"] == "working"
    assert "task" not in created
    assert len(created["taskId"]) >= 24

    task = await client.ended(created["taskId"])

    assert task["status"] == "completed"
    assert task["resultType"] == "complete"
    assert "simulated" in task["result"]["content"][0]["text"]
    assert task["createdAt"] <= task["lastUpdatedAt"]
    assert task["ttlMs"] > 0
    assert len(sim.calls) == 1


async def test_a_working_task_says_what_it_is_doing(client: TaskHost, sim: Simulator) -> None:
    sim.play("slow seconds=2")
    created = await client.call("ask_gemini", prompt="Slowly.", wait_seconds=0.3)
    task = (await client.ask("tasks/get", taskId=created["taskId"]))["result"]
    assert "writing" in task["statusMessage"]
    await client.ask("tasks/cancel", taskId=created["taskId"])


async def test_cancelling_a_task_closes_the_upstream_and_settles_to_cancelled(
    client: TaskHost, sim: Simulator
) -> None:
    sim.play("slow seconds=20")
    created = await client.call("ask_gemini", prompt="Too long.", wait_seconds=0.1)
    answer = await client.ask("tasks/cancel", taskId=created["taskId"])
    assert answer["result"]["resultType"] == "complete"
    await sim.calls[-1].wait_closed()
    assert (await client.ended(created["taskId"]))["status"] == "cancelled"
    again = await client.ask("tasks/cancel", taskId=created["taskId"])
    assert again["result"]["resultType"] == "complete"


async def test_a_failed_generation_is_a_completed_task_with_an_error_result(
    client: TaskHost, sim: Simulator
) -> None:
    sim.play("stall-headers seconds=1")
    created = await client.call("ask_gemini", prompt="Nothing comes.", wait_seconds=0.1)
    task = await client.ended(created["taskId"])
    assert task["status"] == "completed"
    assert task["result"]["isError"] is True


async def test_a_client_that_does_not_declare_the_extension_gets_a_handle_and_no_task_methods(
    client: TaskHost, sim: Simulator
) -> None:
    sim.play("slow seconds=1")
    result = await client.call("ask_gemini", declares=False, prompt="Slow one.", wait_seconds=0.1)
    assert result["resultType"] == "complete"
    assert "get_result" in result["content"][0]["text"]
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        answer = await client.ask(method, declares=False, taskId="g_x", inputResponses={})
        assert answer["error"]["code"] == -32021
        assert TASKS in answer["error"]["data"]["requiredCapabilities"]["extensions"]


async def test_an_unknown_task_is_an_invalid_parameter(client: TaskHost) -> None:
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        answer = await client.ask(method, taskId="g_unknown", inputResponses={})
        assert answer["error"]["code"] == -32602
        assert "g_unknown" in answer["error"]["message"]


async def test_discovery_advertises_the_extension(client: TaskHost) -> None:
    answer = await client.ask("server/discover")
    assert answer["result"]["capabilities"]["extensions"] == {TASKS: {}}
