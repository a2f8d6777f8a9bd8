"""The README says what is: its tables are generated, its commands run, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runapi_mcp.settings import options
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
ELSEWHERE = {
    "make demo": "CI runs it",
    "make test": "it is what runs this",
    "make test-outer": "CI runs it",
    "make check": "CI runs it",
}


def test_the_generated_tables_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/tables.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python scripts/tables.py"


def test_every_tool_and_every_setting_is_in_the_readme() -> None:
    for tool in TOOLS:
        assert f"`{tool}`" in README
    for option in options():
        assert f"`{option.env}`" in README


def test_every_command_is_run_somewhere() -> None:
    known = {*ELSEWHERE, *(command for command in COMMANDS if _runnable(command))}
    assert set(COMMANDS) <= known, f"nothing runs {set(COMMANDS) - known}"
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(command in ci for command in ELSEWHERE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(".venv/bin/runapi-mcp")])
def test_a_command_of_the_readme_runs(command: str) -> None:
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "runapi_mcp", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout


def test_the_claude_code_command_starts_this_package() -> None:
    command = next(c for c in COMMANDS if c.startswith("claude mcp add"))
    assert shlex.split(command)[-2:] == ["uvx", "runapi-mcp"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'name = "runapi-mcp"' in project
    assert 'runapi-mcp = "runapi_mcp.' in project


def test_links_within_the_repository_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


def _runnable(command: str) -> bool:
    return command.startswith((".venv/bin/runapi-mcp", "claude mcp add"))
