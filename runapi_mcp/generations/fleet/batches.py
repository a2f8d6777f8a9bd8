"""What is written to Redis of one generation, batch by batch. Pure but for reading the generation."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from runapi_mcp.generations.codec import dumped, plain, written_error
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.values import Evidence, View

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


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write says: pieces of text, how it stands, and at the end the rest of the answer."""

    entries: tuple[Entry, ...]
    live: str
    final: str
    delivered: bool
    more: bool


@dataclass(slots=True)
class Held:
    """What Redis holds of one generation, as far as its server knows."""

    generation: Generation
    name: str
    facts: str = field(repr=False)
    epoch: int = 0
    begun: bool = False
    said: bool = False
    entries: int = 0
    round: int = 1
    text: int = 0
    thoughts: int = 0
    total: int = 0
    seen: tuple[object, ...] = ()
    delivered: bool = False
    final: bool = False
    more: bool = False

    @property
    def due(self) -> bool:
        """Whether there is something new to write. Costs no look at the text."""
        ended = self.generation.done.is_set()
        return (
            not self.begun
            or self.more
            or (ended and not self.final)
            or self.delivered != self.generation.delivered
            or (not ended and self.seen != _seen(self.generation))
        )

    def lose(self) -> None:
        """Begin anew: what Redis holds is not what it should."""
        self.begun, self.said, self.final, self.seen, self.more = False, False, False, (), False
        self.entries, self.round, self.text, self.thoughts, self.total = 0, 1, 0, 0, 0

    def batch(self) -> Batch:
        """Return what is to be written next."""
        generation = self.generation
        self.seen = _seen(generation)
        view, evidence = generation.known(), generation.evidence()
        entries = tuple(self._entries(view))
        room = MOST_CHARS - self.total
        more = sum(len(e.text) + len(e.thoughts) for e in entries) >= _BATCH_CHARS and room > _BATCH_CHARS
        ended = view.status != "running" and not more
        return Batch(
            entries,
            _live(view, evidence),
            _final(view, generation.updated) if ended else "",
            generation.delivered,
            more,
        )

    def wrote(self, batch: Batch) -> None:
        """Note that a batch is in Redis now."""
        for entry in batch.entries:
            if entry.round != self.round:
                self.round, self.text, self.thoughts = entry.round, 0, 0
            self.text += len(entry.text)
            self.thoughts += len(entry.thoughts)
            self.total += len(entry.text) + len(entry.thoughts)
        self.entries += len(batch.entries)
        self.said, self.delivered, self.final, self.more = (
            True,
            batch.delivered,
            bool(batch.final),
            batch.more,
        )

    def _entries(self, view: View) -> Iterator[Entry]:
        room = min(_BATCH_CHARS, MOST_CHARS - self.total)
        thoughts = view.answer.thoughts
        texts = (*view.earlier, view.answer.text)
        at = self.text
        for number in range(self.round, len(texts) + 1):
            text = texts[number - 1]
            # Thoughts of a round that is over are not worth having.
            thought_at = self.thoughts if number == self.round else 0
            thinking = thoughts if number == len(texts) else ""
            begun = number == self.round
            while room > 0 and (at < len(text) or thought_at < len(thinking) or not begun):
                size = min(room, _ENTRY_CHARS)
                entry = Entry(number, text[at : at + size], thinking[thought_at : thought_at + size])
                yield entry
                begun = True
                at, thought_at = at + len(entry.text), thought_at + len(entry.thoughts)
                room -= len(entry.text) + len(entry.thoughts) + 1
            at = 0


def _seen(generation: Generation) -> tuple[object, ...]:
    fold, trace = generation.fold, generation.trace
    return (
        id(fold),
        fold.characters,
        fold.thought_characters,
        trace.phase,
        trace.requests,
        generation.ahead,
    )


def _live(view: View, evidence: Evidence) -> str:
    said = plain(replace(evidence, tail=""))
    receipt, notices = plain(view.receipt), plain(view.job.notices)
    return dumped({"evidence": said, "receipt": receipt, "model": view.answer.model, "notices": notices})


def _final(view: View, ended: datetime) -> str:
    rest = replace(view.answer, text="", thoughts="")
    return dumped(
        {
            "status": view.status,
            "answer": plain(rest),
            "characters": len(view.answer.text),
            "error": written_error(view.error),
            "links": plain(view.links),
            "hopeless": view.hopeless,
            "ended": ended.isoformat(),
        }
    )


def facts_of(generation: Generation) -> str:
    """Return what does not change about a generation: what was asked, and when."""
    # Whose it is is part of its name, and nothing that Redis has to know.
    about = plain(replace(generation.job, owner=""))
    return dumped({"job": about, "created": generation.created.isoformat()})
