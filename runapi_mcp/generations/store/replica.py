"""A generation that another process runs or ran, as far as the engine tells, and what is known of it here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, Self

import anyio
from pydantic import BaseModel, ConfigDict

from runapi_mcp.errors import ServerLeft, StoreDown
from runapi_mcp.generations.store.protocol import (
    START,
    Alive,
    Deliver,
    Down,
    Engine,
    Entry,
    Read,
    Record,
    Tell,
)
from runapi_mcp.generations.store.records import (
    Ending,
    Facts,
    Live,
    ending_read,
    facts_read,
    live_read,
    read_error,
    with_partial,
)
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.signalling import Signal
from runapi_mcp.wire.types import Answer

_TAIL: Final = 400
_TAIL_PIECES: Final = 4

STALE: Final = "The store that the servers share cannot be reached: there may be more than this by now."
CUT: Final = "The text goes on; only the server that wrote it has the rest."


@dataclass(frozen=True, slots=True)
class Known:
    """How it stood when it was read last.

    Attributes:
        epoch: Which writing of it this is: it is written anew after the engine lost it.
        ending: What it came to, once it has ended.
        delivered: Whether its answer was given to a caller.
    """

    epoch: str
    live: Live
    ending: Ending | None
    delivered: bool

    @classmethod
    def of(cls, record: Record) -> Self:
        """Read what is held.

        Raises:
            ValueError: It is not what this version writes.
        """
        ending = ending_read(record.final) if record.final else None
        return cls(record.epoch, live_read(record.live or ""), ending, record.delivered)


@dataclass(slots=True)
class Copy:
    """What was read of one generation: how it stands, and its text, round by round.

    Attributes:
        handle: Its handle.
        facts: What was asked, and when.
        known: How it stands; `None` before anything was read.
        alive: Whether its server lives.
        stale: Whether the last look at it failed.
        cursor: How far its text was read.
    """

    handle: str
    facts: Facts
    alive: bool = True
    stale: bool = False
    known: Known | None = None
    cursor: str = START
    _texts: dict[int, list[str]] = field(default_factory=dict, repr=False)
    _thoughts: dict[int, list[str]] = field(default_factory=dict, repr=False)

    def take(self, known: Known, found: Sequence[tuple[str, Entry]]) -> bool:
        """Take in what was found at the cursor; return whether it counts.

        It does not if all was written anew meanwhile: then the cursor is back at the start.
        """
        anew = self.known is not None and self.known.epoch != known.epoch and self.cursor != START
        self.known = known
        if anew:
            self.cursor, self._texts, self._thoughts = START, {}, {}
            return False
        for after, entry in found:
            self._add(entry)
            self.cursor = after
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

    def _add(self, entry: Entry) -> None:
        self._texts.setdefault(entry.round, []).append(entry.text)
        self._thoughts.setdefault(entry.round, []).append(entry.thoughts)


def _joined(pieces: list[str]) -> str:
    """Return pieces as one, and keep them so: who reads again and again joins only what is new."""
    pieces[:] = ["".join(pieces)]
    return pieces[0]


def _gone() -> ServerLeft:
    return ServerLeft(
        "The answer stopped in the middle: its server went away.",
        advice="It is not caused by the arguments; continue from the partial text or ask again.",
    )


_LOOK: Final = 0.25
"""Seconds between looks at a generation that is being followed."""
_STOP_LOOK: Final = 0.05
_STOP_SECONDS: Final = 5.0


class Replica:
    """A generation of another process; see :class:`Followable`."""

    def __init__(self, engine: Engine, name: str, handle: str, server: str, facts: Facts) -> None:
        self._engine = engine
        self._name = name
        self._server = server
        self._copy = Copy(handle, facts)
        self._seen_at = self._looked_at = anyio.current_time()
        self._looking = anyio.Lock()
        self._changed = Signal()

    @classmethod
    async def load(cls, engine: Engine, handle: str, owner: str) -> "Replica | None":
        """Return a principal's generation as it stands; `None` if there is none.

        Raises:
            Down: The engine cannot be reached.
        """
        name = engine.name(owner, handle)
        record: Record | None
        try:
            [record] = await engine.run(Read(name, facts=True))
            if record is None:
                return None
            replica = cls(engine, name, handle, record.server, facts_read(record.facts, owner))
            [alive] = await engine.run(Alive(record.server))
            if not replica._take(record, alive=alive) or not alive:
                await replica.look()  # it may have written the last of it between the two
        except ValueError:
            return None  # another version of us wrote it, or somebody else did
        return replica if replica._copy.known else None

    # ------------------------------------------------------------ Followable

    @property
    def handle(self) -> str:
        """See :attr:`Followable.handle`."""
        return self._copy.handle

    @property
    def job(self) -> Job:
        """What was asked; the hooks of its tool are not among it."""
        return self._copy.facts.job

    @property
    def created(self) -> datetime:
        """See :attr:`Followable.created`."""
        return self._copy.facts.created

    @property
    def updated(self) -> datetime:
        """See :attr:`Followable.updated`; when a server went is not known, so that it began will do."""
        ending = self._copy.said.ending
        return datetime.fromisoformat(ending.ended) if ending else self.created

    @property
    def delivered(self) -> bool:
        """See :attr:`Followable.delivered`."""
        return self._copy.said.delivered

    @property
    def status(self) -> Status:
        """See :attr:`Followable.status`; of a server that is gone, what it left."""
        return self._copy.status

    @property
    def leaving(self) -> bool:
        """Whether it was told to end, and will when its connection has closed."""
        return self._copy.said.live.leaving and self.status == "running"

    def view(self) -> View:
        """See :meth:`Followable.view`."""
        return self._copy.view(datetime.now(UTC))

    def evidence(self) -> Evidence:
        """See :meth:`Followable.evidence`."""
        since, said = anyio.current_time() - self._seen_at, self._copy.said.live.evidence
        left = max(said.wait_left - since, 0.0)
        return replace(said, silent=said.silent + since, wait_left=left, tail=self._copy.tail())

    async def changed(self) -> None:
        """Wait for the next change of phase or status that a follower sees; asks the engine nothing."""
        await self._changed.wait()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Look now and then for as long as the block lasts, however short its waits are.

        Leaving does not cancel it, for who else follows it is not known here.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._look_on)
                yield
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # The block's own error, as it would have come without a task beside it.
            error = group.exceptions[0]
            raise error from error.__cause__

    async def deliver(self) -> None:
        """See :meth:`Followable.deliver`."""
        try:
            # Its server keeps what is owed, and cannot see that this is not any more.
            ms = int(self._engine.keep_seconds * 1000)
            await self._engine.run(Deliver(self._name, ms), self._order("delivered"))
        except Down:
            return  # at worst the same question is given the same answer again
        self._copy.known = replace(self._copy.said, delivered=True)

    async def stop(self) -> None:
        """Have its server cancel it, and wait until it has, for at most five seconds.

        Raises:
            StoreDown: Its server cannot be told.
        """
        if self.status != "running":
            return
        try:
            await self._engine.run(self._order("stop"))
            with anyio.move_on_after(_STOP_SECONDS):
                while self.status == "running":
                    await anyio.sleep(_STOP_LOOK)
                    await self.look()
        except Down:
            raise StoreDown("cancel: the server that runs this generation cannot be told now.") from None
        except ValueError:
            return  # it was told; how it ended is not for this version to read

    async def keep(self) -> None:
        """Have its server keep it though nobody there follows it.

        Raises:
            Down: The engine cannot be reached.
        """
        if self.status == "running":
            await self._engine.run(self._order("keep"))

    def _order(self, what: Literal["stop", "keep", "delivered"]) -> Tell:
        return Tell(self._server, Order(do=what, name=self._name).model_dump_json())

    # ------------------------------------------------------------ the engine

    async def look(self) -> None:
        """Read what is new, and wake whoever waits for a change, if it is one.

        Raises:
            Down: The engine cannot be reached.
            ValueError: It was written by a version of us that this one cannot read.
        """
        async with self._looking:
            before, whole = self._standing, False
            while not whole:
                # In this order: of a server that was gone before, there is nothing more to come.
                alive, record = await self._engine.run(
                    Alive(self._server), Read(self._name, self._copy.cursor)
                )
                whole = self._take(record, alive=alive)
            if self._standing != before:
                self._changed.send()

    async def _look_on(self) -> None:
        """Look until it has ended; followers beside each other share the looks."""
        while self.status == "running":
            pause = self._looked_at + _LOOK - anyio.current_time()
            if pause > 0:
                await anyio.sleep(pause)
                continue
            self._looked_at = anyio.current_time()
            try:
                await self.look()
                self._copy.stale = False
            except (Down, ValueError):
                self._copy.stale = True

    def _take(self, record: Record | None, *, alive: bool) -> bool:
        """Take in what was read; return whether that was all there is."""
        self._copy.alive = alive
        if record is None or record.live is None or record.server != self._server:
            return True
        known, before = Known.of(record), self._copy.known
        if before is None or before.live.evidence != known.live.evidence:
            self._seen_at = anyio.current_time()
        return self._copy.take(known, record.entries) and not record.more

    @property
    def _standing(self) -> tuple[str, str] | None:
        known = self._copy.known
        return (known.live.evidence.phase, self.status) if known else None


class Order(BaseModel):
    """What is to be done with the generation of a name.

    Attributes:
        do: `stop` it, or `keep` it though nobody here follows it; or know that its answer was `delivered`.
        name: What :meth:`Engine.name` gave it.
    """

    model_config = ConfigDict(frozen=True)

    do: Literal["stop", "keep", "delivered"]
    name: str
