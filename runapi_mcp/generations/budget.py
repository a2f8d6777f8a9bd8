"""How many tokens each principal may use a day; days are UTC's."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, Protocol

from runapi_mcp.errors import BudgetSpent

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
