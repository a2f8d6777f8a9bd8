"""Generations: upstream streams with a life of their own.

A generation is started once and runs in a task that belongs to the process, never to a request.
Requests follow it, leave it, and find it again by its handle. It ends when its stream does, when
it is cancelled, or with the process. Finished ones are kept for a while, within bounds.

Who may cancel: a request that goes away takes the generation with it only if nobody else follows
and no handle to it was given out.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from typing import Final

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.beside import beside
from runapi_mcp.errors import BusyError, MemoryFull, RunapiError, ServerLeft, TooManyCalls
from runapi_mcp.generations.admission import MemoryBudget, Queue
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.policy import PLAIN, Plain, Policy
from runapi_mcp.generations.spending import Allowance, Limits, Row
from runapi_mcp.generations.store.memory import Followable, MemoryStore
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream

__all__ = [
    "PLAIN",
    "Evidence",
    "Followable",
    "Generation",
    "Generations",
    "Job",
    "MemoryBudget",
    "MemoryStore",
    "Plain",
    "Policy",
    "Receipt",
    "Status",
    "View",
]


_LARGE: Final = 65_536
"""Bytes of a question that are too many to be read on the event loop."""
_STOPPED: Final = "This server was stopped."


class Generations:
    """Starts generations and finds them again; one for the process.

    Attributes:
        memory: The bytes that callers hold; whoever reads what callers send may count it there, too.
        settled: Told each generation that has ended, and what it came to.
    """

    def __init__(
        self,
        upstream: Upstream,
        settings: Settings,
        *,
        store: MemoryStore | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.memory = MemoryBudget(settings.memory_bytes)
        self.memory.reclaim = self._make_room
        self.settled: list[Callable[[Job, Receipt], None]] = []
        self._upstream = upstream
        self._settings = settings
        self._clock = clock
        self._store = store or MemoryStore(settings, clock)
        self.memory.owed = self._store.owed
        self._shared = store is not None
        self.limits = Limits(self._store.counts, settings, upstream.prices.of)
        self._queue = Queue(settings.max_running)
        self._beginning: Counter[str] = Counter()
        self._live: set[Generation] = set()
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Generations"]:
        """Run generations for as long as the block lasts; then cancel what still runs."""
        async with self._store.opened(), anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._upstream.prices.keep)
            try:
                yield self
            finally:
                for generation in tuple(self._live):
                    # What there is stays readable, and can be resumed; who has a handle did not cancel it.
                    if generation.fold.characters or generation.handed_over:
                        generation.interrupt(ServerLeft(_STOPPED))
                self._tasks.cancel_scope.cancel()

    async def begin(
        self, job: Job, *, key: SecretStr, patience: float, policy: Policy = PLAIN, fresh: bool = False
    ) -> tuple[Followable, bool]:
        """Start a generation, which waits for its turn if too many run, or join one of the same job.

        The second value says which. With `fresh`, none is joined. `patience` is how many seconds from
        now may go into waits that RunAPI asks for, those in the queue included.

        Raises:
            BusyError: As many wait already as may.
            MemoryFull: The question does not fit into the principal's share of memory.
            BudgetSpent: The limits of the principal's day leave too little for it.
            InputError: The call's own limit does.
            TooManyCalls: As many of the principal's run as may.
        """
        patient_until = self._clock() + patience
        job = await _digest(job)
        kept: Followable | None = None if fresh else self._store.same(job)
        joined = True
        if kept is None:
            try:
                kept, joined = await self._start(job, policy, key, patient_until, fresh=fresh)
            except RunapiError:
                # What another process has of the same takes nothing of what was refused here.
                kept = None if fresh else await self._store.elsewhere(job)
                if kept is None:
                    raise
        return kept, joined

    @property
    def keep_ms(self) -> int:
        """Milliseconds for which a generation can be found again."""
        return int((self._settings.deadline + self._settings.keep_seconds) * 1000)

    async def find(self, handle: str, owner: str, part: range | None = None) -> Followable:
        """Return the generation behind a handle; see :meth:`MemoryStore.find`."""
        return await self._store.find(handle, owner, part)

    async def asked(self, generation: Followable) -> Job:
        """Return the job of a generation with as much of its question as is kept anywhere."""
        return await self._store.asked(generation)

    async def store_away(self) -> float:
        """Return for how many seconds the store has not answered; see :meth:`MemoryStore.away`."""
        return await self._store.away()

    @property
    def store_up(self) -> bool:
        """Whether the store answered last."""
        return self._store.up

    async def used(self, days: int, owner: str | None = None) -> list[Row]:
        """Return what was used in the last so many days, of one or all; see :meth:`DayBook.rows`."""
        return await self._store.days.rows(days, owner)

    async def hand_over(self, generation: Followable) -> None:
        """Let a generation go on without its followers, to be found by its handle."""
        # Ended or not: whatever a caller was told is to be found after this process has died.
        await self._store.share(generation)
        # Not before: who leaves while it is being shared has not been given the handle.
        if isinstance(generation, Generation):
            generation.hand_over()

    @property
    def promised(self) -> list[str]:
        """The handles that are out of what runs here, if it is kept where others can fetch it."""
        return [one.handle for one in tuple(self._live) if one.handed_over] if self._shared else []

    def interrupt(self) -> None:
        """End what this process runs, because the process is about to end: what there is stays readable."""
        for generation in tuple(self._live):
            generation.interrupt(ServerLeft(_STOPPED))

    def _settle(self, generation: Generation) -> None:
        """Write down what an ended generation cost, for everybody who counts."""
        self._live.discard(generation)
        self._make_room()
        receipt = generation.receipt
        _log_end(generation, receipt)
        generation.allowance.settle(receipt, generation.error)
        for tell in self.settled:
            tell(generation.job, receipt)
        if receipt.requests:  # else it was never begun, and cost nothing
            self._store.days.add(generation.job, receipt)
            if self._settings.prices and receipt.tokens is not None and receipt.cost is None:
                self._upstream.prices.note_missing(receipt.model)

    def _make_room(self) -> None:
        self._store.make_room(min(self._settings.keep_bytes, max(self.memory.most - self.memory.firm, 0)))

    async def _start(
        self, job: Job, policy: Policy, key: SecretStr, patient_until: float, *, fresh: bool
    ) -> tuple[Followable, bool]:
        """Start a generation, unless another process has the same; see :meth:`begin`."""
        with self._place(job.owner):
            allowance = Allowance(self.limits, job.owner, job.max_cost)
            allowed = replace(job, call=await allowance.next_round(job.call))
            generation = self._admit(allowed, policy, allowance)
            kept = await self._keep(generation, fresh=fresh)
            if kept is generation:
                assert self._tasks is not None, "Generations.open() is not entered"
                self._live.add(generation)
                self._tasks.start_soon(
                    generation.run, self._upstream, self._queue, key, patient_until, self._settings.deadline
                )
        return kept, kept is not generation

    @contextmanager
    def _place(self, owner: str) -> Iterator[None]:
        """Hold a place for a generation that is being begun.

        Raises:
            BusyError: There is none.
            TooManyCalls: There is none for its owner.
        """
        queue, settings = self._queue, self._settings
        # Not those that the queue counts: one that was just started has not asked for its turn yet.
        taken = len(self._live) + self._beginning.total()
        own = sum(generation.job.owner == owner for generation in self._live) + self._beginning[owner]
        most = settings.max_running + settings.max_waiting
        others = most // 4
        if taken >= most:
            raise BusyError(f"{queue.running} generations run on this server and {queue.waiting} wait.")
        if taken >= most - others and own >= max(others, 1):
            raise BusyError(
                f"{own} of your calls run on this server or wait; its last {others} places are for others."
            )
        if 0 < settings.max_calls_per_user <= own:
            raise TooManyCalls(f"{own} of your calls run on this server, as many as each caller may have.")
        self._beginning[owner] += 1
        try:
            yield
        finally:
            self._beginning -= Counter([owner])

    def _admit(self, job: Job, policy: Policy, allowance: Allowance) -> Generation:
        """Return a generation that has room for its question.

        Raises:
            MemoryFull: There is none; what the principal still has to fetch is named.
        """
        try:
            return Generation(
                job,
                self._clock,
                policy=policy,
                memory=self.memory,
                most=self._settings.max_answer_bytes,
                on_end=self._settle,
                price_of=self._upstream.prices.of if self._settings.prices else None,
                allowance=allowance,
            )
        except MemoryFull:
            allowance.free()
            raise

    async def _keep(self, generation: Generation, *, fresh: bool) -> Followable:
        """Have a generation kept; one that will not start, for whatever reason, is ended."""
        kept: Followable | None = None
        try:
            kept = await self._store.keep(generation, fresh=fresh)
        finally:
            if kept is not generation:
                generation.abandon()
        return kept


async def _digest(job: Job) -> Job:
    """Return a job with what tells its question apart; a large one is read in a worker thread."""
    if job.size < _LARGE:
        return job.digested()
    return await beside(job.digested)


def _log_end(generation: Generation, receipt: Receipt) -> None:
    """Log what a generation came to and what it cost; and its answer, if that is asked for."""
    facts = asdict(receipt)
    tokens = facts.pop("tokens") or {}
    logs.info(
        "generation",
        principal=logs.principal(generation.job.owner),
        generation=logs.shorten(generation.handle),
        tool=generation.job.tool,
        error=generation.error.code if generation.error else None,
        **facts,
        **logs.tokens(tokens),
    )
    logs.content("answer", generation=logs.shorten(generation.handle), answer=generation.fold.text)
