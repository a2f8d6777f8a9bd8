"""What a fleet bears: a slow Redis, one that is away for long, and one that holds what is not ours."""

import gc
import logging
import weakref
from contextlib import suppress

import anyio
import pytest
from redis.asyncio import Redis
from waiting import PATIENCE, became, ended

from fleet.redis_server import RedisServer
from fleet.replicas import grown, job, replica
from fleet.slow_line import slow_line
from runapi_mcp.errors import HandleError, StoreDown
from runapi_mcp.generations.store import Followable
from runapi_mcp.sim import Simulator

SLOW = "[[sim:slow seconds=30]]"


async def test_an_outage_pins_nothing_that_this_server_no_longer_keeps(
    sim: Simulator, redis: RedisServer
) -> None:
    async with replica(sim.base_url, redis.url, keep_generations=2) as one:
        redis.stop()
        seen: list[weakref.ref[Followable]] = []
        for number in range(5):
            generation = await one.start(job(f"Number {number}?"))
            await ended(generation)
            await generation.deliver()
            seen.append(weakref.ref(generation))
            del generation

        async def dropped() -> bool:
            gc.collect()
            return [ref() is None for ref in seen[:3]] == [True] * 3

        await became(dropped)
        handles = [kept.handle for ref in seen if (kept := ref()) is not None]
        assert handles
        redis.start()
        async with replica(sim.base_url, redis.url) as other:

            async def written() -> bool:
                with suppress(HandleError):
                    return {(await other.find(handle)).status for handle in handles} == {"complete"}
                return False

            await became(written)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(b"halt it", id="another word"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"do": ["stop"], "name": {}}', id="JSON"),
        pytest.param(b"[" * 100_000, id="too long"),
        pytest.param(b"\xff\xfe\xed\xa0\x80", id="no text"),
        pytest.param(b"\xed\xa0\x80 x", id="half a character"),
    ],
)
async def test_a_malformed_order_is_ignored_and_the_next_is_obeyed(
    sim: Simulator, redis: RedisServer, order: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with replica(sim.base_url, redis.url) as one, replica(sim.base_url, redis.url) as other:
        handle = await one.handed(job(f"Stop me {SLOW}"))
        async with Redis.from_url(redis.url, decode_responses=True) as client:
            for name in [name async for name in client.scan_iter("runapi-mcp:2:server:*")]:
                await client.rpush(name.replace(":server:", ":tell:"), order, order)  # type: ignore[misc]  # redis-py types two clients at once
        remote = await other.find(handle)
        with anyio.fail_after(PATIENCE):
            await remote.stop()
        assert remote.status == "cancelled"
    lines = [r for r in caplog.records if r.levelno == logging.WARNING and "order" in r.getMessage()]
    assert 1 <= len(lines) <= 2, "one for each server at most, however many there are"


async def test_a_slow_redis_still_shows_a_follower_what_is_new(sim: Simulator, redis: RedisServer) -> None:
    async with (
        slow_line(redis.port) as line,
        replica(sim.base_url, redis.url) as one,
        replica(sim.base_url, f"redis://127.0.0.1:{line.port}/0") as far,
    ):
        handle = await one.handed(job("Slowly [[sim:slow seconds=40]]"))
        remote = await far.find(handle)
        before = len(remote.view().answer.text)
        line.answering = 0.3
        # It waits a tenth of a second at a time, as who reports progress does.
        await grown(remote, before + 20, 20)
        assert remote.view().note == ""


async def test_what_an_outage_left_to_be_written_gets_through_a_narrow_line(
    sim: Simulator, redis: RedisServer
) -> None:
    async with (
        slow_line(redis.port) as line,
        replica(sim.base_url, f"redis://127.0.0.1:{line.port}/0") as far,
        replica(sim.base_url, redis.url) as other,
    ):
        redis.stop()
        # All of it takes longer than any one call to Redis may.
        handles = [await far.handed(job(f"{number} {'x' * 300_000} {SLOW}")) for number in range(20)]
        line.asking = 0.01
        redis.start()

        async def written() -> bool:
            with suppress(HandleError, StoreDown):
                return bool([await other.find(handle) for handle in handles])
            return False

        await became(written, 15)


async def test_a_follower_fails_with_its_own_error(sim: Simulator, redis: RedisServer) -> None:
    async with replica(sim.base_url, redis.url) as one, replica(sim.base_url, redis.url) as other:
        remote = await other.find(await one.handed(job(f"Follow {SLOW}")))
        mine = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as raised:
            async with remote.follow():
                raise mine from KeyError("its cause")
        assert raised.value is mine
        assert isinstance(mine.__cause__, KeyError)
