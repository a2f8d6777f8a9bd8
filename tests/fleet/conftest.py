from collections.abc import Iterator

import pytest

from fleet.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    shared_redis.start()
    return shared_redis
