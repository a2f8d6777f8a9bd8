"""What each principal's generations cost, added up, and how many tokens a day each may use (UTC)."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, Protocol

from runapi_mcp.errors import BudgetSpent
from runapi_mcp.generations.values import Receipt, Status
from runapi_mcp.wire.types import Usage
from runapi_mcp.wire.usage import added

_MOST_OWNERS: Final = 10_000


class Budget(Protocol):
    """Counts what principals use in a day."""

    async def used(self, owner: str) -> int:
        """Return the tokens that `owner` has used today."""

    def use(self, owner: str, tokens: int) -> None:
        """Note tokens that `owner` has used; here they count at once."""

    async def share(self) -> None:
        """Let the other servers know what was noted."""


def utc_today() -> date:
    """Return the day that counts now."""
    return datetime.now(UTC).date()


class MemoryBudget:
    """What principals used of this process."""

    def __init__(self, today: Callable[[], date] = utc_today) -> None:
        self._today = today
        self._day = today()
        self._used: dict[str, int] = {}

    async def used(self, owner: str) -> int:
        """Return today's tokens; see :meth:`Budget.used`."""
        self._turn_the_day()
        return self._used.get(owner, 0)

    def use(self, owner: str, tokens: int) -> None:
        """Note tokens; see :meth:`Budget.use`. Beyond 10,000 principals a day, the first is forgotten."""
        self._turn_the_day()
        self._used[owner] = self._used.get(owner, 0) + tokens
        if len(self._used) > _MOST_OWNERS:
            del self._used[next(iter(self._used))]

    async def share(self) -> None:
        """Do nothing: nobody else counts."""

    def _turn_the_day(self) -> None:
        if self._today() != self._day:
            self._day, self._used = self._today(), {}


async def check_budget(budget: Budget, owner: str, limit: int) -> None:
    """Let `owner` go on if today's tokens are below `limit`; 0 is no limit.

    What is running is not counted before it has ended, so a principal may end a day above the limit.

    Raises:
        BudgetSpent: They are not.
    """
    if limit and (used := await budget.used(owner)) >= limit:
        raise BudgetSpent(f"Today's {limit:,} tokens are used up ({used:,} were used).")


MOST_OWNERS: Final = 10_000
"""Principals kept; whoever spent nothing for longest is forgotten first."""
MOST_MODELS: Final = 50
"""Models told apart for one principal; the rest are counted as one."""
OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class Spent:
    """What one principal has spent.

    Attributes:
        since: Since when this counts.
        ended: How many generations ended, by status.
        requests: Requests that were sent to RunAPI for them.
        tokens: Tokens in all, as far as RunAPI said; `None` where it never did.
        uncounted: Generations for which RunAPI gave no token counts.
        by_model: The tokens again, by model.
    """

    since: datetime
    ended: Mapping[Status, int] = field(default_factory=dict)
    requests: int = 0
    tokens: Usage = field(default_factory=Usage)
    uncounted: int = 0
    by_model: Mapping[str, Usage] = field(default_factory=dict)


class Ledger:
    """Adds up receipts, within bounds."""

    def __init__(self, today: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._today = today
        self._since = today()
        self._accounts: OrderedDict[str, Spent] = OrderedDict()

    def add(self, owner: str, receipt: Receipt) -> None:
        """Add what an ended generation of `owner` cost."""
        self._accounts[owner] = _with(self.spent(owner), receipt)
        self._accounts.move_to_end(owner)
        if len(self._accounts) > MOST_OWNERS:
            self._accounts.popitem(last=False)
            # From now on nobody can tell who was forgotten from who never spent.
            self._since = self._today()

    def spent(self, owner: str) -> Spent:
        """Return what `owner` has spent."""
        return self._accounts.get(owner) or Spent(self._since)


def _with(spent: Spent, receipt: Receipt) -> Spent:
    tokens = receipt.tokens
    return Spent(
        since=spent.since,
        ended={**spent.ended, receipt.status: spent.ended.get(receipt.status, 0) + 1},
        requests=spent.requests + receipt.requests,
        tokens=added(spent.tokens, tokens) or spent.tokens,
        uncounted=spent.uncounted + (tokens is None),
        by_model=_by_model(spent.by_model, receipt.model, tokens),
    )


def _by_model(by_model: Mapping[str, Usage], model: str, tokens: Usage | None) -> Mapping[str, Usage]:
    if tokens is None:
        return by_model
    name = model if model in by_model or len(by_model) < MOST_MODELS else OTHERS
    return {**by_model, name: added(by_model.get(name), tokens) or tokens}
