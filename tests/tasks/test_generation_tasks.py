"""What a generation is as a task: a page of its answer, delivered when it was given, failed by bugs only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from runapi_mcp.errors import HandleError
from runapi_mcp.generations.values import View
from runapi_mcp.server.boundary import Context
from runapi_mcp.server.tasks import TaskState, Wire
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS, Page, Reply
from runapi_mcp.wire.fold import Fold
from tasks.task_host import TaskHost, beside


async def begun(host: TaskHost, prompt: str) -> str:
    """The id of a task that has only just begun."""
    created = await host.call("ask_gemini", prompt=prompt, wait_seconds=0)
    assert created["resultType"] == "task"
    task_id: str = created["taskId"]
    return task_id


def text_of(task: Mapping[str, Any]) -> str:
    assert task["status"] == "completed"
    return "\n\n".join(block["text"] for block in task["result"]["content"])


async def test_a_tasks_result_is_one_page_of_the_size_that_is_set(sim: Simulator) -> None:
    async with beside(sim.base_url, RUNAPI_MCP_MAX_RESULT_CHARS="1000") as host:
        task = await host.ended(await begun(host, "Long [[sim:default words=600]]"))
    page, _, remark = text_of(task).rpartition("\n\n[")
    assert 700 < len(page) <= 1_000
    assert "offset" in remark


async def test_a_tasks_result_is_no_longer_than_its_host_is_known_to_take(sim: Simulator) -> None:
    async with beside(sim.base_url, name="codex-mcp-client") as host:
        task = await host.ended(await begun(host, "Longer [[sim:default words=4000]]"))
    page, _, remark = text_of(task).rpartition("\n\n[")
    assert 8_000 < len(page) <= 11_000
    assert "offset" in remark


async def test_what_was_ignored_is_said_though_the_call_became_a_task(sim: Simulator) -> None:
    async with beside(sim.base_url) as host:
        created = await host.call("ask_gemini", prompt="Aside", _trace="x", wait_seconds=0)
        assert created["resultType"] == "task"
        task = await host.ended(created["taskId"])
    assert text_of(task).count("_trace") == 1


async def test_a_result_that_was_fetched_is_not_given_out_again_for_the_same_question(sim: Simulator) -> None:
    async with beside(sim.base_url) as host:
        await host.ended(await begun(host, "Fetched"))
        await host.call("ask_gemini", prompt="Fetched")
    assert len(sim.calls) == 2


async def test_a_result_of_which_only_a_page_was_fetched_is_kept_for_who_asks_again(sim: Simulator) -> None:
    async with beside(sim.base_url, RUNAPI_MCP_MAX_RESULT_CHARS="1000") as host:
        await host.ended(await begun(host, "Page [[sim:default words=600]]"))
        await host.call("ask_gemini", prompt="Page [[sim:default words=600]]")
    assert len(sim.calls) == 1


def _unsayable(_view: View, _page: Page) -> Reply:
    raise ZeroDivisionError("a bug")


async def test_a_result_that_cannot_be_told_fails_the_task_and_is_kept_for_who_asks_again(
    sim: Simulator,
) -> None:
    tools = {**TOOLS, "ask_gemini": replace(TOOLS["ask_gemini"], render=_unsayable)}
    async with beside(sim.base_url, tools=tools) as host:
        task = await host.ended(await begun(host, "Told"))
        again = await host.call("ask_gemini", prompt="Told")
    assert task["status"] == "failed"
    assert "result" not in task
    assert "simulated" in again["content"][0]["text"]
    assert len(sim.calls) == 1


def _broken(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError("a bug")


async def test_a_generation_that_a_bug_ended_is_a_failed_task(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with beside(sim.base_url) as host:
        with monkeypatch.context() as patched:
            patched.setattr(Fold, "feed", _broken)
            task = await host.ended(await begun(host, "Broken"))
    assert task["status"] == "failed"
    assert task["error"]["code"] == -32603
    assert "because of a bug in runapi-mcp" in task["error"]["message"]
    assert "ZeroDivisionError" not in task["error"]["message"]


class Gone:
    """Tasks that cannot be had, for whatever is raised."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def state(self, task_id: str, ctx: Context) -> TaskState:
        raise self._error

    async def note_delivery(self, task_id: str, ctx: Context) -> None:
        raise self._error

    async def cancel(self, task_id: str, ctx: Context) -> None:
        raise self._error

    async def answer(self, task_id: str, responses: Mapping[str, Wire], ctx: Context) -> None:
        raise self._error


async def test_a_running_call_of_which_no_task_can_be_made_gives_its_handle(sim: Simulator) -> None:
    async with beside(sim.base_url, tasks=Gone(HandleError("It is not here."))) as host:
        result = await host.call("ask_gemini", prompt="Slow [[sim:slow seconds=9]]", wait_seconds=0.1)
    assert result["resultType"] == "complete"
    assert "get_result" in result["content"][-1]["text"]


async def test_a_bug_while_a_task_is_made_is_told_as_a_result(sim: Simulator) -> None:
    async with beside(sim.base_url, tasks=Gone(ZeroDivisionError("a bug"))) as host:
        result = await host.call("ask_gemini", prompt="Slow [[sim:slow seconds=9]]", wait_seconds=0.1)
    assert result["isError"] is True
    assert result["_meta"]["ai.runapi/error"] == "bug"


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_a_bug_in_a_task_method_is_an_internal_error_in_words_of_ours(
    sim: Simulator, method: str
) -> None:
    async with beside(sim.base_url, tasks=Gone(ZeroDivisionError("a bug"))) as host:
        answer = await host.ask(method, taskId="g_x", inputResponses={})
    assert answer["error"]["code"] == -32603
    assert answer["error"]["message"].startswith(f"{method} failed because of a bug in runapi-mcp.")


@pytest.mark.parametrize("declares", [True, False])
async def test_a_call_is_handed_over_early_only_where_the_host_declares_tasks(
    sim: Simulator, *, declares: bool
) -> None:
    async with beside(sim.base_url, name="claude-code", RUNAPI_MCP_TASK_AFTER="0") as host:
        result = await host.call("ask_gemini", declares=declares, prompt="Early [[sim:slow seconds=0.3]]")
    assert (result["resultType"] == "task") is declares
