"""Where in the material each value of an extraction stands. Pure; run by a worker, for it is strangers' text.

A value is looked for as it is, then as people write it: other case and blanks, numbers and dates of other
places, enum words, what OCR makes of it. Where it stands more than once, the one is taken that stands behind
its own name, or nearest to the values beside it. What is not in so many words, but follows from what is, is
inferred. What does neither has no evidence, and that is said.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

from runapi_mcp.extraction.answers import Asked
from runapi_mcp.extraction.folding import UNSPACED, fold_bare, fold_plain
from runapi_mcp.extraction.matching import LOOSE, MOST_GUESSED, Leaf, Path, Searcher, Source, Span
from runapi_mcp.wire.types import JsonObject, JsonValue

MOST_VALUES: Final = 10_000
"""Values that are looked for; the rest is said not to have been."""
_MOST_LISTED: Final = 200
_LONGEST_TUPLE: Final = 20

Inferred: TypeAlias = Literal["inferred"]
Found: TypeAlias = Span | Inferred | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the values stand.

    Attributes:
        places: For each value, by JSON Pointer; null and empty values have none.
        beyond: Values that were not looked for, because there are too many.
    """

    places: Mapping[str, Found]
    beyond: int = 0

    def to_json(self, value: JsonValue, sources: Sequence[Source]) -> JsonObject:
        """Return it as JSON, with the quotes that differ from the values."""
        leaves = {leaf.pointer: leaf.value for leaf in _list_leaves(value)}
        places: JsonObject = {}
        for pointer, found in self.places.items():
            if not isinstance(found, Span):
                places[pointer] = found
                continue
            source = sources[found.source]
            quote = source.text[found.start : found.end]
            place: JsonObject = {"start": found.start, "end": found.end}
            if quote != str(leaves[pointer]):
                place["quote"] = quote
            if len(sources) > 1 or source.name:
                place["file"] = source.name
            places[pointer] = place
        nowhere = [pointer for pointer, found in self.places.items() if found is None]
        return {
            "places": places,
            "nowhere": list[JsonValue](nowhere[:_MOST_LISTED]),
            "nowhere_count": len(nowhere),
            "count": len(self.places),
            "beyond": self.beyond,
        }


def locate_document(document: str, sources: Sequence[Sequence[str]], schema: JsonObject) -> JsonObject:
    """Return where the values of a JSON text stand, as :meth:`Evidence.to_json` has it."""
    value = json.loads(document, parse_float=Decimal, parse_int=Decimal)
    named = [Source(name, text) for name, text in sources]
    return find_evidence(value, named, schema).to_json(value, named)


def find_evidence(value: Any, sources: Sequence[Source], schema: JsonObject | None = None) -> Evidence:  # noqa: ANN401  # JSON, numbers as Decimal
    """Return where each value stands in the sources; `schema` tells enum words from other text."""
    leaves = [*_list_leaves(value)]
    looked_for = leaves[:MOST_VALUES]
    searcher = Searcher(sources)
    enums = _Enums(schema or {})
    for leaf in looked_for:
        leaf.enum = enums.is_word(leaf)
        leaf.candidates = {} if isinstance(leaf.value, bool) else searcher.find_candidates(leaf)
    Chooser(searcher, looked_for).choose()
    _infer(value, looked_for, searcher)
    places: dict[str, Found] = {}
    for leaf in looked_for:
        places[leaf.pointer] = leaf.chosen or ("inferred" if leaf.inferred else None)
    return Evidence(places, len(leaves) - len(looked_for))


def _list_leaves(value: Any) -> Iterator[Leaf]:  # noqa: ANN401  # any JSON
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, one = waiting.pop()
        match one:
            case dict():
                waiting += [((*path, name), member) for name, member in reversed(one.items())]
            case list():
                waiting += [((*path, place), item) for place, item in reversed([*enumerate(one)])]
            case None | "":
                pass
            case _:
                yield Leaf(path, one)


class _Enums:
    """Knows where a schema has words to choose from."""

    def __init__(self, schema: JsonObject) -> None:
        self._asked = Asked(schema)
        self._known: dict[Path, bool] = {}

    def is_word(self, leaf: Leaf) -> bool:
        """Whether a value is one of an enum's."""
        # A tuple says something else of each of its items; no list does beyond its twentieth.
        kind = tuple(min(part, _LONGEST_TUPLE) if isinstance(part, int) else part for part in leaf.path)
        if kind not in self._known:
            rules = self._asked.rules_at(kind)
            self._known[kind] = any("enum" in rule or "const" in rule for rule in rules)
        return self._known[kind]


# ---------------------------------------------------------------- what follows from the material


_CLASSES: Final = {
    *(
        "language",
        "lang",
        "locale",
        "country",
        "timezone",
        "unit",
        "gender",
        "sentiment",
        "tone",
        "mood",
        "intent",
    ),
    *(
        "category",
        "class",
        "classification",
        "type",
        "kind",
        "topic",
        "genre",
        "tags",
        "priority",
        "severity",
    ),
    *("status", "confidence", "summary", "description", "abstract", "title"),
}
"""Names of values that tell what the material is, in words that it need not have."""
_LEAST_TOLD_AGAIN: Final = 0.6


def _infer(value: Any, leaves: Sequence[Leaf], searcher: Searcher) -> None:  # noqa: ANN401  # any JSON
    """Mark what is not in the material in so many words and follows from it."""
    records: dict[Path, list[Decimal]] = {}
    columns: dict[Path, list[Decimal]] = {}
    for leaf in leaves:
        if leaf.chosen and isinstance(leaf.value, Decimal | int) and not isinstance(leaf.value, bool):
            records.setdefault(leaf.path[:-1], []).append(Decimal(leaf.value))
            columns.setdefault(leaf.kind, []).append(Decimal(leaf.value))
    lengths = {Decimal(length) for length in _list_lengths(value)}
    sums = {sum(column, Decimal(0)) for column in columns.values() if len(column) > 1}
    known: frozenset[str] | None = None
    for leaf in leaves:
        number = Decimal(leaf.value) if isinstance(leaf.value, Decimal | int) else None
        if leaf.chosen is not None and (leaf.candidates[leaf.chosen] < LOOSE or number not in lengths | sums):
            continue
        leaf.chosen = None
        if isinstance(leaf.value, bool) or leaf.enum:
            leaf.inferred = True
        elif number is not None:
            leaf.inferred = (
                number in lengths or number in sums or _follows(number, records.get(leaf.path[:-1], []))
            )
        elif read_label(leaf.key) & _CLASSES and len(str(leaf.value)) <= 60:
            leaf.inferred = True
        else:
            words = _long_words(str(leaf.value))
            if len(words) >= 6 and searcher.size <= MOST_GUESSED and leaf.value not in searcher.denied:
                known = known or frozenset().union(*(_long_words(source.text) for source in searcher.sources))
                leaf.inferred = len(words & known) >= _LEAST_TOLD_AGAIN * len(words)


def _long_words(text: str) -> frozenset[str]:
    plain = fold_plain(text)
    unspaced = "".join(found[0] for found in UNSPACED.finditer(plain))
    pairs = {one + other for one, other in pairwise(unspaced)}
    spaced = "".join(character if character.isalnum() else " " for character in plain)
    return frozenset({word for word in spaced.split() if len(word) > 3 and not UNSPACED.match(word)} | pairs)


def _list_lengths(value: Any) -> Iterator[int]:  # noqa: ANN401  # any JSON
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            yield len(one)
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()


def _follows(number: Decimal, others: Sequence[Decimal]) -> bool:
    """Whether a number is the sum, difference, product or share of two others, or the sum of all."""
    if len(number.normalize().as_tuple().digits) < 2:
        return False
    near = [*dict.fromkeys(others)][:20]
    try:
        made = {
            sum(others, Decimal(0)),
            *(op for a in near for b in near if a is not b for op in _combine(a, b)),
        }
        return any(abs(number - one) <= abs(number) * Decimal("0.0001") for one in made)
    except (InvalidOperation, OverflowError):
        return False


def _combine(a: Decimal, b: Decimal) -> Iterator[Decimal]:
    yield from (a + b, a - b, a * b, a * b / 100)
    if b:
        yield from (a / b, a / b * 100)


# ---------------------------------------------------------------- one place of several

_MOST_WEIGHED: Final = 24
_LABEL_CHARS: Final = 64
_RANK: Final = 0.025
"""What each step costs by which a place is further from the value as it is."""


class Chooser:
    """Chooses one place for each value: behind its name, beside its siblings, in the order of the items."""

    def __init__(self, searcher: Searcher, leaves: Sequence[Leaf]) -> None:
        self._texts = [source.text for source in searcher.sources]
        self._used: dict[Span, set[Path]] = {}
        self._by_record: dict[Path, list[Leaf]] = {}
        for leaf in leaves:
            if leaf.candidates:
                self._by_record.setdefault(leaf.path[:-1], []).append(leaf)
        self._ends: dict[Path, Span] = {}
        self._chosen_in: dict[Path, list[Span]] = {}

    def choose(self) -> None:
        """Choose, record after record."""
        records = [*self._by_record.items()]
        starts = [self._find_certain(leaves) for _, leaves in records]
        following: list[Span | None] = [None] * len(records)
        for at in range(len(records) - 2, -1, -1):
            # Where the next item certainly begins, this one has ended.
            listed = _list_of(records[at][0])
            same = listed is not None and _list_of(records[at + 1][0]) == listed
            following[at] = (starts[at + 1] or following[at + 1]) if same else None
        for (path, leaves), limit in zip(records, following, strict=True):
            self._choose_in(path, leaves, limit)

    def _find_certain(self, leaves: Sequence[Leaf]) -> Span | None:
        return min(
            (next(iter(leaf.candidates)) for leaf in leaves if len(leaf.candidates) == 1), default=None
        )

    def _choose_in(self, path: Path, leaves: Sequence[Leaf], limit: Span | None) -> None:
        anchors: list[tuple[int, Span]] = []
        list_path = _list_of(path)
        before = self._ends.get(list_path) if list_path is not None else None
        above = self._chosen_in.get(path[:-1]) or self._chosen_in.get(path[:-2], [])
        if all(isinstance(leaf.path[-1], int) for leaf in leaves if leaf.path) and leaves[0].path:
            anchors = [
                (place, span) for place, span in enumerate(self._choose_in_order(leaves, above[-8:], before))
            ]
            self._chosen_in[path] = [span for _, span in anchors]
            if list_path is not None:
                self._ends[list_path] = max(self._chosen_in[path])
            return
        order = sorted(enumerate(leaves), key=lambda one: min(len(one[1].candidates), 4))
        if len(order) > 1 and list_path is not None and len(order[0][1].candidates) > 1:
            place, leaf = order.pop(0)
            leaf.chosen = self._choose_pivot(leaf, [other for _, other in order], before)
            self._used.setdefault(leaf.chosen, set()).add(leaf.kind)
            anchors.append((place, leaf.chosen))
        for place, leaf in order:
            near = anchors or [(-1, span) for span in above[-8:]]
            leaf.chosen = self._choose_best(leaf, place, near, before, limit)
            anchors.append((place, leaf.chosen))
            self._used.setdefault(leaf.chosen, set()).add(leaf.kind)
        self._chosen_in[path] = [span for _, span in anchors]
        if list_path is not None:
            self._ends[list_path] = max(self._chosen_in[path])

    def _choose_in_order(
        self, items: Sequence[Leaf], near: Sequence[Span], before: Span | None
    ) -> list[Span]:
        """Choose for the items of a list of plain values, which mostly stand one after the other.

        Each is sought between the one before it and the next of which there is one place only: said three
        times, a value has its three places in their order (google/langextract#485).
        """
        limits: list[Span | None] = [None] * len(items)
        for at in range(len(items) - 2, -1, -1):
            after = items[at + 1].candidates
            limits[at] = next(iter(after)) if len(after) == 1 else limits[at + 1]
        chosen: list[Span] = []
        for at, (leaf, limit) in enumerate(zip(items, limits, strict=True)):
            places = [*leaf.candidates]
            later = places[bisect_right(places, before) :] if before is not None else places
            fit = later[: bisect_left(later, limit)] if limit is not None else later
            if before is None and limit is not None and fit:
                same = sum(one.candidates == leaf.candidates for one in items[at : at + _MOST_WEIGHED])
                leaf.chosen = fit[-min(same, len(fit))]
            elif before is not None and (fit or later):
                behind, candidates = before, leaf.candidates
                leaf.chosen = min(
                    (fit or later)[:_MOST_WEIGHED],
                    key=lambda span: _RANK * candidates[span] + self._measure(span, behind),
                )
            else:
                leaf.chosen = self._choose_best(leaf, at, [(-1, span) for span in near], before, None)
            before = leaf.chosen
            chosen.append(before)
            self._used.setdefault(before, set()).add(leaf.kind)
        return chosen

    def _choose_best(
        self,
        leaf: Leaf,
        place: int,
        siblings: Sequence[tuple[int, Span]],
        before: Span | None,
        limit: Span | None,
    ) -> Span:
        candidates = [*leaf.candidates]
        if len(candidates) == 1:
            return candidates[0]
        siblings = siblings if len(siblings) <= _MOST_WEIGHED else siblings[-_MOST_WEIGHED:]
        anchors = [span for _, span in siblings]
        if len(candidates) > 2 * _MOST_WEIGHED:
            candidates = self._shorten(candidates, anchors, before)
        words = read_label(leaf.key)
        first = min(anchors) if anchors else before

        def cost(candidate: tuple[int, Span]) -> float:
            order, span = candidate
            total = min(order, 50) * 0.002 + _RANK * leaf.candidates[span]
            total += 0.7 * _weigh_use(self._used.get(span), leaf.kind)
            total -= 0.7 * self._weigh_label(span, words)
            if anchors:
                # Values mostly stand in the order in which the schema has them.
                turned = sum((span > other) != (place > at) for at, other in siblings)
                total += 0.05 * turned / len(siblings)
                total += min(self._measure(span, anchor) for anchor in anchors)
                total += 0.3 * any(_overlap(span, anchor) for anchor in anchors)
            if before is not None and span < before:
                total += 0.6
            elif before is not None and not anchors:
                total += self._measure(span, before)
            if limit is not None and first is not None and not self._find_line(first) <= span < limit:
                total += 0.4
            return total

        return min(enumerate(candidates), key=cost)[1]

    def _choose_pivot(self, leaf: Leaf, others: Sequence[Leaf], before: Span | None) -> Span:
        """Return the place of a value around which the other values of its record stand nearest."""
        near = [(other, [*other.candidates]) for other in others[:_MOST_WEIGHED]]

        def alone(one: Leaf, span: Span) -> float:
            total = 0.7 * _weigh_use(self._used.get(span), one.kind) + _RANK * one.candidates[span]
            return total + (0.6 if before is not None and span < before else 0.0)

        def cost(span: Span) -> float:
            total = alone(leaf, span)
            if before is not None and span > before:
                total += 0.2 * self._measure(span, before)
            for other, places in near:
                at = bisect_left(places, span)
                close = places[max(at - 2, 0) : at + 3]
                total += min(self._measure(span, one) + alone(other, one) for one in close)
            return total

        return min(self._shorten([*leaf.candidates], [], before), key=cost)

    def _shorten(
        self, candidates: Sequence[Span], anchors: Sequence[Span], before: Span | None
    ) -> list[Span]:
        near = {*candidates[:_MOST_WEIGHED]}
        for anchor in [*anchors[-3:], *([before] if before else [])]:
            at = bisect_left(candidates, anchor)
            near.update(candidates[max(at - _MOST_WEIGHED // 2, 0) : at + _MOST_WEIGHED])
        return sorted(near)

    def _measure(self, one: Span, other: Span) -> float:
        """Return how far two places are from each other, from 0 to 1; on one line they are near."""
        if one.source != other.source:
            return 1.0
        first, second = sorted((one, other))
        gap = max(second.start - first.end, 0)
        line = "\n" not in self._texts[one.source][first.end : min(second.start, first.end + 400)]
        return min(gap, 400) / 8_000 if line else 0.1 + min(gap, 2_000) / 2_500

    def _find_line(self, span: Span) -> Span:
        """Return where the line of a place begins."""
        text = self._texts[span.source]
        return Span(span.source, text.rfind("\n", max(span.start - 400, 0), span.start) + 1, 0)

    def _weigh_label(self, span: Span, words: frozenset[str]) -> float:
        """Return how many of the words of a value's name stand right before it, from 0 to 1."""
        if not words:
            return 0.0
        text = self._texts[span.source]
        before = text[max(span.start - _LABEL_CHARS, 0) : span.start]
        lines = before.rsplit("\n", 1)
        here = lines[-1] if lines[-1].strip() or len(lines) == 1 else before
        said = read_label(here)
        if not said & words:
            return 0.0
        # Another name between makes it that one's.
        last = read_label(here[-24:])
        return len(said & words) / len(words) * (1.0 if last & words else 0.6) - 0.02 * len(said - words)


def _list_of(path: Path) -> Path | None:
    """Return the path of the innermost list that a record is an item of."""
    places = [at for at, part in enumerate(path) if isinstance(part, int)]
    return path[: places[-1]] if places else None


def _overlap(one: Span, other: Span) -> bool:
    return one.source == other.source and one.start < other.end and other.start < one.end


def _weigh_use(users: set[Path] | None, kind: Path) -> float:
    if not users:
        return 0.0
    return 1.0 if kind in users else 0.5


_MOST_WORDS_CHARS: Final = 200


def read_label(text: str) -> frozenset[str]:
    """Return the words of a name or of a label: `invoiceNumber` and `Invoice number:` have the same."""
    parted = []
    for before, after in pairwise(" " + text[:_MOST_WORDS_CHARS]):
        camel = before.islower() and after.isupper()
        parted.append((" " if camel else "") + (after if after.isalnum() else " "))
    return frozenset(fold_bare(word) for word in "".join(parted).split() if not word.isdecimal())
