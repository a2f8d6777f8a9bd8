"""The queue: so many at once, the rest in order, each knowing its place."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import TaskGroup

from runapi_mcp.generations.admission import Queue


@dataclass
class One:
    """One who wants a turn, holds it until told to give it up, and notes the places it was told."""

    owner: str = "ann"
    places: list[int | None] = field(default_factory=list)
    running: anyio.Event = field(default_factory=anyio.Event)
    enough: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def __call__(self, turns: Queue) -> None:
        with self.scope:
            async with turns.turn(self.owner, self.places.append):
                self.running.set()
                await self.enough.wait()


async def lined_up(turns: Queue, tasks: TaskGroup, count: int) -> list[One]:
    """Start so many, one after the other."""
    found = [One() for _ in range(count)]
    for one in found:
        tasks.start_soon(one, turns)
        await anyio.wait_all_tasks_blocked()
    return found


@asynccontextmanager
async def line(most: int, count: int) -> AsyncIterator[tuple[Queue, list[One]]]:
    turns = Queue(most)
    async with anyio.create_task_group() as tasks:
        yield turns, await lined_up(turns, tasks, count)
        tasks.cancel_scope.cancel()


async def test_as_many_run_as_may_and_the_rest_know_how_many_are_ahead() -> None:
    async with line(2, 5) as (turns, ones):
        assert (turns.running, turns.waiting) == (2, 3)
        assert [one.running.is_set() for one in ones] == [True, True, False, False, False]
        assert [one.places for one in ones] == [[], [], [0], [1], [2]]


async def test_who_came_first_is_next_and_all_behind_move_up() -> None:
    async with line(1, 4) as (turns, ones):
        ones[0].enough.set()
        with anyio.fail_after(5):
            await ones[1].running.wait()
        assert (turns.running, turns.waiting) == (1, 2)
        assert [one.places for one in ones[1:]] == [[0, None], [1, 0], [2, 1]]


async def test_who_leaves_the_queue_lets_those_behind_move_up() -> None:
    async with line(1, 4) as (turns, ones):
        ones[1].scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert (turns.running, turns.waiting) == (1, 2)
        assert [one.places for one in ones[2:]] == [[1, 0], [2, 1]]


async def test_a_turn_that_comes_as_its_owner_leaves_goes_to_the_next() -> None:
    async with line(1, 3) as (turns, ones):
        ones[0].enough.set()
        ones[1].scope.cancel()
        with anyio.fail_after(5):
            await ones[2].running.wait()
        assert not ones[1].running.is_set()
        assert (turns.running, turns.waiting) == (1, 0)


async def test_when_all_have_gone_there_is_room_for_as_many_again() -> None:
    async with line(2, 4) as (turns, ones):
        for one in ones:
            one.enough.set()
        await anyio.wait_all_tasks_blocked()
        assert (turns.running, turns.waiting) == (0, 0)
        async with AsyncExitStack() as stack:
            with anyio.fail_after(5):
                for _ in range(2):
                    await stack.enter_async_context(turns.turn("ann", lambda _place: None))
            assert turns.running == 2


async def test_a_turn_that_fails_is_given_up() -> None:
    turns = Queue(1)
    with pytest.raises(ZeroDivisionError):
        async with turns.turn("ann", lambda _place: None):
            raise ZeroDivisionError
    assert turns.running == 0


async def test_a_caller_of_many_does_not_keep_another_waiting() -> None:
    queue = Queue(1)
    many, few = [One("ann") for _ in range(4)], One("bob")
    async with anyio.create_task_group() as tasks:
        for one in (*many, few):
            tasks.start_soon(one, queue)
            await anyio.wait_all_tasks_blocked()
        assert few.places == [1]
        assert [one.places for one in many] == [[], [0], [1, 2], [2, 3]]
        many[0].enough.set()
        with anyio.fail_after(5):
            await many[1].running.wait()
        many[1].enough.set()
        with anyio.fail_after(5):
            await few.running.wait()
        assert not many[2].running.is_set()
        tasks.cancel_scope.cancel()
    assert (queue.running, queue.waiting) == (0, 0)
