"""Generations: upstream streams with a life of their own.

A generation is started once and runs in a task that belongs to the process, never to a request.
Requests follow it, leave it, and find it again by its handle. It ends when its stream does, when
it is cancelled, or with the process. Finished ones are kept for a while, within bounds.

Who may cancel: a request that goes away takes the generation with it only if nobody else follows
and no handle to it was given out.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from runapi_mcp.errors import BusyError
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store import MemoryStore, Store
from runapi_mcp.generations.turns import Turns
from runapi_mcp.generations.values import Evidence, FollowUp, Job, Receipt, Status, View
from runapi_mcp.settings import Settings
from runapi_mcp.upstream import Upstream

__all__ = [
    "Evidence",
    "FollowUp",
    "Generation",
    "Generations",
    "Job",
    "MemoryStore",
    "Receipt",
    "Status",
    "Store",
    "View",
]


class Generations:
    """Starts generations and finds them again; one for the process."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Settings,
        *,
        store: Store | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._upstream = upstream
        self._settings = settings
        self._clock = clock
        self._store = store or MemoryStore(settings, clock)
        self._turns = Turns(settings.max_running)
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Generations"]:
        """Run generations for as long as the block lasts; then cancel what still runs."""
        async with anyio.create_task_group() as self._tasks:
            try:
                yield self
            finally:
                self._tasks.cancel_scope.cancel()

    def start(self, job: Job, *, key: SecretStr, patience: float) -> Generation:
        """Start a generation; it waits for its turn if too many run.

        Raises:
            BusyError: As many wait already as may.
        """
        turns = self._turns
        if turns.running >= self._settings.max_running and turns.waiting >= self._settings.max_waiting:
            raise BusyError(f"{turns.running} generations run on this server and {turns.waiting} wait.")
        assert self._tasks is not None, "Generations.open() is not entered"
        generation = Generation(job, self._clock)
        self._store.add(generation)
        self._tasks.start_soon(generation.run, self._upstream, turns, key, patience)
        return generation

    @property
    def keep_ms(self) -> int:
        """Milliseconds for which a generation can be found again."""
        return int((self._settings.deadline + self._settings.keep_seconds) * 1000)

    def find(self, handle: str, owner: str) -> Generation:
        """Return the generation behind a handle; see :meth:`Store.find`."""
        return self._store.find(handle, owner)

    def same(self, job: Job) -> Generation | None:
        """Return a generation of the same job that was never delivered; see :meth:`Store.same`."""
        return self._store.same(job)
