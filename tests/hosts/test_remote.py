"""A server on the network in a host's config: written where it is taken, and no token where none belongs."""

from dataclasses import replace

import pytest
from terminal.typed import typed

from hosts.desk import WISH, Desk
from hosts.samples import SAMPLES
from runapi_mcp.errors import InputError
from runapi_mcp.hosts import HOSTS, Machine, find_config, list_hosts, read_url
from runapi_mcp.hosts.entries import ENVS
from runapi_mcp.hosts.formats import lookup

URL = "https://mcp.example.com/runapi/mcp"
TOKEN = "server-canary-0123456789"
REMOTE = replace(WISH, url=URL, token_variable="GATEWAY_TOKEN", without_key=False)
TAKES = [host.id for host in HOSTS.values() if host.remote]
STORES = [host.id for host in HOSTS.values() if host.remote and not (host.token or host.reference)]
"""Their configs cannot refer to a variable."""


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(Machine("linux", {"GATEWAY_TOKEN": TOKEN}, str(tmp_path_factory.mktemp("home"))))


@pytest.mark.parametrize("host", TAKES)
def test_a_server_on_the_network_goes_into_the_config_and_out_again(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host, replace(REMOTE, store_token=host in STORES))
    text = path.read_text()
    assert URL in text
    assert (TOKEN in text) == (host in STORES)
    assert ("GATEWAY_TOKEN" in text) == (host not in STORES)
    assert "/opt/tools/runapi-mcp" not in text
    assert TOKEN not in desk.heard
    (row,) = (row for row in list_hosts(desk.machine) if row.host.id == host)
    assert row.state == "installed"
    desk.uninstall(host)
    assert path.read_bytes().decode() == SAMPLES[host]
    assert ("The key that was stored" in desk.heard) == (host in STORES)


@pytest.mark.parametrize("host", TAKES)
def test_one_that_is_started_here_takes_its_place_whole(desk: Desk, host: str) -> None:
    desk.has(host)
    desk.install(host, replace(REMOTE, store_token=host in STORES))
    desk.install(host)
    row = HOSTS[host]
    text = find_config(row, desk.machine).read_bytes().decode()
    entry = lookup(row.format.read(text), (*row.path, "runapi"))
    assert isinstance(entry, dict)
    left = {"url", "serverUrl", "httpUrl", "uri", "headers", "bearer_token_env_var"} & entry.keys()
    assert not left
    assert "GATEWAY_TOKEN" not in text


@pytest.mark.parametrize("host", TAKES)
def test_what_only_a_program_has_does_not_stay_beside_a_url(desk: Desk, host: str) -> None:
    desk.has(host)
    row = HOSTS[host]
    desk.install(host)
    path = find_config(row, desk.machine)
    place = (*row.path, "runapi")
    entry = lookup(row.format.read(path.read_bytes().decode()), place)
    assert isinstance(entry, dict)
    name = next((name for name in ENVS if name in entry), "env")
    own = entry | {name: {"RUNAPI_BASE_URL": "https://relay.example"}, "note": "mine"}
    path.write_bytes(row.format.merge(path.read_bytes().decode(), place, own).encode())
    desk.install(host, replace(REMOTE, store_token=host in STORES))
    text = path.read_bytes().decode()
    assert "relay.example" not in text
    assert "mine" in text


@pytest.mark.parametrize("host", STORES)
def test_a_token_is_stored_only_where_that_is_asked_for(desk: Desk, host: str) -> None:
    path = desk.has(host)
    with pytest.raises(InputError, match="--store-key"):
        desk.install(host, REMOTE)
    assert path.read_bytes().decode() == SAMPLES[host]


def test_claude_desktop_says_where_a_url_belongs(desk: Desk) -> None:
    with pytest.raises(InputError, match="Connectors"):
        desk.install("claude-desktop", REMOTE)


@pytest.mark.parametrize(
    "text", ["mcp.example.com", "ftp://x/mcp", "https://", "https://a b/mcp", "https://x:port/mcp", ""]
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"https://mcp\.example\.com/mcp"):
        read_url(text)


def test_a_password_in_a_url_is_refused_without_showing_it() -> None:
    with pytest.raises(InputError, match="--token-env") as refused:
        read_url("https://me:hunter2@mcp.example.com/mcp")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--token-env", "X"], "--token-env goes with --url"),
        (["--url", URL, "--token-env", "sk-not-a-name"], "no name of a variable"),
        (["--url", URL, "--keyring"], "leave the others out"),
        (["--url", URL, "--hold", "20"], "leave the others out"),
    ],
)
def test_what_does_not_go_together_is_said(words: list[str], said: str, desk: Desk) -> None:
    assert said in typed(["install", "codex", *words], {"HOME": desk.machine.home, "PATH": ""}, code=2).stderr
