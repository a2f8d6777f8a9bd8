"""Sources as they are shown: numbered, each page once, nothing in them that could do harm, and their dates.

Titles, URLs and snippets are strangers' text: one line, no control characters, no links but http(s)
ones, harmless in Markdown. Of dates only what is written as the day of a page counts: in its address, and
where search engines put it in titles and snippets. A year alone, or a date in the middle of a sentence, is as
often what a page is about.
"""

import calendar
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NotRequired, TypeAlias, TypedDict
from urllib.parse import urlsplit

from runapi_mcp.printable import one_line
from runapi_mcp.wire.grounding import is_redirect
from runapi_mcp.wire.types import Origin, Source

Allows: TypeAlias = Callable[[str], bool]
"""Whether a source of this host may be shown; the host is empty where it is not known."""

_HOST: Final = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+")
_MARKDOWN: Final = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#"})
_UNSAFE: Final = {ord(c): f"%{ord(c):02X}" for c in '<>"\\`^{|}'}
_TRACKING: Final = re.compile(
    r"(?:utm_\w*|gclid|gbraid|wbraid|dclid|fbclid|msclkid|yclid|twclid|igshid|mc_[ce]id|_hs\w*|srsltid|ref_src)(?:=|\Z)",
    re.IGNORECASE,
)
"""Parameters that say how somebody came to a page, not which it is."""
_SMALL_SCREEN: Final = re.compile(r"\A(?:m|mobile|amp)\.(?=[^.]+\.)|(?<=\A[a-z]{2}\.)m\.(?=[^.]+\.)")
_PAPER: Final = re.compile(r"/(?:abs|pdf|html)/([\w.-]{0,20}?/?\d[\d.]{1,12}?)(?:v\d+)?(?:\.pdf)?\Z")
"""A paper of arXiv, which is the same in each of its forms and versions."""
_TIED_TO_NOTHING: Final[dict[Origin, str]] = {
    "link": " (a link in the text, not a citation)",
    "relay": " (listed with the answer, tied to no sentence)",
}


class CitedSource(TypedDict):
    """A source as the structured result shows it; `claims` are indices into the claims.

    `date` is there where dates were asked for and it carries one, `outside` where that is not among them.
    """

    number: int
    title: str
    url: str
    domain: str
    origin: Origin
    redirect: bool
    snippet: str
    claims: list[int]
    date: NotRequired[str]
    outside: NotRequired[bool]


class Numbered:
    """Sources, numbered as they come; one that leads to the same page keeps its number.

    Args:
        most: How many are kept.
        allows: Whether a source of a host is kept.
        links: The pages that redirect links lead to.

    Attributes:
        removed: Pages that `allows` kept out.
        beyond: Pages that there was no room for.
    """

    def __init__(self, most: int, allows: Allows, links: Mapping[str, str]) -> None:
        self._most = most
        self._allows = allows
        self._links = links
        self._kept: dict[str, CitedSource] = {}
        self.removed: set[str] = set()
        self.beyond: set[str] = set()
        self._no_room: set[int] = set()

    @property
    def sources(self) -> tuple[CitedSource, ...]:
        """The sources that are kept, by number."""
        return tuple(self._kept.values())

    def has_no_room(self, index: int) -> bool:
        """Whether a source was left out only because there were too many."""
        return index in self._no_room

    def number(self, index: int, source: Source) -> int | None:
        """Return the number of the source with this index; `None` if it is not shown."""
        url = safe_url(self._links.get(source.url, source.url))
        if not url:
            return None
        same = _fold_url(url)
        if same in self._kept:
            return self._kept[same]["number"]
        made = _cite(len(self._kept) + 1, url, source)
        if not self._allows(made["domain"]):
            self.removed.add(same)
        elif len(self._kept) >= self._most:
            self.beyond.add(same)
            self._no_room.add(index)
        else:
            self._kept[same] = made
            return made["number"]
        return None


def source_lines(sources: Iterable[CitedSource], *, markdown: bool = True) -> str:
    """Return the sources as lines of text; as Markdown their titles are made harmless in it."""
    return "\n".join(_line(source, markdown=markdown) for source in sources)


def host_of(url: str) -> str:
    """Return a URL's host, in lower case and without `www.`; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.").rstrip(".")
    except ValueError:
        return ""


def is_host(text: str) -> bool:
    """Whether a text is a host name with a dot in it, and nothing else."""
    return len(text) <= 253 and bool(_HOST.fullmatch(text))


def safe_url(url: str) -> str:
    """Return a URL that is safe to show: http(s), a host, no user name, nothing that cannot be seen.

    Characters that Markdown or HTML would take for their own are percent-encoded. Empty if it is
    none of that.
    """
    try:
        parts = urlsplit(url)
        host, name = parts.hostname, parts.username
    except ValueError:
        return ""
    plain = len(url) <= 4_096 and url.isprintable() and not any(c.isspace() for c in url)
    fine = plain and parts.scheme in ("http", "https") and bool(host) and name is None and "\\" not in url
    return url.translate(_UNSAFE) if fine else ""


def plain_title(title: str) -> str:
    """Return a stranger's title as one line without control characters, links or schemes."""
    bare = re.sub(r"\b[a-z][a-z0-9+.-]{1,20}:(?://)?(?=\S)", "", one_line(title, 300), flags=re.IGNORECASE)
    return one_line(bare.replace("](", "] ("), 160)


def _fold_url(url: str) -> str:
    """Return what two spellings of one page's address share."""
    parts = urlsplit(url)
    host = _SMALL_SCREEN.sub("", host_of(url))
    path = parts.path.rstrip("/")
    if host == "arxiv.org" and (paper := _PAPER.match(path)):
        path = f"/abs/{paper[1]}"
    query = "&".join(part for part in parts.query.split("&") if not _TRACKING.match(part))
    try:
        port = parts.port if parts.port not in (80, 443, None) else ""
    except ValueError:
        port = ""
    return f"{host}:{port}{path}?{query}"


def _cite(number: int, url: str, source: Source) -> CitedSource:
    redirect = is_redirect(url)
    # Google titles its redirects with the name of the site they lead to.
    site = source.title.strip().lower().removeprefix("www.")
    domain = (site if is_host(site) else "") if redirect else host_of(url)
    return CitedSource(
        number=number,
        title=plain_title(source.title) or domain,
        url=url,
        domain=domain,
        origin=source.origin,
        redirect=redirect,
        snippet=plain_title(source.snippet),
        claims=[],
    )


def _line(source: CitedSource, *, markdown: bool) -> str:
    title = source["title"].translate(_MARKDOWN) if markdown else source["title"]
    noted = " (a Google redirect link; it expires)" if source.get("redirect") else ""
    # A structured result leaves out what is empty, or usual.
    noted += "" if source.get("claims") else _TIED_TO_NOTHING.get(source.get("origin", "grounding"), "")
    if source.get("outside"):
        noted += f" (dated {source.get('date')}, outside the dates that were asked for)"
    return f"[{source['number']}] {title} - {source['url']}{noted}"


# ---------------------------------------------------------------- dates

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
