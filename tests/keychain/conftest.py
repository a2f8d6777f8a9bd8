from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from keychain.rings import Ring
from runapi_mcp.sim import Simulator, simulate


@pytest.fixture(scope="session")
def new_sim() -> Callable[[], AbstractAsyncContextManager[Simulator]]:
    """One that takes one key only."""
    return partial(simulate, key="sk-canary-0123456789")


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)
