"""An answer with its markers, the claims in it, the sources behind each, and the sentences without any."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from runapi_mcp.citations.markdown import Layout, read_layout
from runapi_mcp.citations.markers import UNSPACED, Span, find_places, find_spans, write_markers
from runapi_mcp.citations.sources import Allows, CitedSource, Numbered
from runapi_mcp.printable import one_line
from runapi_mcp.wire.types import Answer, Source

_BREAK: Final = re.compile(
    # Not from within a row of full stops: each of its places would go through the rest of it.
    r"(?<![.!?…؟۔।॥])[.!?…؟۔।॥]++[\"'”’»)\]*_]*+(?=\s|\Z)|(?<![。！？｡])[。！？｡]++[”’」』）]*+|\n++",
)
_SHORT: Final = re.compile(r"\b(?:e\.g|i\.e|cf|vs|ca|approx|Dr|Mr|Mrs|Ms|Prof|St|No|[A-Z])\.\Z")
"""What ends in a full stop and is no sentence: abbreviations and initials."""
_ITEM: Final = re.compile(r"\s*+\d+\.\Z")
_LONGEST_SHORT: Final = 12
_LEAST_WORDS: Final = 3
_LEAST_CHARACTERS: Final = 6
_LOOKED_AT: Final = 4_000
"""Characters of a sentence that are looked at to tell whether it claims something."""


def find_sentences(text: str, layout: Layout | None = None) -> Iterator[tuple[int, int]]:
    """Yield where each sentence of `text` that claims something starts and ends.

    Headings, lines that lead into a list, code, link definitions and scraps are no claims.
    """
    layout = layout or read_layout(text)
    start = 0
    for stop in [*(found.end() for found in _BREAK.finditer(text)), len(text)]:
        if stop < len(text) and _is_short(text, start, stop):
            continue
        first = start
        while first < stop and text[first].isspace():
            first += 1
        if not layout.in_code(first) and _is_claim(
            text[first : min(stop, first + _LOOKED_AT)], text[first:stop]
        ):
            yield start, stop
        start = stop


def find_uncited(
    text: str, spans: Iterable[tuple[int, int]], layout: Layout | None = None
) -> tuple[list[str], int]:
    """Return the sentences that none of `spans` touches, and how many sentences there are."""
    ordered = _merge(spans)
    starts = [start for start, _ in ordered]
    found: list[str] = []
    count = 0
    for start, stop in find_sentences(text, layout):
        count += 1
        lead = start
        while lead < stop and text[lead].isspace():
            lead += 1
        before = bisect_right(starts, stop - 1) - 1
        if before < 0 or ordered[before][1] <= lead:
            found.append(one_line(text[lead : min(stop, lead + _LOOKED_AT)].strip(), 300))
    return found, count


def _merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what the stretches cover together, in order and without overlaps."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _is_short(text: str, start: int, stop: int) -> bool:
    """Whether what ends here is an abbreviation or a list's number rather than a sentence."""
    if _SHORT.search(text[max(start, stop - _LONGEST_SHORT) : stop]):
        return True
    return stop - start <= _LONGEST_SHORT and bool(_ITEM.match(text[start:stop]))


def _is_claim(looked_at: str, sentence: str) -> bool:
    bare = looked_at.strip()
    ending = sentence.rstrip()[-8:].rstrip("*_")
    if bare.startswith("#") or ending.endswith((":", "：", "?", "？", "؟")):
        return False
    words = sum(any(c.isalnum() for c in word) for word in bare.split())
    return words >= _LEAST_WORDS or len(UNSPACED.findall(bare)) >= _LEAST_CHARACTERS


_CARD: Final = re.compile(r"\Ahttps?://googleusercontent\.com/card_content/\S*\s*")
_LINK: Final = re.compile(r"(?:\[([^\[\]\n]{1,300})\]\()?(https?://[^\s<>\"'\])]+)")
_CITE: Final = re.compile(r"[ \t]?\[cite_(?:start|end)\]|[ \t]?\[cite:? ?[\d, ]{1,60}\]", re.IGNORECASE)
"""Marks of Gemini's own apps, which count sources that nobody else has (HanaokaYuzu/Gemini-API#148)."""
_OWN_MARK: Final = re.compile(
    r"\[\^?\d{1,3}(?:, ?\d{1,3}){0,9}\](?![(:])|\[\^[\w-]{1,20}\](?!:)"
    r"|［\d{1,3}］|【\d{1,3}(?:[:†][^【】\n]{0,60})?】"
)
"""Marks that models write by themselves: numbers, footnotes, 【3†source】."""
_MOST_READ: Final = 300_000
"""Characters of an answer that are read for where markers may stand; only a stuck model writes more."""
_MOST_CLAIMS: Final = 100
_MOST_UNCITED: Final = 30


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
        spans: Where what rests on sources stands in the answer without markers, and their numbers.
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
    spans: tuple[tuple[int, int, tuple[int, ...]], ...] = ()


def _allow_all(_host: str) -> bool:
    """Allow every host."""
    return True


def find_card(text: str) -> int:
    """Return where an answer begins behind the link of a card.

    A relay may put one before it; offsets count it.
    """
    card = _CARD.match(text)
    return card.end() if card else 0


def annotate(
    answer: Answer,
    most: int,
    allows: Allows = _allow_all,
    links: Mapping[str, str] | None = None,
    shown: Numbered | None = None,
) -> Cited:
    """Return the answer with `[n]` markers, its first `most` sources of hosts it `allows`, and its claims.

    `links` names the pages that redirect links lead to; `shown` has the sources that are numbered already,
    where several answers share them.
    """
    cut = find_card(answer.text)
    text, rest = answer.text[cut : cut + _MOST_READ], answer.text[cut + _MOST_READ :]
    layout = read_layout(text)
    found = answer.grounding.sources or _find_links(text)
    certain = find_spans(answer.text, answer.grounding.supports)
    spans = [
        Span(max(p.start - cut, 0), p.end - cut, p.sources) for p in certain if cut < p.end <= cut + len(text)
    ]
    shown = shown or Numbered(most, allows, links or {})
    numbers = _number(found, spans, shown, most)
    known = [p for p in spans if any(index in numbers for index in p.sources)]
    # What rests on a source that there was no room for does rest on one.
    resting = [p for p in spans if any(index in numbers or shown.has_no_room(index) for index in p.sources)]
    claims = _list_claims(text, known, numbers, shown.sources)
    without, count = find_uncited(text, [(p.start, p.end) for p in resting], layout)
    sources = shown.sources
    return Cited(
        text=_write_marks(text, known, numbers, layout) + rest,
        sources=sources,
        claims=claims,
        grounded=_judge_grounding(sources, known, whole=not without and not rest),
        uncited=tuple(without[:_MOST_UNCITED]),
        uncited_count=len(without),
        sentences=count,
        removed=len(shown.removed),
        beyond=len(shown.beyond),
        own_marks=bool(sources) and _has_own_marks(text, layout),
        spans=tuple(
            (span.start, span.end, tuple(sorted({numbers[i] for i in span.sources if i in numbers})))
            for span in known
        ),
    )


def _number(found: Sequence[Source], spans: Iterable[Span], shown: Numbered, most: int) -> dict[int, int]:
    """Number the sources, in their order; those that are cited first where there is no room for all."""
    order = list(range(len(found)))
    if len(found) > most:
        behind = {index for span in spans for index in span.sources}
        order.sort(key=lambda index: index not in behind)
    numbers = {index: shown.number(index, found[index]) for index in order}
    return {index: number for index, number in numbers.items() if number}


def _find_links(text: str) -> tuple[Source, ...]:
    found: dict[str, str] = {}
    for title, url in _LINK.findall(text):
        found.setdefault(url.rstrip(".,;:!?"), title)
    return tuple(Source(url, title, "link") for url, title in found.items())


def _write_marks(text: str, spans: list[Span], numbers: Mapping[int, int], layout: Layout) -> str:
    marks = {
        place: {numbers[index] for index in behind if index in numbers}
        for place, behind in find_places(text, spans, layout).items()
    }
    cites = [found.span() for found in _CITE.finditer(text) if not layout.in_code(found.start())]
    return write_markers(text, marks, layout, cites)


def _has_own_marks(text: str, layout: Layout) -> bool:
    """Whether the model wrote marks of its own; `a[0]` in code is none."""
    found = (mark for mark in _OWN_MARK.finditer(text) if not layout.in_code(mark.start()))
    return next(found, None) is not None


def _list_claims(
    text: str, spans: list[Span], numbers: Mapping[int, int], sources: Sequence[CitedSource]
) -> tuple[Claim, ...]:
    claims: dict[str, Claim] = {}
    for span in spans:
        said = one_line(text[span.start : span.end].strip(), 500)
        if said not in claims and len(claims) >= _MOST_CLAIMS:
            continue
        claim = claims.setdefault(said, Claim(text=said, sources=[]))
        by = {*claim["sources"], *(numbers[index] for index in span.sources if index in numbers)}
        claim["sources"] = sorted(by)
    by_number = {source["number"]: source for source in sources}
    for position, claim in enumerate(claims.values()):
        for number in claim["sources"]:
            by_number[number]["claims"].append(position)
    return tuple(claims.values())


def _judge_grounding(
    sources: tuple[CitedSource, ...], known: list[Span], *, whole: bool
) -> Literal[True, False, "partly"]:
    if all(source["origin"] == "link" for source in sources):
        return False
    return True if known and whole else "partly"
