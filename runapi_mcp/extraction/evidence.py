"""Where in the material each value of an extraction stands. Pure; run by a worker, for it is strangers' text.

A value is looked for as it is, then as people write it: other case and blanks, numbers and dates of other
places, enum words, what OCR makes of it. Where it stands more than once, the one is taken that stands behind
its own name, or nearest to the values beside it. What is not in so many words, but follows from what is, is
inferred. What does neither has no evidence, and that is said.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

from runapi_mcp.extraction.choice import Chooser, label_words
from runapi_mcp.extraction.folding import UNSPACED, fold_plain
from runapi_mcp.extraction.material import Source
from runapi_mcp.extraction.places import LOOSE, MOST_GUESSED, Leaf, Path, Searcher, Span
from runapi_mcp.wire.types import JsonObject, JsonValue

MOST_VALUES: Final = 10_000
"""Values that are looked for; the rest is said not to have been."""
_MOST_LISTED: Final = 200

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

    def kept(self, value: JsonValue, sources: Sequence[Source]) -> JsonObject:
        """Return it as JSON, with the quotes that differ from the values."""
        leaves = {leaf.pointer: leaf.value for leaf in _leaves(value)}
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
    """Return where the values of a JSON text stand, as :meth:`Evidence.kept` has it."""
    value = json.loads(document, parse_float=Decimal, parse_int=Decimal)
    named = [Source(name, text) for name, text in sources]
    return find_evidence(value, named, schema).kept(value, named)


def find_evidence(value: Any, sources: Sequence[Source], schema: JsonObject | None = None) -> Evidence:  # noqa: ANN401  # JSON, numbers as Decimal
    """Return where each value stands in the sources; `schema` tells enum words from other text."""
    leaves = [*_leaves(value)]
    looked_for = leaves[:MOST_VALUES]
    searcher = Searcher(sources)
    enums = _Enums(schema or {})
    for leaf in looked_for:
        leaf.enum = enums.is_word(leaf.path)
        leaf.candidates = {} if isinstance(leaf.value, bool) else searcher.candidates(leaf)
    Chooser(searcher, looked_for).choose()
    _infer(value, looked_for, searcher)
    places: dict[str, Found] = {}
    for leaf in looked_for:
        places[leaf.pointer] = leaf.chosen or ("inferred" if leaf.inferred else None)
    return Evidence(places, len(leaves) - len(looked_for))


def _leaves(value: Any) -> Iterator[Leaf]:  # noqa: ANN401  # any JSON
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
        self._schema = schema
        self._known: dict[Path, bool] = {}

    def is_word(self, path: Path) -> bool:
        """Whether the value at a path is one of an enum's."""
        kind = tuple("*" if isinstance(part, int) else part for part in path)
        if kind not in self._known:
            self._known[kind] = any("enum" in node or "const" in node for node in self._nodes(path))
        return self._known[kind]

    def _nodes(self, path: Path) -> list[JsonObject]:
        nodes = self._open([self._schema])
        for part in path:
            below: list[JsonValue] = []
            for node in nodes:
                if isinstance(part, str):
                    properties = node.get("properties")
                    named = properties.get(part) if isinstance(properties, dict) else None
                    below.append(node.get("additionalProperties") if named is None else named)
                else:
                    first = node.get("prefixItems")
                    at = isinstance(first, list) and part < len(first)
                    below.append(first[part] if at and isinstance(first, list) else node.get("items"))
            nodes = self._open(below)
        return nodes

    def _open(self, nodes: Iterable[JsonValue]) -> list[JsonObject]:
        """Return schemas with those that they refer to or are made of, as far as that is of use."""
        opened: list[JsonObject] = []
        waiting = [*nodes]
        while waiting and len(opened) < 40:
            node = waiting.pop(0)
            if not isinstance(node, dict) or node in opened:
                continue
            opened.append(node)
            if isinstance(ref := node.get("$ref"), str):
                waiting.append(self._target(ref))
            for name in ("allOf", "anyOf", "oneOf"):
                parts = node.get(name)
                waiting += parts if isinstance(parts, list) else []
        return opened

    def _target(self, ref: str) -> JsonValue:
        node: JsonValue = self._schema
        for step in ref.removeprefix("#").strip("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) and step else node
        return node


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
    lengths = {Decimal(length) for length in _lengths(value)}
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
        elif label_words(leaf.key) & _CLASSES and len(str(leaf.value)) <= 60:
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


def _lengths(value: Any) -> Iterator[int]:  # noqa: ANN401  # any JSON
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
            *(op for a in near for b in near if a is not b for op in _of_two(a, b)),
        }
        return any(abs(number - one) <= abs(number) * Decimal("0.0001") for one in made)
    except (InvalidOperation, OverflowError):
        return False


def _of_two(a: Decimal, b: Decimal) -> Iterator[Decimal]:
    yield from (a + b, a - b, a * b, a * b / 100)
    if b:
        yield from (a / b, a / b * 100)
