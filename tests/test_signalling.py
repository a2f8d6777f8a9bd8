"""A signal wakes all who wait for it, and nobody who comes later."""

import anyio

from runapi_mcp.signalling import Signal


async def test_all_who_wait_are_woken() -> None:
    signal, woken = Signal(), []

    async def wait(name: str) -> None:
        await signal.wait()
        woken.append(name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, "one")
            tasks.start_soon(wait, "other")
            await anyio.wait_all_tasks_blocked()
            signal.send()
    assert sorted(woken) == ["one", "other"]


async def test_who_comes_after_it_waits_for_the_next() -> None:
    signal = Signal()
    signal.send()
    with anyio.move_on_after(0.01) as scope:
        await signal.wait()
    assert scope.cancelled_caught


async def test_waiting_for_what_is_true_already_is_no_waiting() -> None:
    with anyio.fail_after(5):
        await Signal().until(lambda: True)


async def test_what_is_waited_for_is_asked_at_each_signal_until_it_is_true() -> None:
    signal = Signal()
    asked: list[int] = []

    def third_time() -> bool:
        asked.append(len(asked))
        return len(asked) == 3

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(signal.until, third_time)
        for _ in range(2):
            await anyio.wait_all_tasks_blocked()
            signal.send()
    assert len(asked) == 3
