from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from runapi_mcp.sim import Simulator, simulate


@pytest.fixture(scope="session")
def new_sim() -> Callable[[], AbstractAsyncContextManager[Simulator]]:
    return partial(simulate, bridge=True)
