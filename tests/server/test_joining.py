"""The same question is asked once, for as long as its answer was never delivered."""

from typing import Any

import anyio
import pytest

from runapi_mcp import host_limits
from runapi_mcp.sim import Simulator
from server.hosting import PATIENCE, Called, Host, in_process


async def test_the_same_question_after_a_hand_over_attaches_to_its_generation(
    host: Host, sim: Simulator
) -> None:
    asked: dict[str, Any] = {"prompt": "Again [[sim:slow seconds=0.8]]"}
    first = await host.call("ask_gemini", **asked, wait_seconds=0.1)
    second = await host.call("ask_gemini", **asked)
    assert second.receipt["complete"]
    assert second.handle == first.handle
    assert "Joined the same question" in second.text
    assert len(sim.calls) == 1


async def test_the_same_question_twice_at_once_is_asked_once(host: Host, sim: Simulator) -> None:
    results: list[Called] = []

    async def ask() -> None:
        results.append(await host.call("ask_gemini", prompt="Both [[sim:slow seconds=0.4]]"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    assert results[0].handle == results[1].handle
    assert all(called.receipt["complete"] for called in results)
    assert len(sim.calls) == 1


async def test_fresh_asks_anew(host: Host, sim: Simulator) -> None:
    asked: dict[str, Any] = {"prompt": "Anew [[sim:slow seconds=0.4]]"}
    first = await host.call("ask_gemini", **asked, wait_seconds=0)
    second = await host.call("ask_gemini", **asked, fresh=True)
    assert second.handle != first.handle
    assert "Joined" not in second.text
    assert len(sim.calls) == 2


async def test_a_delivered_answer_is_not_given_out_again_for_the_same_question(
    host: Host, sim: Simulator
) -> None:
    first = await host.call("ask_gemini", prompt="Delivered.")
    second = await host.call("ask_gemini", prompt="Delivered.")
    assert second.handle != first.handle
    assert len(sim.calls) == 2


async def test_a_different_argument_is_a_different_question(host: Host, sim: Simulator) -> None:
    await host.call("ask_gemini", prompt="Same [[sim:slow seconds=0.3]]", wait_seconds=0)
    await host.call("ask_gemini", prompt="Same [[sim:slow seconds=0.3]]", temperature=1, wait_seconds=0)
    await sim.wait_for_call(2)


async def test_a_client_that_gave_up_is_answered_in_time_from_then_on(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = 0.05
    monkeypatch.setattr(host_limits, "LEAST_HOLD", least)
    asked: dict[str, Any] = {"prompt": "Patience [[sim:silent-thinking seconds=60]]"}
    async with in_process(sim.base_url) as host, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: host.silently("ask_gemini", **asked))
        await sim.wait_for_call()
        # What passes here is what the client waited for: the time itself.
        await anyio.sleep(2 * least)
        with anyio.fail_after(PATIENCE):
            # However long it says that it would wait: it has just shown how long it does.
            again = await host.silently("ask_gemini", **asked, wait_seconds=60)
        other = await host.silently("ask_gemini", prompt="Other [[sim:silent-thinking seconds=60]]")
        tasks.cancel_scope.cancel()
    assert "Joined the same question" in again.text
    assert [called.receipt["status"] for called in (again, other)] == ["running", "running"]
    assert len(sim.calls) == 2
