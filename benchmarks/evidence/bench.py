"""Where extracted values stand: ours beside LangExtract's aligner, on the same values.

Recall is of the values that do stand in the text: how many are placed where they are. A false null is one
that is said to stand nowhere, a wrong place one that is put elsewhere, a false span a value that stands
nowhere and is placed. LangExtract is given each document's values in their order, as its own resolver does.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, TypeAlias

from benchmarks.evidence.corpus import Document, documents
from benchmarks.evidence.held_out import EACH, held_out
from benchmarks.evidence.unseen import unseen
from benchmarks.table import Row, Section
from runapi_mcp.extraction.evidence import find_evidence
from runapi_mcp.extraction.matching import Source, Span

Json: TypeAlias = Any
Placed = dict[str, tuple[int, int] | str | None]
Place = Callable[[Document], Placed]


def ours(document: Document) -> Placed:
    """Where this project's search puts the values."""
    value = json.loads(json.dumps(document.value), parse_float=Decimal)
    found = find_evidence(value, [Source("", document.text)], document.schema).places
    return {
        pointer: (place.start, place.end) if isinstance(place, Span) else place
        for pointer, place in found.items()
    }


def langextract(words: str) -> Place:
    """LangExtract's aligner, by either of its tokenizers, on all but booleans."""
    from langextract.core import tokenizer
    from langextract.core.data import Extraction
    from langextract.resolver import WordAligner

    parts = tokenizer.UnicodeTokenizer() if words == "Unicode" else tokenizer.RegexTokenizer()

    def place(document: Document) -> Placed:
        values = leaves(document.value, "")
        given = [
            Extraction(pointer, _as_text(value)) for pointer, value in values if not isinstance(value, bool)
        ]
        [aligned] = WordAligner().align_extractions([given], document.text, tokenizer_impl=parts)
        placed: Placed = {pointer: None for pointer, _ in values}
        for extraction in aligned:
            if (interval := extraction.char_interval) is not None:
                placed[extraction.extraction_class] = (interval.start_pos, interval.end_pos)
        return placed

    return place


def measure(place: Place, corpus: Sequence[Document]) -> tuple[Counter[str], list[str]]:
    """Count how the values of a corpus were placed, and name what was not right."""
    counts: Counter[str] = Counter()
    misses: list[str] = []
    for document in corpus:
        placed = place(document)
        for pointer, truth in document.places.items():
            verdict = _judge(truth, placed.get(pointer))
            counts[verdict] += 1
            if verdict not in ("right", "right null", "inferred"):
                misses.append(f"{document.name} {pointer}: {verdict}")
    return counts, misses


def place_strangers(corpus: Sequence[Document]) -> tuple[int, list[str]]:
    """Look in each document for the texts that others have and it has not; how many, and what was found."""
    looked, found = 0, []
    for other in corpus:
        theirs = [one for _, one in leaves(other.value, "") if isinstance(one, str) and len(one) >= 6]
        for document in corpus:
            own = {one for _, one in leaves(document.value, "") if isinstance(one, str)}
            plain = document.text.casefold()
            strange = [one for one in theirs if one not in own and one.casefold() not in plain]
            looked += len(strange)
            places = find_evidence({"x": strange}, [Source("", document.text)], {}).places
            found += [
                f"{strange[int(pointer.removeprefix('/x/'))]!r}: {document.text[place.start : place.end]!r}"
                for pointer, place in places.items()
                if isinstance(place, Span)
            ]
    return looked, found


def mixed() -> list[Document]:
    """Return some documents of each set and kind."""
    plain = [one for one in documents() if one.name.endswith("-plain")]
    return [*held_out()[::EACH], *unseen()[::EACH], *plain[::4]]


def _judge(truth: tuple[int, int] | str | None, place: tuple[int, int] | str | None) -> str:
    if isinstance(truth, tuple):
        if not isinstance(place, tuple):
            return "false null"
        common = min(truth[1], place[1]) - max(truth[0], place[0])
        whole = max(truth[1], place[1]) - min(truth[0], place[0])
        return "right" if common * 2 >= whole else "wrong place"
    if truth == "inferred":
        return "inferred" if place == "inferred" else "not inferred"
    return "false span" if isinstance(place, tuple) else "right null"


def leaves(value: Json, pointer: str) -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return [leaf for name, one in value.items() for leaf in leaves(one, f"{pointer}/{name}")]
    if isinstance(value, list):
        return [leaf for at, one in enumerate(value) for leaf in leaves(one, f"{pointer}/{at}")]
    return [(pointer, value)]


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def section() -> Section:
    aligners: dict[str, Place] = {"ours": ours}
    if find_spec("langextract"):
        aligners |= {"LangExtract": langextract(""), "with Unicode words": langextract("Unicode")}
    made = Section("Where extracted values stand", peers=["langextract"])
    # A name of the corpus ends with its way of writing; one of those held out begins with it.
    for title, corpus, part in (
        ("the corpus", documents(), 1),
        ("held out", held_out(), 0),
        ("unseen", unseen(), 0),
    ):
        made.rows.extend(_compare(title, corpus, aligners))
        made.notes.append(_tell(title, corpus, [one.name.rsplit("-", 1)[part] for one in corpus]))
    looked, strangers = place_strangers(mixed())
    made.rows.append(
        Row("texts of other documents that were placed in one", f"{len(strangers)} of {looked:,}")
    )
    return made


def _compare(title: str, corpus: Sequence[Document], aligners: Mapping[str, Place]) -> list[Row]:
    found = {name: measure(place, corpus)[0] for name, place in aligners.items()}
    mine = found.pop("ours")
    standing, nowhere = _standing(mine), mine["right null"] + mine["false span"]
    rows = [
        Row(
            f"{title}: recall of {standing:,} values in {len(corpus)} documents",
            f"{mine['right'] / standing:.1%}",
            [(name, f"{counts['right'] / standing:.1%}") for name, counts in found.items()],
        )
    ]
    for what, of in (("false null", standing), ("wrong place", standing), ("false span", nowhere)):
        others = [(name, f"{counts[what]:,}") for name, counts in found.items()]
        rows.append(Row(f"{title}: {what}s of {of:,}", f"{mine[what]:,}", others))
    return rows


def _tell(title: str, corpus: Sequence[Document], writings: Sequence[str]) -> str:
    """Return our recall on each way of writing, as a sentence."""
    told = []
    for writing in dict.fromkeys(writings):
        counts, _ = measure(ours, [one for one, its in zip(corpus, writings, strict=True) if its == writing])
        told.append(f"{writing} {counts['right'] / _standing(counts):.0%}")
    return f"Recall of ours, {title}: {', '.join(told)}."


def _standing(counts: Counter[str]) -> int:
    return counts["right"] + counts["false null"] + counts["wrong place"]
