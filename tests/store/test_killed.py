"""A server that is killed at any moment: what its host was told is found by the next one."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from messages import Message, tool_call
from piped import PipedHost
from server.hosting import Host, hosted, server_env
from tasks.task_host import spawned

from benchmarks.kills import kill_often
from runapi_mcp.sim import Simulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a thing of POSIX")


async def test_of_fifty_kills_no_finished_answer_is_lost_or_asked_for_again(tmp_path: Path) -> None:
    count = await kill_often(50, tmp_path, seed=7, lines=True, finished=50)
    assert (count.lost, count.asked_again) == ([], [])


@pytest.fixture
def state(tmp_path: Path) -> str:
    return str(tmp_path / "state")


@asynccontextmanager
async def next_server(sim: Simulator, state: str) -> AsyncIterator[Host]:
    async with hosted(sim.base_url, RUNAPI_MCP_STORE=state) as host:
        yield host


def killed(sim: Simulator, state: str, prompt: str, *, pages: int = 0) -> str:
    """Have a server ask, kill it once its host has the handle, and return the handle."""
    env = os.environ | server_env(sim.base_url, {"RUNAPI_MCP_STORE": state})
    with PipedHost([sys.executable, "-m", "runapi_mcp"], env=env) as host:
        host.send(tool_call(1, "ask_gemini", modern=True, prompt=prompt, wait_seconds=1))
        handle: str = _answer(host, 1)["result"]["_meta"]["ai.runapi/receipt"]["handle"]
        for number in range(pages):
            host.send(tool_call(2 + number, "get_result", modern=True, handle=handle, wait_seconds=1))
            _answer(host, 2 + number)
    return handle


def _answer(host: PipedHost, number: int) -> Message:
    while (message := host.receive()).get("id") != number:
        pass
    return message


async def test_a_plain_host_gets_the_text_of_a_killed_server_and_goes_on_from_it(
    sim: Simulator, state: str
) -> None:
    sim.pace = 0.01
    handle = killed(sim, state, "Long [[sim:slow seconds=30]]", pages=1)
    async with next_server(sim, state) as host:
        found = await host.call("get_result", handle=handle)
        assert "its server went away" in found.text
        assert found.receipt["status"] == "partial"
        sim.play("default")
        resumed = await host.call("get_result", handle=handle, resume=True)
        assert resumed.receipt["complete"], resumed.text


async def test_a_question_that_a_dead_server_had_finished_is_not_asked_again(
    sim: Simulator, state: str
) -> None:
    sim.pace = 0.01
    handle = killed(sim, state, "Soon [[sim:slow seconds=3]]", pages=4)
    before = len(sim.calls)
    async with next_server(sim, state) as host:
        again = await host.call("get_result", handle=handle)
        assert again.receipt["complete"], again.text
        on = await host.call("ask_gemini", prompt="And?", continue_from=handle)
        assert not on.failed
    assert len(sim.calls) == before + 1


async def test_a_task_of_a_killed_server_is_found_by_the_next(sim: Simulator, state: str) -> None:
    sim.pace = 0.01
    stored = {"RUNAPI_MCP_STORE": state}
    async with spawned(sim.base_url, RUNAPI_MCP_TASK_AFTER="0.2", **stored) as first:
        made = await first.call("ask_gemini", prompt="Long [[sim:slow seconds=3]]")
        task: str = made["taskId"]
        ended = await first.ended(task)
        running = await first.call("ask_gemini", prompt="Longer [[sim:slow seconds=30]]")
        await first.kill()
    async with spawned(sim.base_url, **stored) as second:
        found = await second.task(task)
        assert found["status"] == "completed"
        assert found["result"]["content"] == ended["result"]["content"]
        cut = await second.task(running["taskId"])
        assert cut["status"] == "completed"
        assert "its server went away" in str(cut["result"]["content"])
