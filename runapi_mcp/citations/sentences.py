"""An answer's sentences, and which of them rest on no source. Linear, whatever a model repeats."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from runapi_mcp.citations.markdown import Layout, read_layout
from runapi_mcp.citations.markers import UNSPACED
from runapi_mcp.errors import one_line

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
