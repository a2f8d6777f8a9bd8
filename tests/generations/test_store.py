"""Keeping generations in memory: found by who asked, joined while undelivered, let go within bounds."""

import gc
import hashlib
import logging
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import pytest
from waiting import became, ended

from generations.played import STOP, WHOLE, Gate, Step, bench, job
from runapi_mcp.errors import Bug, HandleError, RateLimited, StreamCut
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.wire.types import (
    Call,
    Event,
    FunctionCallDelta,
    Grounding,
    Inline,
    Source,
    Text,
    TextDelta,
    Turn,
    Usage,
)


def about(file: str) -> Job:
    """A job whose arguments name a file, of which only the call knows the content."""
    call = Call("gemini-2.5-flash", (Turn("user", (Inline("image/png", file), Text("What is it?"))),))
    return job(call=call, arguments={"prompt": "What is it?", "files": ["/photo.png"]})


# ---------------------------------------------------------------- the same question


async def test_an_expired_answer_is_not_joined() -> None:
    async with bench() as made:
        first = await made.ended(job())
        made.clock.now += Settings().keep_seconds + 1
        second, joined = await made.begin(job())
        assert not joined
        with pytest.raises(HandleError):
            await made.generations.find(first.handle, "ann")
        assert await made.generations.find(second.handle, "ann") is second


async def test_two_partial_answers_of_equal_length_are_continued_apart() -> None:
    one, other = job(begin="It is red"), job(begin="It is fat")
    assert one.same_as != other.same_as
    assert one.same_as == job(begin="It is red").same_as


def test_where_one_part_ends_and_the_next_begins_tells_questions_apart() -> None:
    call = job().call
    one = job(call=replace(call, turns=(Turn("user", (Text("ab"), Text("c"))),)))
    other = job(call=replace(call, turns=(Turn("user", (Text("a"), Text("bc"))),)))
    assert one.same_as != other.same_as


def test_half_a_surrogate_pair_can_be_asked_about() -> None:
    assert job("Why \ud83d?").same_as != job("Why?").same_as


async def test_a_question_is_digested_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digested = 0

    def counted(*args: bytes) -> object:
        nonlocal digested
        digested += 1
        return hashlib.new("sha256", *args)

    monkeypatch.setattr("runapi_mcp.generations.values.hashlib.sha256", counted)
    async with bench() as made:
        await made.ended(job("One"))
        await made.start(job("Other", owner="bob"))
        assert digested == 2
        for _ in range(5):
            await made.begin(job("One"))
        assert digested == 2 + 5  # and what they were compared with was not


async def test_a_large_question_is_digested_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    digested = Job.digested

    def noted(asked: Job) -> Job:
        threads.append(threading.get_ident())
        return digested(asked)

    monkeypatch.setattr(Job, "digested", noted)
    async with bench() as made:
        large = replace(about("b2xk" * 100_000), question=("files",))
        first = await made.ended(large)
        await made.ended(job("Small"))
        assert await made.begin(large) == (first, True)
    assert [thread == threading.get_ident() for thread in threads] == [False, True, False]


def test_a_question_is_the_same_whatever_name_its_file_has_and_another_in_other_turns() -> None:
    asked = replace(about("b2xk"), question=("files",))
    renamed = replace(asked, arguments={"prompt": "What is it?", "files": ["/copy.png"]})
    assert asked.same_as == renamed.same_as == asked.digested().same_as == asked.digested().answered().same_as
    turns = (Turn("user", (Text("a"),)), Turn("model", (Text("b"),)))
    one = replace(asked, call=replace(asked.call, turns=turns))
    other = replace(asked, call=replace(asked.call, turns=(turns[0], replace(turns[1], role="user"))))
    assert one.same_as != other.same_as


# ---------------------------------------------------------------- bounds


async def test_the_oldest_finished_go_first_and_running_ones_stay() -> None:
    gate = Gate()
    async with bench([gate], [TextDelta("Hi"), STOP], settings=Settings(keep_generations=2)) as made:
        running = await made.start(job("Slow"))
        await gate.reached.wait()
        finished = []
        for number in range(4):
            finished.append(await made.ended(job(f"Quick {number}")))
            made.clock.now += 1
        for old in finished[:2]:
            with pytest.raises(HandleError):
                await made.generations.find(old.handle, "ann")
        for kept in (running, *finished[2:]):
            assert await made.generations.find(kept.handle, "ann") is kept


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nothing be freed but by the last reference to it going."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "steps",
    [
        WHOLE,
        [TextDelta("Half"), StreamCut("It stopped.")],
        [RateLimited("Wait.", status=429)],
        [TextDelta("Half"), ZeroDivisionError("a bug")],
        [TextDelta("Half"), STOP, Usage(1), TextDelta("."), StreamCut("It stopped.")],
    ],
    ids=["whole", "cut", "refused", "a bug", "cut late"],
)
async def test_what_is_let_go_is_free_at_once_without_the_collector(
    steps: Sequence[Step], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "runapi_mcp")  # a record kept for tests would hold the traceback
    async with bench(steps, WHOLE, settings=Settings(keep_generations=1)) as made:
        generation = await made.ended(job("One"))
        with suppress(Bug):
            generation.view()
        for step in steps:
            if isinstance(step, ZeroDivisionError):
                step.__traceback__ = None  # this list would hold it
        gone = weakref.ref(generation)
        del generation
        await made.ended(job("Two"))
        await anyio.wait_all_tasks_blocked()
        assert gone() is None


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("how", ["stopped", "left", "interrupted", "abandoned"])
async def test_what_was_ended_by_others_is_free_at_once_without_the_collector(how: str) -> None:
    gate = Gate()
    async with bench([TextDelta("Half"), gate], WHOLE, settings=Settings(keep_generations=1)) as made:
        generation = await made.start(job("One"))
        async with generation.follow():
            await gate.reached.wait()
            if how == "stopped":
                await generation.stop()
            elif how == "interrupted":
                made.generations.interrupt()
                await ended(generation)
        await ended(generation)
        if how == "abandoned":
            generation = Generation(job(), made.clock)
            generation.abandon()
        gone = weakref.ref(generation)
        del generation
        await made.ended(job("Two"))
        await anyio.wait_all_tasks_blocked()
        assert gone() is None


@pytest.mark.parametrize(
    "large",
    [
        TextDelta("x" * 100_000),
        FunctionCallDelta(0, "1", "f", "x" * 100_000),
        Grounding((Source("https://x.test", snippet="x" * 100_000),)),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_whatever_an_answer_holds_counts_against_the_bytes_kept(large: Event) -> None:
    settings = Settings(keep_bytes=300_000)
    async with bench([TextDelta("Hi"), large, STOP], settings=settings) as made:
        first, second = await made.ended(job("One")), await made.ended(job("Two"))
        with pytest.raises(HandleError):
            await made.generations.find(first.handle, "ann")
        assert await made.generations.find(second.handle, "ann") is second


async def test_what_was_delivered_goes_before_what_nobody_has_had() -> None:
    async with bench(settings=Settings(keep_generations=2)) as made:
        unseen, seen = await made.ended(job("Unseen")), await made.ended(job("Seen"))
        await seen.deliver()
        made.clock.now += 1
        last = await made.ended(job("Last"))
        for kept in (unseen, last):
            assert await made.generations.find(kept.handle, "ann") is kept
        with pytest.raises(HandleError):
            await made.generations.find(seen.handle, "ann")


@pytest.mark.parametrize("bound", [{"keep_generations": 1}, {"keep_bytes": 10_000}], ids=str)
async def test_what_was_handed_out_and_not_delivered_stays_for_its_time_and_no_longer(bound: Any) -> None:
    gate = Gate()
    settings = Settings(**bound)
    async with bench([gate, TextDelta("x" * 10_000), STOP], settings=settings) as made:
        owed = [await made.start(job(f"{number}")) for number in range(3)]
        await gate.reached.wait()
        for generation in owed:
            await made.generations.hand_over(generation)
        gate.open.set()
        for generation in owed:
            await ended(generation)
        made.clock.now += settings.keep_seconds
        for generation in owed:
            assert await made.generations.find(generation.handle, "ann") is generation
        await owed[1].deliver()
        with pytest.raises(HandleError):
            await made.generations.find(owed[1].handle, "ann")
        made.clock.now += 1
        with pytest.raises(HandleError):
            await made.generations.find(owed[0].handle, "ann")


async def test_what_ends_is_kept_for_those_who_still_follow_it() -> None:
    gate = Gate()
    async with bench([gate, TextDelta("x" * 10_000), STOP], settings=Settings(keep_bytes=10_000)) as made:
        generation = await made.start(job())
        async with generation.follow():
            await gate.reached.wait()
            gate.open.set()
            await ended(generation)
            assert await made.generations.find(generation.handle, "ann") is generation


class Large(str):
    """A text whose end can be seen."""


@pytest.mark.parametrize(("end", "stays"), [((STOP,), False), ((), True)], ids=["whole", "cut"])
async def test_a_question_is_kept_only_where_it_may_be_asked_again(
    end: tuple[Event, ...], stays: bool
) -> None:
    async with bench([TextDelta("Half"), *end]) as made:
        image = Large("b2xk" * 100_000)
        seen = weakref.ref(image)
        asked = replace(about(image), question=("files",))
        del image
        generation = await made.ended(asked)
        await anyio.wait_all_tasks_blocked()
        again, joined = await made.begin(asked)
        assert (joined, again is generation) == (not stays, not stays)
        await ended(again)
        del asked, again
        made.upstream.asked.clear()
        if not stays:
            await became(lambda: seen() is None)  # a worker thread lets go of it a moment later
            assert generation.job.arguments["files"] == ["…"]
            assert generation.size < 10_000
        else:
            assert seen() is not None
            assert generation.size > 400_000
