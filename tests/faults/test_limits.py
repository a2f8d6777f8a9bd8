"""What is bounded: generations that run, wait and are kept, and the size of arguments."""

import base64
from typing import Any

import anyio
import pytest
from generations.played import Clock
from pydantic import SecretStr
from server.hosting import CANARY, Called, Host, in_process
from waiting import ended

from runapi_mcp.errors import BusyError, HandleError
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.values import Job
from runapi_mcp.sim import SeenCall, Simulator
from runapi_mcp.wire.types import Call, Text, Turn


async def _all_at_once(host: Host, prompts: list[str], **arguments: Any) -> list[Called]:
    results: list[Called] = []

    async def one(prompt: str) -> None:
        results.append(await host.call("ask_gemini", prompt=prompt, **arguments))

    async with anyio.create_task_group() as tasks:
        for prompt in prompts:
            tasks.start_soon(one, prompt)
    return results


def _most_at_once(calls: list[SeenCall]) -> int:
    edges = [(seen.received_at, 1) for seen in calls] + [(seen.closed_at or 0.0, -1) for seen in calls]
    open_now = most = 0
    for _, change in sorted(edges):
        open_now += change
        most = max(most, open_now)
    return most


async def test_more_than_may_run_wait_their_turn_and_say_how_many_are_ahead(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_MAX_RUNNING="2") as host:
        results = await _all_at_once(host, [f"{number} [[sim:slow seconds=0.3]]" for number in range(6)])
    assert all(called.receipt["complete"] for called in results)
    assert _most_at_once(sim.calls) <= 2
    queued = [message for called in results for message in called.messages if "queued" in message]
    assert {"queued, 0 ahead", "queued, 3 ahead"} <= set(queued)


async def test_a_burst_beyond_what_may_wait_is_refused_and_the_rest_is_served(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_MAX_RUNNING="1", RUNAPI_MCP_MAX_WAITING="2") as host:
        results = await _all_at_once(host, [f"{number} [[sim:slow seconds=0.1]]" for number in range(8)])
    refused = [called for called in results if called.failed]
    assert len(refused) == 5
    assert all(called.code == "busy" for called in refused)
    assert all("RUNAPI_MCP_MAX_RUNNING" in called.text for called in refused)
    assert len(sim.calls) == 3


async def test_a_burst_within_one_moment_is_counted_before_any_of_it_runs(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_MAX_RUNNING="1", RUNAPI_MCP_MAX_WAITING="2") as host:
        assert host.app is not None
        generations = host.app.generations

        async def begin(number: int) -> None:
            asked = Turn("user", (Text(f"{number} [[sim:stall-first]]"),))
            call = Call("gemini-3-flash-preview", (asked,))
            job = Job("ask_gemini", {"prompt": str(number)}, call, "chat", "local")
            await generations.begin(job, key=SecretStr(CANARY), patience=0)

        for number in range(3):
            await begin(number)
        with pytest.raises(BusyError):
            await begin(3)


async def test_places_are_free_again_after_whatever_end(sim: Simulator) -> None:
    async with in_process(
        sim.base_url,
        RUNAPI_MCP_MAX_RUNNING="1",
        RUNAPI_MCP_MAX_WAITING="0",
        RUNAPI_MCP_IDLE_TIMEOUT="0.2",
    ) as host:
        for scenario in ("error-d", "cut-rst", "stall-first", "empty-stop", "default"):
            await host.call("ask_gemini", prompt=f"First [[sim:{scenario}]]")
        stopped = await host.call("ask_gemini", prompt="Stopped [[sim:slow seconds=9]]", wait_seconds=0)
        await host.call("get_result", handle=stopped.handle, cancel=True)
        last = await host.call("ask_gemini", prompt="Last")
    assert last.receipt["complete"]


async def test_one_that_is_cancelled_in_the_queue_is_never_sent(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_MAX_RUNNING="1") as host:
        first = await host.call("ask_gemini", prompt="First [[sim:slow seconds=0.5]]", wait_seconds=0)
        queued = await host.call("ask_gemini", prompt="Queued", wait_seconds=0)
        stopped = await host.call("get_result", handle=queued.handle, cancel=True)
        last = await host.call("ask_gemini", prompt="Last")
        rest = await host.call("get_result", handle=first.handle)
    assert stopped.failed
    assert "cancelled before anything was written" in stopped.text
    assert last.receipt["complete"]
    assert rest.receipt["complete"]
    assert len(sim.calls) == 2


async def test_time_in_the_queue_is_not_runapis_silence(sim: Simulator) -> None:
    clock = Clock()
    async with in_process(sim.base_url, clock=clock, RUNAPI_MCP_MAX_RUNNING="1") as host:
        first = await host.call("ask_gemini", prompt="First [[sim:stall-first seconds=9]]", wait_seconds=0)
        second = await host.call("ask_gemini", prompt="Second [[sim:stall-first seconds=9]]", wait_seconds=0)
        await sim.wait_for_call(1)
        clock.now += 60
        assert host.app is not None
        generation = await host.app.generations.find(second.handle, "local")
        assert generation.evidence().phase == "queued"
        await host.call("get_result", handle=first.handle, cancel=True)
        await sim.wait_for_call(2)
        clock.now += 2
        assert generation.evidence().silent == pytest.approx(2, abs=0.5)


# ---------------------------------------------------------------- what is kept


async def _there(host: Host, handle: str) -> bool:
    called = await host.call("get_result", handle=handle)
    assert called.code in (None, "unknown_handle")
    return not called.failed


async def test_finished_generations_are_kept_for_their_time_and_no_longer(sim: Simulator) -> None:
    clock = Clock()
    async with in_process(sim.base_url, clock=clock, RUNAPI_MCP_KEEP_SECONDS="600") as host:
        handle = (await host.call("ask_gemini", prompt="Kept")).handle
        clock.now += 599
        assert await _there(host, handle)
        clock.now += 2
        gone = await host.call("get_result", handle=handle)
    assert gone.code == "unknown_handle"
    assert "10 minutes" in gone.text


async def test_a_running_generation_does_not_expire(sim: Simulator) -> None:
    clock = Clock()
    async with in_process(sim.base_url, clock=clock, RUNAPI_MCP_KEEP_SECONDS="1") as host:
        running = await host.call(
            "ask_gemini", prompt="Running [[sim:stall-first seconds=9]]", wait_seconds=0
        )
        clock.now += 500
        again = await host.call("get_result", handle=running.handle, wait_seconds=0)
        assert again.receipt["status"] == "running"


async def test_the_oldest_finished_go_first_when_there_are_too_many(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_KEEP_GENERATIONS="3") as host:
        handles = [(await host.call("ask_gemini", prompt=f"{number}")).handle for number in range(5)]
        assert [await _there(host, handle) for handle in handles] == [False, False, True, True, True]


async def test_the_oldest_finished_go_first_when_they_are_too_large(sim: Simulator) -> None:
    async with in_process(
        sim.base_url, RUNAPI_MCP_KEEP_BYTES="1048576", RUNAPI_MCP_MAX_RESULT_CHARS="2000000"
    ) as host:
        cue = "[[sim:endless size=100000 seconds=0.005]]"
        handles = [(await host.call("ask_gemini", prompt=f"{number} {cue}")).handle for number in range(4)]
        there = [await _there(host, handle) for handle in handles]
    assert there == sorted(there)  # the oldest go first
    assert not there[0]
    assert there[-1]


async def test_the_size_of_a_question_that_may_be_asked_again_counts_too(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_KEEP_BYTES="1048576") as host:
        cut = "[[sim:cut-clean]]" + "x" * 400_000
        handles = [(await host.call("ask_gemini", prompt=f"{number} {cut}")).handle for number in range(4)]
        there = [await _there(host, handle) for handle in handles]
    assert there == [False, False, True, True]


async def test_the_question_is_let_go_once_its_answer_is_whole(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_KEEP_BYTES="1048576") as host:
        long = "x" * 1_000_000
        handles = [(await host.call("ask_gemini", prompt=f"{number}{long}")).handle for number in range(4)]
        assert all([await _there(host, handle) for handle in handles])


async def test_a_handle_that_was_given_out_stays_good_however_large_what_it_stands_for_is(
    sim: Simulator,
) -> None:
    image = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(1_000_000)).decode()
    async with in_process(sim.base_url, RUNAPI_MCP_KEEP_BYTES="1048576") as host:
        asked = [
            await host.call(
                "ask_gemini",
                prompt=f"{number} [[sim:{how}]]",
                files=[image],
                wait_seconds=0,
            )
            for number, how in enumerate(["slow seconds=0.3", "slow seconds=0.3", "cut-clean", "cut-clean"])
        ]
        assert [called.receipt["status"] for called in asked] == ["running"] * 4
        assert host.app is not None
        for called in asked:
            generation = await host.app.generations.find(called.handle, "local")
            assert isinstance(generation, Generation)
            await ended(generation)
        got = [await host.call("get_result", handle=called.handle) for called in asked]
    assert [called.receipt["status"] for called in got] == ["complete", "complete", "partial", "partial"]


async def test_a_handle_is_nobody_elses(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        handle = (await host.call("ask_gemini", prompt="Mine")).handle
        assert host.app is not None
        await host.app.generations.find(handle, "local")
        with pytest.raises(HandleError) as foreign:
            await host.app.generations.find(handle, "somebody else")
        with pytest.raises(HandleError) as unknown:
            await host.app.generations.find(handle + "x", "somebody else")
    assert str(foreign.value) == str(unknown.value).replace(handle + "x", handle)


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"prompt": "x" * 4_000_001}, "prompt"),
        ({"prompt": "x", "system": "x" * 4_000_001}, "system"),
        ({"prompt": "x", "files": ["data:,"] * 17}, "files"),
        ({"prompt": "x", "files": ["data:image/png;base64," + "A" * 2_000_000]}, "files[0]"),
        ({"prompt": "x", "files": ["data:image/png;base64," + "A" * 40_000_001]}, "files[0]"),
        ({"prompt": "x", "model": "g" * 10_000}, "model"),
        ({"prompt": "x", "x" * 1_000_000: 1}, "xxx"),
    ],
    ids=["prompt", "system", "17 files", "a large file", "a huge file", "model", "a name"],
)
async def test_an_argument_that_is_too_large_is_taught_in_few_words_and_not_sent(
    sim: Simulator, arguments: dict[str, Any], place: str
) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_MAX_FILE_BYTES="1048576") as host:
        called = await host.call("ask_gemini", **arguments)
    assert called.failed
    assert called.text.startswith(place) or "characters" in called.text
    assert len(called.text) < 600
    assert not sim.calls
