from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from runapi_mcp.sim import Simulator, simulate
from server.hosting import Host, RawHost, hosted, raw_host


@pytest.fixture(scope="session")
def new_sim() -> Callable[[], AbstractAsyncContextManager[Simulator]]:
    return partial(simulate, bridge=True)


@pytest.fixture(scope="module")
async def shared_host(shared_sim: Simulator) -> AsyncIterator[Host]:
    async with hosted(shared_sim.base_url, RUNAPI_MCP_IDLE_TIMEOUT="1") as host:
        yield host


@pytest.fixture
def host(shared_host: Host, sim: Simulator) -> Host:
    """The module's server process, on the simulator that has seen nothing yet."""
    del sim
    return shared_host


@pytest.fixture(scope="module")
async def shared_narrow(shared_sim: Simulator) -> AsyncIterator[Host]:
    async with hosted(
        shared_sim.base_url,
        RUNAPI_MCP_HOLD="0.3",
        RUNAPI_MCP_MAX_RESULT_CHARS="1000",
        RUNAPI_MCP_IDLE_TIMEOUT="0.4",
        RUNAPI_MCP_DEADLINE="1.2",
    ) as host:
        yield host


@pytest.fixture
def narrow(shared_narrow: Host, sim: Simulator) -> Host:
    """A server that holds its host for 0.3 s, gives 1,000 characters at once, and stops after 1.2 s."""
    del sim
    return shared_narrow


@pytest.fixture(scope="module", params=[False, True], ids=["handshake", "modern"])
async def shared_raw(request: pytest.FixtureRequest, shared_sim: Simulator) -> AsyncIterator[RawHost]:
    async with raw_host(shared_sim.base_url, modern=request.param) as host:
        yield host


@pytest.fixture
def raw(shared_raw: RawHost, sim: Simulator) -> RawHost:
    """The module's server process in each era, on raw pipes."""
    del sim
    return shared_raw
