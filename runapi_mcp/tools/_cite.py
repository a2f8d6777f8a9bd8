"""Citations: markers that stand where upstream's supports say, and sources that are safe to show.

Offsets count UTF-8 bytes and may be a byte off (wire notes §6.4). A marker is placed only where the
support's own text is found; it goes after the word it falls in. The answer's own characters are
never changed. Titles and URLs are strangers' text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypedDict
from urllib.parse import urlsplit

from runapi_mcp.errors import one_line
from runapi_mcp.wire.types import Answer, Grounding, Origin, Source, Support

_LINK: Final = re.compile(r"https?://[^\s<>\"'\])]+")
_REDIRECT_HOST: Final = "vertexaisearch.cloud.google.com"
_MARKDOWN: Final = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#"})


class CitedSource(TypedDict):
    """A source as the structured result shows it."""

    number: int
    title: str
    url: str
    domain: str
    origin: Origin
    redirect: bool


@dataclass(frozen=True, slots=True)
class Cited:
    """An answer with its markers, and the numbered sources behind it."""

    text: str
    sources: tuple[CitedSource, ...]


def cited(answer: Answer, most: int) -> Cited:
    """Return the answer with `[n]` markers and its first `most` sources."""
    grounding = answer.grounding if answer.grounding.sources else _links(answer.text)
    numbers, sources = _numbered(grounding.sources, most)
    return Cited(_marked(answer.text, grounding.supports, numbers), sources)


def source_lines(sources: Iterable[CitedSource]) -> str:
    """Return the sources as lines of text, titles made harmless in Markdown."""
    return "\n".join(_line(source) for source in sources)


def _line(source: CitedSource) -> str:
    title = one_line(source["title"], 160).translate(_MARKDOWN)
    noted = " (a Google redirect link; it expires)" if source["redirect"] else ""
    noted += " (a link in the text, not a citation)" if source["origin"] == "link" else ""
    return f"[{source['number']}] {title or source['domain']} - {source['url']}{noted}"


def _links(text: str) -> Grounding:
    found = dict.fromkeys(match.rstrip(".,;:!?") for match in _LINK.findall(text[:1_000_000]))
    return Grounding(tuple(Source(url, "", "link") for url in found))


def _numbered(sources: tuple[Source, ...], most: int) -> tuple[dict[int, int], tuple[CitedSource, ...]]:
    """Return each source's number by its index, and the sources; doubles share a number."""
    numbers: dict[int, int] = {}
    kept: dict[str, CitedSource] = {}
    for index, source in enumerate(sources):
        url = _safe_url(source.url)
        if url and url not in kept and len(kept) < most:
            kept[url] = _cited_source(len(kept) + 1, url, source)
        if url in kept:
            numbers[index] = kept[url]["number"]
    return numbers, tuple(kept.values())


def _cited_source(number: int, url: str, source: Source) -> CitedSource:
    host = urlsplit(url).hostname or ""
    return CitedSource(
        number=number,
        title=one_line(source.title, 300),
        url=url,
        domain=host.removeprefix("www."),
        origin=source.origin,
        redirect=host == _REDIRECT_HOST,
    )


def _safe_url(url: str) -> str:
    """Return a URL that is one line of http(s), or nothing."""
    if len(url) > 4096 or any(c.isspace() or not c.isprintable() for c in url):
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and host else ""


def _marked(text: str, supports: tuple[Support, ...], numbers: dict[int, int]) -> str:
    at: dict[int, set[int]] = {}
    encoded = text.encode()
    for support in supports:
        cited_by = {numbers[index] for index in support.sources if index in numbers}
        end = _end_of(support, text, encoded) if cited_by else None
        if end is not None:
            at.setdefault(_after_word(text, end), set()).update(cited_by)
    pieces, start = [], 0
    for end, marks in sorted(at.items()):
        pieces += [text[start:end], "".join(f"[{mark}]" for mark in sorted(marks))]
        start = end
    return "".join([*pieces, text[start:]])


def _end_of(support: Support, text: str, encoded: bytes) -> int | None:
    """Return where a support ends, in characters; `None` if its text is nowhere, or in two places."""
    if not support.text:
        return _characters(encoded, support.end)
    wanted = support.text.encode()
    for shift in (0, -1, 1):
        start = support.start + shift
        if start >= 0 and encoded[start : start + len(wanted)] == wanted:
            return _characters(encoded, start + len(wanted))
    found = text.find(support.text)
    once = found >= 0 and text.find(support.text, found + 1) < 0
    return found + len(support.text) if once else None


def _characters(encoded: bytes, end: int) -> int | None:
    if not 0 < end <= len(encoded):
        return None
    try:
        return len(encoded[:end].decode())
    except UnicodeDecodeError:
        return None


def _after_word(text: str, end: int) -> int:
    """Move past the rest of a word, and what belongs to its last character."""
    while end < len(text) and _inside(text, end):
        end += 1
    return end


def _inside(text: str, at: int) -> bool:
    joined = text[at] in "\u200d\ufe0f" or text[at - 1] == "\u200d" or _combining(text[at])
    word = text[at - 1].isalnum() and text[at].isalnum() and text[at].isascii()
    return joined or word


def _combining(character: str) -> bool:
    return "\u0300" <= character <= "\u036f" or "\U0001f3fb" <= character <= "\U0001f3ff"
