"""Every example runs against the simulator, and asserts for itself."""

import os
import sys
from pathlib import Path

import anyio
import pytest

from runapi_mcp.sim import Simulator

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_runs(example: Path, sim: Simulator) -> None:
    env = {**os.environ, "RUNAPI_TOKEN": "sk-canary-example", "RUNAPI_BASE_URL": sim.base_url}
    with anyio.fail_after(60):
        done = await anyio.run_process([sys.executable, str(example)], env=env, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout
