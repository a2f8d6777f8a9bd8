"""Twenty calls side by side: none waits for another, and the host is answered meanwhile."""

import time
from dataclasses import dataclass

import anyio
import pytest

from runapi_mcp.sim import simulate
from server.hosting import HALF, Called, hosted

pytestmark = pytest.mark.filterwarnings("ignore:ping is removed as of 2026-07-28")


@dataclass(frozen=True)
class Crowd:
    """What came of calls that need real seconds, made side by side."""

    hasty: Called
    parallel: list[Called]
    pings: list[float]


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
    return Crowd(hasty[0], parallel, sorted(pings))


def test_twenty_calls_of_four_seconds_end_together(crowd: Crowd) -> None:
    slowest = max(called.seconds for called in crowd.parallel)
    print(f"20 calls of 4 s: slowest {slowest:.2f} s")
    assert all(called.receipt["complete"] for called in crowd.parallel)
    assert slowest < 7.5, "two rounds of ten would take 8 s"


def test_pings_are_answered_while_calls_run(crowd: Crowd) -> None:
    pings = crowd.pings
    print(
        f"{len(pings)} pings: median {pings[len(pings) // 2] * 1000:.1f} ms, worst {pings[-1] * 1000:.1f} ms"
    )
    assert len(pings) >= 10
    # This process plays host and RunAPI for all of them: a few pings wait for it, not for the server.
    assert pings[len(pings) * 3 // 4] < 0.05


def test_a_host_that_is_said_to_be_impatient_gets_a_handle_before_its_limit(crowd: Crowd) -> None:
    assert crowd.hasty.receipt["status"] == "running"
    assert 3.5 < crowd.hasty.seconds < 5
    assert crowd.hasty.text.startswith(HALF)
