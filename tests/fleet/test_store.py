"""Generations that several servers share through a real Redis."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis
from waiting import became, ended

from fleet.redis_server import RedisServer
from fleet.replicas import KEY, Replica, grown, job, replica
from runapi_mcp.errors import StoreDown
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.redis import AWAY, PREFIX
from runapi_mcp.generations.store.replica import Replica as RemoteGeneration
from runapi_mcp.sim import Simulator

SLOW = "[[sim:slow seconds=30]]"


@pytest.fixture
async def pair(sim: Simulator, redis: RedisServer) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replica(sim.base_url, redis.url) as one, replica(sim.base_url, redis.url) as other:
        yield one, other


Pair = tuple[Replica, Replica]


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


async def test_the_key_never_goes_to_redis_and_a_principal_only_to_what_was_used(
    pair: Pair, redis: RedisServer
) -> None:
    one, other = pair
    done = await one.start(job("Secret?", owner="user:canary-principal"))
    await ended(done)
    await one.handed(job(f"Secret too? {SLOW}", owner="user:canary-principal"))
    limited = job("Limited [[sim:rate-limit-once seconds=30]]")
    of_its_own = replace(limited.call, model="gemini-2.5-pro")  # the other tests' calls are not to wait, too
    await other.start(replace(limited, call=of_its_own))

    async def written() -> bool:
        held = str(await everything(redis))
        names = {f"{PREFIX}{kind}:" for kind in ("g", "t", "same", "server", "pace", "used")}
        return all(part in held for part in {"Secret?", "Secret too?", "Limited", "canary-principal"} | names)

    await became(written)
    held = await everything(redis)
    assert KEY.get_secret_value() not in str(held)
    told = {name for name, value in held.items() if "canary-principal" in str((name, value))}
    assert {name.split(":")[2] for name in told} == {"used"}


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
    handle = await one.handed(job(f"Back from a {how} [[sim:slow seconds=8]]"))
    local = await one.find(handle)
    assert isinstance(local, Generation), "one that nobody fetched is joined, not asked again"
    await grown(local, 10)
    known = await other.find(handle)
    assert isinstance(known, RemoteGeneration)
    redis.stop() if how == "restart" else redis.freeze()

    async def noticed() -> bool:
        return local.view().note == AWAY

    async def back() -> bool:
        return local.view().note == "" and other.generations.store_up

    await became(noticed)
    async with known.follow():
        await became(lambda: known.stale)
    redis.start() if how == "restart" else redis.thaw()
    await became(back)
    remote = await other.find(handle)
    assert remote.view().note == ""
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
        async for name in client.scan_iter("runapi-mcp:2:t:*"):
            await client.delete(name)
    await ended(remote)
    written = (await one.find(handle)).view().answer
    assert remote.view().answer == written
    assert (await other.find(handle)).view().answer == written


async def everything(redis: RedisServer) -> dict[str, Any]:
    """All names and values that Redis holds."""
    found: dict[str, Any] = {}
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
            found[name] = value
    return found
