"""What all tools share: their replies are made where they hold nobody up."""

import threading
from types import SimpleNamespace
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from runapi_mcp.generations.values import View
from runapi_mcp.tools.tool import Page, Reply, make_reply

PAGE = Page(100)


def holding(text: str, *earlier: str) -> View:
    """As much of a generation as says how long its texts are."""
    answer = SimpleNamespace(text=text, thoughts="")
    return cast("View", SimpleNamespace(answer=answer, earlier=earlier))


@pytest.mark.parametrize("texts", [("x" * 50_000,), ("", "x" * 50_000)])
async def test_the_loop_runs_while_the_reply_of_a_long_answer_is_made(texts: tuple[str, ...]) -> None:
    others = threading.Event()

    def render(_view: View, _page: Page) -> Reply:
        assert others.wait(30), "nobody else had a turn"
        return Reply("made")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(make_reply, render, holding(*texts), PAGE)
            await anyio.lowlevel.checkpoint()
            others.set()


async def test_no_more_than_two_are_made_at_once_though_those_who_asked_have_left() -> None:
    most, lock, now = 0, threading.Lock(), 0
    go_on = threading.Event()

    def render(_view: View, _page: Page) -> Reply:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        go_on.wait(30)
        with lock:
            now -= 1
        return Reply("made")

    async def ask_and_leave() -> None:
        with anyio.move_on_after(0):
            await make_reply(render, holding("x" * 50_000), PAGE)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask_and_leave)
        await anyio.lowlevel.checkpoint()
        go_on.set()
    assert most <= 2


async def test_a_short_one_is_made_at_once() -> None:
    made_by: list[int] = []

    def render(_view: View, _page: Page) -> Reply:
        made_by.append(threading.get_ident())
        return Reply("made")

    assert (await make_reply(render, holding("Short."), PAGE)).body == "made"
    assert made_by == [threading.get_ident()]
