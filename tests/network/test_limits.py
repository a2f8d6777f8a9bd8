"""What each caller may use, what the server counts, and that every response begins in time."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from messages import tool_call

from network.raw_web import Web, events, modern_headers, web
from network.web_host import served
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.tokens import TokenList

ADA, BOB = "token-of-ada-0123456789", "token-of-bob-0123456789"


@asynccontextmanager
async def two_callers(sim: Simulator, **env: str) -> AsyncIterator[tuple[Web, Web]]:
    """A server, and two callers of it."""
    auth = TokenList.read(f"ada:{ADA}\nbob:{BOB}")
    async with (
        served(sim, auth, env=env) as url,
        web(url, Authorization=f"Bearer {ADA}") as ada,
        web(url, Authorization=f"Bearer {BOB}") as bob,
    ):
        yield ada, bob


async def _ask(who: Web, prompt: str, **arguments: Any) -> dict[str, Any]:
    answer = await who.call(1, "ask_gemini", prompt=prompt, **arguments)
    result: dict[str, Any] = events(answer)[-1]["result"]
    return result


async def test_a_caller_has_so_many_calls_at_once_and_others_have_theirs(sim: Simulator) -> None:
    sim.play("slow seconds=20", "slow seconds=20", "default", "default")
    async with two_callers(sim, RUNAPI_MCP_MAX_CALLS_PER_USER="2") as (ada, bob):
        handles = [
            (await _ask(ada, f"Number {n}.", wait_seconds=0))["_meta"]["ai.runapi/receipt"]["handle"]
            for n in range(2)
        ]
        await sim.wait_for_call(2)
        refused = await _ask(ada, "Number 3.")
        assert refused["isError"] is True
        assert refused["_meta"]["ai.runapi/error"] == "too_many_calls"
        assert "get_result" in refused["content"][0]["text"]
        assert (await _ask(bob, "Number 1 of mine.")).get("isError") is not True
        await ada.call(2, "get_result", handle=handles[0], cancel=True)
        assert (await _ask(ada, "Number 3 again.")).get("isError") is not True


async def test_a_caller_whose_day_leaves_too_few_tokens_is_told_so(sim: Simulator) -> None:
    async with two_callers(sim, RUNAPI_MCP_MAX_TOKENS_PER_DAY="600") as (ada, bob):
        first = await _ask(ada, "A question that leaves some tokens.", max_output_tokens=300)
        refused = await _ask(ada, "And another.", max_output_tokens=590)
        assert refused["_meta"]["ai.runapi/error"] == "budget_spent"
        assert "UTC" in refused["content"][0]["text"]
        handle = first["_meta"]["ai.runapi/receipt"]["handle"]
        again = events(await ada.call(3, "get_result", handle=handle))[-1]["result"]
        assert again["content"] == first["content"]
        assert (await _ask(bob, "My own tokens.")).get("isError") is not True
    assert len(sim.calls) == 2


async def test_calls_are_counted_by_tool_and_outcome(sim: Simulator) -> None:
    async with two_callers(sim) as (ada, _):
        await _ask(ada, "Count me.")
        await ada.call(2, "get_result", handle="g_unknown")
        await ada.call(3, "drop_table; --")
        text = (await ada.http.get("/metrics")).text
    assert 'runapi_mcp_calls_total{outcome="answered",principal="ada",tool="ask_gemini"} 1.0' in text
    assert 'runapi_mcp_calls_total{outcome="error",principal="ada",tool="get_result"} 1.0' in text
    assert 'runapi_mcp_calls_total{outcome="refused",principal="ada",tool="other"} 1.0' in text
    assert "runapi_mcp_calls_in_flight 0.0" in text
    assert "drop_table" not in text
    assert "runapi_mcp_model_swaps_total 0.0" in text


async def test_answers_of_another_model_are_counted(sim: Simulator) -> None:
    sim.roster.swapped["gemini-3-flash-preview"] = "gemini-3.5-flash-lite"
    async with two_callers(sim) as (ada, _):
        await _ask(ada, "Who answers?")
        text = (await ada.http.get("/metrics")).text
    assert "runapi_mcp_model_swaps_total 1.0" in text


async def test_a_cancelled_call_is_counted_as_one(sim: Simulator) -> None:
    sim.play("slow seconds=20")
    async with two_callers(sim) as (ada, _):
        async with ada.calling(1, "ask_gemini", prompt="Leave me."):
            call = await sim.wait_for_call()
            await call.wait_first_byte()
            assert "runapi_mcp_calls_in_flight 1.0" in (await ada.http.get("/metrics")).text
        await call.wait_closed()
        text = (await ada.http.get("/metrics")).text
    assert 'runapi_mcp_calls_total{outcome="cancelled",principal="ada",tool="ask_gemini"} 1.0' in text


async def test_without_the_extra_metrics_say_what_is_missing(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    async with two_callers(sim) as (ada, _):
        answer = await ada.http.get("/metrics")
    assert answer.status_code == 404
    assert "runapi-mcp[metrics]" in answer.text


async def test_a_response_begins_at_once_even_if_no_progress_is_wanted(sim: Simulator) -> None:
    sim.play("slow seconds=2")
    async with two_callers(sim) as (ada, _):
        message = tool_call(1, "ask_gemini", modern=True, prompt="Quiet and slow.")
        del message["params"]["_meta"]["progressToken"]
        began = time.monotonic()
        async with ada.http.stream("POST", "/mcp", json=message, headers=modern_headers(message)) as response:
            assert time.monotonic() - began < 1.5
            assert response.headers["content-type"].startswith("text/event-stream")
            await response.aread()
    [answer] = events(response)
    assert "simulated" in answer["result"]["content"][0]["text"]


async def test_an_error_that_is_found_at_once_keeps_its_status(sim: Simulator) -> None:
    async with two_callers(sim) as (ada, _):
        message = tool_call(1, "no_such_tool", modern=True)
        del message["params"]["_meta"]["progressToken"]
        answer = await ada.http.post("/mcp", json=message, headers=modern_headers(message))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32602


async def test_a_quiet_call_that_is_left_is_cancelled_too(sim: Simulator) -> None:
    sim.play("slow seconds=20")
    async with two_callers(sim) as (ada, _):
        message = tool_call(1, "ask_gemini", modern=True, prompt="Quiet, and left.")
        del message["params"]["_meta"]["progressToken"]
        async with ada.http.stream("POST", "/mcp", json=message, headers=modern_headers(message)):
            call = await sim.wait_for_call()
            await call.wait_first_byte()
        await call.wait_closed()
        assert call.ended == "client left"
