"""A report's findings, and whether its markers hold: each sentence beside what its sources were found to say.

A report is written from findings, which are kept between its rounds as JSON: the answers of searches, whose
stretches came with their sources. A marker is believed where its sentence shares words and every figure with
a stretch that rests on that source; it is a test by words, and what fails it is named, not taken out.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from runapi_mcp.citations.annotate import find_sentences
from runapi_mcp.citations.markers import UNSPACED
from runapi_mcp.printable import one_line
from runapi_mcp.wire.types import Answer, Grounding, JsonObject, Source, Support


def write_finding(answer: Answer, links: Mapping[str, str]) -> JsonObject:
    """Return an answer with its sources as JSON; `links` says where redirect links lead."""
    grounding = answer.grounding
    return {
        "text": answer.text,
        "sources": [
            [links.get(source.url, source.url), source.title, source.origin, source.snippet]
            for source in grounding.sources
        ],
        "supports": [
            [support.start, support.end, support.text, list(support.sources)]
            for support in grounding.supports
        ],
        "queries": list(grounding.queries),
        "unread": grounding.unread,
    }


def read_finding(kept: Mapping[str, Any]) -> Answer:
    """Return the answer that :func:`write_finding` wrote, with its sources."""
    grounding = Grounding(
        tuple(Source(*source) for source in kept["sources"]),
        tuple(Support(start, end, text, tuple(of)) for start, end, text, of in kept["supports"]),
        tuple(kept["queries"]),
        bool(kept["unread"]),
    )
    return Answer(text=str(kept["text"]), grounding=grounding)


_NUMBERS: Final = r"\d{1,3}(?:\s?(?:[,;&–-]|and|und|et|y)\s?\d{1,3}){0,9}"
_MARKED: Final = rf"(?:\[\^?(?:sources? )?{_NUMBERS}\](?![(:])|【{_NUMBERS}】|［{_NUMBERS}］)"
"""Marks as models write them though they were told how: `[1, 2]`, `[1-3]`, `[Source 1]`, `[^1]`, `【1】`."""
_MARK: Final = re.compile(_MARKED, re.IGNORECASE)
_BEHIND_STOP: Final = re.compile(rf"([.!?。！？])(\s?(?:{_MARKED})+)", re.IGNORECASE)
_RANGE: Final = re.compile(r"(\d+)(?:\s?[–-]\s?(\d+))?")
_MOST_IN_RANGE: Final = 20
_LISTED: Final = re.compile(r"\s*(?:[-*•] |\[?\d{1,3}[\].)]|【\d{1,3}】)?.*https?://\S+\s*\Z", re.DOTALL)
"""A line of a list of sources that a model made itself: it claims nothing."""
_LONGEST_LISTED: Final = 500
_STOP: Final = re.compile(r"[.!?。！？\n]\s*")
_WORD: Final = re.compile(r"[^\W\d_]{4,}")
_FIGURE: Final = re.compile(r"\d+(?:[.,]\d+)*")
_LEAST_SHARED: Final = 0.2
_LEAST_ALIKE: Final = 0.6
"""Words that two sentences share which say the same, or the contrary."""
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


def check_report(
    report: str, said_by: Mapping[int, Sequence[str]], contradicts: Callable[[str, str], bool]
) -> Checked:
    """Check the markers of a report.

    Args:
        report: Its text.
        said_by: The stretches that rest on each source, by its number.
        contradicts: Whether one of two like sentences denies what the other says.
    """
    claims: list[tuple[str, tuple[int, ...]]] = []
    unsupported: list[str] = []
    uncited: list[str] = []
    known = {number: _Said(stretches, contradicts) for number, stretches in said_by.items()}
    unknown = {number for mark in _MARK.findall(report) for number in _numbers(mark)} - {*known}
    count = 0
    for start, stop in find_sentences(_move_marks(report)):
        sentence = report[start:stop]
        bare = _MARK.sub("", sentence)
        if not (_words(bare) or _FIGURE.search(bare)) or _is_listed(sentence):
            continue
        count += 1
        numbers = sorted({number for mark in _MARK.findall(sentence) for number in _numbers(mark)})
        held = tuple(number for number in numbers if number in known)
        plain = one_line(bare.strip(), 300)
        if not held:
            uncited.append(plain)
        elif any(known[number].says(sentence) for number in held):
            claims.append((plain, held))
        else:
            unsupported.append(plain)
    return Checked(tuple(claims), tuple(unsupported), tuple(uncited), count, tuple(sorted(unknown)))


def _is_listed(sentence: str) -> bool:
    return len(sentence) <= _LONGEST_LISTED and _LISTED.match(sentence) is not None


def _numbers(mark: str) -> Iterator[int]:
    """Yield the numbers of a mark; those between two as well."""
    for first, last in _RANGE.findall(mark):
        low, high = int(first), int(last or first)
        yield from range(low, high + 1) if low <= high <= low + _MOST_IN_RANGE else (low, high)


def _move_marks(report: str) -> str:
    """Return a text of the same length in which a marker behind a full stop belongs to its sentence."""
    return _BEHIND_STOP.sub(lambda m: "," + m[2][:-1] + m[1], report)


class _Said:
    """The words and figures of what a source was found to say."""

    def __init__(self, stretches: Iterable[str], contradicts: Callable[[str, str], bool]) -> None:
        kept = [stretch[:_MOST_CHARS] for stretch in stretches]
        text = " ".join(kept)
        self._contradicts = contradicts
        self._words = _words(text)
        self._figures = {*map(_strip_figure, _FIGURE.findall(text))}
        self._sentences = [(one, _words(one)) for stretch in kept for one in _STOP.split(stretch) if one]

    def says(self, sentence: str) -> bool:
        """Whether a sentence may say the same."""
        bare = _MARK.sub("", sentence[:_MOST_CHARS])
        words = _words(bare)
        figures = {*map(_strip_figure, _FIGURE.findall(bare))}
        shared = len(words & self._words)
        if not figures <= self._figures or shared < _LEAST_SHARED * len(words) or (words and not shared):
            return False
        nearest, its = max(self._sentences, key=lambda one: len(words & one[1]), default=("", frozenset()))
        alike = len(words & its) >= _LEAST_ALIKE * len(words)
        return not (words and alike and self._contradicts(bare, nearest))


def _words(text: str) -> frozenset[str]:
    plain = text.casefold()
    unspaced = "".join(found[0] for found in UNSPACED.finditer(plain))
    pairs = {one + other for one, other in pairwise(unspaced)}
    # The beginning of a word is what its forms share.
    return frozenset({word[:5] for word in _WORD.findall(plain) if not UNSPACED.match(word)} | pairs)


def _strip_figure(figure: str) -> str:
    return figure.replace(",", "").replace(".", "")
