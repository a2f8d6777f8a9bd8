"""Who used what on which day (UTC): generations, tokens, searches and what they cost, by caller and model."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Protocol, TypeAlias

from runapi_mcp.generations.admission import utc_today
from runapi_mcp.generations.values import Job, Receipt
from runapi_mcp.logs import principal
from runapi_mcp.models import find
from runapi_mcp.wire.prices import MILLION
from runapi_mcp.wire.types import JsonObject

KEEP_DAYS: Final = 31
_MOST_ROWS: Final = 20_000
"""Callers and models of one day that are told apart; what comes later is counted as the others'."""
OTHERS: Final = "others"

Key: TypeAlias = tuple[str, str, str]
"""A day as ISO writes it, whose name, and the model."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one caller used of one model on one day; money in millionths of a currency's unit."""

    day: str
    principal: str
    model: str
    counts: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> JsonObject:
        """Return it as programs read it; what was not counted is left out."""
        counts: JsonObject = {
            name: count for name, count in sorted(self.counts.items()) if not name.startswith("cost_")
        }
        costs = {name.removeprefix("cost_"): n for name, n in self.counts.items() if name.startswith("cost_")}
        money: JsonObject = {"cost": {unit: n / MILLION for unit, n in costs.items()}} if costs else {}
        return {"day": self.day, "principal": self.principal, "model": self.model} | counts | money


class DayBook(Protocol):
    """Counts what is used, by day, caller and model."""

    def add(self, job: Job, receipt: Receipt) -> None:
        """Note a generation that has ended."""

    async def share(self) -> None:
        """Let the other servers know what was noted."""

    async def rows(self, days: int, owner: str | None = None) -> list[Row]:
        """Return what was used in the last so many days, today included; of one principal or all."""


class LocalDayBook:
    """Counts what is used of this process."""

    def __init__(self, today: Callable[[], date] = utc_today) -> None:
        self._today = today
        self._counts: dict[Key, Counter[str]] = {}

    def add(self, job: Job, receipt: Receipt) -> None:
        """Note a generation; see :meth:`DayBook.add`."""
        key = key_of(self._today(), job, receipt)
        if key not in self._counts and len(self._counts) >= _MOST_ROWS:
            key = (key[0], OTHERS, OTHERS)
        self._counts.setdefault(key, Counter()).update(counts_of(job, receipt))
        oldest = (self._today() - timedelta(days=KEEP_DAYS)).isoformat()
        if next(iter(self._counts))[0] <= oldest:
            self._counts = {known: counts for known, counts in self._counts.items() if known[0] > oldest}

    async def share(self) -> None:
        """Do nothing: nobody else counts."""

    async def rows(self, days: int, owner: str | None = None) -> list[Row]:
        """Return what was used of this process; see :meth:`DayBook.rows`."""
        wanted = set(days_until(self._today(), days))
        return sorted_rows(
            (Row(*key, counts=Counter(counts)) for key, counts in self._counts.items() if key[0] in wanted),
            owner,
        )


def days_until(today: date, days: int) -> list[str]:
    """Return the last so many days, today first."""
    return [(today - timedelta(days=back)).isoformat() for back in range(min(days, KEEP_DAYS))]


def key_of(today: date, job: Job, receipt: Receipt) -> Key:
    """Return under what a generation is counted; a model that nobody knows has no line of its own."""
    model = receipt.model if find(receipt.model) else "other"
    return today.isoformat(), principal(job.owner), model


def counts_of(job: Job, receipt: Receipt) -> Counter[str]:
    """Return what a generation adds."""
    counts = Counter(generations=1)
    counts["failed"] = receipt.status == "failed"
    counts["searches"] = job.call.search
    if receipt.tokens is None:
        counts["uncounted"] = receipt.status != "failed"
    else:
        tokens = receipt.tokens
        for name in ("input", "output", "thinking", "cached"):
            counts[f"{name}_tokens"] = getattr(tokens, name) or 0
    if receipt.cost is not None:
        counts[f"cost_{receipt.currency}"] = round(receipt.cost * MILLION)
    elif receipt.status != "failed":
        counts["unpriced"] = 1
    return +counts  # without what is nothing


def sorted_rows(rows: Iterable[Row], owner: str | None) -> list[Row]:
    """Return rows in order, the newest day first; of one principal or all."""
    wanted = None if owner is None else principal(owner)
    kept = [row for row in rows if wanted is None or row.principal == wanted]
    by_name = sorted(kept, key=lambda row: (row.principal, row.model))
    return sorted(by_name, key=lambda row: row.day, reverse=True)
