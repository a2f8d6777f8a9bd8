"""Every example runs against the simulator, and asserts for itself."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from runapi_mcp.sim import simulate

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_example_runs(example: Path, anyio_backend: str) -> None:
    del anyio_backend  # named to choose it
    _skip_without_its_packages(example)
    async with simulate() as sim:
        env = {**os.environ, "RUNAPI_TOKEN": "sk-canary-example", "RUNAPI_BASE_URL": sim.base_url}
        with anyio.fail_after(60):
            done = await anyio.run_process([sys.executable, str(example)], env=env, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout


@pytest.mark.parametrize(
    "example", [*EXAMPLES, EXAMPLES[0].with_name("inspector.sh")], ids=lambda path: path.stem
)
def test_an_example_without_a_key_says_in_a_sentence_how_to_go_on(example: Path) -> None:
    _skip_without_its_packages(example)
    env = {name: value for name, value in os.environ.items() if "RUNAPI" not in name}
    command = ["sh"] if example.suffix == ".sh" else [sys.executable]
    done = subprocess.run(
        [*command, example], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "runapi-mcp sim" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_shell_script_is_run_by_make_inspector() -> None:
    scripts = sorted(path.name for path in EXAMPLES[0].parent.glob("*.sh"))
    check = (EXAMPLES[0].parent.parent / "scripts" / "inspector_check.py").read_text(encoding="utf-8")
    assert scripts == ["inspector.sh"]
    assert '"examples" / "inspector.sh"' in check


def _skip_without_its_packages(example: Path) -> None:
    if example.stem == "langchain_tools":
        # It wants the SDK 1.x, which is not here: run by hand with langchain-mcp-adapters 0.3.2.
        pytest.importorskip("langchain_mcp_adapters")
