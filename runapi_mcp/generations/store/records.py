"""What is written of a generation and read elsewhere: each record in one format, for both ways. Pure."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from runapi_mcp.errors import Interrupted, RunapiError, UpstreamError
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.protocol import Entry
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.wire.types import Answer, JsonObject

T = TypeVar("T")


def digest(*parts: str) -> str:
    """Return what only who knows all parts can make, and that tells none of them."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of ours, as it is written."""

    code: str
    what: str
    advice: str
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: RunapiError) -> "Fault":
        """Return what is written of an error."""
        said = (error.code, error.what, error.advice)
        if not isinstance(error, UpstreamError):
            return cls(*said)
        return cls(*said, error.status, error.request_id, error.retry_after)

    def error(self, partial: str = "") -> RunapiError:
        """Return the error with the text that it interrupted; one of an unknown kind is a plain one."""
        error = _by_code(RunapiError).get(self.code, RunapiError)(self.what, advice=self.advice)
        if isinstance(error, UpstreamError):
            error.status, error.request_id = self.status, self.request_id
            error.retry_after = self.retry_after
        if isinstance(error, Interrupted):
            error.partial = partial
        return error


def _by_code(kind: type[RunapiError]) -> dict[str, type[RunapiError]]:
    found = {kind.code: kind}
    for below in kind.__subclasses__():
        # The class that gave itself the code, not one below that kept it.
        found = _by_code(below) | found
    return found


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change about a generation: what was asked, and when."""

    job: Job
    created: datetime

    @classmethod
    def of(cls, generation: Generation) -> "Facts":
        """Return what is written of a generation: no contents of files that can be read again.

        The owner is left out too: who that is is part of the name, and nobody's business.
        """
        return cls(replace(generation.job.without_files(), owner=""), generation.created)


@dataclass(frozen=True, slots=True)
class Live:
    """How a generation stands; its text apart."""

    evidence: Evidence
    receipt: Receipt
    model: str | None
    notices: tuple[str, ...]
    leaving: bool = False

    @classmethod
    def of(cls, view: View, generation: Generation) -> "Live":
        """Return how a generation stands; the tail of its text is left out, for the text says it."""
        evidence = replace(generation.evidence(), tail="")
        return cls(evidence, view.receipt, view.answer.model, view.job.notices, generation.leaving)


@dataclass(frozen=True, slots=True)
class Ending:
    """What an ended generation came to; its text apart, of which only the length is said.

    Attributes:
        characters: Length of the answer's text, which may be more than is shared.
        ended: When, by the wall clock.
    """

    status: Status
    answer: Answer
    characters: int
    error: Fault | None
    links: Mapping[str, str]
    hopeless: str
    ended: datetime
    verdict: JsonObject | None = None

    @classmethod
    def of(cls, view: View, ended: datetime) -> "Ending":
        """Return what an ended generation came to."""
        answer, characters = replace(view.answer, text="", thoughts=""), len(view.answer.text)
        error = Fault.of(view.error) if view.error else None
        return cls(
            view.status, answer, characters, error, view.links, view.hopeless, ended, view.verdict
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with the generation of a name.

    Attributes:
        do: `stop` it, or `keep` it though nobody here follows it; or know that its answer was `delivered`.
        name: What :meth:`Engine.name` gave it.
    """

    do: Literal["stop", "keep", "delivered"]
    name: str


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401  # types are values here
    """Return what reads a kind; made when the first one is, for a host waits for the start."""
    return TypeAdapter(kind)


def write(record: object) -> str:
    """Return a record as JSON text.

    Not with an adapter: a first call, which writes three kinds of records, would wait for three. Not straight
    to JSON either, nor by `validate_json` below: JSON can hold half a surrogate pair, and UTF-8 cannot.
    """
    plain = to_jsonable_python(record)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def read(kind: Callable[..., T], text: str) -> T:
    """Return the `kind` that was written.

    Raises:
        ValueError: It is not what this version writes.
    """
    try:
        said: Any = json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None
    record: T = _adapter(kind).validate_python(said)
    return record


MOST_CHARS: Final = 16_777_216
"""Characters of one generation's text that are shared; the rest only its own process has."""
_ENTRY_CHARS: Final = 262_144
_BATCH_CHARS: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Written:
    """How far one generation is written; as it is now, nothing but its facts.

    Attributes:
        entries: Pieces of text in all.
        total: Characters in all.
        round: The round of the last piece, from 1.
        text: Characters of that round's answer.
        thoughts: Characters of that round's thoughts.
        seen: What the generation looked like, to tell whether there is news; `None` before how it stands
            was written.
        final: Whether it says what became of it.
        more: Whether there is more to write at once.
    """

    entries: int = 0
    total: int = 0
    round: int = 1
    text: int = 0
    thoughts: int = 0
    seen: tuple[object, ...] | None = None
    final: bool = False
    more: bool = True

    def after(self, entries: Sequence[Entry]) -> "Written":
        """Return how far it is once entries are written, too."""
        last = max([self.round, *(entry.round for entry in entries)])
        new = [entry for entry in entries if entry.round == last]
        text, thoughts = (self.text, self.thoughts) if last == self.round else (0, 0)
        return Written(
            self.entries + len(entries),
            self.total + sum(map(_size, entries)),
            last,
            text + sum(len(entry.text) for entry in new),
            thoughts + sum(len(entry.thoughts) for entry in new),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write says: pieces of text, how it stands, and at the end the rest of the answer.

    Attributes:
        live: How it stands, as JSON.
        final: What it came to, as JSON; empty before the last batch.
        after: How far it is once this is written.
    """

    entries: tuple[Entry, ...]
    live: str
    final: str
    after: Written


def due(generation: Generation, now: Written) -> bool:
    """Whether there is something new to write of a generation. Costs no look at the text."""
    ended = generation.done.is_set()
    return now.more or (ended and not now.final) or (not ended and now.seen != _look_of(generation))


def next_batch(generation: Generation, now: Written) -> Batch:
    """Return what is to be written of a generation next."""
    # Before the text is read: what comes meanwhile is news.
    seen, view = _look_of(generation), generation.known()
    entries = tuple(_entries(view, now))
    after = now.after(entries)
    more = after.total - now.total + len(entries) >= _BATCH_CHARS and after.total < MOST_CHARS
    final = view.status != "running" and not more
    return Batch(
        entries,
        write(Live.of(view, generation)),
        write(Ending.of(view, generation.updated)) if final else "",
        replace(after, seen=seen, final=final, more=more),
    )


def _entries(view: View, now: Written) -> Iterator[Entry]:
    room = min(_BATCH_CHARS, MOST_CHARS - now.total)
    texts = (*view.earlier, view.answer.text)
    for number in range(now.round, len(texts) + 1):
        old = number == now.round
        text = texts[number - 1][now.text if old else 0 :]
        # Thoughts of a round that is over are not worth having.
        thoughts = view.answer.thoughts[now.thoughts if old else 0 :] if number == len(texts) else ""
        for entry in _pieces(number, text, thoughts, room, begun=old):
            yield entry
            room -= _size(entry) + 1


def _pieces(number: int, text: str, thoughts: str, room: int, *, begun: bool) -> Iterator[Entry]:
    """Cut a round's text into entries; one that was not begun has at least one, which says so."""
    at = thought_at = 0
    while room > 0 and (at < len(text) or thought_at < len(thoughts) or not begun):
        size = min(room, _ENTRY_CHARS)
        entry = Entry(number, text[at : at + size], thoughts[thought_at : thought_at + size])
        yield entry
        begun = True
        at, thought_at = at + len(entry.text), thought_at + len(entry.thoughts)
        room -= _size(entry) + 1


def _size(entry: Entry) -> int:
    return len(entry.text) + len(entry.thoughts)


def _look_of(generation: Generation) -> tuple[object, ...]:
    fold, trace = generation.fold, generation.trace
    return (
        id(fold),
        fold.characters,
        fold.thought_characters,
        trace.phase,
        trace.requests,
        generation.ahead,
        generation.leaving,
    )
