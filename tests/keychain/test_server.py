"""A server whose host's config holds no key: it starts, lists, and takes the key when a call needs it."""

import os
from collections.abc import Mapping

import anyio
import pytest
from forked import forked
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from network.web_host import web_server
from server.hosting import CANARY, Host, hosted
from waiting import became

from keychain.rings import PATIENCE, Ring, lives
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from runapi_mcp.transports.http.auth import CallersKeys
from runapi_mcp.transports.http.serve import shared_settings

KEYRING = {"RUNAPI_MCP_KEYRING": "1"}


def env(ring: Ring, **more: str) -> Mapping[str, str]:
    return ring.env | KEYRING | more


async def test_a_call_takes_the_key_from_the_keyring(sim: Simulator, ring: Ring) -> None:
    ring.holds(sim.base_url, CANARY)
    async with hosted(sim.base_url, **env(ring, RUNAPI_MCP_LOG="debug")) as host:
        assert len((await host.client.list_tools()).tools) == len(TOOLS)
        assert ring.asked == [], "nothing but a call that needs the key asks for it"
        asked = await host.call("ask_gemini", prompt="Are you there?")
        assert not asked.failed, asked.text
        assert not (await host.call("list_models")).failed
    assert len(ring.asked) == 1


async def test_a_variable_goes_first(sim: Simulator, ring: Ring) -> None:
    ring.holds(sim.base_url, "sk-another-0123456789")
    async with hosted(sim.base_url, **env(ring, RUNAPI_TOKEN=CANARY)) as host:
        assert not (await host.call("list_models")).failed
    assert ring.asked == []


async def test_without_an_entry_a_call_says_what_to_do_and_the_next_one_looks_again(
    sim: Simulator, ring: Ring
) -> None:
    async with hosted(sim.base_url, **env(ring)) as host:
        told = await host.call("ask_gemini", prompt="x")
        assert (told.failed, told.code) == (True, "key_missing")
        assert "Run runapi-mcp key set" in told.text
        ring.holds(sim.base_url, CANARY)
        assert not (await host.call("ask_gemini", prompt="x")).failed


async def test_a_machine_without_a_keyring_lists_and_says_so_when_called(sim: Simulator, ring: Ring) -> None:
    headless = env(ring, PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    async with hosted(sim.base_url, **headless) as host:
        assert len((await host.client.list_tools()).tools) == len(TOOLS)
        told = await host.call("search_web", query="x")
        assert (told.failed, told.code) == (True, "keyring_failed")
        assert "set RUNAPI_TOKEN instead" in told.text


async def test_a_keyring_that_asks_holds_up_its_call_alone_and_says_so(sim: Simulator, ring: Ring) -> None:
    asking = env(ring, PYTHON_KEYRING_BACKEND="ring_backends.AskingRing")
    ring.holds(sim.base_url, CANARY)
    said, failed = anyio.Event(), list[bool]()

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        if message and "waiting for the keyring" in message:
            said.set()

    async with hosted(sim.base_url, **asking) as host:

        async def ask() -> None:
            result = await host.client.call_tool("ask_gemini", {"prompt": "x"}, progress_callback=listen)
            failed.append(bool(result.is_error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await ring.asks()
            assert len((await host.client.list_tools()).tools) == len(TOOLS)
            with anyio.fail_after(PATIENCE):
                await said.wait()
            assert not failed
            ring.unlock()
    assert failed == [False]


async def test_a_short_hold_window_is_kept_by_a_call_that_waits_for_the_keyring(
    sim: Simulator, ring: Ring
) -> None:
    asking = env(ring, PYTHON_KEYRING_BACKEND="ring_backends.AskingRing", RUNAPI_MCP_HOLD="0")
    async with hosted(sim.base_url, **asking) as host:
        told = await host.call("ask_gemini", prompt="x")
    assert (told.failed, told.code) == (True, "keyring_failed")
    assert "has not answered yet" in told.text
    assert told.seconds < 15.0, "a keyring is otherwise given 20 s"


async def test_a_host_that_goes_leaves_no_question_behind(sim: Simulator, ring: Ring) -> None:
    asking = env(ring, PYTHON_KEYRING_BACKEND="ring_backends.AskingRing")
    async with hosted(sim.base_url, **asking) as host, anyio.create_task_group() as tasks:
        tasks.start_soon(_call, host)
        helper = await ring.asks()
        tasks.cancel_scope.cancel()
    await became(lambda: not lives(helper), PATIENCE)


async def _call(host: Host) -> None:
    await host.call("ask_gemini", prompt="x")


async def test_over_the_network_the_keyring_is_the_servers(sim: Simulator, ring: Ring) -> None:
    ring.holds(sim.base_url, CANARY)
    async with (
        web_server(sim.base_url, program=forked(), **env(ring)) as server,
        Client(streamable_http_client(f"{server.base_url}/mcp")) as client,
    ):
        assert not (await client.call_tool("list_models", {})).is_error
    assert len(ring.asked) == 1


def test_where_callers_bring_their_own_keys_the_keyring_is_not_theirs() -> None:
    mine = Settings(keyring=True)
    assert mine.key_is_in_keyring
    assert not shared_settings(mine, CallersKeys()).key_is_in_keyring
    assert shared_settings(mine, None).key_is_in_keyring


@pytest.mark.parametrize("word", ["models", "ask"])
async def test_the_terminal_commands_take_it_too(sim: Simulator, ring: Ring, word: str) -> None:
    ring.holds(sim.base_url, CANARY)
    words = [word] if word == "models" else [word, "Are you there?"]
    done = await anyio.run_process(
        [*forked(), *words],
        env=os.environ | env(ring, RUNAPI_BASE_URL=sim.base_url),
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert CANARY.encode() not in done.stdout + done.stderr
    assert len(ring.asked) == 1
