"""A day's limit on several servers: never passed by what all of them reserve, whoever dies or restarts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import anyio
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from waiting import became

from fleet.redis_server import RedisServer
from fleet.replicas import KEY, Replica, job, replica
from runapi_mcp.errors import BudgetSpent
from runapi_mcp.generations.spending import Taken
from runapi_mcp.generations.store.counts import SharedDayCounts
from runapi_mcp.generations.store.engine import Op, Take
from runapi_mcp.generations.store.memory import Followable
from runapi_mcp.generations.store.redis import RedisEngine
from runapi_mcp.sim import Simulator

DAY = date(2026, 5, 4)


@asynccontextmanager
async def counting(redis: RedisServer, servers: int) -> AsyncIterator[list[SharedDayCounts]]:
    """The counts of so many servers, each with a way of its own to Redis, and what they do beside it all."""
    links = [RedisEngine(SecretStr(redis.url), anyio.current_time) for _ in range(servers)]
    counts = [SharedDayCounts(link, lambda: DAY) for link in links]
    try:
        async with anyio.create_task_group() as tasks:
            for one in counts:
                tasks.start_soon(one.forever)
            yield counts
            tasks.cancel_scope.cancel()
    finally:
        for link in links:
            await link.aclose()


async def test_what_one_server_took_leaves_less_on_all(redis: RedisServer) -> None:
    async with counting(redis, 2) as (one, other):
        taken = await one.take("ann1", "tokens", 60, 100)
        assert isinstance(taken, Taken)
        assert await other.take("ann1", "tokens", 41, 100) == 60
        assert isinstance(await other.take("ann1", "tokens", 40, 100), Taken)
        one.settle(taken, 10)
        await one.write()
        assert (await one.used("ann1", "tokens"), await other.used("ann1", "tokens")) == (50, 50)
        assert isinstance(await other.take("ann1", "tokens", 50, 100), Taken)
        assert await other.used("bob1", "tokens") == await other.used("ann1", "cost") == 0
    async with Redis.from_url(redis.url, decode_responses=True) as client:
        names = [name async for name in client.scan_iter("*taken:*")]
        assert names
        assert "ann1" not in str(names), "no principal's name is there"
        assert all([await client.pttl(name) > 0 for name in names])


async def test_64_at_once_on_three_servers_never_pass_the_limit(redis: RedisServer) -> None:
    async with counting(redis, 3) as counts:
        got: list[Taken] = []

        async def take(number: int) -> None:
            taken = await counts[number % 3].take("ann2", "tokens", 7, 100)
            if isinstance(taken, Taken):
                got.append(taken)

        async with anyio.create_task_group() as tasks:
            for number in range(64):
                tasks.start_soon(take, number)
        assert len(got) == 100 // 7
        assert await counts[0].used("ann2", "tokens") == 7 * len(got)


async def test_no_caller_waits_for_what_the_store_is_asked_of_others(redis: RedisServer) -> None:
    gate, got = anyio.Event(), list[object]()

    class Slow(RedisEngine):
        async def run(self, *ops: Op) -> list[Any]:
            if any(isinstance(op, Take) and op.count == 99 for op in ops):
                await gate.wait()
            return await super().run(*ops)

    engine = Slow(SecretStr(redis.url), anyio.current_time)
    counts = SharedDayCounts(engine, lambda: DAY)

    async def take(owner: str, amount: int) -> None:
        got.append(await counts.take(owner, "tokens", amount, 100))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, "slow", 99)
        for number in range(20):
            tasks.start_soon(take, f"other{number}", 1)
        # One or two may be written together with it, by chance.
        await became(lambda: len(got) >= 15)
        gate.set()
    assert len(got) == 21
    await engine.aclose()


async def test_what_a_server_that_died_had_reserved_stays_taken(redis: RedisServer) -> None:
    async with counting(redis, 1) as (one,):
        await one.take("ann3", "tokens", 90, 100)
    async with counting(redis, 1) as (other,):
        assert await other.take("ann3", "tokens", 11, 100) == 90


async def test_what_redis_lost_is_written_anew_before_anything_more_is_taken(redis: RedisServer) -> None:
    async with counting(redis, 2) as (one, other):
        await one.take("ann4", "tokens", 90, 100)
        await other.take("ann4", "tokens", 5, 100)
        redis.stop()
        for counts in (one, other):
            with pytest.raises(BudgetSpent, match="does not answer"):
                await counts.take("ann4", "tokens", 1, 100)
        redis.start()

        async def counted() -> int | None:
            try:
                taken = await other.take("ann4", "tokens", 6, 100)
            except BudgetSpent:
                return None
            return taken if isinstance(taken, int) else -1

        found: list[int | None] = []

        async def is_counted() -> bool:
            found.append(await counted())
            return found[-1] is not None

        await became(is_counted)
        assert found[-1] == 95, "all that both had taken"


async def test_who_takes_nothing_more_writes_anew_what_redis_lost_too(redis: RedisServer) -> None:
    async with counting(redis, 2) as (one, other):
        await one.take("ann6", "tokens", 90, 100)
        redis.stop()
        assert await one.used("ann6", "tokens") == 90, "it has noticed"
        redis.start()

        async def is_counted() -> bool:
            await one.used("ann6", "tokens")  # as every server asks something now and then
            return await other.used("ann6", "tokens") == 90

        await became(is_counted)


async def test_what_could_not_be_given_back_is_given_back_later(redis: RedisServer) -> None:
    async with counting(redis, 2) as (one, other):
        taken = await one.take("ann5", "tokens", 40, 100)
        assert isinstance(taken, Taken)
        redis.freeze()
        one.settle(taken, 1)
        with anyio.move_on_after(0.1):
            await one.write()
        redis.thaw()

        async def given_back() -> bool:
            return await other.used("ann5", "tokens") == 1

        await became(given_back)


@asynccontextmanager
async def replicas(
    sim: Simulator, redis: RedisServer, number: int, limit: int
) -> AsyncIterator[list[Replica]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                replica(sim.base_url, redis.url, max_tokens_per_day=limit, max_running=100)
            )
            for _ in range(number)
        ]


async def test_three_replicas_send_no_more_than_the_limit_bears(sim: Simulator, redis: RedisServer) -> None:
    limit, cap = 20_000, 1_500
    async with replicas(sim, redis, 3, limit) as three:
        refused: list[int] = []
        seen: list[int] = []
        running: list[Followable] = []

        async def ask(number: int) -> None:
            wanted = job(f"Question {number} [[sim:slow seconds=60]]", owner="crowd")
            wanted = replace(wanted, call=replace(wanted.call, max_output_tokens=cap))
            server = three[number % 3].generations
            try:
                generation, _ = await server.begin(wanted, key=KEY, patience=5)
            except BudgetSpent:
                refused.append(number)
                return
            seen.append(await server.limits.counts.used("crowd", "tokens"))
            running.append(generation)

        async with anyio.create_task_group() as tasks:
            for number in range(64):
                tasks.start_soon(ask, number)
        assert refused
        assert max(seen) <= limit
        assert 0 < len(running) * cap <= limit
        for generation in running:
            await generation.stop()
        spent = await three[0].generations.limits.counts.used("crowd", "tokens")
        assert spent <= limit
