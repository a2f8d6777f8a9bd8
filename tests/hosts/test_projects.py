"""The config of one project, which goes to other machines."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from hosts.desk import KEY, WISH, Desk
from runapi_mcp.errors import InputError
from runapi_mcp.hosts import HOSTS, Launch, find_entries

PROJECTS = {
    "claude-code": ".mcp.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".vscode/mcp.json",
    "codex": ".codex/config.toml",
    "gemini-cli": ".gemini/settings.json",
    "opencode": "opencode.json",
}


@pytest.mark.parametrize("host", PROJECTS)
def test_a_project_gets_an_entry_that_works_on_other_machines(desk: Desk, host: str, tmp_path: Path) -> None:
    project = replace(WISH, project=tmp_path / "repo")
    desk.install(host, project)
    path = tmp_path / "repo" / PROJECTS[host]
    assert find_entries(HOSTS[host], path)["runapi"].launch == Launch("runapi-mcp", ("--hold", "20"))
    assert not desk.config(host).exists()
    assert "has to have runapi-mcp on PATH" in desk.heard
    desk.uninstall(host, project)
    assert not path.exists()


@pytest.mark.parametrize("host", PROJECTS)
def test_no_key_is_ever_stored_in_a_project(desk: Desk, host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no key is stored there"):
        desk.install(host, replace(WISH, project=tmp_path / "repo", stored=SecretStr(KEY)))
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize("host", sorted(HOSTS.keys() - PROJECTS))
def test_a_host_without_project_configs_is_told_apart(desk: Desk, host: str, tmp_path: Path) -> None:
    for act in (desk.install, desk.uninstall):
        with pytest.raises(InputError, match="opencode"):
            act(host, replace(WISH, project=tmp_path))
