from collections.abc import AsyncIterator

import pytest

from runapi_mcp.sim import Simulator, simulate
from server.hosting import Host, hosted


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def shared_sim(anyio_backend: str) -> AsyncIterator[Simulator]:
    del anyio_backend  # named so that plain tests can use what is built on this
    async with simulate(bridge=True) as simulator:
        yield simulator


@pytest.fixture
def sim(shared_sim: Simulator) -> Simulator:
    """The module's simulator, with nothing seen yet."""
    shared_sim.reset()
    shared_sim.pace, shared_sim.stall_seconds = 0.0, 3.0
    return shared_sim


@pytest.fixture(scope="module")
async def shared_host(shared_sim: Simulator) -> AsyncIterator[Host]:
    async with hosted(shared_sim.base_url, RUNAPI_MCP_IDLE_TIMEOUT="1") as host:
        yield host


@pytest.fixture
def host(shared_host: Host, sim: Simulator) -> Host:
    """The module's server process, on the simulator that has seen nothing yet."""
    del sim
    return shared_host
