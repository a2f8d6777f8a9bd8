"""runapi-mcp install and uninstall, as they are typed."""

import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import forked

KEY = "sk-canary-0123456789"
Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def typed(tmp_path: Path) -> Type:
    def command(*words: str, cwd: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        mine = {"HOME": str(tmp_path), "RUNAPI_TOKEN": KEY}
        return subprocess.run(
            [*forked(), *words],
            env=os.environ | {"RUNAPI_MCP_STORE": ""} | mine | env,
            capture_output=True,
            text=True,
            timeout=30,
            cwd=cwd,
        )

    return command


def test_install_writes_a_launcher_that_needs_no_path_and_the_flags_that_were_given(
    typed: Type, tmp_path: Path
) -> None:
    done = typed("--hold", "20", "--model", "gemini-3-flash-preview", "install", "codex")
    assert done.returncode == 0, done.stderr
    entry = tomllib.loads((tmp_path / ".codex/config.toml").read_text())["mcp_servers"]["runapi"]
    assert Path(entry["command"]).is_absolute()
    assert Path(entry["command"]).exists()
    assert set(entry["args"][-4:]) == {"--hold", "20", "--model", "gemini-3-flash-preview"}
    assert typed("uninstall", "codex").returncode == 0
    assert not (tmp_path / ".codex/config.toml").exists()


def test_the_key_is_stored_on_demand_and_never_shown(typed: Type, tmp_path: Path) -> None:
    refused = typed("install", "claude-desktop")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--store-key" in refused.stderr
    done = typed("install", "claude-desktop", "--store-key")
    assert done.returncode == 0
    assert KEY not in done.stdout + done.stderr
    assert KEY in (tmp_path / ".config/Claude/claude_desktop_config.json").read_text()


def test_a_key_that_is_not_set_or_not_usable_is_not_stored(typed: Type, tmp_path: Path) -> None:
    for key in ("", "sk with spaces"):
        done = typed("install", "cline", "--store-key", RUNAPI_TOKEN=key)
        assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_the_host_would_not_hand_on_is_told(typed: Type) -> None:
    done = typed("install", "codex", RUNAPI_BASE_URL="https://relay.example")
    assert "does not hand on RUNAPI_BASE_URL" in done.stderr
    assert "--base-url … install codex" in done.stderr


def test_print_and_list_change_nothing(typed: Type, tmp_path: Path) -> None:
    assert "[mcp_servers.runapi]" in typed("install", "codex", "--print").stdout
    assert "claude-desktop" in typed("install", "--list").stdout
    assert list(tmp_path.iterdir()) == []


def test_print_needs_neither_a_key_nor_a_decision_about_it(typed: Type) -> None:
    for flags in ([], ["--store-key"]):
        done = typed("install", "claude-desktop", "--print", *flags, RUNAPI_TOKEN="")
        assert (done.returncode, "YOUR_RUNAPI_TOKEN" in done.stdout) == (0, True), done.stderr


def test_the_project_in_the_working_directory_gets_its_config(typed: Type, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    done = typed("install", "claude-code", "--project", cwd=str(tmp_path / "repo"))
    assert done.returncode == 0, done.stderr
    assert '"command": "runapi-mcp"' in (tmp_path / "repo" / ".mcp.json").read_text()
    refused = typed("install", "cursor", "--project", "--store-key", cwd=str(tmp_path / "repo"))
    assert (refused.returncode, "no key is stored there" in refused.stderr) == (2, True)
    assert typed("uninstall", "claude-code", "--project", cwd=str(tmp_path / "repo")).returncode == 0
    assert list((tmp_path / "repo").iterdir()) == []
    assert typed("install", "--list", "--project").returncode == 2


def test_another_config_can_be_named(typed: Type, tmp_path: Path) -> None:
    project = tmp_path / "repo" / ".cursor" / "mcp.json"
    assert typed("install", "cursor", "--config", str(project)).returncode == 0
    assert "${env:RUNAPI_TOKEN}" in project.read_text()
