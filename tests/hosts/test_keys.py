"""Where the key comes from, where it is stored, and where it stays when it goes."""

import stat
import sys
from dataclasses import replace

import pytest
from pydantic import SecretStr

from hosts.desk import KEY, WISH, Desk
from hosts.samples import SAMPLES
from runapi_mcp.errors import InputError
from runapi_mcp.hosts import HOSTS, find_entries


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
def test_a_file_that_a_key_is_stored_in_is_its_owners_alone(desk: Desk) -> None:
    config = desk.has("cursor")
    config.chmod(0o644)
    desk.install("cursor", replace(WISH, stored=SecretStr(KEY)))
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    config.chmod(0o664)
    desk.install("cursor", replace(WISH, stored=SecretStr(KEY)))
    assert stat.S_IMODE(config.stat().st_mode) == 0o600, "the entry is there already, and the file is open"
    config.chmod(0o644)
    desk.install("cursor", WISH)
    assert stat.S_IMODE(config.stat().st_mode) == 0o644, "without a key its permissions stay"


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
    wiring = find_entries(HOSTS[host], desk.config(host))["runapi"]
    reference = HOSTS[host].reference
    assert reference
    assert reference.fill(wiring.env["RUNAPI_TOKEN"], {"MY_KEY": KEY}) == KEY


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


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_that_takes_the_key_from_the_keyring_gets_neither_key_nor_reference(
    desk: Desk, host: str
) -> None:
    path = desk.has(host)
    desk.install(host, replace(WISH, without_key=False, from_keyring=True))
    wiring = find_entries(HOSTS[host], path)["runapi"]
    assert (wiring.env, wiring.forward) == ({"RUNAPI_MCP_KEYRING": "1"}, ())
    assert "from this machine's keyring" in desk.heard
    assert "…" not in desk.heard.replace("· …", ""), "a switch is not masked like a key"
    desk.uninstall(host)
    assert path.read_bytes() == SAMPLES[host].encode()


@pytest.mark.parametrize("host", HOSTS)
def test_a_new_install_decides_anew_where_the_key_comes_from(desk: Desk, host: str) -> None:
    desk.install(host, replace(WISH, stored=SecretStr(KEY)))
    desk.install(host, replace(WISH, from_keyring=True))
    assert KEY not in desk.config(host).read_text()
    desk.install(host)
    assert "RUNAPI_MCP_KEYRING" not in desk.config(host).read_text()


IN_JSON = f'{{"mcpServers": {{"runapi": {{"command": "uvx", "env": {{"RUNAPI_TOKEN": "{KEY}"}}}}}}}}'
STORING = {
    "cursor": IN_JSON,
    "claude-desktop": IN_JSON,
    "codex": f'[mcp_servers.runapi]\ncommand = "uvx"\n[mcp_servers.runapi.env]\nRUNAPI_API_KEY = "{KEY}"\n',
    "goose": f"extensions:\n  runapi:\n    cmd: uvx\n    envs: {{RUNAPI_TOKEN: {KEY}}}\n",
}


@pytest.mark.parametrize("host", STORING)
def test_a_key_that_an_update_takes_out_is_kept_beside_the_config_and_that_is_said(
    desk: Desk, host: str
) -> None:
    path = desk.has(host, STORING[host])
    desk.install(host)
    kept = path.with_name(f"{path.name}.with-old-key")
    assert kept.read_text() == STORING[host]
    assert KEY not in path.read_text()
    assert f"no longer in it; {kept} still holds it" in desk.heard
    desk.uninstall(host)
    assert not find_entries(HOSTS[host], path)
    assert f"still in {kept}" in desk.said[-1]
    assert KEY not in desk.heard


def test_a_key_that_is_a_references_default_counts_as_stored(desk: Desk) -> None:
    text = STORING["cursor"].replace(KEY, "${RUNAPI_TOKEN:-" + KEY + "}")
    path = desk.has("claude-code", text)
    desk.install("claude-code")
    assert path.with_name(f"{path.name}.with-old-key").read_text() == text
    assert KEY not in desk.heard


def test_a_key_that_stays_needs_no_copy(desk: Desk) -> None:
    path = desk.has("cursor", STORING["cursor"])
    desk.install("cursor", replace(WISH, stored=SecretStr(KEY)))
    assert not path.with_name(f"{path.name}.with-old-key").exists()


def test_an_uninstall_says_that_a_stored_key_goes_too(desk: Desk) -> None:
    desk.has("cursor", STORING["cursor"])
    desk.uninstall("cursor")
    assert "The key that was stored in it went with it." in desk.said


def test_the_advice_leaves_out_what_is_done_already(desk: Desk) -> None:
    wish = replace(WISH, without_key=False)
    with pytest.raises(InputError, match="Set RUNAPI_TOKEN and add --store-key"):
        desk.install("cline", wish)
    desk.machine = replace(desk.machine, env={"RUNAPI_TOKEN": KEY})
    with pytest.raises(InputError) as caught:
        desk.install("cline", wish)
    assert caught.value.advice.startswith("Add --store-key")
