"""What every folder's tests share: the event loop they run on, and a simulated RunAPI.

A folder whose simulator differs overrides one of these in its own conftest.py, and no more than that one.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import settings

from runapi_mcp.sim import Simulator, simulate

# How long an example takes says how busy the machine is, and nothing of what is tested; and a law that is
# judged by other examples each time fails for whoever comes by. New ones are sought with LAWS=by-chance.
settings.register_profile("the-same", deadline=None, derandomize=True, database=None)
settings.register_profile("by-chance", deadline=None)
settings.load_profile(os.environ.get("LAWS", "the-same"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def new_sim() -> Callable[[], AbstractAsyncContextManager[Simulator]]:
    """How a module's simulator is started."""
    return simulate


@pytest.fixture(scope="module")
async def shared_sim(
    anyio_backend: str, new_sim: Callable[[], AbstractAsyncContextManager[Simulator]]
) -> AsyncIterator[Simulator]:
    """The module's simulator, for fixtures that outlive a test; tests take `sim`."""
    del anyio_backend  # named so that plain tests too can use what is built on this
    async with new_sim() as simulator:
        yield simulator


@pytest.fixture
def sim(shared_sim: Simulator) -> Simulator:
    """The module's simulator as it was at first: with nothing seen, nothing queued, and its usual pace."""
    shared_sim.reset()
    shared_sim.pace, shared_sim.stall_seconds = 0.0, 3.0
    return shared_sim
