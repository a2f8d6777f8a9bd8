from collections.abc import AsyncIterator

import pytest

from runapi_mcp.sim import Simulator, simulate


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulate() as simulator:
        yield simulator
