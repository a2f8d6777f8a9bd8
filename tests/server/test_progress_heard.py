"""What a host hears while it waits: at once, at a pace, and with evidence."""

import itertools
import time

import pytest

from runapi_mcp import progress
from runapi_mcp.sim import Simulator
from server.hosting import GENEROUS, Host, RawHost, in_process


async def test_silent_thinking_keeps_being_heard_and_says_how_long_it_is_silent(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT", 0.5)
    monkeypatch.setattr(progress, "_LONG_SILENCE", 0.4)
    async with in_process(sim.base_url) as host:
        called = await host.call("ask_gemini", prompt="Silent [[sim:silent-thinking seconds=2.2]]")
    beats = [note for note in called.notes if "no byte for" in note.message]
    assert len(beats) >= 2
    assert all(note.message.startswith("connected, nothing written yet") for note in beats)
    times = sorted(note.progress for note in called.notes)
    # At most two in a second, and never longer apart than the heartbeat and that pace ask for.
    assert all(later - one < 1.2 for one, later in itertools.pairwise(times))
    assert called.receipt["complete"]


async def test_the_first_progress_comes_before_any_byte_of_runapi(raw: RawHost, sim: Simulator) -> None:
    began = time.monotonic()
    await raw.call(11, "ask_gemini", prompt="First [[sim:stall-headers seconds=30]]")
    first = await raw.progress(11)
    elapsed = time.monotonic() - began
    print(f"first progress after {elapsed * 1000:.1f} ms")
    seen = await sim.wait_for_call()
    assert seen.first_byte_at is None
    assert first["message"] == "connecting"
    assert elapsed < GENEROUS
    await raw.cancel(11)
    await seen.wait_closed(GENEROUS)


async def test_a_call_that_finds_a_running_generation_tells_how_that_one_stands(sim: Simulator) -> None:
    # In this process: on its way through a pipe a line gives way to a newer one that overtakes it.
    async with in_process(sim.base_url) as host:
        left = await host.call("ask_gemini", prompt="Tell [[sim:slow seconds=4]]", wait_seconds=1)
        found = await host.call("get_result", handle=left.handle, wait_seconds=0.5)
    assert found.messages[0] == "looking up the handle"
    assert found.messages[1].startswith("writing")


async def test_progress_is_paced_increases_and_invents_no_total(raw: RawHost) -> None:
    began = time.monotonic()
    await raw.call(12, "ask_gemini", prompt="Tell [[sim:slow seconds=2.2]]")
    notes = []
    while "method" in (message := await raw.receive()):
        notes.append(message["params"])
    elapsed = time.monotonic() - began
    assert message["id"] == 12
    assert 4 <= len(notes) <= 7
    times = [note["progress"] for note in notes]
    assert all(one < later for one, later in itertools.pairwise(times))
    assert all(later - one >= 0.998 for one, later in zip(times, times[2:], strict=False))
    assert all("total" not in note for note in notes)
    messages = [note["message"] for note in notes]
    assert all(0 < len(line) <= 200 and line.isprintable() for line in messages)
    assert times[-1] <= elapsed
    assert "writing" in messages[-1]
    assert "tokens" in messages[-1]


async def test_thinking_shows_what_is_thought(host: Host) -> None:
    called = await host.call("ask_gemini", prompt="Think [[sim:thinking seconds=1.3]]", include_thoughts=True)
    thinking = [message for message in called.messages if message.startswith("thinking")]
    assert thinking
    assert all("characters" in message and "no byte" not in message for message in thinking)


async def test_a_wait_that_runapi_asked_for_is_shown_and_counted(host: Host, sim: Simulator) -> None:
    called = await host.call("ask_gemini", prompt="Limited [[sim:rate-limit-once seconds=0.6]]")
    assert any("as RunAPI asked" in message for message in called.messages)
    assert called.receipt["requests"] == len(sim.calls) == 2
    assert called.receipt["seconds_waited"] >= 0.6
    assert called.receipt["complete"]
