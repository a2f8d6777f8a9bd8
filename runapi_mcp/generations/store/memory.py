"""The store of a process alone: what it runs and ran, within bounds."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.spending import DayBook, LocalDayCounts
from runapi_mcp.generations.store.protocol import Followable, unknown
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings


class MemoryStore:
    """Keeps generations in this process: finished ones for a while, and those that are owed all of it."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._kept: dict[str, Generation] = {}
        self.counts = LocalDayCounts()
        self.days = DayBook()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Do nothing beside the requests."""
        yield

    async def keep(self, generation: Generation, *, fresh: bool) -> Generation:
        """Keep a generation, making room if there is need; see :meth:`Store.keep`."""
        del fresh
        self._kept[generation.handle] = generation
        self.make_room()
        return generation

    async def find(self, handle: str, owner: str) -> Generation:
        """Return the generation behind a handle; see :meth:`Store.find`."""
        self.make_room()
        generation = self._kept.get(handle)
        if generation is None or not secrets.compare_digest(generation.job.owner, owner):
            raise unknown(handle, self._settings.keep_seconds, "by the server that ran them")
        return generation

    def find_named(self, name: str, name_of: Callable[..., str]) -> Generation | None:
        """Return the generation that `name_of` gives this name, from its owner and handle."""
        return next((g for g in self._kept.values() if name_of(g.job.owner, g.handle) == name), None)

    def keeps(self, generation: Generation) -> bool:
        """Whether a generation can still be found here."""
        return generation.handle in self._kept

    async def share(self, generation: Followable) -> None:
        """Do nothing: nobody else is to find it."""

    async def asked(self, generation: Followable) -> Job:
        """Return its job: nothing more is kept anywhere; see :meth:`Store.asked`."""
        return generation.job

    async def same(self, job: Job) -> Generation | None:
        """Return an undelivered generation of the same job; see :meth:`Store.same`."""
        self.make_room()
        return next((kept for kept in reversed(self._kept.values()) if _answers(kept, job)), None)

    def owed(self, owner: str) -> list[str]:
        """Return the handles of what is kept until it is fetched; see :meth:`Store.owed`."""
        owed = [g for g in self._kept.values() if g.job.owner == owner and (g.owed or g.status == "running")]
        return [g.handle for g in sorted(owed, key=lambda g: g.status == "running")]

    @property
    def up(self) -> bool:
        """Always; see :attr:`Store.up`."""
        return True

    async def away(self) -> float:
        """Return 0: nothing is shared; see :meth:`Store.away`."""
        return 0.0

    def make_room(self, most_bytes: int | None = None) -> None:
        """Drop what has expired, then questions and finished ones until the rest is within bounds.

        What was delivered goes first, the oldest before others. What is owed does not go before its
        time: its caller was told that it is kept, and would have to pay for it again.
        """
        oldest = self._clock() - self._settings.keep_seconds
        most = self._settings.keep_bytes if most_bytes is None else most_bytes
        ended = [(g.ended_at, g) for g in self._kept.values() if g.ended_at is not None]
        for ended_at, generation in ended:
            if ended_at < oldest:
                self._drop(generation)
        kept = [(ended_at, g) for ended_at, g in ended if ended_at >= oldest]
        spare = [g for _, g in sorted(kept, key=lambda one: (not one[1].delivered, one[0])) if not g.owed]
        count, size = len(kept), sum(g.memory.size for g in spare)
        for generation in spare:
            # A question can be told again, an answer would have to be paid for again.
            if size > most:
                size -= generation.forget_question()
        for generation in spare:
            if count <= self._settings.keep_generations and size <= most:
                return
            count, size = count - 1, size - generation.memory.size
            self._drop(generation)

    def _drop(self, generation: Generation) -> None:
        del self._kept[generation.handle]
        generation.memory.release()


def _answers(generation: Generation, job: Job) -> bool:
    """Whether a generation has, or will have, an answer to the question that nobody was given."""
    return (
        generation.status in ("running", "complete")
        and not generation.leaving
        and not generation.delivered
        # What is cheap to compare first: a question may be many megabytes long.
        and generation.job.owner == job.owner
        and generation.job.same_as == job.same_as
    )
