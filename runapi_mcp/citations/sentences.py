"""An answer's sentences, and which of them rest on no source."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from runapi_mcp.citations.markers import UNSPACED
from runapi_mcp.errors import one_line

_BREAK: Final = re.compile(
    r"[.!?…؟۔।॥]+[\"'”’»)\]*_]*(?=\s|\Z)|[。！？｡]+[”’」』）]*|\n+",
)
_SHORT: Final = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|ca|approx|Dr|Mr|Mrs|Ms|Prof|St|No|[A-Z])\.|^\s*\d+\.)\Z")
"""What ends in a full stop and is no sentence: abbreviations, initials, list numbers."""
_LEAST_WORDS: Final = 3
_LEAST_CHARACTERS: Final = 6
_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each sentence of `text` that claims something starts and ends.

    Headings, lines that lead into a list, code and scraps are no claims.
    """
    fences = [found.span() for found in _FENCE.finditer(text)]
    start = 0
    for stop in [*(found.end() for found in _BREAK.finditer(text)), len(text)]:
        if stop < len(text) and _SHORT.search(text[start:stop]):
            continue
        if not any(first < stop and start < last for first, last in fences) and _claims(text[start:stop]):
            yield start, stop
        start = stop


def uncited(text: str, spans: Iterable[tuple[int, int]]) -> tuple[list[str], int]:
    """Return the sentences that none of `spans` touches, and how many sentences there are."""
    ordered: Sequence[tuple[int, int]] = sorted(spans)
    found: list[str] = []
    count = 0
    for start, stop in sentences(text):
        count += 1
        lead = len(text[start:stop]) - len(text[start:stop].lstrip())
        if not any(first < stop and start + lead < last for first, last in ordered):
            found.append(one_line(text[start:stop].strip(), 300))
    return found, count


def _claims(sentence: str) -> bool:
    bare = sentence.strip()
    if bare.startswith("#") or bare.rstrip("*_").endswith((":", "：", "?", "？", "؟")):
        return False
    words = sum(any(c.isalnum() for c in word) for word in bare.split())
    return words >= _LEAST_WORDS or len(UNSPACED.findall(bare)) >= _LEAST_CHARACTERS
