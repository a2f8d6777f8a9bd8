"""The hold window: a call that outlives it gives what there is, and a handle to the rest."""

from typing import Any

import pytest

from runapi_mcp.sim import Simulator
from server.hosting import GENEROUS, HALF, Host

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


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
        ("search_web", {"query": "Who won the regatta? [[sim:slow seconds=0.5]]"}),
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


async def test_a_host_that_wants_no_progress_gets_none_and_its_answer_in_two_calls(
    narrow: Host, sim: Simulator
) -> None:
    narrow.heard.clear()
    first = await narrow.silently("ask_gemini", prompt="Quiet [[sim:slow seconds=0.8 words=40]]")
    assert first.receipt["status"] == "running"
    second = await narrow.silently("get_result", handle=first.handle, wait_seconds=10)
    assert second.receipt["complete"]
    assert second.text.startswith(HALF)
    assert not narrow.heard
    assert len(sim.calls) == 1


async def test_an_unknown_handle_is_named_and_taught(host: Host) -> None:
    called = await host.call("get_result", handle="g_nobody")
    assert called.failed
    assert called.code == "unknown_handle"
    assert "'g_nobody'" in called.text
    assert "Ask the question again" in called.text
