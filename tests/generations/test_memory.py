"""What callers make the server hold: within its budget whatever they do, and what is owed stays."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import ended

from generations.played import STOP, Bench, Gate, Step, bench, job
from runapi_mcp.errors import AnswerTooLong, MemoryFull
from runapi_mcp.generations.generation import ANSWER_ROOM, Generation
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import MIB, Settings
from runapi_mcp.wire.types import Inline, TextDelta, Turn

SMALL: Final = Settings(memory_bytes=8 * MIB, keep_bytes=2 * MIB, keep_generations=20, keep_seconds=100.0)


def showing(size: int, *, owner: str = "ann", name: str = "") -> Job:
    """A question about an image of so many bytes."""
    plain = job(f"What is it? {name}", owner=owner)
    image = Inline("image/png", "A" * size)
    return replace(plain, call=replace(plain.call, turns=(Turn("user", (image,)), *plain.call.turns)))


async def owe(made: Bench, asked: Job) -> Generation:
    """Begin one, let it end, and give out its handle."""
    generation = await made.start(asked)
    await made.generations.hand_over(generation)
    await ended(generation)
    return generation


# ---------------------------------------------------------------- admission


async def test_a_caller_whose_undelivered_answers_fill_its_share_is_refused_with_their_handles() -> None:
    async with bench([TextDelta("x" * 600_000), STOP], settings=SMALL) as made:
        owed = [await owe(made, job(str(number))) for number in range(4)]
        with pytest.raises(MemoryFull) as refused:
            await made.begin(job("One more"))
        assert all(generation.handle in str(refused.value) for generation in owed)
        assert "get_result" in str(refused.value)
        other, _ = await made.begin(job("Another's", owner="bob"))
        await ended(other)
        await owed[0].deliver()
        await made.ended(job("Again"))
        for generation in owed[1:]:
            assert await made.generations.find(generation.handle, "ann") is generation


async def test_a_question_larger_than_a_share_is_refused_and_holds_nothing_after_it() -> None:
    async with bench(settings=SMALL) as made:
        with pytest.raises(MemoryFull, match=r"send less; RUNAPI_MCP_MEMORY_BYTES"):
            await made.begin(showing(5 * MIB))
        assert made.generations.memory.used == 0
        assert not made.upstream.asked


async def test_what_runs_and_waits_counts_and_the_question_is_given_back_when_it_is_answered() -> None:
    gate = Gate()
    async with bench([gate, TextDelta("Red."), STOP], settings=replace(SMALL, max_running=1)) as made:
        first = await made.start(showing(MIB // 2, name="1"))
        second = await made.start(showing(MIB // 2, name="2"))
        await gate.reached.wait()
        assert made.generations.memory.held("ann") >= 2 * MIB
        gate.open.set()
        await ended(first)
        await ended(second)
        assert made.generations.memory.used < 64 * 1024


async def test_a_generation_that_lost_its_place_to_another_holds_nothing() -> None:
    generation = Generation(job(), lambda: 0.0)
    generation.abandon()
    assert generation.memory.size == 0
    await generation.deliver()
    assert generation.memory.size == 0


# ---------------------------------------------------------------- one answer


async def test_an_answer_past_its_limit_ends_partial_and_says_so() -> None:
    steps = [TextDelta("x" * 100_000)] * 20
    async with bench([*steps, STOP], settings=replace(SMALL, max_answer_bytes=MIB)) as made:
        view = (await made.ended(job())).view()
    assert view.status == "partial"
    assert isinstance(view.error, AnswerTooLong)
    assert "RUNAPI_MCP_MAX_ANSWER_BYTES" in str(view.error)
    assert MIB // 2 <= len(view.answer.text) <= MIB // 2 + 100_000
    assert view.error.partial == view.answer.text


async def test_an_answer_that_outgrows_its_callers_share_ends_partial_and_others_go_on() -> None:
    steps = [TextDelta("x" * 100_000)] * 40
    async with bench([*steps, STOP], [TextDelta("Small."), STOP], settings=SMALL) as made:
        view = (await made.ended(job())).view()
        assert (view.status, type(view.error)) == ("partial", AnswerTooLong)
        assert len(view.answer.text) > MIB
        assert (await made.ended(job("Another's", owner="bob"))).status == "complete"


async def test_room_grows_with_the_answer_and_shrinks_to_what_it_came_to() -> None:
    gate = Gate()
    async with bench([TextDelta("x" * 500_000), gate, STOP], settings=SMALL) as made:
        generation = await made.start(job())
        await gate.reached.wait()
        assert generation.memory.size > 1_000_000
        gate.open.set()
        await ended(generation)
        assert 1_000_000 < generation.memory.size < 1_000_000 + ANSWER_ROOM
        assert generation.memory.spare


# ---------------------------------------------------------------- who goes first


async def test_one_callers_load_does_not_drop_what_another_has_still_to_fetch() -> None:
    async with bench([TextDelta("x" * 100_000), STOP], settings=SMALL) as made:
        owed = await owe(made, job("Bob's", owner="bob"))
        for number in range(60):
            generation, _ = await made.begin(job(f"{number}"), fresh=True)
            await ended(generation)
            await generation.deliver()
        assert await made.generations.find(owed.handle, "bob") is owed


async def test_what_is_kept_for_nobody_makes_room_for_what_somebody_sends() -> None:
    async with bench([TextDelta("x" * 400_000), STOP], settings=SMALL) as made:
        for number in range(3):
            await (await made.ended(job(str(number)))).deliver()
        assert made.generations.memory.spare > MIB
        memory = made.generations.memory
        with memory.reserve("bob", 4 * MIB), memory.reserve("cy", 2 * MIB), memory.reserve("dee", MIB):
            assert memory.used <= memory.most
            assert memory.spare < MIB


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "owe", "owe", "fetch", "fetch", "join", "read a body", "wait"]),
        st.sampled_from(["ann", "bob", "cy"]),
        st.integers(0, 900),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(ACTS)
async def test_whatever_callers_do_what_is_owed_is_there_and_the_budget_holds(
    acts: list[tuple[str, str, int]],
) -> None:
    bounds = replace(SMALL, memory_bytes=2 * MIB, keep_bytes=MIB, keep_generations=4)
    steps: list[Step] = []
    async with bench(steps, settings=bounds) as made:
        owed: list[Generation] = []
        asked: dict[str, Job] = {}
        for number, (what, owner, size) in enumerate(acts):
            steps[:] = [TextDelta("x" * size * 1024), STOP]
            mine = [generation for generation in owed if generation.job.owner == owner]
            try:
                match what:
                    case "ask":
                        generation, _ = await made.begin(showing(size, owner=owner, name=str(number)))
                        await ended(generation)
                        await generation.deliver()
                    case "owe":
                        question = job(str(number), owner=owner)
                        owed.append(await owe(made, question))
                        asked[owed[-1].handle] = question
                    case "fetch" if mine:
                        await mine[0].deliver()
                        owed.remove(mine[0])
                    case "join" if mine and mine[0].status == "complete":
                        assert await made.begin(asked[mine[0].handle]) == (mine[0], True)
                    case "read a body":
                        with made.generations.memory.reserve(owner, size * 1024):
                            assert made.generations.memory.used <= made.generations.memory.most
                    case "wait":
                        made.clock.now += size / 10
            except MemoryFull:
                pass
            memory = made.generations.memory
            owed = [g for g in owed if g.ended_at is None or g.ended_at >= made.clock.now - 100]
            for generation in owed:
                assert await made.generations.find(generation.handle, generation.job.owner) is generation
            assert memory.used <= memory.most
            assert all(memory.held(each) <= memory.most // 2 + 8192 for each in ("ann", "bob", "cy"))
