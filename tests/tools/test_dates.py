"""Searches that know the date, and sources that are not of the dates that were asked for."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from runapi_mcp.citations.sources import Bounds, CitedSource, mark_dates, period_of
from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools.search import SearchArgs
from tools.calling import desk, facts

FERRY = "Does the Merrow ferry run?"
NATIVE = {"model": "gemini-3.7-flash"}


def newest_turn(sim: Simulator) -> str:
    body: Any = sim.calls[-1].body
    if "contents" in body:
        return str(body["contents"][-1]["parts"][-1]["text"])
    return str(body["messages"][-1]["content"])


@pytest.mark.parametrize("model", [{}, NATIVE])
async def test_every_search_says_the_day_behind_the_question(sim: Simulator, model: dict[str, str]) -> None:
    sim.bridge = True
    async with desk(sim) as at:
        await at.call("search_web", query=FERRY, **model)
    assert newest_turn(sim) == f"{FERRY}\n\nToday is Saturday, 2026-11-28 (UTC)."


async def test_the_machines_day_is_said_where_it_is_another_than_utcs(sim: Simulator) -> None:
    evening = datetime(2026, 11, 29, 1, 0, tzinfo=timezone(timedelta(hours=9)))
    async with desk(sim, now=evening) as at:
        await at.call("search_web", query=FERRY)
    assert newest_turn(sim).endswith("Today is Sunday, 2026-11-29 (2026-11-28 in UTC).")
    async with desk(sim, now=evening, working_dir_files=False) as at:  # over the network
        await at.call("search_web", query=FERRY)
    assert newest_turn(sim).endswith("Today is Saturday, 2026-11-28 (UTC).")


async def test_a_question_asked_again_past_midnight_joins_the_one_that_runs(sim: Simulator) -> None:
    async with desk(sim, now=datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC)) as at:
        first = await at.call("search_web", query=f"{FERRY} [[sim:slow]]", recency="week", wait_seconds=0)
        at.clock.now += timedelta(seconds=2)
        again = await at.call("search_web", query=f"{FERRY} [[sim:slow]]", recency="week", wait_seconds=0)
    assert first.handle == again.handle
    assert len(sim.calls) <= 1


async def test_the_day_is_frozen_with_its_question(sim: Simulator) -> None:
    sim.play("cut-clean")
    async with desk(sim) as at:
        cut = await at.call("search_web", query=FERRY)
        at.clock.now += timedelta(days=3)
        await at.call("get_result", handle=cut.handle, resume=True)
    body: Any = sim.calls[-1].body
    said = json.dumps(body["messages"])
    assert said.count("Today is") == 1
    assert "2026-11-28" in body["messages"][1]["content"]


async def test_other_tools_say_no_date(sim: Simulator) -> None:
    async with desk(sim) as at:
        await at.call("ask_gemini", prompt="Why?")
    assert newest_turn(sim) == "Why?"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"recency": "month"}, "The last month began on 2026-10-28."),
        ({"since": "2026-11-01"}, "published on 2026-11-01 or later"),
        ({"until": "2026-11"}, "published on 2026-11-30 or earlier"),
        ({"since": "2026/2"}, "published on 2026-02-01 or later"),
        ({"since": "2026-11-01T10:00:00Z"}, "published on 2026-11-01 or later"),
    ],
)
async def test_dates_are_asked_of_the_model_as_days(
    sim: Simulator, given: dict[str, Any], asked: str
) -> None:
    async with desk(sim) as at:
        reply = await at.call("search_web", query=FERRY, **given)
    body: Any = sim.calls[-1].body
    assert asked in json.dumps(body)
    assert "As of 2026-11-28." in reply.text


@pytest.mark.parametrize(
    ("given", "outside"),
    [
        ({"since": "2026-01-01"}, {"2024-01-15"}),
        ({"until": "2025-12-31"}, {"2026-11-20"}),
        ({"recency": "week"}, {"2026-11-20", "2024-01-15"}),
        ({"recency": "month"}, {"2024-01-15"}),
        ({"since": "2024-01-15", "until": "2026-11-20"}, set()),
    ],
)
async def test_a_source_that_carries_a_date_outside_is_marked_in_both_halves(
    sim: Simulator, given: dict[str, Any], outside: set[str]
) -> None:
    async with desk(sim) as at:
        reply = await at.call("search_web", query=FERRY, **given)
    sources = facts(reply)["sources"]
    assert {s["date"] for s in sources if s.get("outside")} == outside
    assert reply.text.count("outside the dates that were asked for)") == len(outside)
    how = next(iter(facts(reply)["filters"].values()))
    assert f"of {len(sources)} sources 2 carry a date" in how


async def test_without_dates_in_the_question_no_source_is_dated(sim: Simulator) -> None:
    async with desk(sim) as at:
        reply = await at.call("search_web", query=FERRY)
    assert all("date" not in source for source in facts(reply)["sources"])
    assert "As of" not in reply.text


@pytest.mark.parametrize(
    "query",
    [
        "What is the latest on the Merrow ferry?",
        "Fährt die Merrow ferry heute?",
        "¿Cuáles son los últimos horarios del Merrow ferry?",
        "Merrow ferry 最新消息",
        "Расписание Merrow ferry сегодня",
    ],
)
async def test_what_is_asked_of_today_is_answered_as_of_a_day(sim: Simulator, query: str) -> None:
    async with desk(sim) as at:
        reply = await at.call("search_web", query=query)
    assert "As of 2026-11-28." in reply.text
    assert "As of 2026-11-28." in facts(reply)["notes"]


@pytest.mark.parametrize("given", ["yesterday", "28.11.2026", "2026-13-01", "2026-02-30", "20261128", "1"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_what_is_no_day_is_told_what_one_looks_like(name: str, given: str) -> None:
    with pytest.raises(ValidationError, match="must be a day such as 2026-11-28"):
        SearchArgs.model_validate({"query": "Q", name: given})


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="since: must not be after until, 2026-01-01"):
        SearchArgs.model_validate({"query": "Q", "since": "2026-02-01", "until": "2026-01-01"})


async def test_pages_of_the_future_are_refused_with_the_day(sim: Simulator) -> None:
    async with desk(sim) as at:
        with pytest.raises(InputError, match=r"since: 2027-01-01 is yet to come\. Today is 2026-11-28\."):
            await at.call("search_web", query=FERRY, since="2027-01-01")
        # Where the caller is, it may be tomorrow already.
        assert not (await at.call("search_web", query=FERRY, since="2026-11-29")).is_error


def source(url: str = "https://a.example", title: str = "", snippet: str = "") -> CitedSource:
    return CitedSource(
        number=1,
        title=title,
        url=url,
        domain="",
        origin="grounding",
        redirect=False,
        snippet=snippet,
        claims=[],
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "https://a.example/2024/05/17/story"}, "2024-05-17"),
        ({"url": "https://a.example/news/2024-05-17-story.html"}, "2024-05-17"),
        ({"url": "https://a.example/20240517/story"}, "2024-05-17"),
        ({"url": "https://a.example/2024/05/story"}, "2024-05"),
        ({"snippet": "May 17, 2024 — The ferry stopped."}, "2024-05-17"),
        ({"snippet": "17 May 2024 ... The ferry stopped."}, "2024-05-17"),
        ({"title": "The ferry stops - 2024-05-17"}, "2024-05-17"),
        ({"title": "渡轮停航 2024年5月17日"}, "2024-05-17"),
    ],
)
def test_the_day_of_a_page_is_read_where_pages_carry_it(given: dict[str, str], told: str) -> None:
    assert str(period_of(source(**given))) == told


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://a.example/2024/story"},
        {"url": "https://a.example/item/20249917"},
        {"url": "https://a.example/12024051799/x"},
        {"url": "https://a.example/2024/13/45/x"},
        {"snippet": "The ferry that stopped for a long time on May 17, 2024 runs again."},
        {"title": "The 2024 elections"},
        {"url": "https://[bad"},
    ],
)
def test_what_a_page_is_about_is_not_its_day(given: dict[str, str]) -> None:
    assert period_of(source(**given)) is None


def test_a_month_is_outside_only_if_all_of_it_is() -> None:
    from datetime import date

    page = source("https://a.example/2024/05/story")
    assert "outside" not in mark_dates([page], Bounds(since=date(2024, 5, 31)))[0]
    assert mark_dates([page], Bounds(since=date(2024, 6, 1)))[0].get("outside")
    assert mark_dates([page], Bounds(until=date(2024, 4, 30)))[0].get("outside")
    assert "outside" not in page
