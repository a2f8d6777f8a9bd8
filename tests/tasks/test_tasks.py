"""The tasks extension over real stdio: a call that outlives its hold window becomes a task."""

from collections.abc import AsyncIterator

import pytest
from waiting import became

from runapi_mcp.sim import Simulator
from tasks.task_host import TASKS, TaskHost, spawned


@pytest.fixture(scope="module")
async def client(shared_sim: Simulator) -> AsyncIterator[TaskHost]:
    async with spawned(shared_sim.base_url) as host:
        yield host


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
    sim.play("slow seconds=20")
    created = await client.call("ask_gemini", prompt="Slowly.", wait_seconds=0.3)

    async def writing() -> bool:
        return "writing" in (await client.task(created["taskId"]))["statusMessage"]

    await became(writing)
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
    sim.play(*["stall-headers seconds=1"] * 2)  # on a kept connection it is asked once more
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
    assert "get_result" in result["content"][-1]["text"]
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
