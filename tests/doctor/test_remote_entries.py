"""What doctor sees of a server on the network that a host's config names: what the host would see."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hosts.desk import WISH
from network.web_host import served
from sockets import Peer, raw_server

from doctor.ward import Ward, only
from runapi_mcp.hosts import HOSTS, install
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.tokens import TokenList

TOKEN = "server-canary-0123456789"
TAKES = [host.id for host in HOSTS.values() if host.remote]
STORES = ("zed", "cline")


@pytest.fixture
def ward(tmp_path: Path, sim: Simulator) -> Ward:
    return Ward(tmp_path, sim.base_url, env={"TEAM_TOKEN": TOKEN})


@pytest.fixture(scope="module")
async def url(shared_sim: Simulator) -> AsyncIterator[str]:
    async with served(shared_sim, auth=TokenList.read(f"ann:{TOKEN}")) as base_url:
        yield base_url


def names(ward: Ward, host: str, url: str, **more: Any) -> None:
    """Let a host's config name a server on the network, as install writes it."""
    store = host in STORES
    wish = replace(WISH, url=url, token_variable="TEAM_TOKEN", without_key=False, store_token=store, **more)
    install(HOSTS[host], ward.machine, wish, lambda _: None)


@pytest.mark.parametrize("host", TAKES)
async def test_what_install_writes_lists_its_tools_in_every_host(ward: Ward, url: str, host: str) -> None:
    names(ward, host, f"{url}/mcp")
    found = only(await ward.of("host", host))
    assert (found.status, "lists 5 tools after" in found.what) == ("ok", True), found


async def test_a_host_that_is_started_from_a_menu_lacks_the_shells_variable(ward: Ward, url: str) -> None:
    names(ward, "cursor", f"{url}/mcp")
    found = only(await ward.of("host-env", "cursor"))
    assert found.what.startswith("TEAM_TOKEN is set in this shell, and Cursor lacks it")


@pytest.mark.parametrize("host", ["claude-code", "codex", "goose"])
async def test_a_token_that_is_not_set_is_told_before_anything_is_sent(
    ward: Ward, url: str, host: str
) -> None:
    names(ward, host, f"{url}/mcp")
    ward.env["TEAM_TOKEN"] = " "
    found = only(await ward.of("host-key", host))
    assert (found.status, "from TEAM_TOKEN, which is not set" in found.what) == ("fail", True)
    assert not await ward.of("host", host)


@pytest.mark.parametrize(
    ("path", "token", "said", "mend"),
    [
        ("/mcp", "not-a-token-of-hers-0123", "answered 401: “", "Set the token that its operator gave you"),
        ("/nowhere", TOKEN, "answered 404: “", "Correct the address"),
    ],
)
async def test_a_server_that_refuses_is_told_in_its_own_words(
    ward: Ward, url: str, path: str, token: str, said: str, mend: str
) -> None:
    ward.env["TEAM_TOKEN"] = token
    names(ward, "claude-code", f"{url}{path}")
    found = only(await ward.of("host", "claude-code"))
    assert (found.status, said in found.what, mend in found.mend) == ("fail", True, True), found
    assert token not in repr(found)


async def test_a_server_that_is_not_there_is_told(ward: Ward) -> None:
    names(ward, "claude-code", "http://127.0.0.1:9/mcp")
    found = only(await ward.of("host", "claude-code"))
    assert (found.status, "the connection was refused" in found.what) == ("fail", True)


async def test_something_else_that_answers_there_is_told(ward: Ward, sim: Simulator) -> None:
    names(ward, "claude-code", f"{sim.base_url}/v1beta/openai/models")
    found = only(await ward.of("host", "claude-code"))
    assert found.status == "fail"


@pytest.mark.parametrize(
    ("host", "entry", "status", "said"),
    [
        ("claude-code", {"type": "sse", "url": "{}/sse"}, "ok", "opens its stream of events"),
        ("cline", {"url": "{}/sse"}, "ok", "opens its stream of events"),
        ("cline", {"url": "{}/mcp"}, "fail", "the host opens the older SSE, and"),
        ("gemini-cli", {"url": "{}/mcp"}, "fail", "the host opens the older SSE, and"),
        ("gemini-cli", {"url": "{}/mcp", "type": "http"}, "ok", "lists 5 tools"),
        ("claude-code", {"type": "http", "url": "{}/mcp", "disabled": True}, "skipped", "is switched off"),
    ],
)
async def test_an_entry_is_opened_as_its_host_takes_it(
    ward: Ward, url: str, host: str, entry: dict[str, Any], status: str, said: str
) -> None:
    written = entry | {"url": entry["url"].format(url), "headers": {"authorization": f"bearer {TOKEN}"}}
    ward.config(host).parent.mkdir(parents=True, exist_ok=True)
    ward.config(host).write_text(json.dumps({HOSTS[host].path[0]: {"runapi": written}}))
    found = only(await ward.of("host", host))
    assert (found.status, said in found.what) == (status, True), found
    assert TOKEN not in repr(found)


async def test_a_stream_of_events_that_names_no_endpoint_is_not_the_older_sse(ward: Ward) -> None:
    async def notify(peer: Peer, _asked: bytes) -> None:
        body = b'data: {"jsonrpc": "2.0", "method": "notifications/message"}\n\n'
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        await peer.say(b"content-length: %d\r\n\r\n" % len(body) + body)

    async with raw_server(notify) as server:
        ward.config("cline").parent.mkdir(parents=True, exist_ok=True)
        entry = {"url": f"{server.base_url}/mcp"}
        ward.config("cline").write_text(json.dumps({"mcpServers": {"runapi": entry}}))
        found = only(await ward.of("host", "cline"))
    assert (found.status, "the host opens the older SSE, and" in found.what) == ("fail", True)


async def test_a_token_in_the_open_is_told(ward: Ward) -> None:
    names(ward, "claude-code", "http://mcp.invalid/mcp")
    found = only(await ward.of("host-key", "claude-code"))
    assert (found.status, "it can be read on the way" in found.what) == ("warn", True)
