"""Nothing paid for is lost: what had arrived is kept, with the reason, and can be continued."""

import anyio
import pytest

from runapi_mcp.sim import Simulator
from server.hosting import HALF, Called, Host


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("cut-clean", "ended without a finish"),
        ("cut-chunked", "connection broke"),
        ("cut-rst", "connection broke"),
        ("stall-middle", "sent nothing for 0.4 s"),
        ("pings-forever seconds=5", "keep-alives but no content"),
        ("slow seconds=9", "deadline"),
        ("mid-error", "the model is overloaded"),
        ("length", "output limit"),
        ("blocked-middle", "safety"),
    ],
)
async def test_what_had_arrived_is_kept_with_the_reason_and_a_handle(
    narrow: Host, scenario: str, why: str
) -> None:
    called = await narrow.call("ask_gemini", prompt=f"Kept [[sim:{scenario}]]", wait_seconds=10)
    assert not called.failed
    assert called.text.startswith(HALF)
    assert called.receipt["status"] == "partial"
    remark = called.text.rpartition("\n\n[")[2]
    assert why in remark
    assert called.handle in remark
    again = await narrow.call("get_result", handle=called.handle)
    assert again.text == called.text


@pytest.mark.parametrize("scenario", ["cut-before-headers", "stall-first", "empty-stop", "blocked-prompt"])
async def test_it_is_an_error_only_when_there_is_nothing_to_give(narrow: Host, scenario: str) -> None:
    called = await narrow.call("ask_gemini", prompt=f"Nothing [[sim:{scenario}]]", wait_seconds=10)
    assert called.failed
    assert HALF not in called.text
    assert called.receipt["status"] == "failed"


@pytest.mark.parametrize("scenario", ["cut-clean", "length", "stall-middle"])
async def test_a_partial_answer_is_resumed_to_the_whole_one(
    narrow: Host, sim: Simulator, scenario: str
) -> None:
    prompt = "Resume"
    whole = await narrow.call("ask_gemini", prompt=prompt)
    half = await narrow.call("ask_gemini", prompt=f"{prompt} [[sim:{scenario}]]", wait_seconds=10)
    assert half.receipt["status"] == "partial"
    resumed = await narrow.call("get_result", handle=half.handle, resume=True)
    assert resumed.receipt["complete"]
    assert resumed.blocks[0] == whole.blocks[0]
    assert resumed.handle != half.handle
    assert len(sim.calls) == 3


async def test_resuming_twice_at_once_pays_once(narrow: Host, sim: Simulator) -> None:
    half = await narrow.call("ask_gemini", prompt="Twice [[sim:length]]")
    sim.play("slow seconds=0.2", "slow seconds=0.2")
    results: list[Called] = []

    async def resume() -> None:
        results.append(await narrow.call("get_result", handle=half.handle, resume=True))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(resume)
        tasks.start_soon(resume)
    assert results[0].handle == results[1].handle
    assert len(sim.calls) == 2


async def test_a_complete_answer_cannot_be_resumed_and_that_is_taught(host: Host, sim: Simulator) -> None:
    called = await host.call("ask_gemini", prompt="Whole.")
    resumed = await host.call("get_result", handle=called.handle, resume=True)
    assert resumed.failed
    assert "complete" in resumed.text
    assert len(sim.calls) == 1


async def test_a_running_one_cannot_be_resumed_and_that_is_taught(host: Host) -> None:
    running = await host.call("ask_gemini", prompt="Running [[sim:slow seconds=9]]", wait_seconds=0.1)
    resumed = await host.call("get_result", handle=running.handle, resume=True)
    assert resumed.failed
    assert "still running" in resumed.text
    await host.call("get_result", handle=running.handle, cancel=True)
