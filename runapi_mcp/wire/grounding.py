"""Where an answer comes from, gathered from the places in which the wire may say it.

Nobody has documented where RunAPI puts citations on its chat path, so each known form is read wherever
in a chunk it stands (docs/wire.md §5.3, §6.3): Google's grounding metadata in either casing,
alone or in a list; OpenAI's annotations, nested or flat; lists of links; and a relay's sources as a JSON
array inside ``reasoning_content``. They may come in lots, and what they support later than they: sources
are merged by their links, and every event carries all that is known so far, so the last one is the whole.
What is odd costs itself and no more: a source without a title is a source, and a stretch that cannot be
read takes no source away.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, OnErrorOmit

from runapi_mcp.wire.lax import Lax, Maybe, lenient
from runapi_mcp.wire.types import Grounding, Origin, Source, Support, ThoughtDelta

REDIRECT_HOST: Final = "vertexaisearch.cloud.google.com"
"""Google's grounding gives links of this host, which lead to the pages and expire (docs/wire.md §6.3)."""
_MOST_SOURCES: Final = 200
_MOST_SUPPORTS: Final = 2_000
_MOST_QUERIES: Final = 50
_MOST_HELD: Final = 65_536
_DEEPEST: Final = 5
_MOST_VALUES: Final = 500
_ARRAY_OF_OBJECTS: Final = re.compile(r"\s*(\[\s*(\{|$)|$)")

_METADATA: Final = frozenset({"groundingmetadata", "vertexaigroundingmetadata"})
_ANNOTATIONS: Final = frozenset({"annotations", "urlcitation", "urlcitations"})
_LINKS: Final = frozenset(
    {"citations", "citationsources", "searchresults", "webresults", "references", "sources"}
)
"""Names of members, in small letters alone: LiteLLM's and Google's, OpenAI's, Perplexity's and relays'."""


class _Web(Lax):
    uri: Maybe[str] = Field(None, validation_alias=AliasChoices("uri", "url"))
    title: Maybe[str] = None


class _GroundingChunk(Lax):
    web: Maybe[_Web] = None
    maps: Maybe[_Web] = None
    retrieved: Maybe[_Web] = Field(
        None, validation_alias=AliasChoices("retrievedContext", "retrieved_context")
    )

    @property
    def page(self) -> _Web | None:
        """The page that it names: of the web, of Maps or of a store of documents."""
        return next((one for one in (self.web, self.maps, self.retrieved) if one and one.uri), None)


class _Segment(Lax):
    start: int | None = Field(None, validation_alias=AliasChoices("startIndex", "start_index"))
    end: int | None = Field(None, validation_alias=AliasChoices("endIndex", "end_index"))
    part: int | None = Field(None, validation_alias=AliasChoices("partIndex", "part_index"))
    text: Maybe[str] = None


class _GroundingSupport(Lax):
    segment: Maybe[_Segment] = None
    indices: Maybe[list[OnErrorOmit[int]]] = Field(
        None, validation_alias=AliasChoices("groundingChunkIndices", "grounding_chunk_indices")
    )


class GroundingMetadata(Lax):
    """Google's ``groundingMetadata``, in camel or snake case.

    Supports name chunks by their place, so an odd chunk keeps its own.
    """

    queries: Maybe[list[OnErrorOmit[str]]] = Field(
        None, validation_alias=AliasChoices("webSearchQueries", "web_search_queries")
    )
    chunks: Maybe[list[Maybe[_GroundingChunk]]] = Field(
        None, validation_alias=AliasChoices("groundingChunks", "grounding_chunks")
    )
    supports: Maybe[list[OnErrorOmit[_GroundingSupport]]] = Field(
        None, validation_alias=AliasChoices("groundingSupports", "grounding_supports")
    )


class _Cited(Lax):
    url: str = Field(min_length=1)
    title: Maybe[str] = None


class _Span(Lax):
    start_index: int | None = None
    end_index: int | None = None


class _RelaySource(Lax):
    url: str = Field(min_length=1, validation_alias=AliasChoices("source_url", "url", "link", "uri"))
    title: Maybe[str] = Field(None, validation_alias=AliasChoices("site_title", "title"))
    snippet: Maybe[str] = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Where in the answer the parts begin that supports count from, in UTF-8 bytes.

    Attributes:
        starts: Of each part but the first.
        certain: Whether what upstream counts is what is given out; it is not where thinking was taken out.
    """

    starts: Sequence[int] = ()
    certain: bool = True

    def start(self, part: int | None) -> int | None:
        """Return where a part begins, without a number the first; `None` if that is not certain."""
        if not self.certain:
            return None
        if not part:
            return 0
        return self.starts[part - 1] if 0 < part <= len(self.starts) else None


_WHOLE: Final = Parts()


class Citations:
    """Gathers the citations of one stream."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._sources: list[Source] = []
        self._supports: dict[tuple[int, int, str], tuple[int, ...]] = {}
        self._queries: dict[str, None] = {}
        self._chunks: list[int | None] = []
        self._waiting: list[tuple[_GroundingSupport, Parts]] = []
        self._looked_like_it = False
        self._changed = False
        self._held = ""
        self._relay_possible = True

    def search(self, value: object, parts: Parts = _WHOLE) -> Iterator[Grounding]:
        """Read whatever looks like sources in a part of a chunk, however deep it stands there.

        `parts` says where the parts of the answer begin that Google's supports may count from.
        """
        left, level = _MOST_VALUES, [value]
        for _ in range(_DEEPEST):
            level, left = self._search_level(level[:left], parts), left - len(level)
            if not level or left <= 0:
                break
        if self._changed:
            yield from self._news()

    def annotations(self, value: object) -> Iterator[Grounding]:
        """Read ``annotations: [{"url_citation": …}]``; each chunk may add some."""
        self._add_annotations(value)
        yield from self._news()

    def metadata(self, value: object, parts: Parts = _WHOLE) -> Iterator[Grounding]:
        """Read grounding metadata, or a list of them; each may add some, or say all again."""
        self._add_metadata(value, parts)
        yield from self._news()

    def reasoning(self, text: str) -> Iterator[ThoughtDelta | Grounding]:
        """Read reasoning text: a thought, unless it is a relay's JSON array of sources."""
        held, self._held = self._held + text, ""
        if self._relay_possible:
            # Held, blanks before it would be looked through again with each piece.
            held = held.lstrip()
        if not self._relay_possible or not _ARRAY_OF_OBJECTS.match(held):
            self._relay_possible = False
            yield ThoughtDelta(held)
        elif text.rstrip().endswith("]") and self._add_links(_parse(held)):
            yield from self._news()
        elif len(held) > _MOST_HELD:
            self._relay_possible = False
            yield ThoughtDelta(held)
        else:
            self._held = held

    def flush(self) -> Iterator[ThoughtDelta]:
        """Yield reasoning that was held back as a possible array of sources and is none."""
        held, self._held = self._held, ""
        if held:
            yield ThoughtDelta(held)

    def end(self) -> Iterator[ThoughtDelta | Grounding]:
        """Yield what was held back, and that there are supports whose sources never came."""
        yield from self.flush()
        if self._waiting and not self._sources:
            self._misread(self._waiting)
        yield from self._news()

    def _search_level(self, values: Sequence[object], parts: Parts) -> list[object]:
        """Read what has a telling name among values, and return the values inside the others."""
        inside: list[object] = []
        for value in values:
            if isinstance(value, list):
                inside += value[:_MOST_VALUES]
            for name, member in value.items() if isinstance(value, Mapping) else ():
                if not isinstance(member, dict | list) or not member:
                    continue
                key = _key(name)
                if key in _METADATA:
                    self._add_metadata(member, parts)
                elif key in _ANNOTATIONS:
                    self._add_annotations(member)
                elif key in _LINKS:
                    if not self._add_links(member) and key != "sources":
                        self._misread(member)
                elif len(inside) < _MOST_VALUES:
                    inside.append(member)
        return inside

    def _add_annotations(self, value: object) -> None:
        items = value if isinstance(value, list) else [value]
        cites = [item for item in items if isinstance(item, dict) and item.get("type") != "file_citation"]
        for item in cites[:_MOST_SUPPORTS]:
            nested = item.get("url_citation")
            told = nested if isinstance(nested, dict) else item
            if page := lenient(_Cited, told):
                index = self._source(Source(page.url, page.title or "", "annotation"))
                span = lenient(_Span, told) or lenient(_Span, item) or _Span()
                if index is not None and span.end_index is not None:
                    self._support(span.start_index or 0, span.end_index, "", (index,))
            else:
                self._misread(told if told.get("url") else None)

    def _add_metadata(self, value: object, parts: Parts) -> None:
        for item in value[:_MOST_SOURCES] if isinstance(value, list) else [value]:
            metadata = lenient(GroundingMetadata, item)
            if metadata is None:
                self._misread(item)
                continue
            for query in metadata.queries or ():
                self._query(query)
            lot = self._lot(metadata.chunks or ())
            waiting, self._waiting = (self._waiting if lot else []), ([] if lot else self._waiting)
            for support, its_parts in [*waiting, *((s, parts) for s in metadata.supports or ())]:
                self._add_support(support, lot, its_parts)
            if isinstance(item, dict) and not (self._sources or metadata.queries or self._waiting):
                self._misread(_looks_sourced(item))

    def _lot(self, chunks: Sequence[_GroundingChunk | None]) -> list[int | None]:
        """Return the index of the source that each chunk of a lot is; `None` where it has no address."""
        lot: list[int | None] = []
        for chunk in chunks[:_MOST_SOURCES]:
            page = chunk.page if chunk else None
            lot.append(self._source(Source(page.uri, page.title or "")) if page and page.uri else None)
        if lot:
            # A lot that begins as all before it says them again; another one goes on from there.
            again = lot[: len(self._chunks)] == self._chunks
            self._chunks = (lot if again else [*self._chunks, *lot])[: 4 * _MOST_SOURCES]
        return lot

    def _add_support(self, support: _GroundingSupport, lot: Sequence[int | None], parts: Parts) -> None:
        segment, indices = support.segment, support.indices or []
        if segment is None or not indices:
            return
        # A lot's own places count, or those of all lots where it has none of that number.
        places = lot if all(0 <= index < len(lot) for index in indices) else self._chunks
        if not places:
            if len(self._waiting) < _MOST_SUPPORTS:
                self._waiting.append((support, parts))
            return
        sources = tuple(
            place for index in indices if 0 <= index < len(places) and (place := places[index]) is not None
        )
        start = parts.start(segment.part)
        text = segment.text or ""
        if sources and (start is not None or text):
            at = start or 0
            # Google leaves zeros out (docs/wire.md §6.3).
            self._support(at + (segment.start or 0), at + (segment.end or 0), text, sources)

    def _add_links(self, value: object) -> bool:
        """Add a list of links, or of objects that have one; return whether there was any."""
        found = False
        for item in value[:_MOST_SOURCES] if isinstance(value, list) else ():
            if isinstance(item, dict) and "url_citation" in item:
                self._add_annotations(item)
                found = True
                continue
            told = {"url": item} if isinstance(item, str) else item
            source = lenient(_RelaySource, told)
            if source and (isinstance(item, dict) or "://" in source.url):
                snippet = (source.snippet or "")[:2_000]
                self._source(Source(source.url, source.title or "", "relay", snippet))
                found = True
        return found

    def _source(self, source: Source) -> int | None:
        """Return the index of a source, added unless its link is known; `None` if there is no room."""
        index = self._at.get(source.url)
        if index is None:
            if len(self._sources) >= _MOST_SOURCES:
                return None
            index = self._at[source.url] = len(self._sources)
            self._sources.append(source)
            self._changed = True
        elif (merged := _merge(self._sources[index], source)) != self._sources[index]:
            self._sources[index] = merged
            self._changed = True
        return index

    def _support(self, start: int, end: int, text: str, sources: tuple[int, ...]) -> None:
        key = (start, end, text)
        before = self._supports.get(key, ())
        new = tuple(dict.fromkeys((*before, *sources)))
        if new != before and (before or len(self._supports) < _MOST_SUPPORTS):
            self._supports[key] = new
            self._changed = True

    def _query(self, query: str) -> None:
        if query not in self._queries and len(self._queries) < _MOST_QUERIES:
            self._queries[query] = None
            self._changed = True

    def _misread(self, value: object) -> None:
        """Note that something looked like sources and said none."""
        if value and isinstance(value, dict | list) and not self._looked_like_it:
            self._looked_like_it = self._changed = True

    def _news(self) -> Iterator[Grounding]:
        """Yield all that is known, if there is more of it than before."""
        if self._changed:
            self._changed = False
            supports = tuple(Support(*key, sources) for key, sources in self._supports.items())
            unread = self._looked_like_it and not self._sources
            yield Grounding(tuple(self._sources), supports, tuple(self._queries), unread)


def is_redirect(link: str) -> bool:
    """Whether a link is one of Google's redirects: https, its host, the usual port, no user name."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme == "https" and parts.netloc == REDIRECT_HOST


_CLOSER: Final[dict[Origin, int]] = {"grounding": 0, "annotation": 1, "relay": 2, "link": 3}


def _merge(known: Source, again: Source) -> Source:
    origin = min(known.origin, again.origin, key=lambda origin: _CLOSER[origin])
    return replace(
        known, title=known.title or again.title, origin=origin, snippet=known.snippet or again.snippet
    )


def _key(name: object) -> str:
    """Return a member's name as the tables have it: small letters alone."""
    return "".join(filter(str.isalpha, str(name)[:60])).lower()


def _looks_sourced(metadata: Mapping[str, object]) -> object:
    """Return what of grounding metadata that gave nothing must have been sources; `None` if nothing must."""
    told = (value for name, value in metadata.items() if "chunk" in _key(name) or "support" in _key(name))
    return next((value for value in told if isinstance(value, dict | list) and value), None)


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
