"""Twenty calls side by side: none waits for another, and the host is answered meanwhile."""

import time
from dataclasses import dataclass

import anyio
import pytest

from runapi_mcp.sim import SeenCall, simulate
from server.hosting import HALF, Called, hosted

pytestmark = pytest.mark.filterwarnings("ignore:ping is removed as of 2026-07-28")


@dataclass(frozen=True)
class Crowd:
    """What came of calls that need real seconds, made side by side."""

    hasty: Called
    parallel: list[Called]
    pings: list[float]
    upstream: list[SeenCall]


@pytest.fixture(scope="module")
async def crowd(anyio_backend: str) -> Crowd:
    del anyio_backend
    parallel: list[Called] = []
    hasty: list[Called] = []
    pings: list[float] = []
    done = anyio.Event()
    async with (
        simulate() as sim,
        hosted(sim.base_url, mode="legacy", name="mcp", RUNAPI_MCP_HOLD="4") as host,
        anyio.create_task_group() as tasks,
    ):

        async def patient(number: int) -> None:
            prompt = f"{number} [[sim:slow seconds=4]]"
            parallel.append(await host.call("ask_gemini", prompt=prompt, wait_seconds=60))
            if len(parallel) == 20:
                done.set()

        async def impatient() -> None:
            hasty.append(await host.call("ask_gemini", prompt="Hasty [[sim:slow seconds=8]]"))

        async def ping() -> None:
            while not done.is_set():
                began = time.monotonic()
                await host.client.send_ping()
                pings.append(time.monotonic() - began)
                with anyio.move_on_after(0.1):
                    await done.wait()

        for number in range(20):
            tasks.start_soon(patient, number)
        tasks.start_soon(impatient)
        tasks.start_soon(ping)
    return Crowd(hasty[0], parallel, sorted(pings), list(sim.calls))


def test_twenty_calls_of_four_seconds_run_side_by_side(crowd: Crowd) -> None:
    assert all(called.receipt["complete"] for called in crowd.parallel)
    first_end = min(call.closed_at for call in crowd.upstream if call.closed_at is not None)
    assert all(call.received_at < first_end for call in crowd.upstream), "some waited for others to end"


def test_pings_are_answered_while_calls_run(crowd: Crowd) -> None:
    # How soon is a figure (benchmarks/pings.py); were the loop held, none would come in these four seconds.
    assert len(crowd.pings) >= 5
    assert crowd.pings[len(crowd.pings) // 2] < 1


def test_a_host_that_is_said_to_be_impatient_gets_a_handle_while_the_call_runs(crowd: Crowd) -> None:
    assert crowd.hasty.receipt["status"] == "running"
    assert 3.5 < crowd.hasty.seconds < 8
    assert crowd.hasty.text.startswith(HALF)
