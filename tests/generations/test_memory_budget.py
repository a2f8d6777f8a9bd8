"""The budget in bytes: never more than there is, a share for everybody, spare bytes taken back first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import MemoryFull
from runapi_mcp.generations.admission import MemoryBudget, Reservation

OWNERS = ("ann", "bob", "cy", "dee")


def test_one_caller_may_hold_half_and_a_second_a_third() -> None:
    budget = MemoryBudget(1200)
    budget.reserve("ann", 600)
    with pytest.raises(MemoryFull):
        budget.reserve("ann", 2)
    assert budget.room("bob") == 300
    budget.reserve("bob", 300)
    with pytest.raises(MemoryFull, match=r"MiB"):
        budget.reserve("bob", 2)


def test_a_newcomer_always_gets_something_however_many_took_all_they_could() -> None:
    budget = MemoryBudget(1_000_000)
    for number in range(8):
        budget.reserve(f"greedy {number}", budget.room(f"greedy {number}"))
    assert budget.room("newcomer") > 1000


def test_what_is_spare_is_taken_back_and_counts_against_nobody() -> None:
    budget = MemoryBudget(1000)
    spare = budget.reserve("ann", 500)
    spare.settle(500, spare=True)
    assert (budget.held("ann"), budget.used, budget.room("bob")) == (0, 500, 500)
    budget.reclaim = spare.release
    budget.reserve("bob", 200)
    assert spare.size == 500
    budget.reserve("cy", 400)
    assert (spare.size, budget.used, budget.spare) == (0, 600, 0)


def test_what_was_spare_can_be_firm_again() -> None:
    budget = MemoryBudget(1000)
    reservation = budget.reserve("ann", 500)
    reservation.settle(500, spare=True)
    reservation.settle(500, spare=False)
    assert (budget.held("ann"), budget.spare) == (500, 0)


def test_a_block_gives_back_what_it_held_even_when_it_fails() -> None:
    budget = MemoryBudget(1000)
    with pytest.raises(ZeroDivisionError), budget.reserve("ann", 400):
        raise ZeroDivisionError
    assert (budget.used, budget.held("ann")) == (0, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(OWNERS),
        st.sampled_from(["reserve", "resize", "spare", "firm", "release"]),
        st.integers(0, 700),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_is_done_the_sum_is_right_and_what_is_firm_fits(steps: list[tuple[str, str, int]]) -> None:
    budget = MemoryBudget(1000)
    live: list[Reservation] = []

    def reclaim() -> None:
        for reservation in live:
            if reservation.spare and budget.used > budget.most:
                reservation.release()

    budget.reclaim = reclaim
    for owner, what, size in steps:
        own = [reservation for reservation in live if reservation.owner == owner]
        try:
            if what == "reserve" or not own:
                live.append(budget.reserve(owner, size))
            elif what == "resize":
                own[-1].resize(size)
            elif what == "release":
                own[-1].release()
                own[-1].settle(size, spare=False)  # changes nothing any more
                live.remove(own[-1])
            else:
                own[-1].settle(size, spare=what == "spare")
        except MemoryFull:
            assert size > budget.room(owner)
        assert budget.used == sum(reservation.size for reservation in live)
        assert budget.spare == sum(reservation.size for reservation in live if reservation.spare)
        for each in OWNERS:
            firm = sum(r.size for r in live if r.owner == each and not r.spare)
            assert budget.held(each) == firm
        if budget.firm <= budget.most:
            assert budget.used <= budget.most
