"""A host that starts a process for each call: with the setting, its answers are finished without it."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from messages import Message, tool_call
from piped import PipedHost
from server.hosting import hosted, server_env
from waiting import became

from runapi_mcp.doctor.local import check_store
from runapi_mcp.generations.store.place import Mark
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.stdio.detached import MOST, list_detached

if sys.platform == "win32":
    pytest.skip("sessions are a thing of POSIX", allow_module_level=True)

ON = {"RUNAPI_MCP_FINISH_DETACHED": "1"}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    for one in list_detached(folder):
        os.kill(int(one.pid), signal.SIGKILL)


@contextmanager
def host_of(sim: Simulator, state: Path, **more: str) -> Iterator[PipedHost]:
    """A host as the MCP SDK for Python is one: its server leads a process group."""
    env = os.environ | server_env(sim.base_url, {"RUNAPI_MCP_STORE": str(state), **more})
    with PipedHost([sys.executable, "-m", "runapi_mcp"], env=env, start_new_session=True) as host:
        yield host


def ask(host: PipedHost, prompt: str) -> str:
    """Have the server ask, and return the handle that it gives when its host's second is over."""
    host.send(tool_call(1, "ask_gemini", modern=True, prompt=prompt, wait_seconds=1))
    handle: str = answer_of(host, 1)["result"]["_meta"]["ai.runapi/receipt"]["handle"]
    return handle


def answer_of(host: PipedHost, number: int) -> Message:
    while (message := host.receive()).get("id") != number:
        pass
    return message


def end(host: PipedHost) -> None:
    """End the server as the SDK's client does: close stdin, wait two seconds, kill the group."""
    host.stdin.close()
    assert host.process.wait(2) == 0, "what the host started leaves as ever"
    assert (host.stdout.read(), host.stderr.read()) == (b"", b""), "and nobody keeps its pipes open"
    with pytest.raises(ProcessLookupError):
        os.killpg(host.process.pid, signal.SIGKILL)


async def test_the_next_process_has_the_whole_answer_of_one_whose_host_left(
    sim: Simulator, state: Path
) -> None:
    sim.pace = 0.01
    with host_of(sim, state, **ON) as host:
        handle = ask(host, "Long [[sim:slow seconds=4]]")
        end(host)
    [alone] = list_detached(state)
    assert alone.handles == handle
    said = check_store(from_env({"RUNAPI_MCP_STORE": str(state)}), {}).what
    assert f"finished without a host: {handle} for " in said
    async with hosted(sim.base_url, RUNAPI_MCP_STORE=str(state)) as following:
        found = await following.call("get_result", handle=handle, wait_seconds=30)
        assert found.receipt["complete"], found.text
    assert [call.ended for call in sim.calls] == ["complete"]
    await became(lambda: not list_detached(state))


async def test_one_that_goes_on_alone_is_ended_by_a_signal_and_its_text_is_kept(
    sim: Simulator, state: Path
) -> None:
    sim.pace = 0.01
    with host_of(sim, state, **ON) as host:
        handle = ask(host, "Long [[sim:slow seconds=60]]")
        end(host)
    [alone] = list_detached(state)
    os.kill(int(alone.pid), signal.SIGTERM)
    await became(lambda: not list_detached(state))
    async with hosted(sim.base_url, RUNAPI_MCP_STORE=str(state)) as following:
        found = await following.call("get_result", handle=handle)
        assert found.receipt["status"] == "partial"


async def test_a_parent_that_is_killed_ends_no_promise_and_one_without_promises_leaves_nobody(
    sim: Simulator, state: Path
) -> None:
    with host_of(sim, state, **ON) as host:
        handle = ask(host, "Long [[sim:slow seconds=60]]")
        os.killpg(host.process.pid, signal.SIGKILL)
        await became(lambda: [one.handles for one in list_detached(state)] == [handle])
    with host_of(sim, state, **ON) as idle:
        ask(idle, "Short")
        end(idle)
    assert [one.handles for one in list_detached(state)] == [handle]


async def test_without_the_setting_a_server_leaves_with_its_host(sim: Simulator, state: Path) -> None:
    with host_of(sim, state) as host:
        ask(host, "Long [[sim:slow seconds=60]]")
        end(host)
    assert list_detached(state) == []


async def test_beyond_as_many_as_may_a_server_leaves_with_its_host(sim: Simulator, state: Path) -> None:
    state.mkdir(mode=0o700)  # noqa: ASYNC240  # nobody waits
    others = [Mark(state / f"detached-other{number}") for number in range(MOST)]
    for mark in others:
        mark.show()
    with host_of(sim, state, **ON) as host:
        ask(host, "Long [[sim:slow seconds=60]]")
        end(host)
    assert {one.pid for one in list_detached(state)} == {f"other{number}" for number in range(MOST)}
    for mark in others:
        mark.take_back()
