"""The ledger: per principal, and bounded in principals and models."""

from datetime import UTC, datetime

import pytest

from runapi_mcp.generations import spending as module
from runapi_mcp.generations.spending import Ledger
from runapi_mcp.generations.values import Receipt
from runapi_mcp.wire.types import Usage

TOKENS = Usage(1, 2, 3, None)


def receipt(model: str = "m", tokens: Usage | None = TOKENS) -> Receipt:
    return Receipt(model, "chat", "complete", True, "stop", "stop", tokens, 0.1, 0.2, 0.0, 1, 1, None)


def test_one_principal_does_not_see_what_another_spent() -> None:
    ledger = Ledger()
    ledger.add("ada", receipt())
    ledger.add("ada", receipt())
    assert ledger.spent("ada").tokens == Usage(2, 4, 6, None)
    assert ledger.spent("ada").ended == {"complete": 2}
    assert ledger.spent("bob").tokens == Usage()


def test_a_generation_without_counts_is_counted_as_such() -> None:
    ledger = Ledger()
    ledger.add("ada", receipt(tokens=None))
    assert ledger.spent("ada").uncounted == 1
    assert ledger.spent("ada").by_model == {}


def test_more_models_than_it_tells_apart_are_counted_as_one() -> None:
    ledger = Ledger()
    for number in range(module.MOST_MODELS + 5):
        ledger.add("ada", receipt(f"m-{number}"))
    spent = ledger.spent("ada")
    assert len(spent.by_model) == module.MOST_MODELS + 1
    assert spent.by_model[module.OTHERS] == Usage(5, 10, 15, None)
    assert spent.tokens.output == 2 * (module.MOST_MODELS + 5)


def test_the_principal_idle_for_longest_is_forgotten_and_the_count_starts_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_OWNERS", 2)
    hours = iter(range(24))
    ledger = Ledger(lambda: datetime(2026, 1, 1, next(hours), tzinfo=UTC))
    for owner in ("ada", "bob", "ada", "cy"):
        ledger.add(owner, receipt())
    assert ledger.spent("bob").ended == {}
    assert ledger.spent("bob").since.hour == 1
    assert ledger.spent("ada").ended == {"complete": 2}
    assert ledger.spent("ada").since.hour == 0
