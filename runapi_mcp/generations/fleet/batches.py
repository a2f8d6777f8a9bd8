"""What is written to Redis of one generation, batch by batch. Pure but for reading the generation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runapi_mcp.generations.fleet.records import ending_of, live_of, written
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.values import View

MOST_CHARS: Final = 16_777_216
"""Characters of one generation's text that are shared; the rest only its own server has."""
_ENTRY_CHARS: Final = 262_144
_BATCH_CHARS: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of text as Redis has it: of which round, and how much of answer and thoughts."""

    round: int
    text: str
    thoughts: str

    @property
    def characters(self) -> int:
        """How much text it has."""
        return len(self.text) + len(self.thoughts)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write says: pieces of text, how it stands, and at the end the rest of the answer.

    Attributes:
        live: How it stands, as JSON.
        final: What it came to, as JSON; empty before the last batch.
        delivered: Whether its answer was given to a caller.
        more: Whether there was more text than one batch takes.
        seen: What the generation looked like, to tell later whether there is news.
    """

    entries: tuple[Entry, ...]
    live: str
    final: str
    delivered: bool
    more: bool
    seen: tuple[object, ...]

    @property
    def characters(self) -> int:
        """How much text it has."""
        return sum(entry.characters for entry in self.entries)


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
        delivered: Whether it says that the answer was delivered.
        final: Whether it says what became of it.
        more: Whether there was more to write at once.
    """

    entries: int = 0
    total: int = 0
    round: int = 1
    text: int = 0
    thoughts: int = 0
    seen: tuple[object, ...] | None = None
    delivered: bool = False
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
            batch.delivered,
            bool(batch.final),
            batch.more,
        )


def due(generation: Generation, now: Written) -> bool:
    """Whether there is something new to write of a generation. Costs no look at the text."""
    ended = generation.done.is_set()
    return (
        now.more
        or (ended and not now.final)
        or now.delivered != generation.delivered
        or (not ended and now.seen != _seen(generation))
    )


def next_batch(generation: Generation, now: Written) -> Batch:
    """Return what is to be written of a generation next."""
    # Before the text is read: what comes meanwhile is news.
    seen, view = _seen(generation), generation.known()
    entries = tuple(_entries(view, now))
    size = sum(entry.characters for entry in entries)
    more = size + len(entries) >= _BATCH_CHARS and now.total + size < MOST_CHARS
    ended = view.status != "running" and not more
    return Batch(
        entries,
        written(live_of(view, generation.evidence(), leaving=generation.leaving)),
        written(ending_of(view, generation.updated)) if ended else "",
        generation.delivered,
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
            room -= entry.characters + 1


def _pieces(number: int, text: str, thoughts: str, room: int, *, begun: bool) -> Iterator[Entry]:
    """Cut a round's text into entries; one that was not begun has at least one, which says so."""
    at = thought_at = 0
    while room > 0 and (at < len(text) or thought_at < len(thoughts) or not begun):
        size = min(room, _ENTRY_CHARS)
        entry = Entry(number, text[at : at + size], thoughts[thought_at : thought_at + size])
        yield entry
        begun = True
        at, thought_at = at + len(entry.text), thought_at + len(entry.thoughts)
        room -= entry.characters + 1


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
