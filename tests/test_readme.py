"""The README says what is: its tables are generated, its commands run, its links lead somewhere."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import anyio
import pytest
from forked import forked, forked_script

from runapi_mcp.models import MODELS
from runapi_mcp.settings import options
from runapi_mcp.sim import simulate
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README + CONTRIBUTING, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
TYPED = re.compile(r"^(.* \| )?runapi-mcp (ask|search|extract|models)\b")
ELSEWHERE = {
    "make demo": "CI runs it",
    "make test": "it is what runs this",
    "make test-outer": "CI runs it",
    "make check": "CI runs it",
    ".ci/run": "it is what CI runs",
}
BY_OTHER_WAYS = {
    "uv tool install .": "make wheel-test",
    ". .venv/bin/activate": "make demo",
    "make generated": "scripts/tables.py",
}
"""Commands that change the machine or this tree: what they do, or each part of it, is run there."""


def test_the_generated_tables_are_current() -> None:
    done = subprocess.run([*forked_script("scripts/tables.py"), "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python scripts/tables.py"


def test_the_readme_names_no_model_that_ends_without_saying_when() -> None:
    for model in (row for row in MODELS if row.ends):
        for line in README.splitlines():
            assert model.id not in line or str(model.ends) in line, line


def test_every_tool_is_in_the_readme_and_every_setting_on_its_page() -> None:
    for tool in TOOLS:
        assert f"`{tool}`" in README
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for option in options():
        assert f"`{option.env}`" in settings


def test_every_command_is_run_somewhere() -> None:
    known = {*ELSEWHERE, *BY_OTHER_WAYS, *(command for command in COMMANDS if _runnable(command))}
    assert set(COMMANDS) <= known, f"nothing runs {set(COMMANDS) - known}"
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("step ", "make ") + " .ci/run"
    assert all(command in ci for command in ELSEWHERE)
    assert all(where in ci for where in BY_OTHER_WAYS.values() if where.startswith("make"))
    assert set(COMMANDS) >= BY_OTHER_WAYS.keys()


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("runapi-mcp sim")])
def test_a_command_of_the_readme_runs(command: str) -> None:
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [*forked(), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if TYPED.search(c)])
async def test_a_command_of_the_terminal_gives_an_answer(command: str, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "runapi-mcp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(forked())} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "plan.pdf").write_bytes(b"%PDF-1.4 a plan")
    (tmp_path / "invoice.txt").write_text("total: 129.50")
    (tmp_path / "invoice.schema.json").write_text('{"properties": {"total": {"type": "number"}}}')
    env = {name: value for name, value in os.environ.items() if "RUNAPI" not in name}
    env |= {"PATH": f"{program.parent}{os.pathsep}{env['PATH']}", "RUNAPI_TOKEN": "simulated-key"}
    async with simulate() as sim:
        env["RUNAPI_BASE_URL"] = sim.base_url
        with anyio.fail_after(60):
            done = await anyio.run_process(
                ["bash", "-c", command], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, check=False
            )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_claude_code_command_starts_this_package() -> None:
    command = next(c for c in COMMANDS if c.startswith("claude mcp add"))
    assert shlex.split(command)[-1] == "runapi-mcp"
    # Without it, in the folder alone in which it is typed.
    assert "-s user" in command
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'name = "runapi-mcp"' in project
    assert 'runapi-mcp = "runapi_mcp.' in project


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_links_within_the_repository_lead_somewhere(text: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target


def test_the_page_for_contributors_names_what_is_there() -> None:
    """Paths of the tree stand in backticks, with a slash in them."""
    for path in re.findall(r"`([\w.]+/[\w./-]*)`", CONTRIBUTING):
        assert (ROOT / path).exists() or (ROOT / "runapi_mcp" / path).exists(), path
    for part in (ROOT / "runapi_mcp").glob("*/__init__.py"):
        assert f"`{part.parent.name}/`" in CONTRIBUTING, part.parent.name


def _runnable(command: str) -> bool:
    return bool(command.startswith(("runapi-mcp sim", "claude mcp add")) or TYPED.search(command))
