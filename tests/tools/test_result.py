"""get_result: what a handle leads to, and what it cannot do."""

from collections.abc import AsyncIterator

import anyio
import pytest

from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import Reply
from tools.calling import Desk, desk


@pytest.fixture
async def at(sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim) as opened:
        yield opened


@pytest.mark.parametrize(
    ("scenario", "wait", "said"),
    [
        ("default", 10.0, "the answer is complete"),
        ("slow seconds=9", 0.0, "it is still running"),
        ("stall-first", 10.0, "nothing had been written"),
    ],
)
async def test_a_resume_that_cannot_be_is_a_bad_argument_of_a_handle_that_is_known(
    sim: Simulator, scenario: str, wait: float, said: str
) -> None:
    async with desk(sim, idle_timeout=0.3) as at:
        begun = await at.call("ask_gemini", prompt=f"Say it. [[sim:{scenario}]]", wait_seconds=wait)
        with pytest.raises(InputError, match=said) as refused:
            await at.call("get_result", handle=begun.handle, resume=True)
        assert refused.value.code == "bad_argument"
        assert refused.value.advice


async def test_a_resume_that_joins_another_says_so(at: Desk, sim: Simulator) -> None:
    half = await at.call("ask_gemini", prompt="Twice. [[sim:length]]")
    sim.play("slow seconds=0.2", "slow seconds=0.2")
    replies: list[Reply] = []

    async def resume() -> None:
        replies.append(await at.call("get_result", handle=half.handle, resume=True))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(resume)
        tasks.start_soon(resume)
    joined = ["Joined" in reply.text for reply in replies]
    assert sorted(joined) == [False, True]
    assert len(sim.calls) == 2
