"""What models cost, by RunAPI's list or a file, and what a call costs by that; never a sum made up."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import ProtocolError, SettingsError
from runapi_mcp.wire.types import Usage
from runapi_mcp.wire.usage import Price, read_price_file, read_price_list

ROW = {"model": "gemini-2.5-flash", "input_price_per_1m_cents": 30, "output_price_per_1m_cents": 250}
PRICE = Price(Decimal("0.3"), Decimal("2.5"), Decimal("0.075"))
COUNTS = st.integers(0, 10**7)


@pytest.mark.parametrize("wrapped", [[ROW], {"data": [ROW]}, {"price_schedules": [ROW]}])
def test_a_list_is_read_however_it_is_wrapped(wrapped: object) -> None:
    found = read_price_list(json.dumps(wrapped)).of("gemini-2.5-flash")
    assert found == Price(Decimal("0.3"), Decimal("2.5"), Decimal("0.3"))


@pytest.mark.parametrize(
    "spoiled",
    [
        {"input_price_per_1m_cents": None},
        {"output_price_per_1m_cents": "much"},
        {"input_price_per_1m_cents": -1},
        {"output_price_per_1m_cents": 1e12},
        {"model": None},
        {"model": {}},
    ],
)
def test_a_row_that_is_no_price_makes_none(spoiled: dict[str, object]) -> None:
    assert not read_price_list(json.dumps([ROW | spoiled])).by_model


def test_the_dearest_of_a_models_rows_counts() -> None:
    dear = ROW | {"output_price_per_1m_cents": 1000, "service": "other"}
    found = read_price_list(json.dumps([ROW, dear, ROW])).of("gemini-2.5-flash")
    assert found is not None
    assert found.output == 10


@pytest.mark.parametrize("text", ["", "<html>", "{}", '{"error": "no"}', "[", "7"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        read_price_list(text)


def test_a_file_has_a_model_a_line() -> None:
    found = read_price_file("# ours\ncurrency EUR\n\ngemini-2.5-flash 0.30 2.50 0.075 # since May\nx-1 1 2\n")
    assert found.of("gemini-2.5-flash") == Price(Decimal("0.30"), Decimal("2.50"), Decimal("0.075"), "EUR")
    assert found.of("models/X-1") == Price(Decimal(1), Decimal(2), Decimal(1), "EUR")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a 1 2\nb 1", "Line 2"),
        ("a one 2", "Line 1"),
        ("a 1 2 3 4", "Line 1"),
        ("a -1 2", "Line 1"),
        ("a nan 2", "Line 1"),
        ("a 300000 2500000", "no price for a million tokens"),
        ("a 1 2\ncurrency EUR", "Line 2"),
        ("# nothing", "no price"),
        ("", "no price"),
    ],
)
def test_a_line_that_is_no_price_is_named(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_price_file(text)


def test_a_call_costs_what_was_read_read_again_written_and_thought() -> None:
    usage = Usage(input=1_000_000, output=100_000, thinking=100_000, cached=400_000)
    assert PRICE.cost(usage) == 600_000 * 0.3 + 400_000 * 0.075 + 200_000 * 2.5


@pytest.mark.parametrize("usage", [None, Usage(), Usage(input=1), Usage(output=1)])
def test_what_was_not_counted_has_no_cost(usage: Usage | None) -> None:
    assert PRICE.cost(usage) is None


@given(read=COUNTS, written=COUNTS, thought=COUNTS, again=COUNTS)
def test_no_call_costs_more_than_its_most(read: int, written: int, thought: int, again: int) -> None:
    cost = PRICE.cost(Usage(input=read, output=written, thinking=thought, cached=again))
    assert cost is not None
    assert cost <= PRICE.most(read, written + thought)


@given(read=COUNTS, money=st.integers(0, 10**12))
def test_what_can_be_written_for_some_money_costs_no_more(read: int, money: int) -> None:
    tokens = PRICE.writable(read, money)
    if tokens >= 0:
        assert PRICE.most(read, tokens) <= money < PRICE.most(read, tokens + 2)
    else:
        assert PRICE.most(read, 0) > money
