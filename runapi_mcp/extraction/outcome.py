"""What came of an extraction: what conforms, what is wrong, what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runapi_mcp.extraction.exact import NotJson, items, parse
from runapi_mcp.extraction.judge import Judge
from runapi_mcp.extraction.partial import read_partial
from runapi_mcp.wire.types import JsonValue


@dataclass(frozen=True)
class Outcome:
    """What came of an extraction.

    Attributes:
        value: What conforms: the value, or the items that do; of a wrong value, the part that does.
        violations: What is wrong, a line each.
        rejected: Of many, the items left out, by their place in the list, with what is wrong with each.
        closed: Whether a list was written to its end.
    """

    value: JsonValue
    violations: tuple[str, ...] = ()
    rejected: dict[int, list[str]] = field(default_factory=dict)
    closed: bool = True


def of_one(text: str, begin: str, judge: Judge) -> Outcome:
    """Return what came of an answer that should be one value; `begin` is the part that it continues."""
    problem = NotJson("nothing was written")
    # A model asked to go on may have begun anew, instead of where it had stopped.
    anew = [text[len(begin) :]] if begin and text.startswith(begin) else []
    for candidate in (text, *anew):
        try:
            value = parse(candidate)
        except NotJson as error:
            problem = error
            continue
        wrong = judge.violations(value)
        return Outcome(judge.valid_part(value) if wrong else value, tuple(wrong))
    found = read_partial(text)
    part = None if found is None else judge.valid_part(found)
    return Outcome(part, (f"(root): not JSON: {problem}",))


def of_many(texts: Sequence[str], begin: str, judge: Judge) -> Outcome:
    """Return what came of answers that should be a list, each round's after the one before.

    A later round is the whole list anew, or the items alone that were wrong until then.
    """
    values: list[JsonValue] = []
    closed = False
    problem = "nothing was written"
    for text in texts:
        try:
            found, ended = _items(text, begin)
        except NotJson as error:
            problem = str(error)
            continue
        problem = ""
        wrong = [place for place, value in enumerate(values) if not judge.conforms(value)]
        if values and ended and len(found) == len(wrong) != len(values):
            for place, value in zip(wrong, found, strict=True):
                values[place] = value
        elif ended or len(found) >= len(values):
            values, closed = found, ended
    judged = ((place, judge.violations(value)) for place, value in enumerate(values))
    rejected = {place: lines for place, lines in judged if lines}
    good = [value for place, value in enumerate(values) if place not in rejected]
    said = (f"(root): not a JSON array: {problem}",) if problem and not values else ()
    return Outcome(good, said, rejected, closed)


def _items(text: str, begin: str) -> tuple[list[JsonValue], bool]:
    found, closed = items(text)
    rest = text[len(begin) :].lstrip() if begin and text.startswith(begin) else ""
    if not closed and rest.startswith("["):
        # A model asked to go on may have written the rest as a list of its own.
        known, _ = items(begin)
        more, closed = items(rest)
        return [*known, *more], closed
    return found, closed
