"""Generations that several servers share through a real Redis."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import pytest
from generations.played import WHOLE, Clock, Gate, bench
from pydantic import SecretStr
from redis.asyncio import Redis
from waiting import became, ended

from fleet.redis_server import RedisServer
from fleet.replicas import KEY, Replica, grown, job, replica
from runapi_mcp.errors import HandleError, ServerLeft, StoreDown
from runapi_mcp.generations.fleet import join_fleet
from runapi_mcp.generations.fleet.link import PREFIX
from runapi_mcp.generations.fleet.publishing import AWAY, TOO_LARGE
from runapi_mcp.generations.fleet.remote import RemoteGeneration
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store import Followable
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from runapi_mcp.wire.types import Answer, Finish

SLOW = "[[sim:slow seconds=30]]"


@pytest.fixture
async def pair(sim: Simulator, redis: RedisServer) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replica(sim.base_url, redis.url) as one, replica(sim.base_url, redis.url) as other:
        yield one, other


Pair = tuple[Replica, Replica]


async def test_another_server_sees_the_same_answer(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("How tall?"))
    await ended(local)
    remote = await other.find(local.handle)
    await ended(remote)
    here, there = local.view(), remote.view()
    assert there.answer == here.answer
    assert there.receipt == here.receipt
    assert (there.status, there.error, there.note) == ("complete", None, "")
    assert there.job.answered() == here.job  # whose question was let go


async def test_sources_and_queries_travel_too(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("What is new?", tool="search_web", search=True))
    await ended(local)
    remote = await other.find(local.handle)
    await ended(remote)
    assert remote.view().answer.grounding == local.view().answer.grounding
    assert remote.view().answer.grounding.sources


async def test_a_running_generation_can_be_followed_from_another_server(pair: Pair) -> None:
    one, other = pair
    handle = await one.handed(job("Long [[sim:slow seconds=2]]"))
    remote = await other.find(handle)
    assert remote.status == "running"
    await grown(remote, 5)
    evidence = remote.evidence()
    assert evidence.phase == "writing"
    assert evidence.characters > 0
    assert remote.view().answer.text.endswith(evidence.tail[-3:])
    await ended(remote)
    assert remote.view().answer == (await one.find(handle)).view().answer


async def test_stopping_from_another_server_closes_the_upstream(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    handle = await one.handed(job(f"Stop me {SLOW}"))
    call = await sim.wait_for_call()
    remote = await other.find(handle)
    began = time.monotonic()
    await remote.stop()
    assert time.monotonic() - began < 1.0
    await call.wait_closed()
    assert call.ended == "client left"
    assert remote.status == "cancelled"
    assert (await one.find(handle)).status == "cancelled"


async def test_a_foreign_handle_answers_like_an_unknown_one(pair: Pair) -> None:
    one, other = pair
    handle = await one.handed(job(f"Mine {SLOW}"))
    with pytest.raises(HandleError) as foreign:
        await other.find(handle, "bob")
    with pytest.raises(HandleError) as unknown:
        await other.find("g_nobody", "bob")
    assert str(foreign.value).replace(handle, "X") == str(unknown.value).replace("g_nobody", "X")


async def test_the_same_question_on_two_servers_is_asked_once(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    begun: list[tuple[Followable, bool]] = []

    async def ask(server: Replica) -> None:
        begun.append(await server.begin(job(f"Twice? {SLOW}")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, one)
        tasks.start_soon(ask, other)
    assert len({generation.handle for generation, _ in begun}) == 1
    assert sorted(joined for _, joined in begun) == [False, True]
    await sim.wait_for_call()
    assert len(sim.calls) == 1


async def test_another_principal_or_a_fresh_one_is_not_joined(pair: Pair) -> None:
    one, other = pair
    first = await one.start(job(f"Who? {SLOW}"))
    _, joined = await other.begin(job(f"Who? {SLOW}", owner="bob"))
    assert not joined
    fresh, joined = await other.begin(job(f"Who? {SLOW}"), fresh=True)
    assert not joined
    assert fresh.handle != first.handle


async def test_a_delivered_answer_is_not_joined_elsewhere(pair: Pair) -> None:
    one, other = pair
    first = await one.start(job("Again?"))
    await ended(first)
    second, joined = await other.begin(job("Again?"))
    await ended(second)
    assert joined
    await second.deliver()
    third, joined = await one.begin(job("Another?"))
    await ended(third)
    await third.deliver()

    async def delivered() -> bool:
        return (await other.find(third.handle)).delivered

    await became(delivered)
    _, joined = await other.begin(job("Another?"))
    assert not joined


async def test_the_server_that_ran_it_learns_that_another_delivered_it(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("Who had it?"))
    assert isinstance(local, Generation)
    async with local.follow():
        await one.generations.hand_over(local)
    await ended(local)
    assert local.owed
    await (await other.find(local.handle)).deliver()
    await became(lambda: not local.owed)


async def test_who_joins_keeps_it_running_when_the_first_one_leaves(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    local = await one.start(job("Keep [[sim:slow seconds=1.5]]"))
    assert isinstance(local, Generation)
    async with local.follow():
        remote, joined = await other.begin(job("Keep [[sim:slow seconds=1.5]]"))
        assert joined
        call = await sim.wait_for_call()
        await became(lambda: local.handed_over)  # the word has reached the server that runs it
    await ended(remote)
    assert remote.status == "complete"
    await call.wait_closed()
    assert call.ended == "complete"


async def test_one_that_was_told_to_end_is_not_joined_from_another_server(redis: RedisServer) -> None:
    clock, gate, closing = Clock(), Gate(), Gate()
    settings = Settings(store=SecretStr(redis.url))
    one, other = (join_fleet(settings, clock) for _ in range(2))
    async with (
        bench([gate], store=one.store, clock=clock) as here,
        bench(WHOLE, store=other.store, clock=clock) as there,
    ):
        here.upstream.closing = closing
        first = await here.start(job("Go on?"))
        await gate.reached.wait()
        first.cancel()

        async def known() -> bool:
            found = await there.generations.find(first.handle, "ann")
            return isinstance(found, RemoteGeneration) and found.leaving

        await became(known)
        second, joined = await there.begin(job("Go on?"))
        assert not joined
        assert first.status == "running"  # until its connection has closed
        closing.open.set()
        await ended(second)
        assert second.status == "complete"


async def test_a_cut_answer_keeps_its_error_and_text_everywhere(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("Cut [[sim:cut-clean]]"))
    await ended(local)
    remote = await other.find(local.handle)
    await ended(remote)
    here, there = local.view(), remote.view()
    assert here.error is not None
    assert there.error is not None
    assert (there.status, type(there.error), str(there.error)) == (
        here.status,
        type(here.error),
        str(here.error),
    )
    assert there.answer.text == here.answer.text


async def test_a_server_that_leaves_in_order_says_so_at_once(sim: Simulator, redis: RedisServer) -> None:
    async with replica(sim.base_url, redis.url) as other:
        async with replica(sim.base_url, redis.url) as one:
            handle = await one.handed(job(f"Bye {SLOW}"))
            remote = await other.find(handle)
            await grown(remote, 5)
            one.generations.interrupt()
        await ended(remote, 2)
        view = remote.view()
        assert view.status == "partial"
        assert isinstance(view.error, ServerLeft)
        assert view.answer.text


async def test_nothing_of_the_key_or_the_principal_goes_to_redis(pair: Pair, redis: RedisServer) -> None:
    one, other = pair
    done = await one.start(job("Secret?", owner="user:canary-principal"))
    await ended(done)
    await one.handed(job(f"Secret too? {SLOW}", owner="user:canary-principal"))
    limited = job("Limited [[sim:rate-limit-once seconds=30]]")
    of_its_own = replace(limited.call, model="gemini-2.5-pro")  # the other tests' calls are not to wait, too
    await other.start(replace(limited, call=of_its_own))

    async def written() -> bool:
        held = await everything(redis)
        names = {f"{PREFIX}{kind}:" for kind in ("g", "t", "same", "server", "pace", "used")}
        return all(part in held for part in {"Secret?", "Secret too?", "Limited"} | names)

    await became(written)
    held = await everything(redis)
    assert KEY.get_secret_value() not in held
    assert "canary-principal" not in held


async def test_everything_in_redis_expires(pair: Pair, redis: RedisServer) -> None:
    one, other = pair
    generation = await one.start(job("Expire?"))
    await ended(generation)
    handle = await one.handed(job(f"Later {SLOW}"))
    await (await other.find(handle)).stop()
    async with Redis.from_url(redis.url, decode_responses=True) as client:
        names = [name async for name in client.scan_iter()]
        assert names
        assert not [name for name in names if await client.pttl(name) < 0]


async def test_an_outage_leaves_running_calls_alone_and_says_what_it_means(
    pair: Pair, redis: RedisServer
) -> None:
    one, other = pair
    running = await one.start(job("Through [[sim:slow seconds=2.5]]"))
    remote = await other.find(running.handle)
    redis.stop()
    began = time.monotonic()
    handle = await one.handed(job(f"New {SLOW}"))
    assert time.monotonic() - began < 2.5
    assert (await one.find(handle)).view().note == AWAY
    with pytest.raises(StoreDown):
        await other.find(handle)
    async with remote.follow():
        with anyio.move_on_after(0.6):
            await remote.changed()
    assert "cannot be reached" in remote.view().note
    await ended(running)
    assert running.status == "complete"


@pytest.mark.parametrize("how", ["restart", "freeze"])
async def test_after_an_outage_all_is_there_again(pair: Pair, redis: RedisServer, how: str) -> None:
    one, other = pair
    handle = await one.handed(job("Back [[sim:slow seconds=4]]"))
    local = await one.find(handle)
    await grown(local, 10)
    redis.stop() if how == "restart" else redis.freeze()

    async def noticed() -> bool:
        return local.view().note == AWAY

    async def back() -> bool:
        with suppress(HandleError):
            await other.find(handle)
            return True
        return False

    await became(noticed)
    redis.start() if how == "restart" else redis.thaw()
    await became(back)
    remote = await other.find(handle)
    await ended(remote)
    assert remote.view().answer == local.view().answer
    assert (local.view().note, remote.view().note) == ("", "")


async def test_a_frozen_redis_holds_nobody_longer_than_a_second_a_step(
    pair: Pair, redis: RedisServer
) -> None:
    one, _ = pair
    redis.freeze()
    began = time.monotonic()
    generation = await one.start(job("Quick?"))
    await ended(generation)
    taken = time.monotonic() - began
    redis.thaw()
    assert generation.status == "complete"
    assert taken < 3.0


async def test_a_lost_text_is_written_again(pair: Pair, redis: RedisServer) -> None:
    one, other = pair
    handle = await one.handed(job("Evicted [[sim:slow seconds=3]]"))
    remote = await other.find(handle)
    await grown(remote, 10)
    async with Redis.from_url(redis.url, decode_responses=True) as client:
        async for name in client.scan_iter("runapi-mcp:1:t:*"):
            await client.delete(name)
    await ended(remote)
    written = (await one.find(handle)).view().answer
    assert remote.view().answer == written
    assert (await other.find(handle)).view().answer == written


async def test_a_question_too_large_to_share_stays_here_and_says_so(pair: Pair) -> None:
    one, other = pair
    handle = await one.handed(job("x" * 4_200_000 + SLOW))
    assert (await one.find(handle)).view().note == TOO_LARGE
    with pytest.raises(HandleError):
        await other.find(handle)


async def test_a_wait_that_one_server_was_asked_for_holds_for_all(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    sim.play("rate-limit-once seconds=30")
    refused = await one.start(job("First"))
    await ended(refused)
    assert refused.status == "failed"
    sent = len(sim.calls)
    also = await other.start(job("Second"))
    await ended(also)
    assert "nothing was sent" in str(also.view().error)
    assert len(sim.calls) == sent


async def everything(redis: RedisServer) -> str:
    """All names and values that Redis holds, as text."""
    found: list[Any] = []
    client: Any = Redis.from_url(redis.url, decode_responses=True)
    async with client:
        async for name in client.scan_iter():
            match await client.type(name):
                case "hash":
                    value: Any = await client.hgetall(name)
                case "stream":
                    value = await client.xrange(name)
                case "list":
                    value = await client.lrange(name, 0, -1)
                case _:
                    value = await client.get(name)
            found += [name, value]
    return str(found)


async def test_a_job_from_another_server_takes_the_course_of_its_tool(pair: Pair) -> None:
    one, other = pair
    asked = replace(job("x"), tool="extract_json", arguments={"text": "x", "schema": {"type": "object"}})
    handle = await one.handed(asked)
    found = (await other.find(handle)).view().job
    assert found == asked.digested()
    course = TOOLS[found.tool].course(found)
    verdict = await course.judged(["["], "")
    assert course.follow_up(Answer("[", finish=Finish("stop", "stop")), (), verdict) is not None
