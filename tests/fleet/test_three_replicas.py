"""Three real servers, a real Redis, and a proxy that sends every connection to the next server."""

from collections.abc import AsyncIterator

import anyio
import pytest
from waiting import became

from fleet.processes import Fleet, Said, fleet
from fleet.redis_server import RedisServer
from runapi_mcp.generations.store.redis import AWAY
from runapi_mcp.sim import Simulator

SLOW = "[[sim:slow seconds=30]]"


@pytest.fixture(scope="module")
async def fleet_of_three(shared_sim: Simulator, shared_redis: RedisServer) -> AsyncIterator[Fleet]:
    async with fleet(shared_sim.base_url, shared_redis.url) as servers:
        yield servers


@pytest.fixture
def three(fleet_of_three: Fleet) -> Fleet:
    fleet_of_three.served.clear()
    return fleet_of_three


async def test_a_cancellation_reaches_the_server_that_runs_it(three: Fleet, sim: Simulator) -> None:
    begun = await three.call("ask_gemini", prompt=f"Stop me. {SLOW}", wait_seconds=1)
    call = await sim.wait_for_call()
    stopped = await three.call("get_result", handle=begun.handle, cancel=True)
    assert len(set(three.served)) == 2
    assert stopped.status == "cancelled"
    assert stopped.answer.startswith(begun.answer)
    await call.wait_closed()
    assert call.ended == "client left"


async def test_one_question_on_two_servers_is_asked_once(three: Fleet, sim: Simulator) -> None:
    # A server that cannot look for the same question in 50 ms asks it: on a busy machine both may.
    for attempt in range(10):
        three.served.clear()
        asked_before = len(sim.calls)
        said: list[Said] = []

        async def ask(said: list[Said] = said, attempt: int = attempt) -> None:
            prompt = f"Same, {attempt}? [[sim:slow seconds=1]]"
            said.append(await three.call("ask_gemini", prompt=prompt, wait_seconds=60))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert len(set(three.served)) == 2
        assert [one.status for one in said] == ["complete", "complete"]
        if len(sim.calls) == asked_before + 1:
            assert len({one.handle for one in said}) == 1
            assert sum("Joined the same question" in one.text for one in said) == 1
            return
    pytest.fail("In ten attempts no server joined what the other had begun.")


async def test_without_redis_calls_go_on_and_handles_say_they_are_local(
    three: Fleet, sim: Simulator, redis: RedisServer
) -> None:
    said: list[Said] = []

    async def ask() -> None:
        said.append(
            await three.call("ask_gemini", prompt="Through it? [[sim:slow seconds=3]]", wait_seconds=60)
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await (await sim.wait_for_call()).wait_first_byte()
        redis.stop()
        local = await three.call("ask_gemini", prompt=f"And a new one? {SLOW}", wait_seconds=1)
    assert said[0].status == "complete"
    assert AWAY not in said[0].text
    assert local.status == "running"
    assert AWAY in local.text

    elsewhere = await three.call("get_result", handle=local.handle, wait_seconds=0)
    assert elsewhere.is_error
    assert "cannot be asked now" in elsewhere.text

    redis.start()

    async def back() -> bool:
        found = [await three.call("get_result", handle=local.handle, wait_seconds=0) for _ in three.servers]
        return all(one.status == "running" for one in found if not one.is_error) and not any(
            one.is_error or AWAY in one.text for one in found
        )

    await became(back)


async def test_an_answer_outlives_the_server_that_was_writing_it(three: Fleet, sim: Simulator) -> None:
    story = "Tell a long story. [[sim:slow seconds=600 words=1200]]"
    begun = await three.call("ask_gemini", prompt=story, wait_seconds=1)
    call = await sim.wait_for_call()
    sent = call.chunks_sent
    await became(lambda: call.chunks_sent > sent)
    followed = await three.call("get_result", handle=begun.handle, wait_seconds=5)
    assert (begun.status, followed.status) == ("running", "running")
    assert followed.answer.startswith(begun.answer)
    assert len(followed.answer) > len(begun.answer)
    assert any("writing" in line for line in followed.progress)

    three.servers[three.served[0]].kill()
    left = await three.call("get_result", handle=begun.handle, wait_seconds=30)  # gone after nine
    assert len(set(three.served)) == 3
    assert left.status == "partial"
    assert "its server went away" in left.text
    assert left.answer.startswith(followed.answer)

    sim.play("default")
    resumed = await three.call("get_result", handle=begun.handle, resume=True, wait_seconds=60)
    assert resumed.status == "complete"
    assert resumed.text.startswith(left.answer)
