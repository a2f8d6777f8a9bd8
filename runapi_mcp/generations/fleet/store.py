"""The store of a fleet: generations of this server in memory, those of all servers in Redis.

When Redis is away, everything goes on as with memory alone, and says so where a handle is given out.
"""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio

from runapi_mcp.errors import HandleError, StoreDown
from runapi_mcp.generations.fleet.keys import same_key, tell_key
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.generations.fleet.publishing import PACE, Publisher
from runapi_mcp.generations.fleet.remote import RemoteGeneration
from runapi_mcp.generations.following import Followable
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store import MemoryStore, unknown
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings

_LEAVE_SECONDS = 1.0


class FleetStore:
    """A store that several servers share; see :class:`Store`."""

    def __init__(self, link: Link, settings: Settings, clock: Callable[[], float]) -> None:
        self._link = link
        self._settings = settings
        self._memory = MemoryStore(settings, clock)
        self._server = secrets.token_hex(8)
        self._publisher = Publisher(link, settings, self._server, clock)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Write what this server's generations do, and listen to what others want of them."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._publisher.forever)
                tasks.start_soon(self._listen)
                yield
                tasks.cancel_scope.cancel()
        finally:
            # How the last generations ended is worth a second, even to a process that is told to go.
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True), suppress(Down):
                await self._publisher.leave()
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                await self._link.aclose()

    async def keep(self, generation: Generation, *, fresh: bool) -> Followable:
        """Keep a generation, unless somebody else began the same meanwhile; see :meth:`Store.keep`."""
        with suppress(Down):
            await self._publisher.begin(generation)
            other = await self._claimed(generation, fresh=fresh)
            if other is not None:
                await self._publisher.forget(generation)
                return other
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

    # ------------------------------------------------------------ the same question

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
        if found is None or found.delivered or found.status not in ("running", "complete"):
            return None
        # Whoever began it may leave; we follow it too.
        await found.tell("keep")
        return found

    # ------------------------------------------------------------ what others want

    async def _listen(self) -> None:
        while True:
            try:
                order = await self._link.pop(tell_key(self._server))
            except Down:
                await anyio.sleep(PACE)
                continue
            if order is not None:
                self._obey(order)

    def _obey(self, order: str) -> None:
        said = json.loads(order)
        generation = self._publisher.of(str(said.get("name")))
        match (said.get("do"), generation):
            case ("stop", Generation()):
                generation.cancel()
            case ("keep", Generation()):
                generation.handed_over = True
            case _:
                pass  # it has ended meanwhile
