"""What an answer or an extraction is worth, beside what is known. Pure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeAlias

from benchmarks.evidence.bench import leaves
from benchmarks.evidence.corpus import Document

Json: TypeAlias = Any

_MARKERS: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Asked:
    """How one question or one document went.

    Attributes:
        name: Which.
        verdict: `right`, `wrong`, or `none` where no answer came.
        said: What was said, in a line, for whoever reads it after us.
        counts: What else is counted of it.
        receipt: What it cost.
    """

    name: str
    verdict: str
    said: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    receipt: Mapping[str, Json] = field(default_factory=dict)


def judge_answer(name: str, accept: Sequence[str], told: Mapping[str, Json]) -> Asked:
    """Judge an answer of search_web: right where an accepted word stands in it, as a word of its own.

    It rests on a source where a stretch that has that word is one that search_web says a source supports.
    """
    answer = str(told.get("answer", ""))
    if told.get("status") != "complete":
        return Asked(name, "none", str(told.get("error") or told.get("status")))
    counts = Counter(sourced=bool(told.get("sources")))
    right = _has(answer, accept)
    if right:
        supports = told.get("supports") or []
        counts["rests"] += any(one.get("sources") and _has(str(one.get("text")), accept) for one in supports)
    return Asked(name, "right" if right else "wrong", " ".join(answer.split())[:200], counts)


def judge_document(document: Document, told: Mapping[str, Json], evidence: Mapping[str, Json]) -> Asked:
    """Judge an extraction by the values that are known to stand in a document, or known not to."""
    if told.get("status") != "complete" or "data" not in told:
        return Asked(document.name, "none", str(told.get("error") or told.get("status")))
    known, got = dict(leaves(document.value, "")), dict(leaves(told["data"], ""))
    counts: Counter[str] = Counter()
    off = []
    for pointer, truth in wanted(document).items():
        value = got.get(pointer)
        missing = value is None or value == ""
        if truth is None:
            verdict = "right null" if missing else "made up"
        elif missing:
            verdict = "missing"
        else:
            verdict = "right" if _same(known[pointer], value) else "wrong"
        counts[verdict] += 1
        if verdict not in ("right", "right null"):
            off.append(f"{pointer}: {verdict} ({value!r})")
        if verdict == "right" and truth is not None:
            place = evidence.get(pointer)
            counts["placed"] += (
                isinstance(place, Mapping) and place["start"] < truth[1] and truth[0] < place["end"]
            )
    return Asked(document.name, "wrong" if off else "right", "; ".join(off), counts)


def wanted(document: Document) -> dict[str, tuple[int, int] | None]:
    """Return where each value stands that is asked for; those that only follow from a document are not."""
    return {
        pointer: place if isinstance(place, tuple) else None
        for pointer, place in document.places.items()
        if place != "inferred"
    }


def schema_of(document: Document) -> Json:
    """Return the schema by which a document's values are asked for; what is not there may be null."""
    return _schema(document.value, "", wanted(document))


def _schema(value: Json, pointer: str, asked: Mapping[str, object]) -> Json:
    if isinstance(value, dict):
        below = {name: (one, f"{pointer}/{name}") for name, one in value.items()}
        properties = {
            name: _schema(one, at, asked)
            for name, (one, at) in below.items()
            if any(path == at or path.startswith(f"{at}/") for path in asked)
        }
        return {"type": "object", "properties": properties, "required": [*properties]}
    if isinstance(value, list):
        return {"type": "array", "items": _schema(value[0], f"{pointer}/0", asked)}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"type": ["number" if number else "string", "null"]}


def _has(text: str, accept: Sequence[str]) -> bool:
    plain = f" {_words(_MARKERS.sub(' ', text))} "
    return any(
        f" {words} " in plain or (not words.isascii() and words in plain) for words in map(_words, accept)
    )


def _words(text: str) -> str:
    """Return a text as words alone, without case and accents; the points of a number stay in it."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(one for one in folded if unicodedata.category(one)[0] != "M")
    return " ".join(re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+", bare))


def _same(known: Json, got: Json) -> bool:
    if isinstance(known, int | float) and isinstance(got, int | float):
        return Decimal(str(known)) == Decimal(str(got))
    one, other = (re.sub(r"[\W_]", "", _words(str(value))) for value in (known, got))
    # A time may have its seconds written, too.
    return one == other or (one[:8].isdecimal() and other == f"{one}00")
