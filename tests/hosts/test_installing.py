"""install and uninstall, on configs as people have them."""

import json
import os
import stat
import sys
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML

from hosts.samples import SAMPLES
from runapi_mcp.errors import InputError
from runapi_mcp.hosts import (
    HOSTS,
    ConfigError,
    Launch,
    Machine,
    Wish,
    config_path,
    entries_naming_us,
    host_named,
    install,
    listing,
    uninstall,
)

KEY = "sk-canary-0123456789"
WISH = Wish(Launch("/opt/tools/runapi-mcp", ("--hold", "20")), without_key=True)


@dataclass
class Desk:
    """One person's home, and what they are told."""

    machine: Machine
    said: list[str] = field(default_factory=list)

    def config(self, host: str) -> Path:
        return config_path(HOSTS[host], self.machine)

    def has(self, host: str, text: str | None = None) -> Path:
        path = self.config(host)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((SAMPLES[host] if text is None else text).encode())
        return path

    def install(self, host: str, wish: Wish = WISH) -> None:
        install(HOSTS[host], self.machine, wish, self.said.append)

    def uninstall(self, host: str, wish: Wish = WISH) -> None:
        uninstall(HOSTS[host], self.machine, wish, self.said.append)

    @property
    def heard(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Machine("linux", {}, str(tmp_path)))


@pytest.mark.parametrize("host", HOSTS)
def test_install_and_uninstall_leave_the_config_byte_identical(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host)
    assert entries_naming_us(HOSTS[host], path)["runapi"].launch == WISH.launch
    desk.uninstall(host)
    assert path.read_bytes() == SAMPLES[host].encode()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("host", HOSTS)
def test_a_config_that_install_made_is_gone_after_uninstall(desk: Desk, host: str) -> None:
    desk.install(host)
    assert stat.S_IMODE(desk.config(host).stat().st_mode) == 0o600
    desk.uninstall(host)
    assert list(desk.config(host).parent.iterdir()) == []


@pytest.mark.parametrize("host", HOSTS)
def test_an_uninstall_keeps_what_was_changed_since_the_install(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host)
    changed = path.read_text().replace("/opt/tools/runapi-mcp", "/opt/elsewhere/runapi-mcp")
    new = {"JSON": "\n", "JSON with comments": "\n// later\n", "TOML": "\n# later\n", "YAML": "\n# later\n"}
    path.write_text(changed + new[HOSTS[host].format.name])
    desk.uninstall(host)
    assert not entries_naming_us(HOSTS[host], path)
    assert path.read_text().endswith(new[HOSTS[host].format.name])
    assert (path.parent / f"{path.name}.before-runapi-mcp").read_bytes() == SAMPLES[host].encode()


SHAPES = [
    ("claude-desktop", {"command": "/x", "args": []}),
    ("claude-code", {"type": "stdio", "command": "/x", "args": []}),
    ("cursor", {"command": "/x", "args": [], "env": {"RUNAPI_TOKEN": "${env:RUNAPI_TOKEN}"}}),
    ("vscode", {"type": "stdio", "command": "/x", "args": []}),
    ("windsurf", {"command": "/x", "args": [], "env": {"RUNAPI_TOKEN": "${env:RUNAPI_TOKEN}"}}),
    ("zed", {"source": "custom", "command": "/x", "args": []}),
    ("cline", {"command": "/x", "args": []}),
    ("codex", {"command": "/x", "args": [], "env_vars": ["RUNAPI_TOKEN"]}),
    ("gemini-cli", {"command": "/x", "args": [], "env": {"RUNAPI_TOKEN": "$RUNAPI_TOKEN"}}),
    (
        "goose",
        {
            "enabled": True,
            "type": "stdio",
            "name": "runapi",
            "description": "Gemini through RunAPI",
            "cmd": "/x",
            "args": [],
            "timeout": 300,
            "env_keys": ["RUNAPI_TOKEN"],
        },
    ),
    ("opencode", {"type": "local", "command": ["/x"], "enabled": True}),
]


@pytest.mark.parametrize(("host", "entry"), SHAPES)
def test_each_host_gets_an_entry_of_its_own_shape(desk: Desk, host: str, entry: dict[str, object]) -> None:
    desk.install(host, replace(WISH, launch=Launch("/x")))
    text = desk.config(host).read_text()
    match HOSTS[host].format.name:
        case "TOML":
            config = tomllib.loads(text)
        case "YAML":
            config = YAML(typ="safe", pure=True).load(text)
        case _:
            config = json.loads(text)
    for key in (*HOSTS[host].path, "runapi"):
        config = config[key]
    assert config == entry


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("cursor", "${env:MY_KEY}"),
        ("vscode", "${env:MY_KEY}"),
        ("windsurf", "${env:MY_KEY}"),
        ("claude-code", "${MY_KEY}"),
        ("gemini-cli", "$MY_KEY"),
        ("opencode", "{env:MY_KEY}"),
    ],
)
def test_a_variable_under_another_name_is_referred_to_where_the_host_can(
    desk: Desk, host: str, written: str
) -> None:
    desk.install(host, replace(WISH, key_variable="MY_KEY"))
    assert f'"RUNAPI_TOKEN": "{written}"' in desk.config(host).read_text()
    wiring = entries_naming_us(HOSTS[host], desk.config(host))["runapi"]
    reference = HOSTS[host].reference
    assert reference
    assert reference.filled(wiring.env["RUNAPI_TOKEN"], {"MY_KEY": KEY}) == KEY


@pytest.mark.parametrize("host", ["codex", "goose", "zed", "claude-desktop", "cline"])
def test_where_it_cannot_the_request_is_refused(desk: Desk, host: str) -> None:
    with pytest.raises(InputError, match="RUNAPI_TOKEN"):
        desk.install(host, replace(WISH, key_variable="MY_KEY"))
    assert not desk.config(host).exists()


@pytest.mark.parametrize("host", ["claude-desktop", "cline"])
def test_a_host_that_hands_no_variables_on_needs_a_decision_about_the_key(desk: Desk, host: str) -> None:
    with pytest.raises(InputError, match="--store-key"):
        desk.install(host, replace(WISH, without_key=False))


@pytest.mark.parametrize("host", HOSTS)
def test_a_key_is_stored_only_when_asked_and_then_it_is_said_but_not_shown(desk: Desk, host: str) -> None:
    desk.has(host)
    desk.install(host, replace(WISH, stored=SecretStr(KEY)))
    assert desk.config(host).read_text().count(KEY) == 1
    assert "stored in that file" in desk.heard
    desk.uninstall(host)
    desk.install(host, replace(WISH, stored=SecretStr(KEY), only_print=True))
    assert KEY not in desk.heard


def test_the_diff_shows_our_lines_and_no_other_servers_secrets(desk: Desk) -> None:
    desk.has("claude-desktop")
    desk.install("claude-desktop")
    assert '+    "runapi": {' in desk.heard
    assert "ghp_0123456789" not in desk.heard


@pytest.mark.parametrize(
    "servers",
    ['{"a": {"args": ["hunter2"]}}', '{\n "a": {"args": ["hunter2"]}\n}', '{\n"a": {\n"hunter2": 1\n}\n}'],
)
def test_the_lines_around_ours_are_not_shown(desk: Desk, servers: str) -> None:
    path = desk.has("cursor", f'{{\n"mcpServers":\n{servers}\n}}\n')
    desk.install("cursor")
    desk.uninstall("cursor")
    assert "hunter2" in path.read_text()
    if "\n" in servers:
        assert "hunter2" not in desk.heard
        assert "runapi" in desk.heard


@pytest.mark.parametrize("host", HOSTS)
def test_print_writes_nothing(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host, replace(WISH, only_print=True))
    desk.uninstall(host, replace(WISH, only_print=True))
    assert path.read_bytes() == SAMPLES[host].encode()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert "runapi-mcp" in desk.said[0]


@pytest.mark.parametrize("host", HOSTS)
def test_a_broken_config_is_left_alone_and_the_message_names_it(desk: Desk, host: str) -> None:
    broken = '{"a": [1' if host != "codex" else "[a\n"
    path = desk.has(host, broken)
    for act in (desk.install, desk.uninstall):
        with pytest.raises(ConfigError, match=path.name) as caught:
            act(host)
        assert "broken" in caught.value.what
    assert path.read_text() == broken
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_the_owner_added_to_our_entry_survives_an_update(desk: Desk) -> None:
    path = desk.has("codex")
    desk.install("codex")
    limits = "startup_timeout_sec = 20\ntool_timeout_sec = 600.5\nenv = { RUNAPI_MCP_LOG = 'info' }\n"
    path.write_text(path.read_text() + limits)
    desk.install("codex", replace(WISH, launch=Launch("/new/runapi-mcp")))
    ours = tomllib.loads(path.read_text())["mcp_servers"]["runapi"]
    assert ours["command"] == "/new/runapi-mcp"
    assert ours["tool_timeout_sec"] == 600.5
    assert ours["env"] == {"RUNAPI_MCP_LOG": "info"}


def test_a_limit_that_the_owner_changed_survives_an_update(desk: Desk) -> None:
    path = desk.has("goose")
    desk.install("goose")
    path.write_text(
        path.read_text().replace("    timeout: 300\n    env_keys", "    timeout: 900\n    env_keys")
    )
    desk.install("goose", replace(WISH, launch=Launch("/new/runapi-mcp")))
    ours = YAML(typ="safe", pure=True).load(path.read_text())["extensions"]["runapi"]
    assert (ours["timeout"], ours["cmd"]) == (900, "/new/runapi-mcp")


def test_a_second_install_keeps_the_backup_of_the_first(desk: Desk) -> None:
    path = desk.has("cursor")
    desk.install("cursor")
    desk.install("cursor", replace(WISH, launch=Launch("/new/runapi-mcp")))
    desk.uninstall("cursor")
    assert path.read_bytes() == SAMPLES["cursor"].encode()


def test_installing_what_is_there_already_writes_nothing(desk: Desk) -> None:
    path = desk.has("zed")
    desk.install("zed")
    before = path.stat().st_mtime_ns
    desk.install("zed")
    assert path.stat().st_mtime_ns == before
    assert "already" in desk.said[-1]


def test_a_linked_config_stays_a_link_and_keeps_its_permissions(desk: Desk, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "cursor.json"
    real.parent.mkdir()
    real.write_text(SAMPLES["cursor"])
    real.chmod(0o640)
    link = desk.config("cursor")
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    desk.install("cursor")
    assert link.is_symlink()
    assert "runapi" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert stat.S_IMODE((real.parent / "cursor.json.before-runapi-mcp").stat().st_mode) == 0o640
    desk.uninstall("cursor")
    assert real.read_text() == SAMPLES["cursor"]


def test_a_config_that_changes_while_it_is_edited_is_not_overwritten(desk: Desk) -> None:
    path = desk.has("cursor")

    def meddle(line: str) -> None:
        if line.startswith("---"):
            path.write_text("{}")

    with pytest.raises(ConfigError, match="changed while"):
        install(HOSTS["cursor"], desk.machine, WISH, meddle)
    assert path.read_text() == "{}"


@pytest.mark.skipif(os.name == "nt", reason="a FIFO is a thing of POSIX")
def test_what_is_no_regular_file_is_not_read(desk: Desk) -> None:
    path = desk.config("cursor")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="regular file"):
        desk.install("cursor")


def test_a_config_that_is_not_utf8_is_left_alone(desk: Desk) -> None:
    path = desk.has("cursor")
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        desk.install("cursor")


def test_the_extension_of_cline_is_found_where_only_it_is(desk: Desk) -> None:
    extension = Path(HOSTS["cline"].places(desk.machine)[1])
    extension.parent.mkdir(parents=True)
    extension.write_text("{}")
    assert desk.config("cline") == extension


def test_list_says_what_is_where(desk: Desk) -> None:
    desk.has("cursor")
    desk.has("zed", "{")
    desk.install("codex")
    listing(desk.machine, desk.said.append)
    states = {line.split()[0]: line for line in desk.said[-len(HOSTS) :]}
    assert "not installed" in states["cursor"]
    assert "unreadable" in states["zed"]
    assert " installed " in states["codex"]
    assert "no config" in states["goose"]
    assert str(desk.config("codex")) in states["codex"]


def test_an_unknown_host_is_answered_with_the_one_that_is_meant() -> None:
    with pytest.raises(InputError, match="Did you mean codex"):
        host_named("codexx")


def test_another_config_can_be_named(desk: Desk, tmp_path: Path) -> None:
    project = tmp_path / "project.json"
    desk.install("cursor", replace(WISH, config=project))
    assert "runapi" in project.read_text()
    assert not desk.config("cursor").exists()


def test_without_the_yaml_library_goose_is_told_apart_and_print_still_works(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.has("goose")
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(ConfigError, match=r"uvx --with ruamel\.yaml") as caught:
        desk.install("goose")
    assert "goose --print" in str(caught.value)
    assert path.read_text() == SAMPLES["goose"]
    desk.install("goose", replace(WISH, only_print=True))
    assert desk.said[-1].startswith("extensions:")
    desk.install("codex")
    assert desk.config("codex").exists()
