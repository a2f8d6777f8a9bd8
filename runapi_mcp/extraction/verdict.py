"""What came of an extraction: all that its result needs, so that nothing is judged twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from runapi_mcp.extraction.model_json import Scan, list_inexact, scan_answer, write_json
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
        unwrapped: How the value was wrapped, if it did not conform as it came; a sentence.
        evidence: Where its values stand, as :meth:`Evidence.to_json` has it, or `why` that is not known;
            empty if nobody asked.
    """

    document: str
    violations: tuple[str, ...] = ()
    rejected: Mapping[int, Sequence[str]] = field(default_factory=dict)
    closed: bool = True
    count: int = 0
    exact: JsonObject = field(default_factory=dict)
    unchecked: str = ""
    unwrapped: str = ""
    evidence: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return it as JSON."""
        return {
            "document": self.document,
            "violations": list(self.violations),
            "rejected": {str(place): list(lines) for place, lines in self.rejected.items()},
            "closed": self.closed,
            "count": self.count,
            "exact": self.exact,
            "unchecked": self.unchecked,
            "unwrapped": self.unwrapped,
            **({"evidence": self.evidence} if self.evidence else {}),
        }


def read_verdict(kept: JsonObject) -> Verdict:
    """Return the verdict that :meth:`Verdict.to_json` wrote, maybe that of an older version."""
    rejected = cast("dict[str, list[str]]", kept["rejected"])
    return Verdict(
        str(kept["document"]),
        tuple(map(str, cast("list[str]", kept["violations"]))),
        {int(place): lines for place, lines in rejected.items()},
        bool(kept["closed"]),
        int(cast("int", kept["count"])),
        cast("JsonObject", kept["exact"]),
        str(kept["unchecked"]),
        str(kept.get("unwrapped", "")),
        cast("JsonObject", kept.get("evidence", {})),
    )


def conclude(
    value: JsonValue,
    violations: Sequence[str] = (),
    rejected: Mapping[int, Sequence[str]] | None = None,
    *,
    closed: bool = True,
    unwrapped: str = "",
) -> Verdict:
    """Return the verdict on a value, or on the part of it that conforms."""
    nothing = (value is None and not closed) or (violations and value in (None, {}, []))
    told = {
        place: lines if at < MOST_REJECTED else lines[:1]
        for at, (place, lines) in enumerate((rejected or {}).items())
    }
    count = len(value) if isinstance(value, list) else 0
    document = "" if nothing else write_json(value)
    return Verdict(document, tuple(violations), told, closed, count, list_inexact(value), "", unwrapped)


def read_unjudged(texts: Sequence[str], *, many: bool) -> Verdict:
    """Return what the last of the texts is as JSON, without judging it."""
    scan = scan_answer(texts[-1]) if texts else Scan()
    whole = [found.value for found in scan.values if not found.flaw]
    if many:
        listed = next((value for value in whole if isinstance(value, list)), None)
        rest = scan.rest[: scan.items] if isinstance(scan.rest, list) else None
        return conclude(listed) if listed is not None else conclude(rest, closed=False)
    return conclude(whole[0]) if len(whole) == 1 else Verdict("")
