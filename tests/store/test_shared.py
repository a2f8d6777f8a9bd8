"""Generations that several processes share: the same on every engine."""

import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from fleet.replicas import KEY, Replica, grown, job, replica
from generations.played import WHOLE, Clock, Gate, bench
from logged import logged
from pydantic import SecretStr
from waiting import PATIENCE, became, ended

from runapi_mcp.errors import BusyError, HandleError, ServerLeft, TooManyCalls
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import Followable, shared_store
from runapi_mcp.generations.store.engine import Append, Begin, Down, Forget, Op, Read
from runapi_mcp.generations.store.replica import Replica as RemoteGeneration
from runapi_mcp.generations.store.shared import SharedPacing, SharedStore
from runapi_mcp.generations.store.sqlite import SqliteEngine
from runapi_mcp.generations.store.writer import TOO_LARGE, Writer
from runapi_mcp.generations.values import Job, View
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Answer, Finish

SLOW = "[[sim:slow seconds=30]]"


@pytest.fixture
async def pair(sim: Simulator, place: str) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replica(sim.base_url, place) as one, replica(sim.base_url, place) as other:
        yield one, other


Pair = tuple[Replica, Replica]


@asynccontextmanager
async def served(sim: Simulator, engine: SqliteEngine, **limits: Any) -> AsyncIterator[Replica]:
    """Give a server that shares by an engine of the test's own."""
    settings = Settings(base_url=sim.base_url, **limits)
    store, upstream = SharedStore(engine, settings, anyio.current_time), Upstream(settings)
    async with Generations(upstream, settings, store=store).open() as generations:
        yield Replica(generations, settings)
    await upstream.aclose()


async def _tell_nobody(_seconds: float, _line: str) -> None:
    """Tell nobody."""


async def test_another_server_sees_the_same_answer(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("How tall?"))
    await ended(local)
    remote = await other.find(local.handle)
    await ended(remote)
    here, there = local.view(), remote.view()
    assert there.answer == here.answer
    assert there.receipt == here.receipt
    assert (there.status, there.error, there.note) == ("complete", None, "")
    assert there.job.answered() == here.job  # whose question was let go


async def test_whose_a_question_is_stands_in_the_file_nowhere(sim: Simulator, tmp_path: Path) -> None:
    async with replica(sim.base_url, str(tmp_path)) as one:
        local = await one.start(job("How tall?", owner="ann-of-accounts"))
        await ended(local)
        await one.handed(job("How wide?", owner="ann-of-accounts"))
    [file] = tmp_path.glob("*.sqlite")  # noqa: ASYNC240
    with closing(sqlite3.connect(file)) as kept:
        lines = [*kept.iterdump()]
    assert any(local.handle in line for line in lines)
    named = [line for line in lines if "ann-of-accounts" in line or b"ann-of-accounts".hex().upper() in line]
    # What she used of a day is counted by her name, and who sees the counts may know it.
    assert all(line.startswith('INSERT INTO "fields" VALUES(\'used:') for line in named), named


async def test_sources_and_queries_travel_too(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("Who won the Lake Vättern regatta?", tool="search_web", search=True))
    await ended(local)
    remote = await other.find(local.handle)
    await ended(remote)
    assert remote.view().answer.grounding == local.view().answer.grounding
    assert remote.view().answer.grounding.sources


async def test_a_running_generation_can_be_followed_from_another_server(pair: Pair) -> None:
    one, other = pair
    handle = await one.handed(job("Long [[sim:slow seconds=2]]"))
    remote = await other.find(handle)
    assert remote.status == "running"
    await grown(remote, 5)
    evidence = remote.evidence()
    assert evidence.phase == "writing"
    assert evidence.characters > 0
    assert remote.view().answer.text.endswith(evidence.tail[-3:])
    await ended(remote)
    assert remote.view().answer == (await one.find(handle)).view().answer


async def test_stopping_from_another_server_closes_the_upstream(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    handle = await one.handed(job(f"Stop me {SLOW}"))
    call = await sim.wait_for_call()
    remote = await other.find(handle)
    began = time.monotonic()
    await remote.stop()
    assert time.monotonic() - began < 5.0
    await call.wait_closed()
    assert call.ended == "client left"
    assert remote.status == "cancelled"
    assert (await one.find(handle)).status == "cancelled"


async def test_a_foreign_handle_answers_like_an_unknown_one(pair: Pair) -> None:
    one, other = pair
    handle = await one.handed(job(f"Mine {SLOW}"))
    with pytest.raises(HandleError) as foreign:
        await other.find(handle, "bob")
    with pytest.raises(HandleError) as unknown:
        await other.find("g_nobody", "bob")
    assert str(foreign.value).replace(handle, "X") == str(unknown.value).replace("g_nobody", "X")


async def test_a_handle_of_another_key_says_for_whom_it_is_kept(sim: Simulator, tmp_path: Path) -> None:
    """What is there and not found after a restart with other settings (CaviraOSS/LongMemory#215)."""
    async with replica(sim.base_url, str(tmp_path), key=SecretStr("sk-one")) as one:
        handle = await one.handed(job("Mine?"))
    async with replica(sim.base_url, str(tmp_path), key=SecretStr("sk-two")) as other:
        with pytest.raises(HandleError) as unknown:
            await other.find(handle)
    assert "for the same base URL and key" in unknown.value.advice


async def test_the_same_question_on_two_servers_is_asked_once(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    begun: list[tuple[Followable, bool]] = []

    async def ask(server: Replica) -> None:
        begun.append(await server.begin(job(f"Twice? {SLOW}")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, one)
        tasks.start_soon(ask, other)
    assert len({generation.handle for generation, _ in begun}) == 1
    assert sorted(joined for _, joined in begun) == [False, True]

    def asked() -> int:  # what an earlier test asked may come late
        return len([call for call in sim.calls if "Twice?" in str(call.body)])

    await became(lambda: asked() > 0)
    assert asked() == 1


async def test_a_question_whose_answer_was_had_is_asked_once_by_two_who_ask_again(pair: Pair) -> None:
    first = await pair[0].start(job("Thrice?"))
    await ended(first)
    await first.deliver()

    async def delivered() -> bool:
        return (await pair[1].find(first.handle)).delivered

    await became(delivered)
    begun: list[tuple[Followable, bool]] = []

    async def ask(server: Replica) -> None:
        begun.append(await server.begin(job("Thrice?")))

    async with anyio.create_task_group() as tasks:
        for server in pair:
            tasks.start_soon(ask, server)
    assert len({generation.handle for generation, _ in begun} | {first.handle}) == 2
    assert sorted(joined for _, joined in begun) == [False, True]


async def test_who_is_full_joins_what_another_server_has_of_the_same(place: str, sim: Simulator) -> None:
    full = {"max_running": 1, "max_waiting": 0}
    async with replica(sim.base_url, place) as one, replica(sim.base_url, place, **full) as other:
        await other.start(job(f"Mine {SLOW}", owner="bob"))
        first = await one.start(job(f"Same {SLOW}"))
        second, joined = await other.begin(job(f"Same {SLOW}"))
        assert (second.handle, joined) == (first.handle, True)
        for refused in (job(f"Other {SLOW}"), job(f"Same {SLOW}", owner="bob")):
            with pytest.raises(BusyError):
                await other.begin(refused)
        with pytest.raises(BusyError):
            await other.begin(job(f"Same {SLOW}"), fresh=True)


async def test_who_joins_takes_nothing_of_the_day_and_is_not_counted_or_logged_as_one_more(
    place: str, sim: Simulator
) -> None:
    limits = {"max_tokens_per_day": 100_000}
    async with replica(sim.base_url, place) as one, replica(sim.base_url, place, **limits) as other:
        told: list[Job] = []
        other.generations.settled.append(lambda job, _receipt: told.append(job))
        first = await one.start(job(f"Whose? {SLOW}"))
        with logged(Settings(log="debug")) as log:
            second, joined = await other.begin(job(f"Whose? {SLOW}"))
        assert (second.handle, joined) == (first.handle, True)
        assert not [line for line in log.getvalue().splitlines() if '"event": "generation"' in line]
        assert not told
        assert not other.generations.memory.used
        assert await other.generations.limits.left("ann") == (
            "Left until 00:00 UTC: 100,000 of 100,000 tokens."
        )


async def test_another_principal_or_a_fresh_one_is_not_joined(pair: Pair) -> None:
    one, other = pair
    first = await one.start(job(f"Who? {SLOW}"))
    _, joined = await other.begin(job(f"Who? {SLOW}", owner="bob"))
    assert not joined
    fresh, joined = await other.begin(job(f"Who? {SLOW}"), fresh=True)
    assert not joined
    assert fresh.handle != first.handle


async def test_a_delivered_answer_is_not_joined_elsewhere(pair: Pair) -> None:
    one, other = pair
    first = await one.start(job("Again?"))
    await ended(first)
    second, joined = await other.begin(job("Again?"))
    await ended(second)
    assert joined
    await second.deliver()
    third, joined = await one.begin(job("Another?"))
    await ended(third)
    await third.deliver()

    async def delivered() -> bool:
        return (await other.find(third.handle)).delivered

    await became(delivered)
    _, joined = await other.begin(job("Another?"))
    assert not joined


async def test_who_joins_keeps_it_running_when_the_first_one_leaves(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    local = await one.start(job("Keep [[sim:slow seconds=1.5]]"))
    assert isinstance(local, Generation)
    async with local.follow():
        remote, joined = await other.begin(job("Keep [[sim:slow seconds=1.5]]"))
        assert joined
        call = await sim.wait_for_call()
        await became(lambda: local.handed_over)  # the word has reached the server that runs it
    await ended(remote)
    assert remote.status == "complete"
    await call.wait_closed()
    assert call.ended == "complete"


async def ask(server: Replica, views: list[View]) -> None:
    """Ask the same question each time as a tool does, and add what came of it."""
    upstream = Upstream(server.settings)
    run = Run(server.settings, upstream, server.generations, Caller(owner="ann", key=KEY), _tell_nobody)
    view, _ = await run.generate(job("Whose?"))
    views.append(view)
    await upstream.aclose()


async def test_who_joined_what_another_server_cancels_has_an_answer_all_the_same(
    pair: Pair, sim: Simulator
) -> None:
    """Its host may give up in the moment in which it is joined, before anybody can have told it."""
    one, other = pair
    views: list[View] = []
    sim.play("slow seconds=30")
    first = await one.start(job("Whose?"))
    assert isinstance(first, Generation)
    await sim.wait_for_call()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, other, views)
            await became(lambda: first.handed_over)  # it is joined
            first.cancel()
    assert [(view.status, view.handle == first.handle) for view in views] == [("complete", False)]
    assert len(sim.calls) == 2


async def test_who_joined_what_a_server_dies_with_before_a_word_came_has_an_answer_all_the_same(
    sim: Simulator, tmp_path: Path
) -> None:
    engine, views = SqliteEngine(tmp_path), list[View]()
    writer = Writer(engine, 60.0, lambda _generation: True)
    first = Generation(job("Whose?").digested(), anyio.current_time)
    async with served(sim, SqliteEngine(tmp_path)) as other, anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as dying:
            dying.start_soon(writer.forever)
            await writer.begin(first, "")
            tasks.start_soon(ask, other, views)

            async def joined() -> bool:
                return bool(await engine.orders())

            await became(joined)
            dying.cancel_scope.cancel()
        await engine.aclose()  # as the kernel does for whoever is killed
        await became(lambda: bool(views))
    assert [(view.status, view.handle == first.handle) for view in views] == [("complete", False)]


@pytest.mark.skipif(sys.platform == "win32", reason="what is open there cannot be removed")
async def test_who_follows_another_server_is_not_told_that_it_went_away_when_their_folder_did(
    sim: Simulator, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    engine = SqliteEngine(state)
    async with served(sim, engine) as one, served(sim, SqliteEngine(state)) as other:
        first = await one.start(job(f"Gone? {SLOW}"))
        second, joined = await other.begin(job(f"Gone? {SLOW}"))
        assert (second.handle, joined) == (first.handle, True)
        await grown(second, 5)
        shutil.rmtree(state)

        async def written_anew() -> bool:
            return first.handle in await engine.recent("ann", 10)

        async with second.follow():
            await became(written_anew)
            await first.stop()
            await ended(second)
        assert second.status == "cancelled"
        assert second.view().answer.text == first.view().answer.text


async def test_one_that_was_told_to_end_is_not_joined_from_another_server(place: str) -> None:
    clock, gate, closing = Clock(), Gate(), Gate()
    settings = Settings(store=SecretStr(place))
    one, other = (shared_store(settings, clock) for _ in range(2))
    async with (
        bench([gate], store=one, clock=clock) as here,
        bench(WHOLE, store=other, clock=clock) as there,
    ):
        here.upstream.closing = closing
        first = await here.start(job("Go on?"))
        await gate.reached.wait()
        first.cancel()

        async def known() -> bool:
            found = await there.generations.find(first.handle, "ann")
            return isinstance(found, RemoteGeneration) and found.leaving

        await became(known)
        second, joined = await there.begin(job("Go on?"))
        assert not joined
        assert first.status == "running"  # until its connection has closed
        closing.open.set()
        await ended(second)
        assert second.status == "complete"


async def test_a_cut_answer_keeps_its_error_and_text_everywhere(pair: Pair) -> None:
    one, other = pair
    local = await one.start(job("Cut [[sim:cut-clean]]"))
    await ended(local)
    remote = await other.find(local.handle)
    await ended(remote)
    here, there = local.view(), remote.view()
    assert here.error is not None
    assert there.error is not None
    assert (there.status, type(there.error), str(there.error)) == (
        here.status,
        type(here.error),
        str(here.error),
    )
    assert there.answer.text == here.answer.text


async def test_a_server_that_leaves_in_order_says_so_at_once(sim: Simulator, place: str) -> None:
    async with replica(sim.base_url, place) as other:
        async with replica(sim.base_url, place) as one:
            handle = await one.handed(job(f"Bye {SLOW}"))
            remote = await other.find(handle)
            await grown(remote, 5)
            one.generations.interrupt()
        await ended(remote, 2)
        view = remote.view()
        assert view.status == "partial"
        assert isinstance(view.error, ServerLeft)
        assert view.answer.text


async def test_a_question_too_large_to_share_stays_here_and_says_so(pair: Pair) -> None:
    one, other = pair
    handle = await one.handed(job("x" * 4_200_000 + SLOW))
    assert (await one.find(handle)).view().note == TOO_LARGE
    with pytest.raises(HandleError):
        await other.find(handle)


async def test_a_wait_that_one_server_was_asked_for_holds_for_all(pair: Pair, sim: Simulator) -> None:
    one, other = pair
    sim.play("rate-limit-once seconds=30")
    refused = await one.start(job("First"))
    await ended(refused)
    assert refused.status == "failed"
    sent = len(sim.calls)
    also = await other.start(job("Second"))
    await ended(also)
    assert "nothing was sent" in str(also.view().error)
    assert len(sim.calls) == sent


class Counted(SqliteEngine):
    """Notes what it is asked to do, from when to when."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.done: list[tuple[float, tuple[Op, ...], float]] = []

    async def run(self, *ops: Op) -> list[Any]:
        began = anyio.current_time()
        answers = await super().run(*ops)
        self.done.append((began, ops, anyio.current_time()))
        return answers


async def test_who_begins_together_with_others_asks_for_a_wait_once(tmp_path: Path) -> None:
    engine, clock = Counted(tmp_path), Clock()
    pacing, there = SharedPacing(engine, clock), SharedPacing(engine, clock)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(pacing.left, "one")
    assert not await pacing.left("one")
    assert len(engine.done) == 1
    await there.ask("one", 30.0)
    looks = len(engine.done)
    assert not await pacing.left("two")  # what was read of one wait is nothing about another
    assert len(engine.done) == looks + 1
    clock.now += 0.05
    assert 29.0 < await pacing.left("one") <= 30.0
    clock.now += 31.0
    engine.done.clear()
    assert await pacing.left("one") <= 30.0
    assert len(engine.done) == 1
    await engine.aclose()


async def test_the_longer_of_two_waits_counts_that_servers_are_asked_for_at_once(tmp_path: Path) -> None:
    one, other = SqliteEngine(tmp_path), SqliteEngine(tmp_path)
    clock = Clock()
    pacing, there = SharedPacing(one, clock), SharedPacing(other, clock)
    assert not await pacing.left("one")
    await there.ask("one", 40.0)
    await pacing.ask("one", 2.0)  # within the moment for which it need not look again
    third = SqliteEngine(tmp_path)
    assert 39.0 < await SharedPacing(third, clock).left("one") <= 40.0
    for engine in (one, other, third):
        await engine.aclose()


async def test_a_wait_of_a_clock_that_has_jumped_back_holds_nobody_up(tmp_path: Path) -> None:
    """One of an hour from now, that no server was asked for (junhoyeo/tokscale#1207)."""
    now, clock = time.time(), Clock()
    engine = SqliteEngine(tmp_path, now=lambda: now)
    await SharedPacing(engine, clock).ask("one", 60.0)
    now -= 0.5
    assert await SharedPacing(engine, clock).left("one") == 60.0, "a clock that is set right has not jumped"
    now -= 3600
    pacing = SharedPacing(engine, clock)
    assert not await pacing.left("one")
    await pacing.ask("one", 5.0)
    assert 4.0 < await SharedPacing(engine, clock).left("one") <= 5.0
    await engine.aclose()


class Silent(SqliteEngine):
    """Counts how often it is asked, and never answers."""

    asked = 0

    async def run(self, *_ops: Op) -> list[Any]:
        self.asked += 1
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_look_that_does_not_come_back_holds_up_all_who_wait_for_it_once(tmp_path: Path) -> None:
    engine = Silent(tmp_path)
    engine.patience = 0.05
    pacing = SharedPacing(engine, Clock())
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(pacing.left, "one")
    assert engine.asked == 1
    await engine.aclose()


async def test_who_has_the_handle_of_what_had_no_text_yet_is_told_that_its_server_left(
    sim: Simulator, place: str
) -> None:
    """And not that it was cancelled, which nobody did: a host that starts a process for each call."""
    async with replica(sim.base_url, place) as one:
        handle = await one.handed(job("Anything? [[sim:stall-headers seconds=30]]"))
    async with replica(sim.base_url, place) as other:
        view = (await other.find(handle)).view()
    assert (view.status, type(view.error)) == ("failed", ServerLeft)


async def test_who_opens_the_file_may_take_twice_as_long_as_who_finds_it_open(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is started for one question, on a busy machine, is to join what another answers."""
    left: list[float] = []
    begin = Writer.begin

    async def timed(self: Writer, generation: Generation, replaces: str) -> str:
        left.append(anyio.current_effective_deadline() - anyio.current_time())
        return await begin(self, generation, replaces)

    monkeypatch.setattr(Writer, "begin", timed)
    monkeypatch.setattr(SqliteEngine, "patience", 1_000.0)
    async with replica(sim.base_url, str(tmp_path)) as one:
        await one.start(job("First?"))
        await one.start(job("Second?"))
    assert left[0] > 1_000 >= left[1]


async def test_what_is_refused_for_want_of_a_place_was_never_there_to_be_joined(
    sim: Simulator, tmp_path: Path
) -> None:
    one, other = Counted(tmp_path), Counted(tmp_path)
    async with (
        served(sim, one, max_calls_per_user=1) as here,
        served(sim, other, max_calls_per_user=1) as there,
    ):
        await here.start(job(f"First {SLOW}"))
        with pytest.raises(TooManyCalls):
            await there.start(job(f"Second {SLOW}"))
    assert any(isinstance(op, Begin) for _, ops, _ in one.done for op in ops)
    assert not any(isinstance(op, Begin) for _, ops, _ in other.done for op in ops)


class Unforgetting(SqliteEngine):
    """Is locked by others whenever it is to forget something, but for the last time."""

    refusals = 3

    async def run(self, *ops: Op) -> list[Any]:
        if self.refusals and any(isinstance(op, Forget) for op in ops):
            self.refusals -= 1
            raise Down(self.note)
        return await super().run(*ops)


async def test_who_joins_does_so_though_its_own_beginning_cannot_be_taken_back_yet(
    sim: Simulator, tmp_path: Path
) -> None:
    engine = Unforgetting(tmp_path)
    async with served(sim, SqliteEngine(tmp_path)) as one, served(sim, engine) as other:
        first = await one.start(job(f"Same {SLOW}"))
        second, joined = await other.begin(job(f"Same {SLOW}"))
        assert (second.handle, joined) == (first.handle, True)

        async def forgotten() -> bool:
            return await engine.recent("ann", 10) == [first.handle]

        await became(forgotten)
    assert not engine.refusals
    assert len(sim.calls) == 1


async def test_what_another_server_is_known_to_have_is_waited_for_longer_than_to_know_that(
    sim: Simulator, tmp_path: Path
) -> None:
    """Three processes that are started for the same question at once keep a machine of two cores busy."""

    class Timed(SqliteEngine):
        patience = 1_000.0
        left = 0.0

        async def run(self, *ops: Op) -> list[Any]:
            if any(isinstance(op, Read) for op in ops):
                self.left = self.left or anyio.current_effective_deadline() - anyio.current_time()
            return await super().run(*ops)

    engine = Timed(tmp_path)
    async with served(sim, SqliteEngine(tmp_path)) as one, served(sim, engine) as other:
        await other.start(job("Opened?"))
        first = await one.start(job(f"Same {SLOW}"))
        second, _ = await other.begin(job(f"Same {SLOW}"))
        assert second.handle == first.handle
    assert engine.left > 1_000


async def test_between_two_writes_others_have_time_to_join_the_next(sim: Simulator, tmp_path: Path) -> None:
    engine = Counted(tmp_path)
    async with served(sim, engine) as one:
        for number in range(5):
            await ended(await one.start(job(f"{number}?")))
        writes = [
            (began, ended_at)
            for began, ops, ended_at in engine.done
            if any(isinstance(op, Begin | Append) for op in ops)
        ]
    assert len(writes) >= 5
    assert all(later[0] - earlier[1] > 0.009 for earlier, later in pairwise(writes))


async def test_a_job_from_another_server_takes_the_course_of_its_tool(pair: Pair) -> None:
    one, other = pair
    asked = replace(job("x"), tool="extract_json", arguments={"text": "x", "schema": {"type": "object"}})
    handle = await one.handed(asked)
    found = (await other.find(handle)).view().job
    assert found == asked.digested()
    policy = TOOLS[found.tool].policy(found)
    verdict = await policy.judge(["["], "")
    assert policy.follow_up(Answer("[", finish=Finish("stop", "stop")), (), verdict) is not None
