"""A host that cancels, or goes, takes its upstream with it; what was handed over goes on."""

import signal
import time

import pytest

from runapi_mcp.sim import SeenCall, Simulator
from server.hosting import GENEROUS, HALF, Host, RawHost, raw_host


async def _closed_after(seen: SeenCall, began: float, what: str) -> None:
    await seen.wait_closed(GENEROUS)
    assert seen.closed_at is not None
    assert seen.ended == "client left"
    print(f"{what}: upstream closed after {(seen.closed_at - began) * 1000:.1f} ms")


async def _streaming(raw: RawHost, sim: Simulator, number: int, prompt: str) -> SeenCall:
    await raw.call(number, "ask_gemini", prompt=f"{prompt} [[sim:slow seconds=20]]")
    seen = await sim.wait_for_call()
    await seen.wait_first_byte()
    return seen


async def test_a_cancelled_call_closes_its_upstream_and_is_never_answered(
    raw: RawHost, sim: Simulator
) -> None:
    seen = await _streaming(raw, sim, 21, "Cancelled")
    began = time.monotonic()
    await raw.cancel(21)
    await _closed_after(seen, began, "cancelled")
    await raw.send(raw.request(22, "tools/list"))
    await raw.answer(22)  # the next answer of any kind
    await raw.call(23, "ask_gemini", prompt="Alive?")
    assert "result" in await raw.answer(23)


@pytest.mark.parametrize("scenario", ["stall-headers", "stall-first", "stall-middle"])
async def test_a_call_is_cancelled_in_whichever_phase_it_is(
    raw: RawHost, sim: Simulator, scenario: str
) -> None:
    sim.stall_seconds = 20
    await raw.call(31, "ask_gemini", prompt=f"Phase [[sim:{scenario}]]")
    seen = await sim.wait_for_call()
    await raw.progress(31)
    await raw.cancel(31)
    await seen.wait_closed(GENEROUS)
    await raw.send(raw.request(32, "tools/list"))
    await raw.answer(32)
    assert len(sim.calls) == 1


async def test_a_handed_over_generation_outlives_the_cancel_of_a_request_that_follows_it(
    raw: RawHost, sim: Simulator
) -> None:
    await raw.call(41, "ask_gemini", prompt="Handed over [[sim:slow seconds=0.8]]", wait_seconds=0.1)
    handle = (await raw.answer(41))["result"]["_meta"]["ai.runapi/receipt"]["handle"]
    await raw.call(42, "get_result", handle=handle)
    await raw.progress(42)
    await raw.cancel(42)
    await raw.cancel(41)  # hosts cancel finished calls too
    await raw.call(43, "get_result", handle=handle)
    receipt = (await raw.answer(43))["result"]["_meta"]["ai.runapi/receipt"]
    assert receipt["complete"]
    [call] = sim.calls
    await call.wait_closed(GENEROUS)  # our answer is whole before the upstream has noted its end
    assert call.ended == "complete"


async def test_a_cancel_leaves_another_call_to_the_same_question_alone(raw: RawHost, sim: Simulator) -> None:
    prompt = "Shared [[sim:slow seconds=0.8]]"
    await raw.call(51, "ask_gemini", prompt=prompt)
    await raw.progress(51)
    await raw.call(52, "ask_gemini", prompt=prompt)
    await raw.progress(52)
    await raw.cancel(51)
    assert (await raw.answer(52))["result"]["_meta"]["ai.runapi/receipt"]["complete"]
    assert len(sim.calls) == 1


async def test_get_result_cancels_and_gives_what_there_is(host: Host, sim: Simulator) -> None:
    first = await host.call("ask_gemini", prompt="Stop [[sim:slow seconds=20]]", wait_seconds=0.3)
    began = time.monotonic()
    stopped = await host.call("get_result", handle=first.handle, cancel=True)
    await _closed_after(sim.calls[0], began, "get_result with cancel")
    assert not stopped.failed
    assert stopped.receipt["status"] == "cancelled"
    assert stopped.text.startswith(HALF)
    assert "cancelled" in stopped.text


@pytest.mark.parametrize("way", ["end of stdin", "SIGTERM", "both"])
async def test_when_the_host_goes_the_upstream_closes_and_the_process_leaves(
    sim: Simulator, way: str
) -> None:
    async with raw_host(sim.base_url, modern=way == "end of stdin") as raw:
        seen = await _streaming(raw, sim, 61, way)
        await raw.call(62, "ask_gemini", prompt="Handed over [[sim:slow seconds=20]]", wait_seconds=0)
        await raw.answer(62)
        handed_over = await sim.wait_for_call(2)
        began = time.monotonic()
        if way in ("end of stdin", "both"):
            await raw.close_stdin()
        if way != "end of stdin":
            raw.process.send_signal(signal.SIGTERM)
        await _closed_after(seen, began, way)
        await _closed_after(handed_over, began, f"{way}, handed over")
        await raw.leaves()
        print(f"{way}: process gone after {(time.monotonic() - began) * 1000:.0f} ms")
