"""What a store does for the process that has it: the same in memory, on SQLite and on Redis."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from fleet.redis_server import RedisServer
from generations.played import STOP, Bench, Clock, Gate, Step, bench, job
from pydantic import SecretStr
from waiting import ended

from runapi_mcp.errors import HandleError, StreamCut
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store import shared_store
from runapi_mcp.generations.store.memory import MemoryStore
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.wire.types import Call, Inline, Text, TextDelta, Turn


@pytest.fixture(params=["memory", "sqlite", "redis"])
def place(request: pytest.FixtureRequest) -> str:
    """Where generations are kept, in each way in turn."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("shared_redis")
        server.stop()  # with what another test left there
        server.start()
        return server.url
    return "memory" if request.param == "memory" else str(request.getfixturevalue("tmp_path") / "state")


def store_at(place: str, clock: Clock) -> MemoryStore:
    settings = Settings(store=SecretStr(place))
    return shared_store(settings, clock) or MemoryStore(settings, clock)


@asynccontextmanager
async def kept_in(place: str, *streams: Sequence[Step]) -> AsyncIterator[Bench]:
    clock = Clock()
    async with bench(*streams, store=store_at(place, clock), clock=clock) as made:
        yield made


def about(file: str) -> Job:
    """A job whose arguments name a file, of which only the call knows the content."""
    call = Call("gemini-2.5-flash", (Turn("user", (Inline("image/png", file), Text("What is it?"))),))
    return job(call=call, arguments={"prompt": "What is it?", "files": ["/photo.png"]})


# ---------------------------------------------------------------- the same question


async def test_the_same_question_joins_the_answer_that_was_never_delivered(place: str) -> None:
    async with kept_in(place) as made:
        first = await made.ended(job())
        assert await made.begin(job()) == (first, True)
        assert len(made.upstream.asked) == 1


async def test_a_delivered_answer_is_asked_for_anew(place: str) -> None:
    async with kept_in(place) as made:
        first = await made.ended(job())
        await first.deliver()
        second, joined = await made.begin(job())
        assert not joined
        assert second is not first


async def test_what_was_cut_is_asked_for_anew(place: str) -> None:
    async with kept_in(place, [TextDelta("Half")]) as made:
        first = await made.ended(job())
        assert first.status == "partial"
        assert (await made.begin(job()))[0] is not first


async def test_the_same_question_of_somebody_else_is_another(place: str) -> None:
    async with kept_in(place) as made:
        first = await made.ended(job())
        assert (await made.begin(job(owner="bob")))[0] is not first


async def test_a_question_asked_again_just_as_its_only_caller_leaves_is_answered(place: str) -> None:
    gate, closing = Gate(), Gate()
    async with kept_in(place, [gate], [TextDelta("New."), STOP]) as made:
        made.upstream.closing = closing
        first = await made.start(job())
        async with first.follow():
            await gate.reached.wait()
        assert first.view().status == "running"  # until its connection has closed
        second, joined = await made.begin(job())
        assert not joined
        closing.open.set()
        await ended(first)
        await ended(second)
        assert first.view().status == "cancelled"
        assert second.view().answer.text == "New."


async def test_a_question_about_a_file_that_was_edited_is_another(place: str) -> None:
    async with kept_in(place) as made:
        first = await made.ended(about("b2xk"))
        assert await made.begin(about("b2xk")) == (first, True)
        second, joined = await made.begin(about("bmV3"))
        assert not joined
        assert second is not first


async def test_one_that_is_to_be_asked_afresh_is(place: str) -> None:
    async with kept_in(place) as made:
        first = await made.ended(job())
        second, joined = await made.begin(job(), fresh=True)
        assert not joined
        assert second is not first


async def test_what_two_ask_at_once_is_asked_once(place: str) -> None:
    async with kept_in(place) as made:
        begun: list[tuple[Generation, bool]] = []

        async def ask() -> None:
            begun.append(await made.begin(job()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        (one, _), (other, _) = begun
        await ended(one)
        assert one is other
        assert sorted(joined for _, joined in begun) == [False, True]
        assert len(made.upstream.asked) == 1


# ---------------------------------------------------------------- handles


async def test_a_handle_is_good_for_who_asked_alone(place: str) -> None:
    async with kept_in(place) as made:
        generation = await made.ended(job())
        assert await made.generations.find(generation.handle, "ann") is generation
        with pytest.raises(HandleError):
            await made.generations.find(generation.handle, "bob")
        with pytest.raises(HandleError):
            await made.generations.find("g_invented", "ann")


async def test_what_is_found_is_what_was_kept(place: str) -> None:
    """Half a surrogate pair, which JSON can carry and UTF-8 cannot, among it."""
    said: list[Step] = [TextDelta("Half of it \ud83d"), StreamCut("It stopped.")]
    async with kept_in(place, said) as made:
        begun = await made.start(job("Why \ud83d?"))
        await made.generations.hand_over(begun)
        await ended(begun)
        await made.generations.hand_over(begun)
        found = await made.generations.find(begun.handle, "ann")
        view = found.view()
        assert (view.status, view.answer.text, view.note) == ("partial", "Half of it \ud83d", "")
        assert (type(view.error), getattr(view.error, "partial", "")) == (StreamCut, view.answer.text)
        assert await made.generations.find(begun.handle, "ann") is begun


async def test_one_that_runs_is_owed_and_stopped_by_its_handle(place: str) -> None:
    gate = Gate()
    async with kept_in(place, [TextDelta("Half"), gate]) as made:
        begun = await made.start(job())
        await gate.reached.wait()
        await made.generations.hand_over(begun)
        found = await made.generations.find(begun.handle, "ann")
        assert found.view().status == "running"
        await found.stop()
        assert found.view().status == "cancelled"
        assert found.view().answer.text == "Half"


async def test_an_answered_question_is_kept_for_who_goes_on_from_it(place: str) -> None:
    async with kept_in(place) as made:
        asked = replace(job("What colour?"), question=("prompt",))
        begun = await made.ended(asked)
        kept = await made.generations.asked(begun)
        assert kept.call.turns == asked.call.turns
        assert kept.same_as == asked.same_as


async def test_a_store_of_nothing_finds_nothing(place: str) -> None:
    store = store_at(place, Clock())
    async with store.opened():
        assert store.same(job()) is None
        with pytest.raises(HandleError):
            await store.find("g_invented", "ann")
        assert (store.owed("ann"), store.up, await store.away()) == ([], True, 0.0)
        generation = Generation(job(), Clock())
        assert await store.keep(generation, fresh=False) is generation
        assert store.same(job()) is generation
        assert store.owed("ann") == [generation.handle]
        assert store.owed("bob") == []
