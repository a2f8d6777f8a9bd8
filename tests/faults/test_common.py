"""Each text at the top of ``docs/faults.md`` is what one reads when that happens."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from keychain.rings import Ring
from server.hosting import Host, in_process
from server.snapshots import ROOT
from sockets import refused_url

from faults.common import COMMON
from faults.matrix import SCHEMA
from runapi_mcp.errors import KeyMissing, SettingsError
from runapi_mcp.key import Keychain
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator

MET: dict[str, tuple[str, dict[str, Any]]] = {
    "bad key": ("ask_gemini", {"prompt": "Q [[sim:bad-key-401]]"}),
    "no credit": ("ask_gemini", {"prompt": "Q [[sim:no-credit]]"}),
    "not found": ("ask_gemini", {"prompt": "Q [[sim:not-found]]"}),
    "web page": ("ask_gemini", {"prompt": "Q [[sim:ok-html]]"}),
    "outside": ("ask_gemini", {"prompt": "Q", "files": ["/etc/hostname"]}),
    "no file": ("ask_gemini", {"prompt": "Q", "files": ["nowhere.txt"]}),
    "handle": ("get_result", {"handle": "g_nobody"}),
    "argument": ("ask_gemini", {"promt": "Q"}),
    "ability": ("search_web", {"query": "Q", "model": "gemini-3-flash-preview"}),
    "running": ("ask_gemini", {"prompt": "Q [[sim:slow seconds=5]]", "wait_seconds": 0}),
    "partial": ("ask_gemini", {"prompt": "Q [[sim:cut-clean]]"}),
    "no sources": ("search_web", {"query": "Q [[sim:no-sources]]", "model": "gemini-3.7-flash"}),
    "schema": ("extract_json", {"schema": SCHEMA, "text": "Q"}),
}
"""Calls that bring a text about, of a server that is set up well."""
OTHERWISE = {"no key", "reference", "unreachable", "too many", "wait", "empty keyring", "setting"}
"""Texts of one that is not, or is told to wait; each has a test of its own."""


def assert_reads(name: str, text: str) -> None:
    """Fail unless a text is what the page says; `…` stands for anything on the line."""
    parts = [re.escape(part) for part in COMMON[name].reads.split("…")]
    assert re.search(".+?".join(parts), text), text


@pytest.fixture(scope="module")
async def host(shared_sim: Simulator) -> AsyncIterator[Host]:
    # Set, and so never left for another when RunAPI refuses it.
    async with in_process(shared_sim.base_url, RUNAPI_MCP_MODEL="gemini-3-flash-preview") as host:
        yield host


@pytest.mark.parametrize("name", MET)
async def test_a_text_of_the_page_is_what_is_read(name: str, host: Host, sim: Simulator) -> None:
    if name == "schema":
        sim.play("wrong-json", "wrong-json")
    tool, arguments = MET[name]
    called = await host.call(tool, **arguments)
    assert_reads(name, called.text)
    if name == "running":
        await host.call("get_result", handle=called.handle, cancel=True)


@pytest.mark.parametrize(("name", "key"), [("no key", ""), ("reference", "${RUNAPI_TOKEN}")])
async def test_a_server_without_a_usable_key_reads_so(name: str, key: str, sim: Simulator) -> None:
    async with in_process(sim.base_url, {"RUNAPI_TOKEN": key}) as host:
        assert_reads(name, (await host.call("ask_gemini", prompt="Q")).text)


async def test_a_server_that_reaches_nobody_reads_so() -> None:
    async with in_process(refused_url()) as host:
        assert_reads("unreachable", (await host.call("ask_gemini", prompt="Q")).text)


async def test_a_server_that_is_told_to_wait_reads_so(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        limited = await host.call("ask_gemini", prompt="Q [[sim:rate-limit-seconds seconds=90]]")
        assert_reads("too many", limited.text)
        assert_reads("wait", (await host.call("ask_gemini", prompt="Another")).text)


async def test_a_keyring_without_the_key_reads_so(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing) as raised:
        await Keychain("https://runapi.ai", Ring(tmp_path).env).key()
    assert_reads("empty keyring", str(raised.value))


def test_a_setting_that_takes_no_such_value_reads_so() -> None:
    with pytest.raises(SettingsError) as raised:
        from_env({"RUNAPI_MCP_HOLD": "long"})
    assert_reads("setting", str(raised.value))


def test_every_text_of_the_page_is_brought_about() -> None:
    assert COMMON.keys() == MET.keys() | OTHERWISE
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert all(row.reads in page for row in COMMON.values())
