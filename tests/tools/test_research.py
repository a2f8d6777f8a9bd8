"""search_web's research: one generation, many searches, a report whose markers are checked."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from waiting import became

from runapi_mcp.generations.spending import DayCounts, Limits
from runapi_mcp.sim import Simulator
from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.scenarios.research import FURTHER, QUESTIONS
from tools.calling import Desk, desk, facts


@pytest.fixture(params=["chat", "native"])
async def at(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim, dialect=request.param) as opened:
        yield opened


def asking(cue: str = "research") -> dict[str, Any]:
    return {"query": f"What is new by the water? [[sim:{cue}]]", "depth": "research"}


async def test_a_research_plans_searches_compares_and_reports(at: Desk, sim: Simulator) -> None:
    reply = await at.call("search_web", **asking())
    told = facts(reply)
    assert told["status"] == "complete"
    assert [one["question"] for one in told["plan"]] == [*QUESTIONS, FURTHER]
    assert {one["status"] for one in told["plan"]} == {"answered"}
    assert all(one["sources"] for one in told["plan"])
    assert "Zoë Ångström won the Lake Vättern regatta" in reply.text
    numbers = [source["number"] for source in told["sources"]]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert len({source["url"] for source in told["sources"]}) == len(numbers), "each page has one number"
    assert told["supports"], "claims have their sources"
    assert told["answer_grounded"] == "partly"
    assert told["uncited_sentences"][-1].startswith("All of it was made up")
    assert told["disagreements"][0]["about"] == "how long Tern-4 takes"
    assert any("Sources disagree on: how long Tern-4 takes." in note for note in told["notes"])
    assert reply.receipt is not None
    assert reply.receipt.searches == 5
    assert reply.receipt.requests == len(sim.calls) == 8
    assert reply.receipt.tokens is not None
    assert reply.receipt.tokens.output is not None


async def test_progress_tells_which_questions_were_asked(at: Desk) -> None:
    await at.call("search_web", **asking("research third=slow"))
    told = " | ".join(at.notes)
    assert "asking, " in told
    assert "questions: 3 of 4 · " in told, told


async def test_a_search_that_fails_is_named_with_its_reason(at: Desk) -> None:
    reply = await at.call("search_web", **asking("research third=cut-clean"))
    told = facts(reply)
    assert told["status"] == "complete"
    failed = told["plan"][2]
    assert (failed["question"], failed["status"]) == (QUESTIONS[2], "failed")
    assert "the stream ended" in failed["why"].lower()
    assert any(QUESTIONS[2] in note for note in told["notes"])


@pytest.mark.parametrize(
    "ending",
    ["cut-rst", "mid-error", "empty-stop", "blocked-prompt", "error-d", "ok-html", "garbage", "no-quota"],
)
async def test_however_one_search_ends_the_others_make_a_report(sim: Simulator, ending: str) -> None:
    async with desk(sim) as at:
        told = facts(await at.call("search_web", **asking(f"research third={ending}")))
        assert told["plan"][2]["status"] == "failed"
        assert told["plan"][2]["why"]
        assert told["plan"][0]["status"] == "answered"
        assert told["status"] == "complete" or ending == "no-quota", (
            "a spent quota ends the calls after it too"
        )


async def test_a_report_that_is_cut_keeps_what_was_found_and_goes_on_from_there(
    at: Desk, sim: Simulator
) -> None:
    reply = await at.call("search_web", **asking("research report=cut-clean"))
    told = facts(reply)
    assert told["status"] == "partial"
    assert {one["status"] for one in told["plan"]} == {"answered"}
    asked = len(sim.calls)
    rest = await at.call("get_result", handle=told["handle"], resume=True)
    assert len(sim.calls) == asked + 1, "nothing is searched for again"
    assert len(facts(rest)["plan"]) == 5


@pytest.mark.parametrize("ending", ["empty-stop", "blocked-prompt", "not-found", "stall-headers"])
async def test_a_report_that_does_not_come_leaves_what_was_found(sim: Simulator, ending: str) -> None:
    async with desk(sim, idle_timeout=0.5) as at:
        reply = await at.call("search_web", **asking(f"research report={ending}"))
        told = facts(reply)
        assert told["status"] == "partial"
        assert "Zoë Ångström won the Lake Vättern regatta" in told["answer"]
        assert told["handle"]


async def test_a_look_that_fails_does_not_end_the_research(at: Desk) -> None:
    reply = await at.call("search_web", **asking("research look=mid-error"))
    assert facts(reply)["status"] == "complete"
    assert [one["question"] for one in facts(reply)["plan"]] == [*QUESTIONS]


async def test_no_more_searches_are_made_than_allowed(at: Desk, sim: Simulator) -> None:
    reply = await at.call("search_web", **asking(), max_searches=2)
    assert reply.receipt is not None
    assert reply.receipt.searches == 2
    assert [one["question"] for one in facts(reply)["plan"]] == [*QUESTIONS[:2]]


async def test_a_plan_that_is_no_json_is_the_question_itself(at: Desk, sim: Simulator) -> None:
    sim.play("prose-instead-of-json")
    reply = await at.call("search_web", query="Who won the Lake Vättern regatta?", depth="research")
    plan = facts(reply)["plan"]
    assert plan[0]["question"] == "Who won the Lake Vättern regatta?"
    assert plan[0]["status"] == "answered"


async def test_where_every_search_fails_the_call_fails(at: Desk, sim: Simulator) -> None:
    sim.play('default text=\'{"questions": ["A?", "B?"]}\'', "error-d", "error-d")
    reply = await at.call("search_web", query="Q?", depth="research")
    assert reply.is_error
    assert "None of 2 searches found anything" in reply.text


async def test_what_was_found_is_kept_when_it_is_cancelled_in_the_middle(at: Desk, sim: Simulator) -> None:
    cue = "research third=stall-middle"
    reply = await at.call("search_web", **asking(cue), wait_seconds=0)

    async def three_answered() -> bool:
        told = facts(await at.call("get_result", handle=reply.handle, wait_seconds=0))
        states = [str(one["status"]) for one in told["plan"]]
        return states.count("answered") == 3

    await became(three_answered)
    stopped = await at.call("get_result", handle=reply.handle, cancel=True)
    told = facts(stopped)
    states = [one["status"] for one in told["plan"]]
    assert states.count("answered") >= 2
    assert "open" in states
    asked = len(sim.calls)
    rest = await at.call("get_result", handle=reply.handle, resume=True, wait_seconds=0)
    assert rest.handle != reply.handle
    await at.call("get_result", handle=rest.handle, cancel=True)
    searched = [call for call in sim.calls[asked:] if "Lake Vättern" in str(call.body)[-300:]]
    assert not searched, "what was found is not searched for again"


async def test_limits_of_research_go_with_that_depth_alone(at: Desk) -> None:
    with pytest.raises(ValueError, match="max_searches: it is of depth research"):
        await at.call("search_web", query="Q", max_searches=3)


async def test_what_its_searches_bring_is_counted_while_they_still_run(sim: Simulator) -> None:
    long = f"{'x' * 499} " * 510
    plan = json.dumps({"questions": ["A?", "B?", "C?", "D?"]})
    searches = [Cue("stall-middle", {"text": long, "seconds": "60"})] * 4
    sim.play(Cue("default", {"text": plan}), *searches)
    async with desk(sim) as at:
        reply = await at.call("search_web", query="Q?", depth="research", wait_seconds=0)
        brought = 4 * len(long) // 2
        await became(lambda: at.generations.memory.used >= 2 * brought)
        assert (await at.call("get_result", handle=reply.handle, cancel=True)).is_error
        assert at.generations.memory.used < brought, "what was not kept is given back"


async def test_searches_for_which_there_is_no_memory_fail_and_the_others_make_a_report(
    sim: Simulator,
) -> None:
    long = f"{'x' * 499} " * 750
    plan = json.dumps({"questions": ["A?", "B?"]})
    sim.play(Cue("default", {"text": plan}), Cue("default", {"text": long}))
    async with desk(sim, memory_bytes=1_200_000) as at:
        told = facts(await at.call("search_web", query="Q?", depth="research"))
    states = {str(one["status"]): one for one in told["plan"]}
    assert "no more of this server's memory is left" in states["failed"]["why"]
    assert states["answered"]
    assert told["status"] == "complete"


async def test_a_limit_that_leaves_no_report_keeps_what_was_found_and_says_so(sim: Simulator) -> None:
    async with desk(sim, max_tokens_per_day=5_000) as at:
        reply = await at.call("search_web", **asking())
        told = facts(reply)
    assert told["status"] == "partial"
    assert "Zoë Ångström won the Lake Vättern regatta" in told["answer"]
    assert [one["status"] for one in told["plan"]].count("failed") >= 1
    assert any("Today's 5,000 tokens" in note and "Partial" in note for note in told["notes"])
    assert reply.receipt is not None
    assert reply.receipt.tokens is not None, "what the searches took is counted"


async def test_what_a_limit_left_undone_is_done_when_it_is_resumed(sim: Simulator) -> None:
    async with desk(sim, max_tokens_per_day=5_000) as at:
        told = facts(await at.call("search_web", **asking()))
        answered = [one["question"] for one in told["plan"] if one["status"] == "answered"]
        tomorrow = replace(at.settings, max_tokens_per_day=100_000)
        at.generations.limits = Limits(DayCounts(), tomorrow, at.upstream.prices.of)
        asked = len(sim.calls)
        rest = await at.call("get_result", handle=told["handle"], resume=True)
    assert facts(rest)["status"] == "complete"
    again = [str(call.body) for call in sim.calls[asked:]]
    assert not any(f"Find out:{question}" in body for body in again for question in answered)
