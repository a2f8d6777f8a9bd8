"""The host is never held: progress, hold windows, handles and cancellation, through a real server process."""

import itertools
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from runapi_mcp import progress
from runapi_mcp.sim import SeenCall, Simulator, simulate
from server.hosting import Called, Host, RawHost, hosted, in_process, raw_host

HALF = "This is a simulated answer"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
pytestmark = pytest.mark.filterwarnings("ignore:ping is removed as of 2026-07-28")
GENEROUS = 1.0  # seconds; what is promised is 50 ms, and the figures are printed


@pytest.fixture(scope="module")
async def shared_narrow(shared_sim: Simulator) -> AsyncIterator[Host]:
    async with hosted(
        shared_sim.base_url,
        RUNAPI_MCP_HOLD="0.3",
        RUNAPI_MCP_MAX_RESULT_CHARS="1000",
        RUNAPI_MCP_IDLE_TIMEOUT="0.4",
        RUNAPI_MCP_DEADLINE="1.2",
    ) as host:
        yield host


@pytest.fixture
def narrow(shared_narrow: Host, sim: Simulator) -> Host:
    """A server that holds its host for 0.3 s, gives 1,000 characters at once, and stops after 1.2 s."""
    del sim
    return shared_narrow


@pytest.fixture(scope="module", params=[False, True], ids=["handshake", "modern"])
async def shared_raw(request: pytest.FixtureRequest, shared_sim: Simulator) -> AsyncIterator[RawHost]:
    async with raw_host(shared_sim.base_url, modern=request.param) as host:
        yield host


@pytest.fixture
def raw(shared_raw: RawHost, sim: Simulator) -> RawHost:
    del sim
    return shared_raw


# ---------------------------------------------------------------- progress


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
        hosted(sim.base_url, mode="legacy", name="openai-agents-mcp") as host,
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
    assert slowest < 5.0


def test_pings_are_answered_while_calls_run(crowd: Crowd) -> None:
    pings = crowd.pings
    print(
        f"{len(pings)} pings: median {pings[len(pings) // 2] * 1000:.1f} ms, worst {pings[-1] * 1000:.1f} ms"
    )
    assert len(pings) >= 10
    # This process plays host and RunAPI for all of them: a few pings wait for it, not for the server.
    assert pings[len(pings) * 3 // 4] < 0.05


def test_a_host_known_to_be_impatient_gets_a_handle_before_its_limit(crowd: Crowd) -> None:
    assert crowd.hasty.receipt["status"] == "running"
    assert 3.5 < crowd.hasty.seconds < 5
    assert crowd.hasty.text.startswith(HALF)


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
    times = [note.progress for note in called.notes]
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


async def test_progress_is_paced_increases_and_invents_no_total(host: Host) -> None:
    called = await host.call("ask_gemini", prompt="Tell [[sim:slow seconds=2.2]]")
    notes = called.notes
    assert 4 <= len(notes) <= 7
    times = [note.progress for note in notes]
    assert all(one < later for one, later in itertools.pairwise(times))
    assert all(later - one >= 0.998 for one, later in zip(times, times[2:], strict=False))
    assert all(note.total is None for note in notes)
    assert all(0 < len(note.message) <= 200 and note.message.isprintable() for note in notes)
    assert times[-1] <= called.seconds
    assert "writing" in notes[-1].message
    assert "tokens" in notes[-1].message


async def test_thinking_shows_what_is_thought(host: Host) -> None:
    called = await host.call("ask_gemini", prompt="Think [[sim:thinking seconds=1.3]]", include_thoughts=True)
    thinking = [message for message in called.messages if message.startswith("thinking")]
    assert thinking
    assert all("characters" in message and "no byte" not in message for message in thinking)


async def test_a_wait_that_runapi_asked_for_is_shown_and_counted(host: Host, sim: Simulator) -> None:
    called = await host.call("ask_gemini", prompt="Limited [[sim:rate-limit-once seconds=0.6]]")
    assert called.messages[0] == "connecting"
    assert any("as RunAPI asked" in message for message in called.messages)
    assert called.receipt["requests"] == len(sim.calls) == 2
    assert called.receipt["seconds_waited"] >= 0.6
    assert called.receipt["complete"]


async def test_a_host_that_wants_no_progress_gets_none_and_its_answer_in_two_calls(
    narrow: Host, sim: Simulator
) -> None:
    first = await narrow.silently("ask_gemini", prompt="Quiet [[sim:slow seconds=0.8 words=40]]")
    assert first.receipt["status"] == "running"
    second = await narrow.silently("get_result", handle=first.handle, wait_seconds=10)
    assert second.receipt["complete"]
    assert second.text.startswith(HALF)
    assert len(sim.calls) == 1


# ---------------------------------------------------------------- the hold window


async def test_a_call_that_outlives_wait_seconds_gives_what_there_is_and_a_handle_to_the_rest(
    host: Host, sim: Simulator
) -> None:
    first = await host.call("ask_gemini", prompt="Wait [[sim:slow seconds=1 words=40]]", wait_seconds=0.4)
    assert first.seconds < GENEROUS
    assert not first.failed
    assert first.receipt["status"] == "running"
    so_far, _, remark = first.text.rpartition("\n\n[")
    assert so_far.startswith(HALF)
    assert f'Call get_result with handle "{first.handle}"' in remark
    rest = await host.call("get_result", handle=first.handle)
    assert rest.receipt["complete"]
    assert rest.text.startswith(so_far)
    assert len(rest.text) > len(so_far)
    assert rest.notes
    again = await host.call("get_result", handle=first.handle)
    assert again.text == rest.text
    assert len(sim.calls) == 1


async def test_no_wait_at_all_gives_a_handle_at_once(host: Host) -> None:
    first = await host.call("ask_gemini", prompt="None [[sim:slow seconds=0.3]]", wait_seconds=0)
    assert first.receipt["status"] == "running"
    assert first.text.startswith("[Still running")
    rest = await host.call("get_result", handle=first.handle)
    assert rest.receipt["complete"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_web", {"query": "Held [[sim:slow seconds=0.5]]"}),
        ("extract_json", {"schema": SCHEMA, "text": "Held [[sim:slow seconds=0.5]]"}),
    ],
)
async def test_the_hold_setting_hands_over_and_both_halves_say_so(
    narrow: Host, tool: str, arguments: dict[str, Any]
) -> None:
    first = await narrow.call(tool, **arguments)
    assert first.seconds < GENEROUS
    assert first.facts["status"] == "running"
    assert first.facts["handle"] == first.handle
    assert first.handle in first.text
    assert any("Still running" in note for note in first.facts["notes"])
    rest = await narrow.call("get_result", handle=first.handle, wait_seconds=10)
    assert rest.facts["status"] == "complete"
    assert rest.facts.get("data") or rest.facts["sources"]


async def test_a_host_known_to_cut_gets_smaller_pages(sim: Simulator) -> None:
    async with hosted(sim.base_url, mode="legacy", name="codex-mcp-client") as codex:
        called = await codex.call("ask_gemini", prompt="Long [[sim:default words=4000]]")
    page, _, remark = called.text.rpartition("\n\n[")
    assert 8_000 < len(page) <= 11_000
    assert "offset" in remark


# ---------------------------------------------------------------- long answers


async def test_a_long_answer_comes_in_pages_that_join_to_the_whole(narrow: Host, sim: Simulator) -> None:
    called = await narrow.call("ask_gemini", prompt="Pages [[sim:default words=600]]", wait_seconds=10)
    handle, whole, offset = called.handle, "", 0
    while True:
        page, _, remark = called.text.rpartition("\n\n[")
        if "offset" not in remark:
            whole += called.text
            break
        assert len(page) <= 1_000
        following = int(remark.rpartition("offset ")[2].rstrip(".]"))
        whole += page
        assert following > offset
        offset = following
        called = await narrow.call("get_result", handle=handle, offset=offset)
    resource = await narrow.client.read_resource(f"generation://{handle}")
    text = getattr(resource.contents[0], "text", "")
    assert len(text) > 3_000
    assert "".join(whole.split()) == "".join(text.split())
    assert len(sim.calls) == 1


async def test_an_offset_past_the_end_is_taught(host: Host) -> None:
    called = await host.call("ask_gemini", prompt="Short.")
    past = await host.call("get_result", handle=called.handle, offset=100_000)
    assert past.failed
    assert past.text.startswith("offset: 100,000 is past the end")


# ---------------------------------------------------------------- nothing paid for is lost


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("cut-clean", "ended without a finish"),
        ("cut-chunked", "connection broke"),
        ("cut-rst", "connection broke"),
        ("stall-middle", "sent nothing for 0.4 s"),
        ("pings-forever seconds=5", "keep-alives but no content"),
        ("slow seconds=9", "deadline"),
        ("mid-error", "the model is overloaded"),
        ("length", "output limit"),
        ("blocked-middle", "safety"),
    ],
)
async def test_what_had_arrived_is_kept_with_the_reason_and_a_handle(
    narrow: Host, scenario: str, why: str
) -> None:
    called = await narrow.call("ask_gemini", prompt=f"Kept [[sim:{scenario}]]", wait_seconds=10)
    assert not called.failed
    assert called.text.startswith(HALF)
    assert called.receipt["status"] == "partial"
    remark = called.text.rpartition("\n\n[")[2]
    assert why in remark
    assert called.handle in remark
    again = await narrow.call("get_result", handle=called.handle)
    assert again.text == called.text


@pytest.mark.parametrize("scenario", ["cut-before-headers", "stall-first", "empty-stop", "blocked-prompt"])
async def test_it_is_an_error_only_when_there_is_nothing_to_give(narrow: Host, scenario: str) -> None:
    called = await narrow.call("ask_gemini", prompt=f"Nothing [[sim:{scenario}]]", wait_seconds=10)
    assert called.failed
    assert HALF not in called.text
    assert called.receipt["status"] == "failed"


@pytest.mark.parametrize("scenario", ["cut-clean", "length", "stall-middle"])
async def test_a_partial_answer_is_resumed_to_the_whole_one(
    narrow: Host, sim: Simulator, scenario: str
) -> None:
    prompt = "Resume"
    whole = await narrow.call("ask_gemini", prompt=prompt)
    half = await narrow.call("ask_gemini", prompt=f"{prompt} [[sim:{scenario}]]", wait_seconds=10)
    assert half.receipt["status"] == "partial"
    resumed = await narrow.call("get_result", handle=half.handle, resume=True)
    assert resumed.receipt["complete"]
    assert resumed.text == whole.text
    assert resumed.handle != half.handle
    assert len(sim.calls) == 3


async def test_resuming_twice_at_once_pays_once(narrow: Host, sim: Simulator) -> None:
    half = await narrow.call("ask_gemini", prompt="Twice [[sim:length]]")
    sim.play("slow seconds=0.2", "slow seconds=0.2")
    results: list[Called] = []

    async def resume() -> None:
        results.append(await narrow.call("get_result", handle=half.handle, resume=True))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(resume)
        tasks.start_soon(resume)
    assert results[0].handle == results[1].handle
    assert len(sim.calls) == 2


async def test_a_complete_answer_cannot_be_resumed_and_that_is_taught(host: Host, sim: Simulator) -> None:
    called = await host.call("ask_gemini", prompt="Whole.")
    resumed = await host.call("get_result", handle=called.handle, resume=True)
    assert resumed.failed
    assert "complete" in resumed.text
    assert len(sim.calls) == 1


async def test_a_running_one_cannot_be_resumed_and_that_is_taught(host: Host) -> None:
    running = await host.call("ask_gemini", prompt="Running [[sim:slow seconds=9]]", wait_seconds=0.1)
    resumed = await host.call("get_result", handle=running.handle, resume=True)
    assert resumed.failed
    assert "still running" in resumed.text
    await host.call("get_result", handle=running.handle, cancel=True)


# ---------------------------------------------------------------- the same question


async def test_the_same_question_after_a_hand_over_attaches_to_its_generation(
    host: Host, sim: Simulator
) -> None:
    asked: dict[str, Any] = {"prompt": "Again [[sim:slow seconds=0.8]]"}
    first = await host.call("ask_gemini", **asked, wait_seconds=0.1)
    second = await host.call("ask_gemini", **asked)
    assert second.receipt["complete"]
    assert second.handle == first.handle
    assert "Joined the same question" in second.text
    assert len(sim.calls) == 1


async def test_the_same_question_twice_at_once_is_asked_once(host: Host, sim: Simulator) -> None:
    results: list[Called] = []

    async def ask() -> None:
        results.append(await host.call("ask_gemini", prompt="Both [[sim:slow seconds=0.4]]"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    assert results[0].handle == results[1].handle
    assert all(called.receipt["complete"] for called in results)
    assert len(sim.calls) == 1


async def test_fresh_asks_anew(host: Host, sim: Simulator) -> None:
    asked: dict[str, Any] = {"prompt": "Anew [[sim:slow seconds=0.4]]"}
    first = await host.call("ask_gemini", **asked, wait_seconds=0)
    second = await host.call("ask_gemini", **asked, fresh=True)
    assert second.handle != first.handle
    assert "Joined" not in second.text
    assert len(sim.calls) == 2


async def test_a_delivered_answer_is_not_given_out_again_for_the_same_question(
    host: Host, sim: Simulator
) -> None:
    first = await host.call("ask_gemini", prompt="Delivered.")
    second = await host.call("ask_gemini", prompt="Delivered.")
    assert second.handle != first.handle
    assert len(sim.calls) == 2


async def test_a_different_argument_is_a_different_question(host: Host, sim: Simulator) -> None:
    await host.call("ask_gemini", prompt="Same [[sim:slow seconds=0.3]]", wait_seconds=0)
    await host.call("ask_gemini", prompt="Same [[sim:slow seconds=0.3]]", temperature=1, wait_seconds=0)
    await sim.wait_for_call(2)


# ---------------------------------------------------------------- cancellation


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
    assert [seen.ended for seen in sim.calls] == ["complete"]


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


# ---------------------------------------------------------------- handles


async def test_an_unknown_handle_is_named_and_taught(host: Host) -> None:
    called = await host.call("get_result", handle="g_nobody")
    assert called.failed
    assert called.code == "unknown_handle"
    assert "'g_nobody'" in called.text
    assert "Ask the question again" in called.text


@pytest.mark.parametrize("uri", ["generation://g_nobody", "generation://", "file:///etc/passwd"])
async def test_a_resource_that_is_none_is_a_protocol_error(host: Host, uri: str) -> None:
    with pytest.raises(MCPError) as refused:
        await host.client.read_resource(uri)
    assert refused.value.error.code == -32602
