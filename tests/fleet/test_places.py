"""The calls that one principal may have at once are counted on all servers together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from waiting import became, ended

from fleet.redis_server import RedisServer
from fleet.replicas import Replica, job, replica
from runapi_mcp.errors import TooManyCalls
from runapi_mcp.generations.store.counts import Places
from runapi_mcp.generations.store.redis import PREFIX, RedisEngine
from runapi_mcp.sim import Simulator

SLOW = "[[sim:slow seconds=30]]"


@asynccontextmanager
async def pair_of(sim: Simulator, redis: RedisServer, most: int) -> AsyncIterator[tuple[Replica, Replica]]:
    async with (
        replica(sim.base_url, redis.url, max_calls_per_user=most) as one,
        replica(sim.base_url, redis.url, max_calls_per_user=most) as other,
    ):
        yield one, other


async def test_calls_on_two_servers_count_together(sim: Simulator, redis: RedisServer) -> None:
    async with pair_of(sim, redis, 2) as (one, other):
        first = await one.start(job(f"First {SLOW}"))
        await other.start(job(f"Second {SLOW}"))
        for server in (one, other):
            with pytest.raises(TooManyCalls, match="2 of your calls run on the servers of this fleet"):
                await server.start(job(f"Third {SLOW}"))
        await other.start(job(f"Third {SLOW}", owner="bob"))
        await first.stop()
        await other.start(job(f"Third {SLOW}"))


async def test_who_was_refused_leaves_nothing_in_redis(sim: Simulator, redis: RedisServer) -> None:
    async with (
        pair_of(sim, redis, 1) as (one, other),
        Redis.from_url(redis.url, decode_responses=True) as client,
    ):
        await one.start(job(f"First {SLOW}", owner="once"))
        before = {name async for name in client.scan_iter(f"{PREFIX}g:*")}
        with pytest.raises(TooManyCalls):
            await other.start(job(f"Refused {SLOW}", owner="once"))
        assert {name async for name in client.scan_iter(f"{PREFIX}g:*")} == before


async def test_the_same_question_is_joined_by_who_has_no_place_left(
    sim: Simulator, redis: RedisServer
) -> None:
    async with pair_of(sim, redis, 1) as (one, other):
        first = await one.start(job(f"Same {SLOW}"))
        second, joined = await other.begin(job(f"Same {SLOW}"))
        assert joined
        assert second.handle == first.handle


async def test_a_call_right_after_another_ended_elsewhere_is_not_refused(
    sim: Simulator, redis: RedisServer
) -> None:
    async with pair_of(sim, redis, 1) as servers:
        for number in range(6):
            generation = await servers[number % 2].start(job(f"One after the other, {number}"))
            await ended(generation)
            await generation.deliver()


async def test_the_places_of_a_killed_server_lapse_and_those_of_a_living_one_do_not(
    redis: RedisServer,
) -> None:
    links = [RedisEngine(SecretStr(redis.url), anyio.current_time) for _ in range(3)]
    killed, living, asking = (Places(link, 2, lease=0.6) for link in links)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(living.forever)
        await killed.take("lee", "on the one that is killed")
        await living.take("lee", "on the one that lives")
        with pytest.raises(TooManyCalls):
            await asking.take("lee", "a third")

        async def free() -> bool:
            try:
                await asking.take("lee", "a third")
            except TooManyCalls:
                return False
            return True

        await became(free)
        with pytest.raises(TooManyCalls):
            await killed.take("lee", "a fourth")
        tasks.cancel_scope.cancel()
    for link in links:
        await link.aclose()


async def test_after_an_outage_what_runs_is_counted_again(sim: Simulator, redis: RedisServer) -> None:
    async with pair_of(sim, redis, 1) as (one, other):
        redis.stop()
        await one.start(job(f"Meanwhile {SLOW}", owner="out"))
        with pytest.raises(TooManyCalls, match="run on this server"):
            await one.start(job(f"More {SLOW}", owner="out"))
        redis.start()
        async with Redis.from_url(redis.url, decode_responses=True) as client:

            async def counted() -> bool:
                return [name async for name in client.scan_iter("runapi-mcp:2:calls:*")] != []

            await became(counted)
        with pytest.raises(TooManyCalls, match="of this fleet"):
            await other.start(job(f"More {SLOW}", owner="out"))


async def test_without_a_limit_nothing_is_counted(sim: Simulator, redis: RedisServer) -> None:
    redis.stop()
    redis.start()
    async with replica(sim.base_url, redis.url) as one:
        await one.start(job(f"Uncounted {SLOW}"))
        async with Redis.from_url(redis.url, decode_responses=True) as client:
            assert [name async for name in client.scan_iter("runapi-mcp:2:g:*")]
            assert not [name async for name in client.scan_iter("runapi-mcp:2:calls:*")]
