from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from runapi_mcp.sim import Simulator, simulate


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def shared_sim() -> Iterator[Simulator]:
    """A simulator held by another thread: commands that are run in this one bring their own event loop."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulate()) as simulator:
        yield simulator


@pytest.fixture
def sim(shared_sim: Simulator) -> Simulator:
    """The module's simulator, with nothing seen yet."""
    shared_sim.reset()
    return shared_sim
