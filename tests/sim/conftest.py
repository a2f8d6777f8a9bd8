from collections.abc import AsyncIterator

import httpx
import pytest

from runapi_mcp.sim import Simulator, simulate


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A simulator of each test's own, whose waiting scenarios wait a moment only."""
    async with simulate() as simulator:
        simulator.stall_seconds = 0.1
        yield simulator


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Bearer any-key"}
    plain = httpx.AsyncClient(
        base_url=sim.base_url,
        headers=headers,
        timeout=5,
        trust_env=False,
        verify=False,  # no TLS here; loading certificates takes longer than most of these tests
    )
    async with plain as opened:
        yield opened
