from collections.abc import AsyncIterator

import pytest

from runapi_mcp.sim import Simulator, simulate


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def shared_sim(anyio_backend: str) -> AsyncIterator[Simulator]:
    del anyio_backend
    async with simulate(bridge=True) as simulator:
        yield simulator


@pytest.fixture
def sim(shared_sim: Simulator) -> Simulator:
    """The module's simulator, with nothing seen yet."""
    shared_sim.reset()
    shared_sim.pace, shared_sim.stall_seconds = 0.0, 3.0
    return shared_sim
