"""What is written of a generation and read elsewhere: each record in one format, for both ways. Pure."""

import hashlib
import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin

from runapi_mcp.errors import Interrupted, RunapiError, UpstreamError
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.protocol import Entry
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.wire.types import Answer, JsonObject, JsonValue

T = TypeVar("T")


def digest(*parts: str) -> str:
    """Return what only who knows all parts can make, and that tells none of them."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode("utf-8", "surrogatepass")).hexdigest()


def dumped(value: JsonValue) -> str:
    """Return JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain(value: object) -> JsonValue:
    """Return a value as what JSON knows; callables are left out of the objects that hold them."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: plain(part) for name, part in pairs if not callable(part)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return cast("JsonValue", value)


def read(kind: type[T], value: JsonValue) -> T:
    """Return the `kind` that `value` was written from.

    Raises:
        ValueError: It was not written from one.
    """
    try:
        return cast("T", _built(kind, value))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from None


def written_error(error: RunapiError | None) -> JsonObject | None:
    """Return an error of ours as JSON."""
    if error is None:
        return None
    kept: JsonObject = {"code": error.code, "what": error.what, "advice": error.advice}
    if isinstance(error, UpstreamError):
        kept |= {"status": error.status, "request_id": error.request_id, "retry_after": error.retry_after}
    return kept


def read_error(kept: JsonValue) -> RunapiError | None:
    """Return the error that :func:`written_error` wrote; one of an unknown kind is a plain one."""
    if not isinstance(kept, dict):
        return None
    kind = _by_code(RunapiError).get(str(kept.get("code")), RunapiError)
    error = kind(str(kept.get("what")), advice=str(kept.get("advice")))
    if isinstance(error, UpstreamError):
        error.status = _number(kept.get("status"), int)
        error.request_id = cast("str | None", kept.get("request_id"))
        error.retry_after = _number(kept.get("retry_after"), float)
    return error


def with_partial(error: RunapiError | None, text: str) -> RunapiError | None:
    """Return the error with the text it interrupted."""
    if isinstance(error, Interrupted):
        error.partial = text
    return error


def _number(value: JsonValue, kind: Callable[[float], T]) -> T | None:
    return kind(value) if isinstance(value, int | float) else None


def _by_code(kind: type[RunapiError]) -> dict[str, type[RunapiError]]:
    found = {kind.code: kind}
    for below in kind.__subclasses__():
        # The class that gave itself the code, not one below that kept it.
        found = _by_code(below) | found
    return found


def _built(kind: Any, value: Any) -> Any:  # noqa: ANN401  # types are values here
    """Return `value` as a `kind`: dataclasses and tuples are built, all else is as JSON has it."""
    if is_dataclass(kind) and isinstance(kind, type):
        given = {f.name: _built(f.type, value[f.name]) for f in fields(kind) if f.name in value}
        return kind(**given)
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple and value is not None:
        inner = args[0]
        return tuple(_built(inner, part) for part in value)
    if origin in (Union, types.UnionType) and value is not None:
        return _built(_chosen(args, value), value)
    return value


def _chosen(kinds: tuple[Any, ...], value: Any) -> Any:  # noqa: ANN401  # types are values here
    """Return the member of a union that `value` was written from: dataclasses are told by their fields."""
    classes = [kind for kind in kinds if is_dataclass(kind)]
    if classes and isinstance(value, dict):
        return next((k for k in classes if {f.name for f in fields(k)} == value.keys()), classes[0])
    return next((kind for kind in kinds if get_origin(kind) is tuple), None)


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
    """Return facts as JSON text, without contents of files that can be read again.

    The owner is left out too: who that is is part of the name, and nobody's business.
    """
    about = plain(replace(facts.job.without_files(), owner=""))
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


MOST_CHARS: Final = 16_777_216
"""Characters of one generation's text that are shared; the rest only its own process has."""
_ENTRY_CHARS: Final = 262_144
_BATCH_CHARS: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write says: pieces of text, how it stands, and at the end the rest of the answer.

    Attributes:
        live: How it stands, as JSON.
        final: What it came to, as JSON; empty before the last batch.
        more: Whether there was more text than one batch takes.
        seen: What the generation looked like, to tell later whether there is news.
    """

    entries: tuple[Entry, ...]
    live: str
    final: str
    more: bool
    seen: tuple[object, ...]

    @property
    def characters(self) -> int:
        """How much text it has."""
        return sum(map(_size, self.entries))


@dataclass(frozen=True, slots=True)
class Written:
    """How far one generation is written; as it is now, nothing but its facts.

    Attributes:
        entries: Pieces of text in all.
        total: Characters in all.
        round: The round of the last piece, from 1.
        text: Characters of that round's answer.
        thoughts: Characters of that round's thoughts.
        seen: What the generation looked like; `None` before how it stands was written.
        final: Whether it says what became of it.
        more: Whether there was more to write at once.
    """

    entries: int = 0
    total: int = 0
    round: int = 1
    text: int = 0
    thoughts: int = 0
    seen: tuple[object, ...] | None = None
    final: bool = False
    more: bool = False

    def after(self, batch: Batch) -> "Written":
        """Return how far it is once a batch is written, too."""
        last = max([self.round, *(entry.round for entry in batch.entries)])
        new = [entry for entry in batch.entries if entry.round == last]
        text, thoughts = (self.text, self.thoughts) if last == self.round else (0, 0)
        return Written(
            self.entries + len(batch.entries),
            self.total + batch.characters,
            last,
            text + sum(len(entry.text) for entry in new),
            thoughts + sum(len(entry.thoughts) for entry in new),
            batch.seen,
            bool(batch.final),
            batch.more,
        )


def due(generation: Generation, now: Written) -> bool:
    """Whether there is something new to write of a generation. Costs no look at the text."""
    ended = generation.done.is_set()
    return now.more or (ended and not now.final) or (not ended and now.seen != _seen(generation))


def next_batch(generation: Generation, now: Written) -> Batch:
    """Return what is to be written of a generation next."""
    # Before the text is read: what comes meanwhile is news.
    seen, view = _seen(generation), generation.known()
    entries = tuple(_entries(view, now))
    size = sum(map(_size, entries))
    more = size + len(entries) >= _BATCH_CHARS and now.total + size < MOST_CHARS
    ended = view.status != "running" and not more
    return Batch(
        entries,
        written(live_of(view, generation.evidence(), leaving=generation.leaving)),
        written(ending_of(view, generation.updated)) if ended else "",
        more,
        seen,
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


def _seen(generation: Generation) -> tuple[object, ...]:
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
