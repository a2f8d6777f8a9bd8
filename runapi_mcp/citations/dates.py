"""The dates that sources carry: in their addresses, and where search engines put them in titles and snippets.

Only what is written as the day of a page counts. A year alone, or a date in the middle of a sentence, is as
often what a page is about.
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.citations.sources import CitedSource

_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905  # as one reads them
_MONTH: Final = rf"({'|'.join(_MONTHS)})[a-z]{{0,6}}\.?"
_IN_PATH: Final = (
    re.compile(r"(?<!\d)(20\d\d)[/_-](\d\d?)[/_-](\d\d?)(?!\d)"),
    re.compile(r"(?<!\d)(20\d\d)(\d\d)(\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(20\d\d)/(\d\d)(?=/)()"),
)
_WRITTEN: Final = (
    re.compile(r"(20\d\d)-(\d\d)-(\d\d)(?!\d)"),
    re.compile(r"(20\d\d)年(\d\d?)月(\d\d?)日"),
    re.compile(rf"(?P<month>{_MONTH}) (?P<day>\d\d?),? (?P<year>20\d\d)", re.IGNORECASE),
    re.compile(rf"(?P<day>\d\d?)\.? (?P<month>{_MONTH}) (?P<year>20\d\d)", re.IGNORECASE),
)
_PATH_CHARS: Final = 500
_EDGE_CHARS: Final = 24
"""Characters at either end of a text in which a date is the page's own."""


@dataclass(frozen=True, slots=True)
class Period:
    """The days that a date may mean: one, or a month's."""

    first: date
    last: date

    def __str__(self) -> str:
        return self.first.isoformat() if self.first == self.last else f"{self.first:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The days between which pages are wanted; `None` is no bound."""

    since: date | None = None
    until: date | None = None

    def leave_out(self, period: Period) -> bool:
        """Whether no day of a period is within."""
        return (self.since is not None and period.last < self.since) or (
            self.until is not None and period.first > self.until
        )


def period_of(source: CitedSource) -> Period | None:
    """Return when a source was published, by what it carries; `None` if it carries no date."""
    try:
        path = urlsplit(source["url"]).path[:_PATH_CHARS]
    except ValueError:
        path = ""
    snippet, title = source["snippet"], source["title"]
    edges = (snippet[:_EDGE_CHARS], title[:_EDGE_CHARS], title[-_EDGE_CHARS:])
    found = [*_periods(path, _IN_PATH), *(p for edge in edges for p in _periods(edge, _WRITTEN))]
    return found[0] if found else None


def mark_dates(sources: Sequence[CitedSource], bounds: Bounds) -> tuple[CitedSource, ...]:
    """Return sources with the date that each carries, and whether it is outside the bounds."""
    return tuple(
        source if (period := period_of(source)) is None else _mark(source, period, bounds)
        for source in sources
    )


def _mark(source: CitedSource, period: Period, bounds: Bounds) -> CitedSource:
    marked = source.copy()
    marked["date"] = str(period)
    if bounds.leave_out(period):
        marked["outside"] = True
    return marked


def _periods(text: str, patterns: Sequence[re.Pattern[str]]) -> Iterator[Period]:
    for pattern in patterns:
        for found in pattern.finditer(text):
            named = found.groupdict()
            year, month, day = (named["year"], named["month"], named["day"]) if named else found.groups()
            number = _MONTHS.index(month[:3].lower()) + 1 if month[0].isalpha() else int(month)
            try:
                last = int(day) if day else calendar.monthrange(int(year), number)[1]
                yield Period(date(int(year), number, last if day else 1), date(int(year), number, last))
            except ValueError:  # no such day
                continue
