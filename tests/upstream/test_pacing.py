"""After a 429, further calls of the same key wait as told; another key's do not."""

from dataclasses import replace

import anyio
import pytest
from pydantic import SecretStr

from runapi_mcp.errors import RateLimited
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.pacing import MemoryPacing, name_pace
from runapi_mcp.wire.fold import Ending
from runapi_mcp.wire.types import Call, Text, Turn

CALL = Call("gemini-2.5-flash", (Turn("user", (Text("Hello?"),)),))
MINE, YOURS = SecretStr("sk-canary-mine"), SecretStr("sk-canary-yours")


async def ask(upstream: Upstream, key: SecretStr, patience: float, call: Call = CALL) -> Trace:
    trace = Trace()
    async with upstream.stream(
        call, "chat", key=key, trace=trace, patience=patience, ending=Ending()
    ) as events:
        async for _ in events:
            pass
    return trace


async def test_a_call_after_a_429_waits_before_it_is_sent(sim: Simulator) -> None:
    upstream = Upstream(Settings(base_url=sim.base_url))
    sim.play("rate-limit-once seconds=0.3")
    with pytest.raises(RateLimited):
        await ask(upstream, MINE, patience=0.0)
    trace = await ask(upstream, MINE, patience=5.0)
    assert trace.requests == 1
    assert trace.waited > 0.2
    assert len(sim.calls) == 2
    await upstream.aclose()


async def test_a_call_that_cannot_wait_that_long_is_refused_without_being_sent(sim: Simulator) -> None:
    upstream = Upstream(Settings(base_url=sim.base_url))
    sim.play("rate-limit-once seconds=60")
    with pytest.raises(RateLimited):
        await ask(upstream, MINE, patience=1.0)
    with pytest.raises(RateLimited, match="nothing was sent"):
        await ask(upstream, MINE, patience=1.0)
    assert len(sim.calls) == 1
    await upstream.aclose()


async def test_another_key_does_not_wait(sim: Simulator) -> None:
    upstream = Upstream(Settings(base_url=sim.base_url))
    sim.play("rate-limit-once seconds=60")
    with pytest.raises(RateLimited):
        await ask(upstream, MINE, patience=1.0)
    trace = await ask(upstream, YOURS, patience=1.0)
    assert trace.waited == 0
    await upstream.aclose()


async def test_the_longer_of_two_waits_counts_and_time_ends_it() -> None:
    now = 100.0
    pacing = MemoryPacing(lambda: now)
    await pacing.ask("a", 10)
    await pacing.ask("a", 3)
    assert await pacing.left("a") == 10
    now = 111.0
    assert await pacing.left("a") == 0


async def test_names_do_not_grow_without_a_bound() -> None:
    pacing = MemoryPacing(lambda: 0.0)
    for number in range(10_050):
        await pacing.ask(str(number), 5)
    assert await pacing.left("10049") == 0
    assert await pacing.left("0") == 5
    await anyio.lowlevel.checkpoint()


def test_a_paced_name_says_nothing_of_the_key_and_is_one_model_s() -> None:
    assert "canary" not in name_pace(MINE, "a")
    assert len({name_pace(MINE, "a"), name_pace(YOURS, "a"), name_pace(MINE, "b")}) == 3


async def test_another_model_of_the_key_does_not_wait(sim: Simulator) -> None:
    upstream = Upstream(Settings(base_url=sim.base_url))
    sim.play("rate-limit-once seconds=60")
    with pytest.raises(RateLimited):
        await ask(upstream, MINE, patience=1.0)
    trace = await ask(upstream, MINE, patience=1.0, call=replace(CALL, model="gemini-2.5-pro"))
    assert trace.waited == 0
    await upstream.aclose()


async def test_an_hour_that_one_call_was_told_keeps_the_others_a_minute_at_most(sim: Simulator) -> None:
    now = 0.0
    pacing = MemoryPacing(lambda: now)
    upstream = Upstream(Settings(base_url=sim.base_url), pacing=pacing)
    sim.play("rate-limit-once seconds=3600")
    with pytest.raises(RateLimited):
        await ask(upstream, MINE, patience=1.0)
    assert await pacing.left(name_pace(MINE, CALL.model)) == 60.0
    await upstream.aclose()
