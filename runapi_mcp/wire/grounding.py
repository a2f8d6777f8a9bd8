"""Where an answer comes from, gathered from the places in which the wire may say it.

Nobody has documented where RunAPI puts citations on its chat path, so each known form is read
(wire notes §5.4, §6.4): OpenAI-style annotations, Google's grounding metadata in either casing,
and a relay's sources as a JSON array inside ``reasoning_content``. Every event carries all that
is known so far, so the last one is the whole. What is odd costs itself and no more: a source
without a title is a source, and a stretch that cannot be read takes no source away.
"""

import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, OnErrorOmit

from runapi_mcp.wire.json_text import Lax, Maybe, lenient
from runapi_mcp.wire.types import Grounding, Source, Support, ThoughtDelta

REDIRECT_HOST: Final = "vertexaisearch.cloud.google.com"
"""Google's grounding gives links of this host, which lead to the pages and expire (wire notes §6.4)."""
_MOST_SOURCES = 200
_MOST_SUPPORTS = 2_000
_MOST_HELD = 65_536
_ARRAY_OF_OBJECTS = re.compile(r"\s*(\[\s*(\{|$)|$)")


class _Web(Lax):
    uri: Maybe[str] = None
    title: Maybe[str] = None


class _GroundingChunk(Lax):
    web: Maybe[_Web] = None


class _Segment(Lax):
    start: int | None = Field(None, validation_alias=AliasChoices("startIndex", "start_index"))
    end: int | None = Field(None, validation_alias=AliasChoices("endIndex", "end_index"))
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


class _Annotation(Lax):
    page: _Cited = Field(alias="url_citation")
    span: Maybe[_Span] = Field(None, alias="url_citation")


class _RelaySource(Lax):
    url: str = Field(min_length=1, validation_alias=AliasChoices("source_url", "url", "link"))
    title: Maybe[str] = Field(None, validation_alias=AliasChoices("site_title", "title"))
    snippet: Maybe[str] = None


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
        found = [annotation for item in items if (annotation := lenient(_Annotation, item))]
        for annotation in found[:_MOST_SOURCES]:
            self._cite(annotation.page, annotation.span or _Span())
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

    def _cite(self, page: _Cited, span: _Span) -> None:
        if page.url not in self._cited and len(self._sources) < _MOST_SOURCES:
            self._cited[page.url] = len(self._sources)
            self._sources.append(Source(page.url, page.title or "", "annotation"))
        index = self._cited.get(page.url)
        if index is not None and span.end_index is not None and len(self._supports) < _MOST_SUPPORTS:
            self._supports.append(Support(span.start_index or 0, span.end_index, "", (index,)))


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
        if chunk and chunk.web and chunk.web.uri:
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
