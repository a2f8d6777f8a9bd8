"""A generation that another process runs or ran, as far as the engine tells."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import anyio

from runapi_mcp.errors import ServerLeft, StoreDown
from runapi_mcp.generations.store.engine import START, Alive, Deliver, Down, Engine, Order, Read, Record, Tell
from runapi_mcp.generations.store.records import Facts, Stand, read
from runapi_mcp.generations.store.writer import ALIVE
from runapi_mcp.generations.values import Evidence, Receipt, Status, View
from runapi_mcp.signalling import Signal

_TAIL: Final = 400
_TAIL_PIECES: Final = 4
_LOOK: Final = 0.25
"""Seconds between looks at a generation that is being followed."""
_STOP_LOOK: Final = 0.05
_STOP_SECONDS: Final = 5.0

STALE: Final = "The store that the servers share cannot be reached: there may be more than this by now."
CUT: Final = "The text goes on; only the server that wrote it has the rest."


class Replica:
    """What was read of a generation: how it stands, and its text, round by round; as a `Followable`.

    Args:
        engine: Where it is read.
        name: What :meth:`Engine.name` made of its owner and handle.
        handle: Its handle.
        facts: What was asked, and when.
        record: How it stands.

    Attributes:
        job: What was asked; the hooks of its tool are not among it.
        created: When it began, by the wall clock.
        stand: How it stood when it was read last.
        delivered: Whether its ended answer was given to a caller, to the end.
        alive: Whether its server lives.
        stale: Whether the last look at it failed.
        cursor: How far its text was read.
        beside: Characters before and after what was read of its text; see :attr:`View.beside`.

    Raises:
        ValueError: The record is not what this version writes.
    """

    def __init__(self, engine: Engine, name: str, handle: str, facts: Facts, record: Record) -> None:
        self.handle, self.job, self.created = handle, facts.job, facts.created
        self.alive = True
        self.stale = False
        self._engine = engine
        self._name = name
        self._server = record.server
        self._seen_at = self._looked_at = anyio.current_time()
        self._missed_at = math.inf
        self._looking = anyio.Lock()
        self._changed = Signal()
        self._made: dict[str, Any] = {}
        self._begin(record)
        self.take(record)
        self._silent = self.stand.evidence.silent

    @classmethod
    async def load(
        cls,
        engine: Engine,
        handle: str,
        owner: str,
        known: "Replica | None" = None,
        part: range | None = None,
    ) -> "Replica | None":
        """Return a principal's generation as it stands; `None` if there is none.

        Of one that is `known` only what is new is read: a long text is asked for page by page. Of one that
        has ended, the characters of `part` are enough, if that is given; see :attr:`View.beside`.

        Raises:
            Down: The engine cannot be reached.
        """
        name = engine.name(owner, handle)
        record: Record | None
        try:
            if known is not None and await known.look():
                return known
            [record] = await engine.run(Read(name, facts=True, part=part))
            if record is None:
                return None
            facts = read(Facts, record.facts)
            facts = replace(facts, job=replace(facts.job, owner=owner))
            replica = cls(engine, name, handle, facts, record)
            if record.more or replica.status == "running":
                await replica.look()  # whether its server lives, and what came between the two
        except ValueError:
            return None  # another version of us wrote it, or somebody else did
        return replica

    def _begin(self, record: Record) -> None:
        self.cursor = START
        self.beside = record.beside
        self._epoch = record.epoch
        self._texts: dict[int, list[str]] = {}
        self._thoughts: dict[int, list[str]] = {}

    def take(self, record: Record) -> bool:
        """Take in what was read at the cursor; return whether that was all there is.

        It is not if all was written anew meanwhile: then the cursor is back at the start.

        Raises:
            ValueError: It is not what this version writes.
        """
        self.stand = read(Stand, record.live)
        self.delivered = record.delivered
        if record.entries or self.stand.status == "running":
            self._made = {}
        if record.epoch != self._epoch:
            at_start = self.cursor == START
            self._begin(record)
            if not at_start:
                return False
        for self.cursor, entry in record.entries:
            self._texts.setdefault(entry.round, []).append(entry.text)
            self._thoughts.setdefault(entry.round, []).append(entry.thoughts)
        return not record.more

    # ------------------------------------------------------------ seen

    @property
    def updated(self) -> datetime:
        """When its status last changed; when a server went is not known, so that it began will do."""
        return self.stand.updated

    @property
    def status(self) -> Status:
        """How it stands, in a word; of a server that is gone, what it left."""
        if self.stand.status != "running" or self.alive:
            return self.stand.status
        return "partial" if self.text(self.round) else "failed"

    @property
    def leaving(self) -> bool:
        """Whether it was told to end, and will when its connection has closed."""
        return self.stand.leaving and self.status == "running"

    @property
    def round(self) -> int:
        """The last round that there is text of, from 1."""
        return max(self._texts, default=1)

    @property
    def size(self) -> int:
        """Characters of its text."""
        return sum(map(len, chain(*self._texts.values(), *self._thoughts.values())))

    def text(self, number: int) -> str:
        """Return the text of a round."""
        return _join(self._texts.get(number, []))

    def view(self) -> View:
        """Return it as it stands."""
        stand, last = self.stand, self.round
        text = self.text(last)
        error = stand.error.error(text) if stand.error else None
        return View(
            self.handle,
            replace(self.job, notices=stand.notices),
            self.status,
            replace(stand.answer, text=text, thoughts=_join(self._thoughts.get(last, []))),
            self._receipt(),
            error if self.status == stand.status else _explain_gone(text),
            beside=self.beside,
            earlier=tuple(self.text(number) for number in range(1, last)),
            links=stand.links,
            hopeless=stand.hopeless,
            verdict=stand.verdict,
            note=self._note(len(text) + sum(self.beside)),
            made=self._made,
        )

    def _receipt(self) -> Receipt:
        receipt = replace(self.stand.receipt, status=self.status)
        if self.status != "running":
            return receipt
        age = (datetime.now(UTC) - self.created).total_seconds()
        return replace(receipt, seconds=round(max(age, receipt.seconds), 3))

    def _note(self, characters: int) -> str:
        if self.stand.characters > characters:
            return CUT
        return STALE if self.stale and self.status == "running" else ""

    def evidence(self) -> Evidence:
        """Return the signs of life."""
        since, said = anyio.current_time() - self._seen_at, self.stand.evidence
        # Of the answer or, before it, of thoughts.
        pieces = self._texts.get(self.round, [""])
        pieces = pieces if any(pieces) else self._thoughts.get(self.round, [""])
        return replace(
            said,
            characters=sum(map(len, pieces)),
            silent=self._silent + since,
            wait_left=max(said.wait_left - since, 0.0),
            tail="".join(pieces[-_TAIL_PIECES:])[-_TAIL:],
        )

    # ------------------------------------------------------------ followed

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
            except (Down, ValueError):
                self.stale = True

    async def look(self) -> bool:
        """Read what is new, if it is there still, and wake whoever waits for a change, if it is one.

        Raises:
            Down: The engine cannot be reached.
            ValueError: It was written by a version of us that this one cannot read.
        """
        async with self._looking:
            before, whole = (self.stand.evidence.phase, self.status), False
            while not whole:
                # In this order: of a server that was gone before, there is nothing more to come.
                alive, record = await self._engine.run(Alive(self._server), Read(self._name, self.cursor))
                if record is None or record.server != self._server:
                    # A store that lost it lost the sign of life, too. Who lives will write both anew.
                    self._missed_at = min(self._missed_at, anyio.current_time())
                    self.alive = self.alive and anyio.current_time() < self._missed_at + ALIVE
                    break
                # A sign may have lapsed while nobody could give one.
                self.alive, self._missed_at = alive or self._engine.settling > 0, math.inf
                said = self.stand.evidence
                whole = self.take(record)
                if record.entries or self.stand.evidence != said:
                    self._seen_at = anyio.current_time()
                    self._silent = 0.0 if record.entries else self.stand.evidence.silent
            self.stale = False
            if (self.stand.evidence.phase, self.status) != before:
                self._changed.send()
            return whole

    # ------------------------------------------------------------ told

    async def deliver(self) -> None:
        """Note that its ended answer was given to a caller, to the end."""
        try:
            # Its server keeps what is owed, and cannot see that this is not any more.
            ms = int(self._engine.keep_seconds * 1000)
            await self._engine.run(Deliver(self._name, ms), self._order("delivered"))
        except Down:
            return  # at worst the same question is given the same answer again
        self.delivered = True

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

    def _order(self, order: Order) -> Tell:
        return Tell(self._server, order, self._name)


def _join(pieces: list[str]) -> str:
    """Return pieces as one, and keep them so: who reads again and again joins only what is new."""
    pieces[:] = ["".join(pieces)]
    return pieces[0]


def _explain_gone(partial: str) -> ServerLeft:
    error = ServerLeft(
        "The answer stopped in the middle: its server went away.",
        advice="It is not caused by the arguments; continue from the partial text or ask again.",
    )
    error.partial = partial
    return error
