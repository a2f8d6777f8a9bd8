"""What is written of a generation and read elsewhere: each record in one format, for both ways. Pure.

A record of another version of us is read as far as it goes; fields it does not know are ignored.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from runapi_mcp.generations.codec import dumped, plain, read, written_error
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.wire.types import Answer, JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change about a generation: what was asked, and when."""

    job: Job
    created: datetime


@dataclass(frozen=True, slots=True)
class Live:
    """How a generation stands; its text apart."""

    evidence: Evidence
    receipt: Receipt
    model: str | None
    notices: tuple[str, ...]
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What an ended generation came to; its text apart, of which only the length is said.

    Attributes:
        characters: Length of the answer's text, which may be more than is shared.
        error: As :func:`written_error` has it.
        ended: When, by the wall clock, in ISO 8601.
    """

    status: Status
    answer: Answer
    characters: int
    error: JsonObject | None
    links: Mapping[str, str]
    hopeless: str
    ended: str
    verdict: JsonObject | None = None


def facts_written(facts: Facts) -> str:
    """Return facts as JSON text, without the owner, who is part of the name and nobody's business."""
    about = plain(replace(facts.job, owner=""))
    return dumped({"job": about, "created": facts.created.isoformat()})


def facts_read(text: str, owner: str) -> Facts:
    """Return the facts of a generation of `owner`.

    Raises:
        ValueError: It is not what this version writes.
    """
    said = _parsed(text)
    job = read(Job, said.get("job"))
    return Facts(replace(job, owner=owner), datetime.fromisoformat(str(said.get("created"))))


def live_of(view: View, evidence: Evidence, *, leaving: bool = False) -> Live:
    """Return how a generation stands; the tail of its text is left out, for the text says it."""
    return Live(replace(evidence, tail=""), view.receipt, view.answer.model, view.job.notices, leaving)


def ending_of(view: View, ended: datetime) -> Ending:
    """Return what an ended generation came to."""
    return Ending(
        view.status,
        replace(view.answer, text="", thoughts=""),
        len(view.answer.text),
        written_error(view.error),
        view.links,
        view.hopeless,
        ended.isoformat(),
        view.verdict,
    )


def written(record: Live | Ending) -> str:
    """Return a record as JSON text."""
    return dumped(plain(record))


def live_read(text: str) -> Live:
    """Return the record that was written.

    Raises:
        ValueError: It is not what this version writes.
    """
    return read(Live, _parsed(text))


def ending_read(text: str) -> Ending:
    """Return the record that was written.

    Raises:
        ValueError: It is not what this version writes.
    """
    return read(Ending, _parsed(text))


def _parsed(text: str) -> dict[str, JsonValue]:
    try:
        return dict(json.loads(text))
    except (RecursionError, TypeError):
        raise ValueError("no object, or one that is too deep") from None
