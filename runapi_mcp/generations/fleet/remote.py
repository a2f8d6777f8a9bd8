"""A generation that another server runs, as far as Redis tells."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import anyio
from redis.asyncio.client import Pipeline

from runapi_mcp.errors import StoreDown
from runapi_mcp.generations.fleet.copy import Copy, Known
from runapi_mcp.generations.fleet.keys import facts_key, name_of, server_key, text_key
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.generations.fleet.orders import Order, tell
from runapi_mcp.generations.fleet.records import Facts, facts_read
from runapi_mcp.generations.fleet.scripts import DELIVERED
from runapi_mcp.generations.values import Evidence, Job, Status, View
from runapi_mcp.signalling import Signal

_LOOK: Final = 0.25
"""Seconds between looks at a generation that is being followed."""
_STOP_LOOK: Final = 0.05
_STOP_SECONDS: Final = 5.0
_ENTRIES: Final = 16
_FIELDS: Final = ["server", "epoch", "live", "final", "delivered"]


class RemoteGeneration:
    """A generation of another server; see :class:`Followable`."""

    def __init__(self, link: Link, handle: str, server: str, facts: Facts) -> None:
        self._link = link
        self._name = name_of(facts.job.owner, handle)
        self._server = server
        self._copy = Copy(handle, facts)
        self._seen_at = self._looked_at = anyio.current_time()
        self._looking = anyio.Lock()
        self._changed = Signal()

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
            generation = cls(link, handle, server, facts_read(facts, owner))
            await generation.look()
        except ValueError:
            return None  # another version of us wrote it
        return generation if generation._copy.known else None

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
        """Wait for the next change of phase or status that a follower sees; asks Redis nothing."""
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
            await self._link.run(lambda pipe: pipe.eval(DELIVERED, 1, facts_key(self._name)))
            # Its server keeps what is owed, and cannot see that this is not any more.
            await tell(self._link, self._server, Order(do="delivered", name=self._name))
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
            await tell(self._link, self._server, Order(do="stop", name=self._name))
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
            Down: Redis cannot be reached.
        """
        await tell(self._link, self._server, Order(do="keep", name=self._name))

    # ------------------------------------------------------------ Redis

    async def look(self) -> None:
        """Read what is new, and wake whoever waits for a change, if it is one.

        Raises:
            Down: Redis cannot be reached.
            ValueError: It was written by a version of us that this one cannot read.
        """
        async with self._looking:
            before, whole = self._standing, False
            while not whole:
                whole = await self._look_once()
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

    async def _look_once(self) -> bool:
        """Read how it stands and a stretch of the text; return whether that was all of it."""

        def commands(pipe: Pipeline) -> None:
            pipe.hmget(facts_key(self._name), _FIELDS)
            pipe.xrange(text_key(self._name), min=self._copy.cursor, count=_ENTRIES)
            pipe.exists(server_key(self._server))

        [server, epoch, live, final, delivered], found, alive = await self._link.run(commands, atomic=True)
        self._copy.alive = bool(alive)
        if live is None or server != self._server:
            return True
        known, before = Known.of(epoch, live, final, delivered=bool(delivered)), self._copy.known
        if before is None or before.live.evidence != known.live.evidence:
            self._seen_at = anyio.current_time()
        return self._copy.take(known, found) and len(found) < _ENTRIES

    @property
    def _standing(self) -> tuple[str, str] | None:
        known = self._copy.known
        return (known.live.evidence.phase, self.status) if known else None
