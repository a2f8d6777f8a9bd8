"""A schema that takes for ever to check holds nobody up: not its host, no other caller, not the exit."""

import json
import shlex
import subprocess
import time
from collections.abc import AsyncIterator, Callable

import anyio
import pytest
from messages import Message

from runapi_mcp.sim import Simulator
from server.hosting import PATIENCE, RawHost, raw_host

ENDLESS: Message = {"properties": {"a": {"pattern": "^(a+)+$"}}}
LAUGHING: Message = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(26)} | {"d26": {}},
}
AT_ONCE = 0.5  # seconds; what is promised is a few milliseconds


@pytest.fixture(scope="module", params=[False, True], ids=["handshake", "modern"])
async def shared_raw(request: pytest.FixtureRequest, shared_sim: Simulator) -> AsyncIterator[RawHost]:
    """Servers of their own start, whose children are looked for."""
    async with raw_host(shared_sim.base_url, modern=request.param, fresh=True) as host:
        yield host


def checks_of(raw: RawHost) -> set[int]:
    """The processes in which the server checks something now; one that waits for work sleeps."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,state=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split(None, 3) for line in listed.stdout.splitlines())
    return {
        int(pid)
        for pid, parent, state, what in rows
        if int(parent) == raw.process.pid and state.startswith("R") and "extraction.worker" in what
    }


def alive() -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return {int(pid) for pid in listed.stdout.split()}


async def until(seen: Callable[[], bool], seconds: float) -> None:
    with anyio.fail_after(seconds):
        while not seen():  # noqa: ASYNC110  # other processes set no event
            await anyio.sleep(0.02)


async def checking(raw: RawHost, sim: Simulator, schema: Message) -> set[int]:
    """Have an answer checked that takes for ever; return the processes that do it."""
    sim.play(f"default text={shlex.quote(json.dumps({'a': 'a' * 40 + '!'}))}")
    await raw.call(71, "extract_json", schema=schema, text="A", max_repairs=0)
    await until(lambda: any(call.ended for call in sim.calls), PATIENCE)
    await until(lambda: bool(checks_of(raw)), PATIENCE)
    return checks_of(raw)


async def gone(processes: set[int]) -> None:
    # Less than the 8 s after which a check ends anyhow, and more than a busy machine takes.
    await until(lambda: not processes & alive(), 6.0)


@pytest.mark.parametrize("schema", [ENDLESS, LAUGHING], ids=["expression", "references"])
async def test_others_are_answered_while_a_check_goes_on_and_a_cancel_ends_it(
    raw: RawHost, sim: Simulator, schema: Message
) -> None:
    processes = await checking(raw, sim, schema)
    began = time.monotonic()
    for number in range(72, 82):
        await raw.send(raw.request(number, "ping"))
        await raw.answer(number)
    assert time.monotonic() - began < AT_ONCE
    assert processes <= alive(), "it was checked all the while"
    await raw.cancel(71)
    await gone(processes)
    await raw.send(raw.request(99, "ping"))
    await raw.answer(99)


@pytest.mark.parametrize("way", ["end of stdin", "SIGTERM"])
async def test_a_server_that_leaves_in_the_middle_of_a_check_leaves_nothing_behind(
    sim: Simulator, way: str
) -> None:
    async with raw_host(sim.base_url, fresh=True) as raw:
        processes = await checking(raw, sim, ENDLESS)
        if way == "SIGTERM":
            raw.process.terminate()
        else:
            await raw.close_stdin()
        await raw.leaves(within=3.0)
        await gone(processes)


async def test_a_check_of_a_server_that_was_killed_ends_by_itself(sim: Simulator) -> None:
    async with raw_host(sim.base_url, fresh=True) as raw:
        processes = await checking(raw, sim, LAUGHING)
        raw.process.kill()
        await raw.process.wait()
        await gone(processes)
