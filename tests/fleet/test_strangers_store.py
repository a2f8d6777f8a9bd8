"""Whatever somebody else writes into a store, no server ends of it and none calls it a bug of its own."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
import redis as redis_client
from anyio.abc import SocketStream

from fleet.redis_server import RedisServer
from fleet.replicas import Replica, job, replica
from runapi_mcp.errors import RunapiError
from runapi_mcp.sim import Simulator

HOSTILE = (b"\xff\xfe", b"", b"{}", b"[]", b"null", b'"\xff"', b"9" * 50, b"x 1", b"1e999", b'{"a":1}')
SPOILED = 12


def spoil_redis(server: RedisServer, chance: random.Random) -> None:
    """Write over half of what is in Redis."""
    client: Any = redis_client.Redis(port=server.port)  # its types are those of its two clients at once
    with closing(client):
        for key in client.keys("*"):
            value = chance.choice(HOSTILE)
            match client.type(key):
                case b"string":
                    client.set(key, value)
                case b"hash":
                    for field in client.hkeys(key):
                        if chance.random() < 0.5:
                            client.hset(key, field, value)
                case b"stream":
                    client.xadd(key, {b"text": value})
                case _:
                    client.delete(key)


def spoil_sqlite(folder: Path, chance: random.Random) -> None:
    """Write over some columns of each table in the file."""
    [path] = folder.glob("*.sqlite")
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as file:
        for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in [row[1] for row in file.execute(f"PRAGMA table_info({table})")]:
                if chance.random() < 0.4:
                    with suppress(sqlite3.Error):  # some may hold only what they are for
                        value = chance.choice([*HOSTILE, None, 5, "text", 2.5])
                        file.execute(f"UPDATE {table} SET {column} = ?", (value,))


async def outlast(one: Replica, two: Replica, spoil: Callable[[], None]) -> None:
    for number in range(SPOILED):
        asked = job(f"Who was it, {number}?")
        generation = await one.start(asked)
        async with generation.follow():
            while generation.status == "running":
                await generation.changed()
        await one.generations.hand_over(generation)
        await anyio.to_thread.run_sync(spoil)
        with suppress(RunapiError):  # it is gone, and that is said
            found = await two.find(generation.handle)
            found.view()
            found.evidence()
            await found.deliver()
        with suppress(RunapiError):
            await two.begin(asked)
        assert (await one.find(generation.handle)).view().status == "complete", "its own memory has it"


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_written_into_redis_no_server_ends_of_it(
    sim: Simulator, redis: RedisServer, seed: int
) -> None:
    chance = random.Random(seed)
    async with replica(sim.base_url, redis.url) as one, replica(sim.base_url, redis.url) as two:
        await outlast(one, two, lambda: spoil_redis(redis, chance))


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_written_into_the_file_no_server_ends_of_it(
    sim: Simulator, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with replica(sim.base_url, str(tmp_path)) as one, replica(sim.base_url, str(tmp_path)) as two:
        await outlast(one, two, lambda: spoil_sqlite(tmp_path, chance))


@pytest.mark.parametrize(
    "said",
    [
        b"$-7\r\n",
        b"HTTP/1.1 400 \r\n\r\n",
    ],
)
async def test_whatever_answers_in_the_place_of_redis_no_server_ends_of_it(
    sim: Simulator, said: bytes
) -> None:
    async def answer(stream: SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with stream:
                while await stream.receive():
                    await stream.send(said)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, answer)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with replica(sim.base_url, f"redis://127.0.0.1:{port}/0") as one:
            generation = await one.start(job("Who was it?"))
            async with generation.follow():
                while generation.status == "running":
                    await generation.changed()
            assert generation.view().status == "complete"
        tasks.cancel_scope.cancel()
