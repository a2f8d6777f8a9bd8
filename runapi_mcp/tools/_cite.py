"""Citations: claims tied to numbered sources that are safe to show.

Titles, URLs and snippets are strangers' text: one line, no control characters, no links but http(s)
ones, harmless in Markdown. Sources that lead to the same page are one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypedDict
from urllib.parse import urlsplit

from runapi_mcp.errors import one_line
from runapi_mcp.tools._filters import NO_FILTERS, Filters, host_of, is_host
from runapi_mcp.tools._marks import Placed, marked, marker_place, placed, whole_spans
from runapi_mcp.tools._sentences import uncited
from runapi_mcp.wire.citations import is_redirect
from runapi_mcp.wire.types import Answer, Origin, Source

_CARD: Final = re.compile(r"\Ahttps?://googleusercontent\.com/card_content/\S*\s*")
_LINK: Final = re.compile(r"(?:\[([^\]\n]{1,300})\]\()?(https?://[^\s<>\"'\])]+)")
_MARKDOWN: Final = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#"})
_UNSAFE: Final = {ord(c): f"%{ord(c):02X}" for c in '<>"\\`^{|}'}
_OWN_MARK: Final = re.compile(r"\[\d{1,3}\](?!\()")
_TIED_TO_NOTHING: Final[dict[Origin, str]] = {
    "link": " (a link in the text, not a citation)",
    "relay": " (listed with the answer, tied to no sentence)",
}
_MOST_CLAIMS: Final = 100
_MOST_UNCITED: Final = 30


class CitedSource(TypedDict):
    """A source as the structured result shows it; `claims` are indices into the claims."""

    number: int
    title: str
    url: str
    domain: str
    origin: Origin
    redirect: bool
    snippet: str
    claims: list[int]


class Claim(TypedDict):
    """A stretch of the answer and the numbers of the sources behind it."""

    text: str
    sources: list[int]


@dataclass(frozen=True, slots=True)
class Cited:
    """An answer with its markers, and what it rests on.

    Attributes:
        text: The answer with `[n]` markers.
        grounded: Whether every sentence rests on a source, some do, or none.
        uncited: Sentences that rest on none, at most 30.
        uncited_count: How many do.
        sentences: How many sentences there are.
        removed: Sources that a filter removed.
        beyond: Sources left out because there were too many.
        own_marks: Whether the model wrote numbers in brackets itself.
    """

    text: str
    sources: tuple[CitedSource, ...]
    claims: tuple[Claim, ...]
    grounded: Literal[True, False, "partly"]
    uncited: tuple[str, ...]
    uncited_count: int
    sentences: int
    removed: int
    beyond: int
    own_marks: bool


def cited(
    answer: Answer, most: int, filters: Filters = NO_FILTERS, links: Mapping[str, str] | None = None
) -> Cited:
    """Return the answer with `[n]` markers, its first `most` sources that the filters allow, and its claims.

    `links` names the pages that redirect links lead to.
    """
    # A relay may put the link of a card before the answer (wire notes §5.4); offsets count it.
    card = _CARD.match(answer.text)
    cut = card.end() if card else 0
    text = answer.text[cut:]
    found = answer.grounding.sources or _links_in(text)
    shelf = _Shelf(most, filters, links or {})
    numbers = {index: number for index, source in enumerate(found) if (number := shelf.number(source))}
    certain = placed(answer.text, answer.grounding.supports)
    spans = [Placed(max(p.start - cut, 0), p.end - cut, p.sources) for p in certain]
    known = [p for p in spans if p.end > 0 and any(index in numbers for index in p.sources)]
    claims = _claims(text, known, numbers, shelf)
    without, count = uncited(text, [(p.start, p.end) for p in known])
    sources = shelf.sources
    return Cited(
        text=_with_marks(text, known, numbers),
        sources=sources,
        claims=claims,
        grounded=_grounded(sources, known, without),
        uncited=tuple(without[:_MOST_UNCITED]),
        uncited_count=len(without),
        sentences=count,
        removed=len(shelf.removed),
        beyond=len(shelf.beyond),
        own_marks=bool(sources) and bool(_OWN_MARK.search(text)),
    )


def source_lines(sources: Iterable[CitedSource]) -> str:
    """Return the sources as lines of text, titles made harmless in Markdown."""
    return "\n".join(_line(source) for source in sources)


class _Shelf:
    """Numbers sources as they come; one that leads to the same page keeps its number."""

    def __init__(self, most: int, filters: Filters, links: Mapping[str, str]) -> None:
        self._most = most
        self._filters = filters
        self._links = links
        self._kept: dict[str, CitedSource] = {}
        self.removed: set[str] = set()
        self.beyond: set[str] = set()

    @property
    def sources(self) -> tuple[CitedSource, ...]:
        return tuple(self._kept.values())

    def number(self, source: Source) -> int | None:
        """Return the source's number; `None` if it is not shown."""
        url = safe_url(self._links.get(source.url, source.url))
        if not url:
            return None
        same = _same_as(url)
        if same in self._kept:
            return self._kept[same]["number"]
        made = _cited_source(len(self._kept) + 1, url, source)
        if not self._filters.allows(made["domain"]):
            self.removed.add(same)
        elif len(self._kept) >= self._most:
            self.beyond.add(same)
        else:
            self._kept[same] = made
            return made["number"]
        return None


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


def _same_as(url: str) -> str:
    """Return what two spellings of one page's address share."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return f"{host_of(url)}:{parts.port or ''}{path}?{parts.query}"


def _cited_source(number: int, url: str, source: Source) -> CitedSource:
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


def _line(source: CitedSource) -> str:
    noted = " (a Google redirect link; it expires)" if source["redirect"] else ""
    noted += "" if source["claims"] else _TIED_TO_NOTHING.get(source["origin"], "")
    return f"[{source['number']}] {source['title'].translate(_MARKDOWN)} - {source['url']}{noted}"


def _links_in(text: str) -> tuple[Source, ...]:
    found: dict[str, str] = {}
    for title, url in _LINK.findall(text[:1_000_000]):
        found.setdefault(url.rstrip(".,;:!?"), title)
    return tuple(Source(url, title, "link") for url, title in found.items())


def _with_marks(text: str, spans: list[Placed], numbers: Mapping[int, int]) -> str:
    whole = whole_spans(text)
    marks: dict[int, set[int]] = {}
    for span in spans:
        at = marker_place(text, span.end, whole)
        marks.setdefault(at, set()).update(numbers[index] for index in span.sources if index in numbers)
    return marked(text, marks)


def _claims(text: str, spans: list[Placed], numbers: Mapping[int, int], shelf: _Shelf) -> tuple[Claim, ...]:
    claims: dict[str, Claim] = {}
    for span in spans:
        said = one_line(text[span.start : span.end].strip(), 500)
        if said not in claims and len(claims) >= _MOST_CLAIMS:
            continue
        claim = claims.setdefault(said, Claim(text=said, sources=[]))
        by = {*claim["sources"], *(numbers[index] for index in span.sources if index in numbers)}
        claim["sources"] = sorted(by)
    sources = {source["number"]: source for source in shelf.sources}
    for position, claim in enumerate(claims.values()):
        for number in claim["sources"]:
            sources[number]["claims"].append(position)
    return tuple(claims.values())


def _grounded(
    sources: tuple[CitedSource, ...], known: list[Placed], without: list[str]
) -> Literal[True, False, "partly"]:
    if all(source["origin"] == "link" for source in sources):
        return False
    return True if known and not without else "partly"
