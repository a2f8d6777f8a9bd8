"""Whatever somebody else writes into a store, no server ends of it and none calls it a bug of its own."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc
import pytest
import redis as redis_client

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


NO_REDIS: Final = """
import time, anyio
from pydantic import SecretStr
from runapi_mcp.generations.store.engine import Down, Get
from runapi_mcp.generations.store.redis import RedisEngine

async def try_one(said):
    async def answer(stream):
        async with stream:
            while await stream.receive():
                await stream.send(said)

    async def serve(listener):
        try:
            await listener.serve(answer)
        except* (anyio.EndOfStream, anyio.BrokenResourceError):
            pass

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, listener)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            engine = RedisEngine(SecretStr(f"redis://127.0.0.1:{port}/0"), time.monotonic, 60)
            try:
                await engine.run(Get("x"))
            except Down:
                print("away")
            await engine.aclose()
            tasks.cancel_scope.cancel()

for said in (b":one\\r\\n", b"*x\\r\\n", b"+\\xff\\xfe\\r\\n", b"*1\\r\\n" * 100_000, b"$-7\\r\\n", b"HTTP/1.1 400 \\r\\n"):
    anyio.run(try_one, said * 10)
"""  # noqa: E501
"""In a process of its own: redis-py leaves a connection open whose greeting it cannot read."""


def test_whatever_answers_in_the_place_of_redis_it_is_away() -> None:
    done = subprocess.run([sys.executable, "-c", NO_REDIS], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["away"] * 6, done.stderr[-2000:]
