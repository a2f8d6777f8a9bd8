"""Sources as they are shown: numbered, each page once, nothing in them that could do harm.

Titles, URLs and snippets are strangers' text: one line, no control characters, no links but http(s)
ones, harmless in Markdown.
"""

import re
from collections.abc import Callable, Iterable, Mapping
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
        same = _same_as(url)
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


def _same_as(url: str) -> str:
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
