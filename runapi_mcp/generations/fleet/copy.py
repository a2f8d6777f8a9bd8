"""What is known here of a generation that another server writes: the mirror of `batches`. Pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Self

from runapi_mcp.errors import ServerLeft
from runapi_mcp.generations.codec import read_error, with_partial
from runapi_mcp.generations.fleet.records import Ending, Facts, Live, ending_read, live_read
from runapi_mcp.generations.values import Receipt, Status, View
from runapi_mcp.wire.types import Answer

_START: Final = "-"
_TAIL: Final = 400
_TAIL_PIECES: Final = 4

STALE: Final = "The store that the servers share cannot be reached: there may be more than this by now."
CUT: Final = "The text goes on; only the server that wrote it has the rest."

Found = list[tuple[str, dict[str, Any]]]
"""Entries of the text, each with its number, as Redis gives them."""


@dataclass(frozen=True, slots=True)
class Known:
    """How it stood when it was read last.

    Attributes:
        epoch: Which writing of it this is: it is written anew after Redis lost it.
        ending: What it came to, once it has ended.
        delivered: Whether its answer was given to a caller.
    """

    epoch: str
    live: Live
    ending: Ending | None
    delivered: bool

    @classmethod
    def of(cls, epoch: str, live: str, final: str | None, *, delivered: bool) -> Self:
        """Read the fields of the hash.

        Raises:
            ValueError: They are not what this version writes.
        """
        return cls(epoch, live_read(live), ending_read(final) if final else None, delivered)


@dataclass(slots=True)
class Copy:
    """What was read of one generation: how it stands, and its text, round by round.

    Attributes:
        handle: Its handle.
        facts: What was asked, and when.
        known: How it stands; `None` before anything was read.
        alive: Whether its server lives.
        stale: Whether the last look at it failed.
        cursor: The first entry of its text that is still to be read, as Redis counts them.
    """

    handle: str
    facts: Facts
    alive: bool = True
    stale: bool = False
    known: Known | None = None
    cursor: str = _START
    _texts: dict[int, list[str]] = field(default_factory=dict, repr=False)
    _thoughts: dict[int, list[str]] = field(default_factory=dict, repr=False)

    def take(self, known: Known, found: Found) -> bool:
        """Take in what was found at the cursor; return whether it counts.

        It does not if all was written anew meanwhile: then the cursor is back at the start.

        Raises:
            ValueError: An entry is not what this version writes.
        """
        anew = self.known is not None and self.known.epoch != known.epoch and self.cursor != _START
        self.known = known
        if anew:
            self.cursor, self._texts, self._thoughts = _START, {}, {}
            return False
        for number, entry in found:
            self._add(entry)
            self.cursor = _after(number)
        return True

    @property
    def said(self) -> Known:
        """How it stands; only where something was read."""
        assert self.known is not None, "nothing was read of it"
        return self.known

    @property
    def status(self) -> Status:
        """How it stands, in a word; of a server that is gone, what it left."""
        ending = self.said.ending
        if ending is not None:
            return ending.status
        if self.alive:
            return "running"
        return "partial" if self.text(self.round) else "failed"

    def view(self, now: datetime) -> View:
        """Return it as it stands."""
        live, ending, status, last = self.said.live, self.said.ending, self.status, self.round
        text = self.text(last)
        answer = ending.answer if ending else Answer(model=live.model)
        error = read_error(ending.error) if ending else _gone() if status != "running" else None
        return View(
            self.handle,
            replace(self.facts.job, notices=live.notices),
            status,
            replace(answer, text=text, thoughts=self.thoughts(last)),
            self._receipt(now),
            with_partial(error, text),
            earlier=tuple(self.text(number) for number in range(1, last)),
            links=ending.links if ending else {},
            hopeless=ending.hopeless if ending else "",
            verdict=ending.verdict if ending else None,
            note=self._note(len(text)),
        )

    @property
    def round(self) -> int:
        """The last round that there is text of, from 1."""
        return max(self._texts, default=1)

    def text(self, number: int) -> str:
        """Return the text of a round."""
        return _joined(self._texts.get(number, []))

    def thoughts(self, number: int) -> str:
        """Return the thoughts of a round."""
        return _joined(self._thoughts.get(number, []))

    def tail(self) -> str:
        """Return the end of what was written last, of the answer or, before it, of thoughts."""
        return self._tail_of(self._texts) or self._tail_of(self._thoughts)

    def _receipt(self, now: datetime) -> Receipt:
        receipt, status = self.said.live.receipt, self.status
        if status == "running":
            age = (now - self.facts.created).total_seconds()
            return replace(receipt, seconds=round(max(age, receipt.seconds), 3))
        return receipt if self.said.ending else replace(receipt, status=status)

    def _note(self, characters: int) -> str:
        if self.said.ending and self.said.ending.characters > characters:
            return CUT
        return STALE if self.stale and self.status == "running" else ""

    def _tail_of(self, pieces: dict[int, list[str]]) -> str:
        return "".join(pieces.get(self.round, [])[-_TAIL_PIECES:])[-_TAIL:]

    def _add(self, entry: dict[str, Any]) -> None:
        try:
            number, text, thoughts = int(entry["round"]), entry["text"], entry["thoughts"]
        except KeyError:
            raise ValueError("no entry") from None
        self._texts.setdefault(number, []).append(text)
        self._thoughts.setdefault(number, []).append(thoughts)


def _after(number: str) -> str:
    """Return the number that the next entry has at least; "(" would do it too, but not in Redis 6.0."""
    milliseconds, _, count = number.partition("-")
    return f"{milliseconds}-{int(count) + 1}"


def _joined(pieces: list[str]) -> str:
    """Return pieces as one, and keep them so: who reads again and again joins only what is new."""
    pieces[:] = ["".join(pieces)]
    return pieces[0]


def _gone() -> ServerLeft:
    return ServerLeft(
        "The answer stopped in the middle: its server went away.",
        advice="It is not caused by the arguments; continue from the partial text or ask again.",
    )
