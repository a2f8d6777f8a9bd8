"""What is asked of a person who sets hosts up, and what a report of a fault shows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from terminal.typed import KEY, Run, Screen, typed


def test_setup_finds_the_hosts_asks_once_and_examines(
    terminal: Callable[..., Screen], tmp_path: Path
) -> None:
    for folder in (".cursor", ".codeium/windsurf"):
        (tmp_path / folder).mkdir(parents=True)
    screen = terminal("setup")
    screen.until(r"Add this server to which\? \[cursor windsurf\]")
    screen.types("cursor\n")
    screen.until(r"keyring, or in the config's file\?")
    screen.types("f\n")
    screen.until(r"Folders whose files")
    screen.types("~/notes\n")
    screen.until(r"── doctor")
    screen.process.terminate()  # what it examines has tests of its own
    screen.end()
    entry = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())["mcpServers"]["runapi"]
    assert entry["env"] == {"RUNAPI_TOKEN": KEY}
    assert entry["args"][-2:] == ["--allow-dir", "~/notes"]
    assert not (tmp_path / ".codeium" / "windsurf" / "mcp_config.json").exists()
    assert KEY not in screen.seen


def test_setup_that_nobody_can_answer_says_what_to_use(env: dict[str, str]) -> None:
    assert "runapi-mcp install HOST" in typed(["setup"], env, code=2).stderr


def test_install_asks_which_claude_is_meant(terminal: Callable[..., Screen], tmp_path: Path) -> None:
    screen = terminal("install", "claude")
    screen.until(r"Which Claude")
    screen.types("2\n")
    assert screen.end() == 0
    assert "runapi" in json.loads((tmp_path / ".claude.json").read_text())["mcpServers"]


def test_install_without_a_decision_on_the_key_asks_for_it_without_showing_it(
    terminal: Callable[..., Screen], tmp_path: Path
) -> None:
    screen = terminal("install", "cline", RUNAPI_TOKEN="")
    screen.until(r"RunAPI key \(it is not shown\)")
    screen.types(f"{KEY}\n")
    screen.until(r"\[K/f\]")
    screen.types("f\n")
    screen.until(r"Folders whose files")
    screen.types("~/notes, ~/plans\n")
    assert screen.end() == 0
    assert KEY not in screen.seen
    written = next((tmp_path / ".cline").rglob("*.json")).read_text()
    assert KEY in written
    assert "~/notes, ~/plans" in written


@pytest.mark.parametrize("inside", ["", "src/deep"])
def test_a_project_is_found_from_within_it_and_its_config_is_for_everybody(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    project = tmp_path / "repo"
    (project / ".git").mkdir(parents=True)
    (project / inside).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(project / inside)
    assert run("install", "claude-code", "--project").returncode == 0
    assert (project / ".mcp.json").stat().st_mode & 0o044 == 0o044


def test_a_report_has_versions_settings_and_findings_and_no_secrets(
    env: dict[str, str], tmp_path: Path
) -> None:
    env |= {"RUNAPI_MCP_STORE": "redis://:pass-word@cache:6379", "RUNAPI_MCP_ALLOW_DIR": str(tmp_path / "x")}
    told = typed(["report"], env).stdout
    for wanted in ("runapi-mcp 0", "Python 3", "RUNAPI_MCP_ALLOW_DIR: ~/x", "RUNAPI_TOKEN: set", "✓ python"):
        assert wanted in told
    for secret in (KEY, "pass-word", str(tmp_path)):
        assert secret not in told
