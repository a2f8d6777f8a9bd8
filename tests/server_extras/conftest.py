from collections.abc import AsyncIterator

import pytest
from server.hosting import Host, hosted

from runapi_mcp.sim import Simulator


@pytest.fixture
async def host(sim: Simulator) -> AsyncIterator[Host]:
    """A fresh server process, on a simulator that has seen nothing yet."""
    async with hosted(sim.base_url) as host:
        yield host


@pytest.fixture(scope="module", params=["2026-07-28", "legacy"])
async def any_host(request: pytest.FixtureRequest, shared_sim: Simulator) -> AsyncIterator[Host]:
    """The module's server process in each era, for tests that do not mind what came before."""
    async with hosted(shared_sim.base_url, mode=request.param) as host:
        yield host
