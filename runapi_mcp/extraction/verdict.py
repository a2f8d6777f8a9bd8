"""What a generation keeps of its check: all that its result needs, so that nothing is judged twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from runapi_mcp.extraction.exact import NotJson, inexact, items, loaded, parse, written
from runapi_mcp.extraction.judge import Judge
from runapi_mcp.extraction.outcome import Outcome, of_many, of_one
from runapi_mcp.wire.types import JsonObject, JsonValue

MOST_REJECTED: Final = 50
"""Items left out of which it is kept what is wrong with them; of the others, one line."""


@dataclass(frozen=True)
class Verdict:
    """What came of an extraction, as far as it was judged.

    Attributes:
        document: What conforms, as JSON text; of a wrong value, the part that does; empty if nothing
            does. What was not checked is here as it was written, if it is JSON.
        violations: What is wrong, a line each.
        rejected: Of many, the items left out, by their place in the list, with what is wrong with each.
        closed: Whether a list was written to its end.
        count: Of many, how many items the document has.
        exact: The numbers of the document that a double does not hold, as written, by JSON Pointer.
        unchecked: Why it was not checked in full; empty if it was.
    """

    document: str
    violations: tuple[str, ...] = ()
    rejected: Mapping[int, Sequence[str]] = field(default_factory=dict)
    closed: bool = True
    count: int = 0
    exact: JsonObject = field(default_factory=dict)
    unchecked: str = ""

    def kept(self) -> JsonObject:
        """Return it as JSON."""
        return {
            "document": self.document,
            "violations": list(self.violations),
            "rejected": {str(place): list(lines) for place, lines in self.rejected.items()},
            "closed": self.closed,
            "count": self.count,
            "exact": self.exact,
            "unchecked": self.unchecked,
        }


def verdict_of(kept: JsonObject) -> Verdict:
    """Return the verdict that :meth:`Verdict.kept` wrote."""
    rejected = cast("dict[str, list[str]]", kept["rejected"])
    return Verdict(
        str(kept["document"]),
        tuple(map(str, cast("list[str]", kept["violations"]))),
        {int(place): lines for place, lines in rejected.items()},
        bool(kept["closed"]),
        int(cast("int", kept["count"])),
        cast("JsonObject", kept["exact"]),
        str(kept["unchecked"]),
    )


def judged(judge: Judge, texts: Sequence[str], begin: str, *, many: bool) -> Verdict:
    """Return what came of the texts of all rounds, oldest first; `begin` is what the first continues.

    Raises:
        TooDear: It takes more than the judge may.
    """
    if many:
        return _concluded(of_many(texts, begin, judge))
    return _concluded(of_one(texts[-1] if texts else "", begin, judge))


def read(texts: Sequence[str], *, many: bool) -> Verdict:
    """Return what the last of the texts is as JSON, without judging it."""
    last = texts[-1] if texts else ""
    try:
        value, closed = items(last) if many else (parse(last), True)
    except NotJson:
        return Verdict("")
    return _concluded(Outcome(value, closed=closed))


def value_of(document: str) -> JsonValue:
    """Return the value of a verdict's document."""
    return loaded(document) if document else None


def _concluded(found: Outcome) -> Verdict:
    nothing = bool(found.violations) and found.value in (None, {}, [])
    told = {
        place: lines if at < MOST_REJECTED else lines[:1]
        for at, (place, lines) in enumerate(found.rejected.items())
    }
    return Verdict(
        "" if nothing else written(found.value),
        found.violations,
        told,
        found.closed,
        len(found.value) if isinstance(found.value, list) else 0,
        inexact(found.value),
    )
