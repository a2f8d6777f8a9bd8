"""One generation: who follows it, how it ends, what is kept of it, and how long it may take."""

from collections.abc import Sequence
from dataclasses import replace
from types import NoneType

import anyio
import pytest
from waiting import ended

from generations.played import STOP, USED, WHOLE, Clock, Gate, Passing, Step, bench, job
from runapi_mcp.errors import Bug, BusyError, DeadlinePassed, EmptyAnswer, RateLimited, ServerLeft, StreamCut
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store import Followable
from runapi_mcp.generations.store.memory import MemoryStore
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.wire.types import Finish, Function, FunctionCallDelta, TextDelta, ThoughtDelta, Usage

CUT = StreamCut("It stopped.")
CALLED = FunctionCallDelta(0, "1", "look_up", '{"of": "it"}')


def offering() -> Job:
    plain = job()
    functions = (Function("look_up", "Looks it up.", {"type": "object"}),)
    return replace(plain, call=replace(plain.call, functions=functions))


# ---------------------------------------------------------------- followed and left


async def test_when_its_only_follower_leaves_it_is_cancelled_and_keeps_its_text() -> None:
    gate = Gate()
    async with bench([TextDelta("Half"), gate]) as made:
        generation = await made.start(job())
        async with generation.follow():
            await gate.reached.wait()
        await ended(generation)
        view = generation.view()
        assert (view.status, view.answer.text, view.error) == ("cancelled", "Half", None)


async def test_while_somebody_else_follows_it_goes_on() -> None:
    gate = Gate()
    async with bench([gate, *WHOLE]) as made:
        generation = await made.start(job())
        async with generation.follow():
            async with generation.follow():
                await gate.reached.wait()
            gate.open.set()
            await ended(generation)
        assert generation.view().status == "complete"


async def test_once_its_handle_is_out_it_goes_on_without_followers() -> None:
    gate = Gate()
    async with bench([gate, *WHOLE]) as made:
        generation = await made.start(job())
        async with generation.follow():
            await gate.reached.wait()
            await made.generations.hand_over(generation)
        gate.open.set()
        await ended(generation)
        assert generation.view().status == "complete"


class _SlowToShare(MemoryStore):
    """A store that takes its time to share a generation."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.sharing = Gate()

    async def share(self, generation: Followable) -> None:
        await self.sharing.passed()


async def test_whoever_leaves_before_the_handle_is_shared_takes_the_generation_along() -> None:
    clock = Clock()
    store = _SlowToShare(Settings(), clock)
    async with bench([Gate()], store=store, clock=clock) as made:
        generation = await made.start(job())

        async def hand_over() -> None:
            async with generation.follow():
                await made.generations.hand_over(generation)

        async with anyio.create_task_group() as callers:
            callers.start_soon(hand_over)
            await store.sharing.reached.wait()
            callers.cancel_scope.cancel()
        await ended(generation)
        assert generation.status == "cancelled"


async def test_stopping_waits_for_the_end_and_changes_nothing_after_it() -> None:
    gate = Gate()
    async with bench([TextDelta("Half"), gate], WHOLE) as made:
        generation = await made.start(job())
        await gate.reached.wait()
        await generation.stop()
        assert generation.view().status == "cancelled"
        whole = await made.ended(job("Other"))
        await whole.stop()
        whole.interrupt(ServerLeft("It was stopped."))
        assert whole.view().status == "complete"


async def test_a_change_of_phase_wakes_who_waits_for_one() -> None:
    gate = Gate()
    async with bench([gate, ThoughtDelta("Hm."), Gate()]) as made:
        generation = await made.start(job())
        async with generation.follow():
            with anyio.fail_after(5):
                await generation.changed()
            assert generation.evidence().phase == "open"
            await gate.reached.wait()
            gate.open.set()
            with anyio.fail_after(5):
                await generation.changed()
            assert generation.evidence().phase == "thinking"


# ---------------------------------------------------------------- how it ends


async def test_a_whole_answer_is_complete() -> None:
    async with bench() as made:
        view = (await made.ended(job())).view()
    assert (view.status, view.answer.text, view.error) == ("complete", "The whole answer.", None)
    assert view.receipt.complete
    assert view.receipt.tokens == USED


async def test_the_answer_is_given_before_its_connection_says_farewell() -> None:
    async with bench() as made:
        made.upstream.closing = Gate()
        generation = await made.start(job())
        await made.upstream.closing.reached.wait()
        assert generation.status == "complete"
        made.upstream.closing.open.set()


@pytest.mark.parametrize(
    ("steps", "status", "text", "error"),
    [
        ([TextDelta("Half"), CUT], "partial", "Half", StreamCut),
        ([TextDelta("Half")], "partial", "Half", StreamCut),
        ([ThoughtDelta("Hm."), CUT], "failed", "", StreamCut),
        ([CUT], "failed", "", StreamCut),
        ([TextDelta("All"), STOP, CUT], "complete", "All", NoneType),
        ([TextDelta("Half"), STOP, TextDelta(" more"), CUT], "partial", "Half more", StreamCut),
        ([TextDelta("Half"), Finish("MAX_TOKENS", "length")], "partial", "Half", NoneType),
        ([TextDelta("Half"), DeadlinePassed("Too long.")], "partial", "Half", DeadlinePassed),
        ([RateLimited("Wait.", status=429)], "failed", "", RateLimited),
    ],
)
async def test_what_had_arrived_decides_what_an_ending_is(
    steps: Sequence[Step], status: str, text: str, error: type[object]
) -> None:
    async with bench(steps) as made:
        view = (await made.ended(job())).view()
    assert (view.status, view.answer.text, type(view.error)) == (status, text, error)
    if isinstance(view.error, StreamCut):
        assert view.error.partial == text


async def test_a_call_that_was_finished_is_an_answer_though_its_connection_broke() -> None:
    async with bench([CALLED, STOP, USED, CUT]) as made:
        view = (await made.ended(offering())).view()
    assert (view.status, view.error) == ("complete", None)
    assert [call.name for call in view.answer.function_calls] == ["look_up"]


async def test_a_call_that_was_cut_is_a_part_of_an_answer() -> None:
    async with bench([CALLED, CUT]) as made:
        view = (await made.ended(offering())).view()
    assert view.status == "partial"


@pytest.mark.parametrize("steps", [[CALLED, STOP, USED], [CALLED, STOP, USED, CUT]])
async def test_a_call_of_what_was_never_offered_is_no_answer(steps: Sequence[Step]) -> None:
    async with bench(steps) as made:
        view = (await made.ended(job())).view()
    assert view.status == "failed"
    assert isinstance(view.error, EmptyAnswer | StreamCut)


async def test_a_bug_ends_one_generation_and_is_raised_to_who_reads_it() -> None:
    async with bench([TextDelta("Half"), ZeroDivisionError("ours")], WHOLE) as made:
        generation = await made.ended(job())
        assert generation.status == "failed"
        assert generation.known().answer.text == "Half"
        with pytest.raises(Bug, match="because of a bug in runapi-mcp"):
            generation.view()
        assert (await made.ended(job("Other"))).status == "complete"


async def test_a_server_that_is_stopped_leaves_what_there_is() -> None:
    gate = Gate()
    async with bench([TextDelta("Half"), gate]) as made:
        generation = await made.start(job())
        await gate.reached.wait()
        made.generations.interrupt()
        await ended(generation)
        view = generation.view()
        assert (view.status, view.answer.text) == ("partial", "Half")
        assert isinstance(view.error, ServerLeft)
        assert view.error.partial == "Half"


async def test_the_end_of_the_process_ends_all_of_them() -> None:
    gate = Gate()
    async with bench([gate]) as made:
        generation = await made.start(job())
        await gate.reached.wait()
    assert generation.status == "cancelled"


class _KeepsAnother(MemoryStore):
    """A store where somebody else always was first."""

    other: Followable

    async def keep(self, generation: Followable, *, fresh: bool) -> Followable:
        return self.other


async def test_one_that_loses_to_another_server_never_asks() -> None:
    clock = Clock()
    async with bench() as made:
        store = _KeepsAnother(Settings(), clock)
        store.other = await made.ended(job())
        async with bench(store=store) as second:
            assert await second.begin(job()) == (store.other, True)
            assert not second.upstream.asked


async def test_one_caller_cannot_take_the_last_places() -> None:
    async with bench([Gate()], settings=Settings(max_running=2, max_waiting=6)) as made:
        for number in range(6):
            await made.start(job(f"{number}"))
        with pytest.raises(BusyError, match="6 of your calls run on this server or wait; its last 2 places"):
            await made.start(job("One more"))
        for number in range(2):
            await made.start(job(f"{number}", owner="bob"))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(BusyError, match="2 generations run on this server and 6 wait"):
            await made.start(job("Another", owner="bob"))


# ---------------------------------------------------------------- how long it may take


async def test_the_queue_uses_up_patience_and_not_the_deadline() -> None:
    gate = Gate()
    settings = Settings(max_running=1, deadline=100.0)
    async with bench([gate, *WHOLE], WHOLE, settings=settings) as made:
        first = await made.start(job("First"))
        await gate.reached.wait()
        second = await made.start(job("Second"), patience=50.0)
        made.clock.now += 30
        gate.open.set()
        await ended(first)
        await ended(second)
    assert (made.upstream.asked[0].patience, made.upstream.asked[0].within) == (50.0, 100.0)
    assert (made.upstream.asked[1].patience, made.upstream.asked[1].within) == (20.0, 100.0)


class _SlowToKeep(MemoryStore):
    """A store that takes its time to keep a generation."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Settings(), clock)
        self._passing = clock

    async def keep(self, generation: Generation, *, fresh: bool) -> Followable:
        self._passing.now += 20
        return await super().keep(generation, fresh=fresh)


async def test_what_the_store_takes_is_no_part_of_the_deadline() -> None:
    clock = Clock()
    async with bench(store=_SlowToKeep(clock), settings=Settings(deadline=100.0), clock=clock) as made:
        await made.ended(job())
    [asked] = made.upstream.asked
    assert (asked.patience, asked.within) == (30.0, 100.0)


# ---------------------------------------------------------------- what is seen of it


async def test_waiting_for_a_turn_is_nobodys_silence() -> None:
    gate = Gate()
    async with bench([gate, *WHOLE], [Gate()], settings=Settings(max_running=1)) as made:
        first = await made.start(job("First"))
        await gate.reached.wait()
        second = await made.start(job("Second"))
        await anyio.wait_all_tasks_blocked()
        made.clock.now += 40
        assert (second.evidence().phase, second.evidence().ahead) == ("queued", 0)
        gate.open.set()
        await ended(first)
        await anyio.wait_all_tasks_blocked()
        assert second.evidence().phase == "open"
        assert second.evidence().silent == 0


async def test_evidence_counts_thoughts_until_there_is_text() -> None:
    thought, written = Gate(), Gate()
    steps: list[Step] = [ThoughtDelta("Hm."), thought, TextDelta("Well"), Usage(None, 2), Passing(7), written]
    async with bench(steps) as made:
        generation = await made.start(job())
        await thought.reached.wait()
        before = generation.evidence()
        thought.open.set()
        await written.reached.wait()
        after = generation.evidence()
    assert (before.phase, before.characters, before.tail) == ("thinking", 3, "Hm.")
    assert (after.phase, after.characters, after.tail, after.tokens) == ("writing", 4, "Well", 2)
    assert after.silent == 7


async def test_a_resumed_answer_begins_with_what_it_continues() -> None:
    gate = Gate()
    async with bench([gate, TextDelta("the end."), STOP]) as made:
        generation = await made.start(job(begin="Half, then "))
        await gate.reached.wait()
        assert generation.evidence().phase == "open"
        gate.open.set()
        await ended(generation)
        assert generation.view().answer.text == "Half, then the end."


async def test_a_receipt_stands_still_once_it_has_ended() -> None:
    async with bench([Passing(3), *WHOLE]) as made:
        generation = await made.ended(job())
        made.clock.now += 100
        assert generation.receipt.seconds == 3
        assert generation.receipt.requests == 1


async def test_what_ended_is_told_once() -> None:
    told: list[str] = []
    async with bench() as made:
        generation = await made.start(job())
        generation.shared = lambda one: told.append(one.status)
        await ended(generation)
        await generation.deliver()
    assert told == ["complete", "complete"]  # its end, and its delivery
