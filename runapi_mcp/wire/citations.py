"""Where an answer comes from, gathered from the places in which the wire may say it.

Nobody has documented where RunAPI puts citations on its chat path, so each known form is read
(wire notes §5.4, §6.4): OpenAI-style annotations, Google's grounding metadata in either casing,
and a relay's sources as a JSON array inside ``reasoning_content``. Every event carries all that
is known so far, so the last one is the whole.
"""

import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field

from runapi_mcp.wire.documents import Lax, lenient
from runapi_mcp.wire.types import Grounding, Source, Support, ThoughtDelta

REDIRECT_HOST: Final = "vertexaisearch.cloud.google.com"
"""Google's grounding gives links of this host, which lead to the pages and expire (wire notes §6.4)."""
_MOST_SOURCES = 200
_MOST_SUPPORTS = 2_000
_MOST_HELD = 65_536
_ARRAY_OF_OBJECTS = re.compile(r"\s*(\[\s*(\{|$)|$)")


class _Web(Lax):
    uri: str | None = None
    title: str | None = None


class _GroundingChunk(Lax):
    web: _Web | None = None


class _Segment(Lax):
    start: int | None = Field(None, validation_alias=AliasChoices("startIndex", "start_index"))
    end: int | None = Field(None, validation_alias=AliasChoices("endIndex", "end_index"))
    text: str | None = None


class _GroundingSupport(Lax):
    segment: _Segment | None = None
    indices: list[int] | None = Field(
        None, validation_alias=AliasChoices("groundingChunkIndices", "grounding_chunk_indices")
    )


class GroundingMetadata(Lax):
    """Google's ``groundingMetadata``, in camel or snake case."""

    queries: list[str] | None = Field(
        None, validation_alias=AliasChoices("webSearchQueries", "web_search_queries")
    )
    chunks: list[_GroundingChunk] | None = Field(
        None, validation_alias=AliasChoices("groundingChunks", "grounding_chunks")
    )
    supports: list[_GroundingSupport] | None = Field(
        None, validation_alias=AliasChoices("groundingSupports", "grounding_supports")
    )


class _UrlCitation(Lax):
    url: str = Field(min_length=1)
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class _Annotation(Lax):
    url_citation: _UrlCitation


class _RelaySource(Lax):
    url: str = Field(min_length=1, validation_alias=AliasChoices("source_url", "url", "link"))
    title: str | None = Field(None, validation_alias=AliasChoices("site_title", "title"))
    snippet: str | None = None


class Citations:
    """Gathers the citations of one stream."""

    def __init__(self) -> None:
        self._cited: dict[str, int] = {}
        self._sources: list[Source] = []
        self._supports: list[Support] = []
        self._held = ""
        self._relay_possible = True

    def annotations(self, value: object) -> Iterator[Grounding]:
        """Read ``annotations: [{"url_citation": …}]``; each chunk may add some."""
        items = value if isinstance(value, list) else []
        found = [a.url_citation for a in (lenient(_Annotation, item) for item in items) if a]
        for citation in found[:_MOST_SOURCES]:
            self._cite(citation)
        if found:
            yield Grounding(tuple(self._sources), tuple(self._supports))

    def metadata(self, value: object) -> Iterator[Grounding]:
        """Read grounding metadata; it is sent whole, so a later one replaces an earlier one."""
        metadata = lenient(GroundingMetadata, value)
        if metadata and (metadata.chunks or metadata.queries):
            yield read_grounding(metadata)

    def reasoning(self, text: str) -> Iterator[ThoughtDelta | Grounding]:
        """Read reasoning text: a thought, unless it is a relay's JSON array of sources."""
        held = self._held + text
        self._held = ""
        if not self._relay_possible or not _ARRAY_OF_OBJECTS.match(held):
            self._relay_possible = False
            yield ThoughtDelta(held)
        elif text.rstrip().endswith("]") and (sources := _relay_sources(held)):
            yield Grounding(sources)
        elif len(held) > _MOST_HELD:
            self._relay_possible = False
            yield ThoughtDelta(held)
        else:
            self._held = held

    def end(self) -> Iterator[ThoughtDelta]:
        """Yield reasoning that was held back as a possible array of sources and is none."""
        held, self._held = self._held, ""
        if held:
            yield ThoughtDelta(held)

    def _cite(self, citation: _UrlCitation) -> None:
        if citation.url not in self._cited and len(self._sources) < _MOST_SOURCES:
            self._cited[citation.url] = len(self._sources)
            self._sources.append(Source(citation.url, citation.title or "", "annotation"))
        index = self._cited.get(citation.url)
        if index is not None and citation.end_index is not None and len(self._supports) < _MOST_SUPPORTS:
            self._supports.append(Support(citation.start_index or 0, citation.end_index, "", (index,)))


def is_redirect(link: str) -> bool:
    """Whether a link is one of Google's redirects: https, its host, the usual port, no user name."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme == "https" and parts.netloc == REDIRECT_HOST


def read_grounding(metadata: GroundingMetadata) -> Grounding:
    """Return grounding metadata as sources, supports and queries.

    Chunks that are not web pages are left out, and supports keep only indices of those kept.
    """
    kept: dict[int, int] = {}
    sources: list[Source] = []
    for position, chunk in enumerate((metadata.chunks or [])[:_MOST_SOURCES]):
        if chunk.web and chunk.web.uri:
            kept[position] = len(sources)
            sources.append(Source(chunk.web.uri, chunk.web.title or "", "grounding"))
    supports = [_support(s, kept) for s in (metadata.supports or [])[:_MOST_SUPPORTS]]
    return Grounding(
        tuple(sources), tuple(s for s in supports if s and s.sources), tuple((metadata.queries or [])[:50])
    )


def _support(support: _GroundingSupport, kept: dict[int, int]) -> Support | None:
    segment = support.segment
    if segment is None:
        return None
    sources = tuple(kept[index] for index in support.indices or [] if index in kept)
    return Support(segment.start or 0, segment.end or 0, segment.text or "", sources)


def _relay_sources(text: str) -> tuple[Source, ...]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(items, list):
        return ()
    found = [lenient(_RelaySource, item) for item in items[:_MOST_SOURCES]]
    return tuple(Source(s.url, s.title or "", "relay", (s.snippet or "")[:2_000]) for s in found if s)
