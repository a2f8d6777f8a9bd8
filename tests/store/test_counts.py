"""What is counted for all servers, on each engine: what was taken of a day, and what was used."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import anyio
import pytest
from fleet.replicas import job, replica
from pydantic import SecretStr
from waiting import became, ended

from runapi_mcp.generations.spending import KEEP_DAYS, OTHERS, DayBook
from runapi_mcp.generations.store.counts import SharedDayBook
from runapi_mcp.generations.store.engine import LOST, Add, Down, Engine, Get, Take
from runapi_mcp.generations.store.redis import RedisEngine
from runapi_mcp.generations.store.sqlite import SqliteEngine
from runapi_mcp.generations.values import Receipt
from runapi_mcp.sim import Simulator
from runapi_mcp.wire.types import Usage

MS = 60_000
DAY_SECONDS = 86_400
TODAY = date(2026, 5, 4)


@pytest.fixture
async def engine(place: str) -> AsyncIterator[Engine]:
    async with opened(place) as one:
        yield one


@asynccontextmanager
async def opened(place: str) -> AsyncIterator[Engine]:
    engine: Engine
    if place.startswith("redis"):
        engine = RedisEngine(SecretStr(place), anyio.current_time)
    else:
        engine = SqliteEngine(Path(place))
    yield engine
    await engine.aclose()


def receipt(model: str = "gemini-2.5-flash", tokens: Usage | None = Usage(1, 2, 3, None)) -> Receipt:  # noqa: B008
    return Receipt(model, "chat", "complete", True, "stop", "stop", tokens, 0.1, 0.2, 0.0, 1, 1, None)


# ------------------------------------------------------------ taken


def take(field: str, number: int, *, turn: int, limit: int = 100, key: str, there: bool = False) -> Take:
    return Take(key, field, number, turn, limit, MS, there)


async def test_no_server_takes_what_the_others_left_too_little_of(engine: Engine) -> None:
    key = "taken:sum"
    assert await engine.run(take("a", 60, turn=1, key=key), take("b", 40, turn=1, key=key)) == [None, None]
    assert await engine.run(take("c", 1, turn=1, key=key)) == [100], "what the others have"
    assert await engine.run(take("a", 61, turn=2, key=key, there=True)) == [40]
    assert await engine.run(take("a", 10, turn=3, limit=-1, key=key)) == [None]
    assert await engine.run(take("c", 50, turn=2, key=key)) == [None]
    [held] = await engine.run(Get(key))
    assert {field: int(value.split()[0]) for field, value in held.items()} == {"a": 10, "b": 40, "c": 50}


async def test_a_count_that_comes_late_does_no_harm(engine: Engine) -> None:
    key = "taken:late"
    await engine.run(take("a", 60, turn=2, key=key))
    assert await engine.run(take("a", 90, turn=1, limit=-1, key=key)) == [None]
    [held] = await engine.run(Get(key))
    assert held["a"].split()[0] == "60"


async def test_a_count_that_is_lost_is_told_to_whoever_knows_that_it_was_there(engine: Engine) -> None:
    key = "taken:lost"
    assert await engine.run(take("a", 1, turn=5, key=key, there=True)) == [LOST]
    assert await engine.run(take("a", 90, turn=6, limit=-1, key=key, there=True)) == [None], "written anew"
    assert await engine.run(take("a", 91, turn=7, key=key, there=True)) == [None]


# ------------------------------------------------------------ used


async def test_what_two_servers_used_adds_up_and_outlives_both(sim: Simulator, place: str) -> None:
    async with replica(sim.base_url, place) as one, replica(sim.base_url, place) as other:
        output = 0
        for server, owner in ((other, "token:bob"), (one, "token:ann"), (other, "token:ann")):
            search = owner == "token:bob"
            generation = await server.start(job(f"By {owner}?", owner=owner, search=search), fresh=True)
            await ended(generation)
            tokens = generation.view().receipt.tokens
            assert tokens is not None
            output += tokens.output or 0

        async def known() -> bool:  # each writes at its own pace
            return sum(row.counts["generations"] for row in await one.generations.used(1)) >= 3

        await became(known)
    async with replica(sim.base_url, place) as later:
        rows = [row for row in await later.generations.used(1) if row.principal in ("ann", "bob")]
        [of_ann] = await later.generations.used(1, "token:ann")
    told = [(row.principal, row.counts["generations"], row.counts["searches"]) for row in rows]
    assert told == [("ann", 2, 0), ("bob", 1, 1)]
    assert sum(row.counts["output_tokens"] for row in rows) == output
    assert of_ann == rows[0]


async def test_what_is_written_twice_counts_once(engine: Engine) -> None:
    def added(turn: int) -> Add:
        return Add("used:twice", {"calls": 2, "tokens m ann b": 3}, "server1", turn, MS)

    for one in (added(1), added(1), added(2), Add("used:twice", {"calls": 1}, "server2", 2, MS)):
        await engine.run(one)
    [held] = await engine.run(Get("used:twice"))
    assert {name: int(count) for name, count in held.items()} == {"calls": 5, "tokens m ann b": 6}


async def test_while_the_store_is_away_a_server_knows_its_own_and_writes_it_later(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(place) as engine, opened(place) as another:
        book = SharedDayBook(engine, lambda: date(2026, 5, 5))
        with monkeypatch.context() as away:

            async def run(*_ops: object) -> list[object]:
                raise Down

            away.setattr(engine, "run", run)
            book.add(job("One", owner="token:ann"), receipt())
            with pytest.raises(Down):
                await book.write()
            book.add(job("Two", owner="token:ann"), receipt())
            book.add(job("Not counted", owner="token:ann"), receipt("gemini-2.5-pro", None))
            assert [row.counts["generations"] for row in await book.rows(1)] == [2, 1]
        await book.write()
        others = SharedDayBook(another, lambda: date(2026, 5, 5))
        assert [row.counts["output_tokens"] for row in await others.rows(1)] == [4, 0]


async def test_what_others_wrote_may_be_anything(engine: Engine) -> None:
    book = SharedDayBook(engine, lambda: date(2026, 5, 6))
    await engine.run(Add(of_day(engine), {"nonsense": 1, "generations m ann": 1}, "other", 1, MS))
    assert [(row.principal, row.model) for row in await book.rows(1)] == [("ann", "m")]


async def test_what_was_used_by_another_key_or_of_another_base_url_is_not_counted(tmp_path: Path) -> None:
    one, other = SqliteEngine(tmp_path, "one key"), SqliteEngine(tmp_path, "another")
    await one.run(Add(of_day(one), {"generations m local": 1}, "server", 1, MS))
    books = [SharedDayBook(engine, lambda: date(2026, 5, 6)) for engine in (one, other)]
    assert [len(await book.rows(1)) for book in books] == [1, 0]
    for engine in (one, other):
        await engine.aclose()


def of_day(engine: Engine) -> str:
    """Return where it stands what was used on one day."""
    return f"used:2026-05-06:{engine.name('2026-05-06')}"


async def test_a_file_keeps_a_month_and_nothing_else_that_a_wrong_clock_wrote(tmp_path: Path) -> None:
    now = 1_000_000.0
    engine = SqliteEngine(tmp_path, now=lambda: now)
    await engine.run(
        Add("used:2026-05-04", {"generations m ann": 1}, "server", 1, 32 * DAY_SECONDS * 1000),
        Take("calls:x", "server", 1, 1, -1, 32 * DAY_SECONDS * 1000),
    )
    for later, held in ((0, 1), (31, 1), (2, 0)):
        now += later * DAY_SECONDS
        await engine.aclose()
        engine._clear_due = 0.0
        await engine.run(Take("calls:y", "server", 1, 1, -1, MS))  # any writing clears now and then
        [used], [calls] = await engine.run(Get("used:2026-05-04")), await engine.run(Get("calls:x"))
        assert (len(used), len(calls)) == (held, 0)
    await engine.aclose()


# ------------------------------------------------------------ within bounds


async def test_a_month_is_kept_the_newest_day_first() -> None:
    day = TODAY
    book = DayBook(lambda: day)
    for number in range(1, 20):
        day = date(2026, 5, number)
        book.add(job("One", owner="token:ann"), receipt())
    assert [row.day for row in await book.rows(2)] == ["2026-05-19", "2026-05-18"]
    day = date(2026, 6, 10)
    book.add(job("One", owner="token:bob"), receipt())
    rows = await book.rows(KEEP_DAYS)
    assert [row.day for row in rows] == ["2026-06-10", *(f"2026-05-{n}" for n in range(19, 10, -1))]
    assert [row.day for row in await book.rows(KEEP_DAYS, "token:bob")] == ["2026-06-10"]


async def test_what_can_be_made_up_without_an_end_has_no_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runapi_mcp.generations.spending._MOST_ROWS", 3)
    book = DayBook(lambda: TODAY)
    for owner, model, tokens in (
        ("key:0123456789", "gemini-2.5-flash", None),  # nobody knows whether RunAPI would take it
        ("token:ann", "made-up", Usage(1, 1, 0, None)),
        ("token:ann", "gemini-2.5-flash", Usage(1, 1, 0, None)),
        ("token:bob", "gemini-2.5-flash", Usage(1, 1, 0, None)),  # one more than is told apart
    ):
        book.add(job("One", owner=owner), receipt(model, tokens))
    told = Counter((row.principal, row.model) for row in await book.rows(1))
    assert set(told) == {
        (OTHERS, "gemini-2.5-flash"),
        ("ann", "other"),
        ("ann", "gemini-2.5-flash"),
        (OTHERS, OTHERS),
    }
