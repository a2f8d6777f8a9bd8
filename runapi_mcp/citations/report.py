"""Whether a report's markers hold: each sentence beside what the sources it names were found to say. Pure.

A report is written from findings whose stretches came with their sources. A marker is believed where its
sentence shares words and every figure with a stretch that rests on that source; it is a test by words, and
what fails it is named, not taken out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from runapi_mcp.citations.annotate import find_sentences
from runapi_mcp.citations.markers import UNSPACED
from runapi_mcp.printable import one_line

_MARK: Final = re.compile(r"\[(\d{1,3}(?:, ?\d{1,3}){0,9})\](?![(:])")
_WORD: Final = re.compile(r"[^\W\d_]{4,}")
_FIGURE: Final = re.compile(r"\d+(?:[.,]\d+)*")
_LEAST_SHARED: Final = 0.2
_MOST_CHARS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a report's markers.

    Attributes:
        claims: Each sentence that rests on sources, and their numbers.
        unsupported: Sentences whose sources were not found to say so.
        uncited: Sentences that rest on nothing.
        sentences: How many there are.
        unknown: Numbers that no source has.
    """

    claims: tuple[tuple[str, tuple[int, ...]], ...]
    unsupported: tuple[str, ...]
    uncited: tuple[str, ...]
    sentences: int
    unknown: tuple[int, ...]


def check_report(report: str, said_by: Mapping[int, Sequence[str]]) -> Checked:
    """Check the markers of a report; `said_by` has the stretches that rest on each source, by its number."""
    claims: list[tuple[str, tuple[int, ...]]] = []
    unsupported: list[str] = []
    uncited: list[str] = []
    unknown: set[int] = set()
    known = {number: _Said(stretches) for number, stretches in said_by.items()}
    count = 0
    for start, stop in find_sentences(_marks_before_stops(report)):
        sentence = report[start:stop]
        if not _words(_MARK.sub("", sentence)):
            continue
        count += 1
        numbers = sorted({int(one) for mark in _MARK.findall(sentence) for one in mark.split(",")})
        unknown.update(number for number in numbers if number not in known)
        held = tuple(number for number in numbers if number in known)
        plain = one_line(_MARK.sub("", sentence).strip(), 300)
        if not held:
            uncited.append(plain)
        elif any(known[number].says(sentence) for number in held):
            claims.append((plain, held))
        else:
            unsupported.append(plain)
    return Checked(tuple(claims), tuple(unsupported), tuple(uncited), count, tuple(sorted(unknown)))


def _marks_before_stops(report: str) -> str:
    """Return a text of the same length in which a marker behind a full stop belongs to its sentence."""
    return re.sub(
        r"([.!?。！？])(\s?(?:\[\d{1,3}(?:, ?\d{1,3}){0,9}\])+)", lambda m: "," + m[2][:-1] + m[1], report
    )


class _Said:
    """The words and figures of what a source was found to say."""

    def __init__(self, stretches: Iterable[str]) -> None:
        text = " ".join(stretch[:_MOST_CHARS] for stretch in stretches)
        self._words = _words(text)
        self._figures = {*map(_plain_figure, _FIGURE.findall(text))}

    def says(self, sentence: str) -> bool:
        """Whether a sentence may say the same."""
        bare = _MARK.sub("", sentence[:_MOST_CHARS])
        words = _words(bare)
        figures = {*map(_plain_figure, _FIGURE.findall(bare))}
        shared = len(words & self._words)
        return figures <= self._figures and shared >= _LEAST_SHARED * len(words) and (shared > 0 or not words)


def _words(text: str) -> frozenset[str]:
    plain = text.casefold()
    unspaced = "".join(found[0] for found in UNSPACED.finditer(plain))
    pairs = {one + other for one, other in pairwise(unspaced)}
    # The beginning of a word is what its forms share.
    return frozenset({word[:5] for word in _WORD.findall(plain) if not UNSPACED.match(word)} | pairs)


def _plain_figure(figure: str) -> str:
    return figure.replace(",", "").replace(".", "")
