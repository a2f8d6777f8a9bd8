from collections.abc import AsyncIterator, Iterator

import pytest

from fleet.redis_server import RedisServer, redis_server
from runapi_mcp.sim import Simulator, simulate


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def shared_sim() -> AsyncIterator[Simulator]:
    """One simulator for all tests here: it keeps nothing that :meth:`Simulator.reset` does not drop."""
    async with simulate() as simulator:
        yield simulator


@pytest.fixture
def sim(shared_sim: Simulator) -> Simulator:
    shared_sim.reset()
    return shared_sim


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    shared_redis.start()
    return shared_redis
