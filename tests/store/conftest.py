from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet.redis_server import RedisServer, redis_server

from runapi_mcp.generations.store.sqlite import SqliteEngine


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a thread may wait longer for its turn than a call waits for the disk."""
    monkeypatch.setattr(SqliteEngine, "patience", 10.0)


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where several processes meet, on each engine in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "state")
    server: RedisServer = request.getfixturevalue("shared_redis")
    server.start()
    return server.url
