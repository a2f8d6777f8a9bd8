"""Daily token budgets: counted for each principal, refused clearly, and new the next day."""

from dataclasses import replace
from datetime import date

import pytest
from fleet.replicas import KEY, job
from waiting import ended

from runapi_mcp.errors import BudgetSpent
from runapi_mcp.generations.admission import LocalTokenBudget
from runapi_mcp.generations.registry import Generations
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.usage import all_tokens


async def test_who_has_used_the_days_tokens_is_refused_and_others_are_not(sim: Simulator) -> None:
    settings = replace(Settings(base_url=sim.base_url), max_tokens_per_day=10)
    upstream = Upstream(settings)
    async with Generations(upstream, settings).open() as generations:
        first, _ = await generations.begin(job("One"), key=KEY, patience=5)
        await ended(first)
        await first.deliver()
        assert all_tokens(first.view().receipt.tokens) > 10
        with pytest.raises(BudgetSpent, match=r"Today's 10 tokens.*00:00 UTC"):
            await generations.begin(job("Two"), key=KEY, patience=5)
        other, _ = await generations.begin(job("Two", owner="bob"), key=KEY, patience=5)
        await ended(other)
    await upstream.aclose()
    assert len(sim.calls) == 2


async def test_a_new_day_begins_at_nothing() -> None:
    day = date(2026, 5, 4)
    budget = LocalTokenBudget(lambda: day)
    budget.use("ann", 70)
    budget.use("ann", 30)
    assert await budget.used("ann") == 100
    day = date(2026, 5, 5)
    assert await budget.used("ann") == 0


async def test_principals_do_not_grow_without_a_bound() -> None:
    budget = LocalTokenBudget(lambda: date(2026, 5, 4))
    for number in range(10_001):
        budget.use(str(number), 1)
    assert await budget.used("0") == 0
    assert await budget.used("10000") == 1
