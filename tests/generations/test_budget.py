"""Limits of a day: reserved at their worst before anything is sent, never passed, given back, new daily."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest
from fleet.replicas import KEY, job
from hypothesis import given
from hypothesis import strategies as st
from waiting import ended

from runapi_mcp.errors import BudgetSpent, InputError, RunapiError
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.spending import DayCounts, Taken, estimate_tokens
from runapi_mcp.generations.store import Followable
from runapi_mcp.models import AUTO
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Call, Text, Turn
from runapi_mcp.wire.usage import all_tokens

MODEL = "gemini-2.5-flash"


@asynccontextmanager
async def limited(sim: Simulator, **settings: Any) -> AsyncIterator[Generations]:
    upstream = Upstream(Settings(base_url=sim.base_url, **settings))
    try:
        async with Generations(upstream, upstream._settings).open() as generations:
            yield generations
    finally:
        await upstream.aclose()


async def asked(
    generations: Generations, prompt: str, *, cap: int | None = None, owner: str = "ann", **more: Any
) -> Followable:
    """Ask, and wait for the end."""
    wanted = job(prompt, owner=owner)
    wanted = replace(wanted, call=replace(wanted.call, max_output_tokens=cap), **more)
    generation, _ = await generations.begin(wanted, key=KEY, patience=5)
    await ended(generation)
    await generation.deliver()
    return generation


def cap_sent(sim: Simulator, number: int = 0) -> int:
    body = sim.calls[number].body
    assert isinstance(body, dict)
    return int(body["max_tokens"])


async def test_a_call_that_could_pass_the_limit_is_not_sent(sim: Simulator) -> None:
    async with limited(sim, max_tokens_per_day=1_000) as generations:
        with pytest.raises(BudgetSpent, match=r"Today.s 1,000 tokens leave 1,000.*00:00 UTC"):
            await asked(generations, "Too much", cap=2_000)
        assert sim.calls == []
        await asked(generations, "Enough", cap=500)
        assert cap_sent(sim) == 500


async def test_what_was_not_used_is_given_back(sim: Simulator) -> None:
    async with limited(sim, max_tokens_per_day=3_000) as generations:
        spent = 0
        for number in range(5):  # each reserves most of the day
            one = await asked(generations, f"Question {number}", cap=2_000)
            spent += all_tokens(one.view().receipt.tokens)
            assert await generations.limits.counts.used("ann", "tokens") == spent
        assert "of 3,000 tokens" in await generations.limits.left("ann")


async def test_without_a_cap_of_its_own_a_call_gets_a_part_of_the_day_and_then_what_is_left(
    sim: Simulator,
) -> None:
    async with limited(sim, max_tokens_per_day=4_000) as generations:
        await asked(generations, "First")
        assert cap_sent(sim) == 2_048
        holding, _ = await generations.begin(job("Slow [[sim:slow seconds=30]]"), key=KEY, patience=5)
        await sim.wait_for_call(2)
        await asked(generations, "While that runs")
        assert 256 <= cap_sent(sim, 2) < 2_048, "what is left"
        await holding.stop()


@pytest.mark.parametrize("calls", [64])
async def test_many_calls_at_once_never_pass_the_limit(sim: Simulator, calls: int) -> None:
    limit = 10_000
    async with limited(sim, max_tokens_per_day=limit, max_running=calls) as generations:
        refused: list[int] = []
        running: list[Followable] = []

        async def ask(number: int) -> None:
            wanted = job(f"Question {number} [[sim:slow seconds=60]]")
            wanted = replace(wanted, call=replace(wanted.call, max_output_tokens=900))
            try:
                running.append((await generations.begin(wanted, key=KEY, patience=5))[0])
            except BudgetSpent:
                refused.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(calls):
                tasks.start_soon(ask, number)
        assert 0 < len(running) * 900 <= limit
        assert len(running) + len(refused) == calls
        assert await generations.limits.counts.used("ann", "tokens") <= limit
        for generation in running:
            await generation.stop()


async def test_one_principals_limit_is_not_anothers(sim: Simulator) -> None:
    async with limited(sim, max_tokens_per_day=1_000) as generations:
        with pytest.raises(BudgetSpent):
            await asked(generations, "No", cap=1_000)
        await asked(generations, "Yes", cap=500, owner="bob")


async def test_nothing_stays_taken_for_a_call_that_was_refused(sim: Simulator) -> None:
    async with limited(sim, max_tokens_per_day=1_000) as generations:
        one = await asked(generations, "No [[sim:bad-key-401]]", cap=500)
        assert one.status == "failed"
        assert await generations.limits.counts.used("ann", "tokens") == 0


async def test_what_nobody_counted_stays_taken(sim: Simulator) -> None:
    async with limited(sim, max_tokens_per_day=1_000) as generations:
        one = await asked(generations, "How many? [[sim:no-usage]]", cap=500)
        assert one.view().receipt.tokens is None
        assert await generations.limits.counts.used("ann", "tokens") > 500


async def test_an_upstream_that_ignores_the_cap_is_closed_and_its_text_kept(sim: Simulator) -> None:
    async with limited(sim, max_tokens_per_day=1_000) as generations:
        one = await asked(generations, "Long [[sim:huge-event mb=1]]", cap=300)
    view = one.view()
    assert view.status == "partial"
    assert view.error is not None
    assert view.error.code == "limit_passed"
    assert len(view.answer.text) > 300 * 4


async def test_a_limit_in_money_needs_a_price(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prices"
    file.write_text(f"{MODEL} 1 10\n")  # it is small
    async with limited(sim, max_cost_per_day=0.01, prices=str(file)) as generations:
        one = await asked(generations, "Dear", cap=500)
        cost = one.view().receipt.cost
        assert cost
        assert await generations.limits.counts.used("ann", "cost") == pytest.approx(cost * 1e6, abs=1)
        with pytest.raises(BudgetSpent, match="may cost"):
            await asked(generations, "Too dear", cap=1_000)
        unknown = job("What does it cost?")
        unknown = replace(unknown, call=replace(unknown.call, model="gemini-3.5-flash"))
        with pytest.raises(BudgetSpent, match=r"No price of gemini-3\.5-flash"):
            await generations.begin(unknown, key=KEY, patience=5)


async def test_a_model_that_takes_anothers_place_is_reserved_alone_and_at_its_own_price(
    sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "prices"
    file.write_text(f"{MODEL} 1 10\ngemini-2.5-pro 2 20\n")  # it is small
    sim.roster.gone[MODEL] = 410
    async with limited(sim, max_cost_per_day=0.025, prices=str(file)) as generations:
        # The first is refused while it runs; of the others it is known before.
        for number, cap in enumerate((1_000, 1_000, None)):
            owner = f"ann{number}"
            wanted = job(f"Slow {number} [[sim:slow seconds=30]]", owner=owner)
            call = replace(wanted.call, max_output_tokens=cap)
            wanted = replace(wanted, call=call, wish=AUTO, others=("gemini-2.5-pro",))
            generation, _ = await generations.begin(wanted, key=KEY, patience=5)
            await (await sim.wait_for_call(number + 2)).wait_first_byte()
            sent = cap_sent(sim, number + 1)
            assert sent == (cap or 1_245), "what the first could write is not what this one can"
            taken = await generations.limits.counts.used(owner, "cost")
            assert 20 * sent < taken < 20 * sent + 500, "once, at the price of what is asked"
            await generation.stop()


async def test_one_call_can_be_given_a_limit(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prices"
    file.write_text(f"{MODEL} 1 10\n")  # it is small
    async with limited(sim, prices=str(file)) as generations:
        await asked(generations, "Cheap", max_cost=0.005)
        assert 450 <= cap_sent(sim) <= 500, "what half a cent buys"
        with pytest.raises(InputError, match="reading the question alone"):
            await asked(generations, "Nothing", max_cost=0.00001)
    async with limited(sim) as generations:
        with pytest.raises(InputError, match="no price"):
            await asked(generations, "Unknown", max_cost=1)


async def test_a_new_day_begins_at_nothing() -> None:
    day = date(2026, 5, 4)
    counts = DayCounts(lambda: day)
    taken = await counts.take("ann", "tokens", 70, 100)
    assert isinstance(taken, Taken)
    assert await counts.take("ann", "tokens", 31, 100) == 70
    day = date(2026, 5, 5)
    assert isinstance(await counts.take("ann", "tokens", 100, 100), Taken)
    counts.settle(taken, 10)  # of yesterday
    assert await counts.used("ann", "tokens") == 100


async def test_principals_do_not_grow_without_a_bound() -> None:
    counts = DayCounts(lambda: date(2026, 5, 4))
    for number in range(20_001):
        await counts.take(str(number), "tokens", 1 + (number == 7), 10)
    assert len(counts._taken) <= 20_000
    assert await counts.used("7", "tokens") == 2, "who took most is remembered"


@given(st.text(max_size=400))
def test_an_estimate_is_not_below_a_token_for_four_bytes(text: str) -> None:
    call = Call(MODEL, (Turn("user", (Text(text),)),))
    assert estimate_tokens(call) >= len(text.encode("utf-8", "surrogatepass")) / 4
    assert issubclass(BudgetSpent, RunapiError)
