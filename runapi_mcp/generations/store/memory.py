"""The store of a process alone: what it runs and ran, within bounds. What is shared stands on top of it."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from runapi_mcp.errors import HandleError
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.spending import DayBook, DayCounts
from runapi_mcp.generations.store.replica import Replica
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings

Followable: TypeAlias = Generation | Replica
"""A generation, of this process or another, that can be followed, left, stopped and read.

Reading is free: `view` and `evidence` give what is known here and wait for nothing.
"""


def unknown(handle: str, keep_seconds: float, where: str) -> HandleError:
    """Return the error for a handle that names no generation the caller may see."""
    hours = keep_seconds / 3600
    how_long = f"{hours:g} hours" if hours >= 2 else f"{keep_seconds / 60:g} minutes"
    return HandleError(
        f"handle: no generation {handle[:40]!r} is here.",
        advice=f"Finished ones are kept for {how_long}, {where}. Ask the question again.",
    )


class MemoryStore:
    """Keeps generations in this process: finished ones for a while, and those that are owed all of it.

    Attributes:
        counts: What principals have taken of a day.
        days: What was used, by the day.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._kept: dict[str, Generation] = {}
        self.counts = DayCounts()
        self.days = DayBook()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Do what must be done beside the requests, for as long as the block lasts."""
        yield

    async def keep(self, generation: Generation, *, fresh: bool) -> Followable:
        """Keep a generation that is about to start, making room if there is need, and return it.

        Unless it is to be `fresh`, what may be returned instead is one that another server began for
        the same job in the meantime; then this one must not start.
        """
        del fresh
        self._kept[generation.handle] = generation
        self.make_room()
        return generation

    async def find(self, handle: str, owner: str, part: range | None = None) -> Followable:
        """Return the generation behind a handle; of another process's, `part` of the text is enough.

        Raises:
            HandleError: There is none, it has expired, or it is somebody else's.
        """
        self.make_room()
        generation = self._kept.get(handle)
        if generation is None or not secrets.compare_digest(generation.job.owner, owner):
            raise unknown(handle, self._settings.keep_seconds, "by the server that ran them")
        return generation

    def same(self, job: Job) -> Generation | None:
        """Return a generation of the same job of this process whose complete answer was never delivered."""
        self.make_room()
        # What is cheap to compare first: a question may be many megabytes long.
        own = (
            kept for kept in reversed(self._kept.values()) if kept.job.owner == job.owner and joinable(kept)
        )
        return next((kept for kept in own if kept.job.same_as == job.same_as), None)

    async def elsewhere(self, job: Job) -> Followable | None:
        """Return a generation of the same job of another process; see :meth:`same`."""

    async def share(self, generation: Followable) -> None:
        """Let others find a generation whose handle is about to be given out, as it stands now."""

    async def asked(self, generation: Followable) -> Job:
        """Return the job of a generation with as much of its question as is kept anywhere."""
        return generation.job

    def owed(self, owner: str) -> Sequence[str]:
        """Return the handles of what is kept for `owner` until it is fetched, what has ended first."""
        owed = [g for g in self._kept.values() if g.job.owner == owner and (g.owed or g.status == "running")]
        return [g.handle for g in sorted(owed, key=lambda g: g.status == "running")]

    @property
    def up(self) -> bool:
        """Whether what it shares generations through, if anything, answered last."""
        return True

    async def away(self) -> float:
        """Return for how many seconds what it shares generations through has not answered; 0 if it does."""
        return 0.0

    def make_room(self, most_bytes: int | None = None) -> None:
        """Drop what has expired, then questions and finished ones until the rest is within bounds.

        Of what is owed to nobody at most so many bytes may stay; by default, what the settings say. What
        was delivered goes first, the oldest before others. What is owed does not go before its time: its
        caller was told that it is kept, and would have to pay for it again.
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


def joinable(generation: Followable) -> bool:
    """Whether a generation has, or will have, an answer that nobody was given."""
    return (
        generation.status in ("running", "complete") and not generation.leaving and not generation.delivered
    )
