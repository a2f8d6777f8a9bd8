"""search_web with a schema: the grounded answer, then that answer as JSON with the sources of each value."""

import json
import shlex
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runapi_mcp.citations.annotate import annotate
from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools.search_schema import sources_of
from runapi_mcp.wire.types import Answer, Grounding, Source, Support
from tools.calling import Desk, desk, facts

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "winner": {"type": "string"},
        "lake": {"type": "string"},
        "prize": {"type": ["number", "null"]},
    },
    "required": ["winner"],
}
QUERY = "Who won the Lake Vättern regatta?"


@pytest.fixture(params=["chat", "native"])
async def at(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim, dialect=request.param) as opened:
        yield opened


def saying(answer: Any) -> str:
    return f"default text={shlex.quote(json.dumps(answer, ensure_ascii=False))}"


async def test_each_value_carries_the_sources_of_its_sentence_or_an_explicit_null(
    at: Desk, sim: Simulator
) -> None:
    value = {"winner": "Zoë Ångström", "lake": "Lake Vättern", "prize": 500}
    sim.play("default", saying(value))
    reply = await at.call("search_web", query=QUERY, schema=SCHEMA)
    told = facts(reply)
    assert told["data"] == value == json.loads(reply.body)
    assert told["value_sources"]["/lake"], "it stands in more sentences than one"
    [number] = told["value_sources"]["/winner"]
    assert told["sources"][number - 1]["title"] == "Zoë Ångström wins the regatta"
    assert told["value_sources"]["/prize"] is None
    assert "1 of 3 values have no source." in told["notes"]
    assert f"/winner: [{number}]" in reply.listed
    assert set(told["value_sources"]) == {"/winner", "/lake", "/prize"}, "every leaf has one of the two"


async def test_it_is_two_requests_of_one_generation_and_neither_asks_for_both(
    at: Desk, sim: Simulator
) -> None:
    sim.play("default", saying({"winner": "Zoë Ångström"}))
    reply = await at.call("search_web", query=QUERY, schema=SCHEMA)
    assert reply.receipt is not None
    assert (reply.receipt.requests, reply.receipt.searches) == (2, 1)
    asked = [json.dumps(call.body) for call in sim.calls]
    schemas = ["winner" in body for body in asked]
    assert schemas == [False, True]
    again = await at.call("get_result", handle=reply.handle)
    assert facts(again)["data"] == facts(reply)["data"]


async def test_json_that_does_not_conform_is_asked_for_once_more(at: Desk, sim: Simulator) -> None:
    sim.play("default", saying({"loser": 1}), saying({"winner": "Zoë Ångström"}))
    reply = await at.call("search_web", query=QUERY, schema=SCHEMA)
    assert facts(reply)["data"] == {"winner": "Zoë Ångström"}
    assert facts(reply)["value_sources"]["/winner"]


async def test_an_answer_that_does_not_fit_the_schema_is_given_as_it_was_found(
    at: Desk, sim: Simulator
) -> None:
    sim.play("default", saying({"loser": 1}), saying({"loser": 1}))
    reply = await at.call("search_web", query=QUERY, schema=SCHEMA)
    assert reply.is_error
    assert "Zoë Ångström won" in facts(reply)["answer"]
    assert facts(reply)["violations"]
    assert facts(reply)["sources"]


async def test_a_cut_in_the_json_keeps_the_answer_and_goes_on_from_it(at: Desk, sim: Simulator) -> None:
    sim.play("default", "cut-clean")
    reply = await at.call("search_web", query=QUERY, schema=SCHEMA)
    told = facts(reply)
    assert told["status"] == "partial"
    assert "Zoë Ångström won" in told["answer"]
    asked = len(sim.calls)
    sim.play(saying({"winner": "Zoë Ångström"}))
    rest = await at.call("get_result", handle=told["handle"], resume=True)
    assert facts(rest)["data"] == {"winner": "Zoë Ångström"}
    assert facts(rest)["value_sources"]["/winner"]
    assert len(sim.calls) == asked + 1, "nothing is searched for again"


async def test_a_limit_that_leaves_no_json_keeps_the_answer_with_its_sources(sim: Simulator) -> None:
    async with desk(sim, max_tokens_per_day=2_200) as at:
        told = facts(await at.call("search_web", query=QUERY, schema=SCHEMA))
    assert told["status"] == "partial"
    assert "Zoë Ångström won" in told["answer"]
    assert told["sources"]
    assert any("Today's 2,200 tokens" in note for note in told["notes"])


@pytest.mark.parametrize("cut", ["cut-clean", "cut-rst", "mid-error"])
async def test_an_answer_cut_before_its_sources_came_is_searched_for_anew(
    at: Desk, sim: Simulator, cut: str
) -> None:
    sim.play(cut)
    told = facts(await at.call("search_web", query=QUERY, schema=SCHEMA))
    assert told["status"] == "partial"
    assert "Zoë Ångström won" in told["answer"]
    sim.play("default", saying({"winner": "Zoë Ångström"}))
    rest = facts(await at.call("get_result", handle=told["handle"], resume=True))
    assert rest["status"] == "complete"
    [number] = rest["value_sources"]["/winner"]
    assert rest["sources"][number - 1]["title"] == "Zoë Ångström wins the regatta"
    assert len(sim.calls) == 3


@pytest.mark.parametrize(
    ("arguments", "taught"),
    [
        ({"schema": {"type": "object", "properties": {}, "additionalProperties": False}}, "schema"),
        ({"schema": SCHEMA, "depth": "research"}, "schema: it goes with depth quick or thorough"),
        ({"include_domains": ["a.org"], "exclude_domains": ["a.org"]}, "a.org is in include_domains too"),
        ({"include_domains": ["docs.a.org"], "exclude_domains": ["a.org"]}, "leaves none of include_domains"),
        ({"recency": "day", "until": "2020-01-01"}, "recency: pages would have to be of 2026-11-27 or later"),
        ({"since": "2026-05-02", "until": "2026-05-01"}, "since: must not be after until"),
        ({"since": "2030-01-01"}, "since: 2030-01-01 is yet to come"),
        ({"schema": {"type": "null"}}, "only one value would conform"),
        ({"schema": {"const": 1}}, "only one value would conform"),
        ({"schema": {"type": "array", "maxItems": 0}}, "only one value would conform"),
        ({"schema": {"properties": {"image": {"contentEncoding": "base64"}}}}, "/image asks for bytes"),
        (
            {"schema": {"type": "array", "items": {"properties": {"pdf": {"format": "binary"}}}}},
            r"/\*/pdf asks for bytes",
        ),
    ],
)
async def test_what_cannot_be_filled_is_refused_before_anything_is_paid(
    at: Desk, sim: Simulator, arguments: dict[str, Any], taught: str
) -> None:
    with pytest.raises((InputError, ValueError), match=taught):
        await at.call("search_web", query=QUERY, **arguments)
    assert not sim.calls


async def test_filters_that_an_earlier_search_rules_out_are_refused_too(at: Desk, sim: Simulator) -> None:
    first = await at.call("search_web", query=QUERY, include_domains=["example.org"], since="2026-05-01")
    handle = facts(first)["continue_from"]
    for arguments in ({"exclude_domains": ["example.org"]}, {"until": "2026-01-01"}):
        with pytest.raises(InputError, match=r"leaves none of|pages would have to be of"):
            await at.call("search_web", query="And then?", continue_from=handle, **arguments)
    assert len(sim.calls) == 1


def test_a_value_has_the_sources_of_its_sentence_and_not_of_the_one_that_ends_before_it() -> None:
    text = "Ada won in Rome. Bob won in Oslo."
    sources = tuple(Source(f"https://{name}.example/") for name in "ab")
    supports = (Support(0, 16, "", (0,)), Support(17, len(text), "", (1,)))
    cited = annotate(Answer(text=text, grounding=Grounding(sources, supports)), 9)
    places = {"/one": {"start": 0, "end": 3}, "/other": {"start": 17, "end": 20}}
    value = {"one": "Ada", "other": "Bob", "neither": "Eve"}
    assert sources_of(places, cited, text, value) == {"/one": [1], "/other": [2], "/neither": None}
