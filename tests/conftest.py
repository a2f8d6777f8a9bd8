"""What every folder's tests share: the event loop they run on, and a simulated RunAPI.

A folder whose simulator differs overrides one of these in its own conftest.py, and no more than that one.
"""

import gc
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from forked import share_server
from hypothesis import settings

from runapi_mcp.sim import Simulator, simulate

# No test writes into a real home. Where processes share what they know, a test says so and names a folder.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="runapi-mcp-state-")
os.environ["RUNAPI_MCP_STORE"] = "memory"

# How long an example takes says how busy the machine is, and nothing of what is tested; and a law that is
# judged by other examples each time fails for whoever comes by. New ones are sought with LAWS=by-chance.
settings.register_profile("the-same", deadline=None, derandomize=True, database=None, max_examples=50)
settings.register_profile("by-chance", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("LAWS", "the-same"))

# A shell that starts the suite in the background has it ignore Ctrl-C, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # until all is collected


LONGEST = (
    *("store/test_killed", "test_linear", "faults/test_matrix", "boot/test_prologue"),
    *("terminal/test_piped", "tools/test_defaults", "transports/test_stdio", "answers/test_worker"),
    *("store/test_shared", "server/test_hostile_schemas"),
    *("network/test_workers", "test_docs", "test_examples", "network/test_joining"),
    *("fleet/test_faults", "network/test_endings"),
)
"""Files that take longest, by turns one that waits and one that computes.

They are begun first, so that none of them ends alone, and not side by side with their like, so that no core
is idle.
"""


def pytest_configure(config: pytest.Config) -> None:
    # Where several processes test, one interpreter that has imported everything does for all of them.
    if config.getoption("numprocesses", None):
        share_server()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    at = {Path(__file__).parent / f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: at.get(item.path, len(at)))


def pytest_collection_finish() -> None:
    # Thousands of tests and all modules stay to the end: the collector need not go through them again.
    gc.freeze()
    gc.enable()


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
