"""The store of a fleet: generations of this server in memory, those of all servers in Redis.

When Redis is away, everything goes on as with memory alone, and says so where a handle is given out.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from runapi_mcp.errors import HandleError, StoreDown, TooManyCalls
from runapi_mcp.generations.fleet.link import Down, Link, name_of, same_key
from runapi_mcp.generations.fleet.publishing import Publisher
from runapi_mcp.generations.fleet.remote import RemoteGeneration
from runapi_mcp.generations.fleet.sharing import Order, Places, listen
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store import Followable, MemoryStore, unknown
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings

_LEAVE_SECONDS = 1.0


async def _nothing() -> None:
    """Do nothing."""


class FleetStore:
    """A store that several servers share; see :class:`Store`.

    Args:
        link: The way to Redis.
        server: This server's own name among them.
        settings: Bounds, and how long what is kept.
        clock: Seconds that only go forward.
        leaving: What else is to be done before the way to Redis is closed.
        beside: What else is to be done beside the requests.
    """

    def __init__(
        self,
        link: Link,
        server: str,
        settings: Settings,
        clock: Callable[[], float],
        leaving: Callable[[], Awaitable[None]] = _nothing,
        beside: Callable[[], Coroutine[Any, Any, None]] = _nothing,
    ) -> None:
        self._link = link
        self._server = server
        self._settings = settings
        self._memory = MemoryStore(settings, clock)
        self._publisher = Publisher(link, settings, server, clock, self._memory.keeps)
        self._places = Places(link, settings.max_calls_per_user)
        self._leaving = leaving
        self._beside = beside

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Write what this server's generations do, and listen to what others want of them."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._publisher.forever)
                tasks.start_soon(self._places.forever)
                tasks.start_soon(self._beside)
                tasks.start_soon(listen, self._link, self._server, self._obey)
                yield
                tasks.cancel_scope.cancel()
        finally:
            # What is still to be said is worth a second, even to a process that is told to go.
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True), suppress(Down):
                await self._leaving()
                await self._places.write()
                await self._publisher.leave()
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                await self._link.aclose()

    async def keep(self, generation: Generation, *, fresh: bool) -> Followable:
        """Keep a generation, unless somebody else began the same meanwhile; see :meth:`Store.keep`.

        Raises:
            TooManyCalls: As many of its owner's run on all servers as may.
        """
        generation.shared = self._heard
        other = await self._begun(generation, fresh=fresh)
        if other is not None:
            return other
        await self._placed(generation)
        # Two requests of this server may have come here together, and Redis may not have told them.
        same = None if fresh else await self._memory.same(generation.job)
        return same or await self._memory.keep(generation, fresh=fresh)

    async def find(self, handle: str, owner: str) -> Followable:
        """Return a generation of this server or another; see :meth:`Store.find`."""
        try:
            return await self._memory.find(handle, owner)
        except HandleError:
            pass
        try:
            found = await RemoteGeneration.load(self._link, handle, owner)
        except Down:
            raise StoreDown("handle: it is not of this server, and the others cannot be asked now.") from None
        if found is None:
            raise unknown(handle, self._settings.keep_seconds, "for whoever asked the question")
        return found

    async def same(self, job: Job) -> Followable | None:
        """Return an undelivered generation of the same job, of any server; see :meth:`Store.same`."""
        local = await self._memory.same(job)
        if local is not None:
            return local
        with suppress(Down):
            [handle] = await self._link.run(lambda pipe: pipe.get(same_key(job.same_as)))
            return await self._joined(handle, job) if handle else None
        return None

    async def share(self, generation: Followable) -> None:
        """Write all there is of a generation of this server; see :meth:`Store.share`."""
        if isinstance(generation, Generation):
            with suppress(Down):
                await self._publisher.flush()

    def owed(self, owner: str) -> Sequence[str]:
        """Return the handles of what this server keeps until it is fetched; see :meth:`Store.owed`."""
        return self._memory.owed(owner)

    @property
    def up(self) -> bool:
        """Whether Redis answered last; see :attr:`Store.up`."""
        return self._link.up

    async def away(self) -> float:
        """Return for how many seconds Redis has not answered; asks it now. See :meth:`Store.away`."""
        with suppress(Down):
            await self._link.run(lambda pipe: pipe.ping())
        return self._link.away

    def make_room(self, most_bytes: int | None = None) -> None:
        """Let go of what need not be kept here any longer; see :meth:`Store.make_room`."""
        self._memory.make_room(most_bytes)

    # ------------------------------------------------------------ the same question

    async def _begun(self, generation: Generation, *, fresh: bool) -> Followable | None:
        """Write a generation, unless there is one to join, which is returned; without Redis, do nothing."""
        with suppress(Down):
            await self._publisher.begin(generation)
            other = await self._claimed(generation, fresh=fresh)
            if other is not None:
                await self._publisher.forget(generation)
                return other
        return None

    async def _placed(self, generation: Generation) -> None:
        """Take a place for a generation; one that gets none is not to be found either."""
        owner = generation.job.owner
        try:
            with suppress(Down):
                await self._places.take(owner, name_of(owner, generation.handle))
        except TooManyCalls:
            with suppress(Down):
                await self._publisher.forget(generation)
            raise

    async def _claimed(self, generation: Generation, *, fresh: bool) -> Followable | None:
        """Claim the question for a generation; return the one to join instead, if there is one."""
        holder = await self._publisher.claim(generation, "*" if fresh else "")
        if holder == generation.handle:
            return None
        other = await self._joined(holder, generation.job)
        if other is None:
            await self._publisher.claim(generation, holder)
        return other

    async def _joined(self, handle: str, job: Job) -> Followable | None:
        """Return the generation behind a claim, if its answer is, or may be, still to be had.

        Raises:
            Down: Redis cannot be reached.
        """
        with suppress(HandleError):
            await self._memory.find(handle, job.owner)
            return await self._memory.same(job)
        found = await RemoteGeneration.load(self._link, handle, job.owner)
        if found is None or found.delivered or found.leaving:
            return None
        if found.status not in ("running", "complete"):
            return None
        # Whoever began it may leave; we follow it too.
        await found.keep()
        return found

    # ------------------------------------------------------------ what others know and want

    def _heard(self, generation: Generation) -> None:
        """A generation has ended, or its answer was delivered: let the others know."""
        self._publisher.hear(generation)
        if generation.done.is_set():
            owner = generation.job.owner
            self._places.leave(owner, name_of(owner, generation.handle))

    def _obey(self, order: Order) -> None:
        generation = self._publisher.of(order.name) or self._memory.find_named(order.name, name_of)
        match order.do:
            case _ if generation is None:
                pass  # it is not kept any more
            case "stop":
                generation.cancel()
            case "keep":
                generation.hand_over()
            case "delivered":
                generation.note_delivery()
