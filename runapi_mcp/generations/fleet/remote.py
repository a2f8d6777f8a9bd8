"""A generation that another server runs, as far as Redis tells."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self, cast

import anyio
from redis.asyncio.client import Pipeline

from runapi_mcp.errors import ServerLeft, StoreDown
from runapi_mcp.generations.codec import dumped, read, read_error, with_partial
from runapi_mcp.generations.fleet.keys import facts_key, server_key, tell_key, text_key
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.generations.fleet.publishing import DELIVERED, name_of
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.wire.types import Answer, JsonObject

_LOOK: Final = 0.25
"""Seconds between looks at a generation that is being followed."""
_STOP_LOOK: Final = 0.05
_STOP_SECONDS: Final = 5.0
_ENTRIES: Final = 64
_TOLD_MS: Final = 60_000
_TAIL: Final = 400
_FIELDS: Final = ["server", "epoch", "live", "final", "delivered"]

STALE: Final = "The store that the servers share cannot be reached: there may be more than this by now."
CUT: Final = "The text goes on; only the server that wrote it has the rest."


@dataclass(frozen=True, slots=True)
class _Known:
    """What the facts of a generation say, as they were read last."""

    epoch: str
    evidence: Evidence
    receipt: Receipt
    model: str | None
    notices: tuple[str, ...]
    final: JsonObject | None
    delivered: bool

    @classmethod
    def of(cls, epoch: str, live: str, final: str, *, delivered: bool) -> Self:
        """Read the fields of the hash.

        Raises:
            ValueError: They are not what this version writes.
        """
        said = json.loads(live)
        return cls(
            epoch,
            read(Evidence, said["evidence"]),
            read(Receipt, said["receipt"]),
            said["model"],
            tuple(said["notices"]),
            json.loads(final) if final else None,
            delivered,
        )


class RemoteGeneration:
    """A generation of another server; see :class:`Followable`."""

    def __init__(self, link: Link, handle: str, owner: str, server: str, facts: JsonObject) -> None:
        self._link = link
        self._handle = handle
        self._name = name_of(owner, handle)
        self._server = server
        self._job = replace(read(Job, facts["job"]), owner=owner)
        self._created = datetime.fromisoformat(str(facts["created"]))
        self._known: _Known | None = None
        self._seen_at = anyio.current_time()
        self._alive = True
        self._stale = False
        self._last = "-"
        self._texts: dict[int, list[str]] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._looked_at = self._seen_at

    @classmethod
    async def load(cls, link: Link, handle: str, owner: str) -> "RemoteGeneration | None":
        """Return a principal's generation as it stands; `None` if there is none.

        Raises:
            Down: Redis cannot be reached.
        """
        key = facts_key(name_of(owner, handle))
        [[server, facts]] = await link.run(lambda pipe: pipe.hmget(key, ["server", "facts"]))
        if server is None or facts is None:
            return None
        try:
            generation = cls(link, handle, owner, server, json.loads(facts))
            await generation.look()
        except (ValueError, KeyError):
            return None  # another version of us wrote it
        return generation if generation.known else None

    # ------------------------------------------------------------ Followable

    @property
    def handle(self) -> str:
        """See :attr:`Followable.handle`."""
        return self._handle

    @property
    def job(self) -> Job:
        """What was asked; the hooks of its tool are not among it."""
        return self._job

    @property
    def created(self) -> datetime:
        """See :attr:`Followable.created`."""
        return self._created

    @property
    def updated(self) -> datetime:
        """See :attr:`Followable.updated`; when a server went is not known, so that it began will do."""
        final = self._now.final
        return datetime.fromisoformat(str(final["ended"])) if final else self._created

    @property
    def delivered(self) -> bool:
        """See :attr:`Followable.delivered`."""
        return self.known and self._now.delivered

    @property
    def known(self) -> bool:
        """Whether its state could be read at all."""
        return self._known is not None

    @property
    def status(self) -> Status:
        """See :attr:`Followable.status`; of a server that is gone, what it left."""
        final = self._now.final
        if final is not None:
            return cast("Status", final["status"])
        if self._alive:
            return "running"
        return "partial" if self._text(self._round) else "failed"

    def view(self) -> View:
        """See :meth:`Followable.view`."""
        known, status, final = self._now, self.status, self._now.final or {}
        text = self._text(self._round)
        answer = read(Answer, final["answer"]) if "answer" in final else Answer(model=known.model)
        answer = replace(answer, text=text, thoughts="".join(self._thoughts.get(self._round, [])))
        error = read_error(final.get("error"))
        if known.final is None and status != "running":
            error = _gone()
        links, characters = final.get("links"), final.get("characters", 0)
        note = STALE if self._stale and status == "running" else ""
        return View(
            self._handle,
            replace(self._job, notices=known.notices),
            status,
            answer,
            self._receipt(status),
            with_partial(error, text),
            earlier=tuple(self._text(number) for number in range(1, self._round)),
            links=cast("dict[str, str]", links) if isinstance(links, dict) else {},
            hopeless=str(final.get("hopeless", "")),
            note=CUT if isinstance(characters, int) and characters > len(text) else note,
        )

    def evidence(self) -> Evidence:
        """See :meth:`Followable.evidence`."""
        since = anyio.current_time() - self._seen_at
        said = self._now.evidence
        tail = self._tail(self._texts) or self._tail(self._thoughts)
        return replace(
            said, silent=said.silent + since, wait_left=max(said.wait_left - since, 0.0), tail=tail
        )

    async def changed(self) -> None:
        """Look now and then until the phase or the status is another; see :meth:`Followable.changed`."""
        await anyio.lowlevel.checkpoint()
        before = self._standing
        while self.status == "running" and self._standing == before:
            # Whoever waits may give up often and come back: the pace is kept across its visits.
            await anyio.sleep(max(self._looked_at + _LOOK - anyio.current_time(), 0))
            self._looked_at = anyio.current_time()
            try:
                await self.look()
                self._stale = False
            except (Down, ValueError):
                self._stale = True

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow it; leaving does not cancel it, for who else follows it is not known here."""
        yield

    async def deliver(self) -> None:
        """See :meth:`Followable.deliver`."""
        try:
            await self._link.run(lambda pipe: pipe.eval(DELIVERED, 1, facts_key(self._name)))
        except Down:
            return  # at worst the same question is given the same answer again
        if self._known is not None:
            self._known = replace(self._known, delivered=True)

    async def stop(self) -> None:
        """Have its server cancel it, and wait until it has, for at most five seconds.

        Raises:
            StoreDown: Its server cannot be told.
        """
        if self.status != "running":
            return
        try:
            await self.tell("stop")
            with anyio.move_on_after(_STOP_SECONDS):
                while self.status == "running":
                    await anyio.sleep(_STOP_LOOK)
                    await self.look()
        except Down:
            raise StoreDown("cancel: the server that runs this generation cannot be told now.") from None

    # ------------------------------------------------------------ Redis

    async def tell(self, what: str) -> None:
        """Tell its server to stop it, or to keep it though nobody there follows it.

        Raises:
            Down: Redis cannot be reached.
        """
        order = dumped({"do": what, "name": self._name})
        key = tell_key(self._server)

        def commands(pipe: Pipeline) -> None:
            pipe.rpush(key, order)
            pipe.pexpire(key, _TOLD_MS)

        await self._link.run(commands, atomic=True)

    async def look(self) -> None:
        """Read what is new.

        Raises:
            Down: Redis cannot be reached.
            ValueError: It was written by a version of us that this one cannot read.
        """
        whole = False
        while not whole:
            whole = await self._look_once()

    async def _look_once(self) -> bool:
        """Read the facts and a stretch of the text; return whether that was all of it."""
        after = "-" if self._last == "-" else f"({self._last}"

        def commands(pipe: Pipeline) -> None:
            pipe.hmget(facts_key(self._name), _FIELDS)
            pipe.xrange(text_key(self._name), min=after, count=_ENTRIES)
            pipe.exists(server_key(self._server))

        fields, entries, alive = await self._link.run(commands, atomic=True)
        server, epoch, live, final, delivered = fields
        self._alive = bool(alive)
        if live is not None and server == self._server:
            if self._known is not None and epoch != self._known.epoch and self._last != "-":
                # Written anew from the start: what was read does not count.
                self._last, self._texts, self._thoughts = "-", {}, {}
                self._known = replace(self._known, epoch=epoch)
                return False
            self._take(_Known.of(epoch, live, final or "", delivered=bool(delivered)), entries)
        return len(entries) < _ENTRIES

    def _take(self, known: _Known, entries: list[tuple[str, dict[str, Any]]]) -> None:
        if self._known is None or known.evidence != self._known.evidence:
            self._seen_at = anyio.current_time()
        self._known = known
        for number, entry in entries:
            self._last = number
            self._texts.setdefault(int(entry["round"]), []).append(entry["text"])
            self._thoughts.setdefault(int(entry["round"]), []).append(entry["thoughts"])

    # ------------------------------------------------------------ what is known

    @property
    def _now(self) -> _Known:
        assert self._known is not None, "load() gives out none that is not known"
        return self._known

    @property
    def _standing(self) -> tuple[str, str]:
        return self._now.evidence.phase, self.status

    @property
    def _round(self) -> int:
        return max(self._texts, default=1)

    def _text(self, number: int) -> str:
        pieces = self._texts.get(number, [])
        pieces[:] = ["".join(pieces)]
        return pieces[0]

    def _tail(self, pieces: dict[int, list[str]]) -> str:
        return "".join(pieces.get(self._round, [])[-4:])[-_TAIL:]

    def _receipt(self, status: Status) -> Receipt:
        receipt = self._now.receipt
        if status == "running":
            return replace(receipt, seconds=round(self._age(), 3))
        return replace(receipt, status=status) if self._now.final is None else receipt

    def _age(self) -> float:
        return max((datetime.now(UTC) - self._created).total_seconds(), self._now.receipt.seconds)


def _gone() -> ServerLeft:
    return ServerLeft(
        "The answer stopped in the middle: its server went away.",
        advice="It is not caused by the arguments; continue from the partial text or ask again.",
    )
