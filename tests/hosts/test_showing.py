"""What install and uninstall show: our own entry, and nobody's secrets."""

import json
from dataclasses import replace

import pytest

from hosts.desk import WISH, Desk
from hosts.samples import SAMPLES
from runapi_mcp.hosts import HOSTS


def test_the_diff_shows_our_lines_and_no_other_servers_secrets(desk: Desk) -> None:
    desk.has("claude-desktop")
    desk.install("claude-desktop")
    assert '+    "runapi": {' in desk.heard
    assert "ghp_0123456789" not in desk.heard


LAYOUTS = [
    ("cursor", '{"mcpServers": {"a": {"env": {"GH_PAT": "hunter2"}}}}'),
    ("cursor", '{"mcpServers": {"a": {"url": "postgres://u:hunter2@h"}, "runapi": {"command": "/old"}}}'),
    ("cursor", '{"mcpServers": {"runapi": {"command": "/old"}, "a": {"args": ["hunter2"]}}}'),
    ("cursor", '{\n"mcpServers":\n{\n "a": {"args": ["hunter2"]}\n}\n}\n'),
    ("cursor", '{\n"mcpServers":\n{\n"a": {\n"hunter2": 1\n}\n}\n}\n'),
    ("cursor", '{"hunter2": 1}'),
    ("codex", "[mcp_servers.runapi]\ncommand = '/old'\n[mcp_servers.a]\nargs = ['hunter2']\n"),
    ("codex", "a = 'hunter2'"),
    ("goose", "extensions: {a: {cmd: x, args: [hunter2]}}\n"),
    ("goose", "extensions: {runapi: {cmd: /old}, a: {cmd: x, args: [hunter2]}}\n"),
]


@pytest.mark.parametrize(("host", "text"), LAYOUTS)
def test_nothing_but_our_entry_is_shown_however_the_file_is_laid_out(
    desk: Desk, host: str, text: str
) -> None:
    path = desk.has(host, text)
    desk.install(host)
    desk.uninstall(host, replace(WISH, only_print=True))
    desk.uninstall(host)
    assert "hunter2" in path.read_text()
    assert "hunter2" not in desk.heard
    for sign in "+-":
        assert any(line[:1] == sign and "/opt/tools/runapi-mcp" in line for line in desk.heard.splitlines())
    assert ('"/old"' in desk.heard) == ("/old" in text)


def test_the_diff_says_which_file_it_is_about(desk: Desk) -> None:
    path = desk.has("cursor")
    desk.install("cursor")
    desk.said.clear()
    desk.uninstall("cursor", replace(WISH, only_print=True))
    assert desk.heard.splitlines()[:2] == [f"--- {path} (now)", f"+++ {path} (then)"]


def test_what_may_be_secret_in_our_own_entry_is_not_shown(desk: Desk) -> None:
    env = {"RUNAPI_TOKEN": "hunter2", "DATABASE": "hunter2", "RUNAPI_MCP_KEYRING": "1"}
    words = ["run", "-e", "MY_KEY=hunter2", "--api-token", "hunter2", "https://me:hunter2@relay.example"]
    entry = {"command": "/old", "args": words, "env": env, "headers": {"X": "hunter2"}, "apiKey": "hunter2"}
    desk.has("cursor", json.dumps({"mcpServers": {"runapi": entry}}))
    desk.uninstall("cursor")
    assert "hunter2" not in desk.heard
    for shown in (
        '"-e"',
        "MY_KEY=…",
        '"--api-token"',
        "https://…@relay.example",
        '"RUNAPI_MCP_KEYRING": "1"',
    ):
        assert shown in desk.heard


@pytest.mark.parametrize("host", ["claude-desktop", "cline"])
def test_print_shows_where_a_key_goes_without_one(desk: Desk, host: str) -> None:
    desk.install(host, replace(WISH, without_key=False, only_print=True))
    assert '"RUNAPI_TOKEN": "YOUR_RUNAPI_TOKEN"' in desk.heard


@pytest.mark.parametrize("host", HOSTS)
def test_print_writes_nothing(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host, replace(WISH, only_print=True))
    desk.uninstall(host, replace(WISH, only_print=True))
    assert path.read_bytes() == SAMPLES[host].encode()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert "runapi-mcp" in desk.said[0]
