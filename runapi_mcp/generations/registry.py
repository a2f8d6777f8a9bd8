"""Generations: upstream streams with a life of their own.

A generation is started once and runs in a task that belongs to the process, never to a request.
Requests follow it, leave it, and find it again by its handle. It ends when its stream does, when
it is cancelled, or with the process. Finished ones are kept for a while, within bounds.

Who may cancel: a request that goes away takes the generation with it only if nobody else follows
and no handle to it was given out.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from runapi_mcp.errors import BusyError, ServerLeft, TooManyCalls
from runapi_mcp.generations.budget import (
    Ledger,
    LocalTokenBudget,
    MemoryBudget,
    Spent,
    TokenBudget,
    check_budget,
)
from runapi_mcp.generations.generation import Generation, Line, log_end
from runapi_mcp.generations.policy import PLAIN, Course, Plain
from runapi_mcp.generations.queue import Turns
from runapi_mcp.generations.store import Followable, MemoryStore, Store
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Call, Event
from runapi_mcp.wire.usage import all_tokens

__all__ = [
    "PLAIN",
    "Course",
    "Evidence",
    "Followable",
    "Generation",
    "Generations",
    "Job",
    "Ledger",
    "MemoryBudget",
    "MemoryStore",
    "Plain",
    "Receipt",
    "Spent",
    "Status",
    "Store",
    "TokenBudget",
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
        budget: TokenBudget | None = None,
        memory: MemoryBudget | None = None,
        on_begin: Callable[[Followable], None] | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._on_begin = on_begin
        self._upstream = upstream
        self._settings = settings
        self._clock = clock
        self._store = store or MemoryStore(settings, clock)
        self._budget = budget or LocalTokenBudget()
        self.memory = memory or MemoryBudget(settings.memory_bytes)
        self._turns = Turns(settings.max_running)
        self._beginning: Counter[str] = Counter()
        self._ledger = Ledger()
        self._live: set[Generation] = set()
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Generations"]:
        """Run generations for as long as the block lasts; then cancel what still runs."""
        async with self._store.opened(), anyio.create_task_group() as self._tasks:
            try:
                yield self
            finally:
                self._tasks.cancel_scope.cancel()

    async def begin(
        self, job: Job, *, key: SecretStr, patience: float, course: Course = PLAIN, fresh: bool = False
    ) -> tuple[Followable, bool]:
        """Start a generation, which waits for its turn if too many run, or join one of the same job.

        The second value says which. With `fresh`, none is joined. `patience` is how many seconds from
        now may go into waits that RunAPI asks for, those in the queue included.

        Raises:
            BusyError: As many wait already as may.
            BudgetSpent: The principal has used up the tokens of the day.
            TooManyCalls: As many of the principal's run as may.
        """
        patient_until = self._clock() + patience
        same = None if fresh else await self._store.same(job)
        if same is not None:
            return same, True
        await check_budget(self._budget, job.owner, self._settings.max_tokens_per_day)
        with self._place(job.owner):
            generation = Generation(job, self._clock, course=course, on_end=self._ended)
            kept = await self._kept(generation, fresh=fresh)
            if kept is generation:
                assert self._tasks is not None, "Generations.open() is not entered"
                self._live.add(generation)
                self._tasks.start_soon(
                    generation.run, self._turns, self._line(generation, key, patient_until)
                )
        if self._on_begin is not None:
            self._on_begin(kept)
        return kept, kept is not generation

    @property
    def keep_ms(self) -> int:
        """Milliseconds for which a generation can be found again."""
        return int((self._settings.deadline + self._settings.keep_seconds) * 1000)

    async def find(self, handle: str, owner: str) -> Followable:
        """Return the generation behind a handle; see :meth:`Store.find`."""
        return await self._store.find(handle, owner)

    def spent(self, owner: str) -> Spent:
        """Return what a principal's generations cost that this process has run to their end."""
        return self._ledger.spent(owner)

    async def hand_over(self, generation: Followable) -> None:
        """Let a generation go on without its followers, to be found by its handle."""
        await self._store.share(generation)
        # Not before: who leaves while it is being shared has not been given the handle.
        if isinstance(generation, Generation):
            generation.handed_over = True

    def interrupt(self) -> None:
        """End what this process runs, because the process is about to end: what there is stays readable."""
        for generation in tuple(self._live):
            generation.interrupt(ServerLeft("This server was stopped."))

    def _line(self, generation: Generation, key: SecretStr, patient_until: float) -> Line:
        """Return a generation's line to RunAPI, whose times do not begin anew with each of its calls."""

        def ask(call: Call) -> AbstractAsyncContextManager[AsyncGenerator[Event, None]]:
            now = self._clock()
            return self._upstream.stream(
                call,
                generation.job.dialect,
                key=key,
                trace=generation.trace,
                patience=patient_until - now,
                within=generation.turn_at + self._settings.deadline - now,
            )

        return Line(self._upstream.base_url, ask, self._upstream.redirects)

    def _ended(self, generation: Generation) -> None:
        self._live.discard(generation)
        self._store.make_room()
        log_end(generation.known())
        if generation.trace.requests:  # else it was never begun, and cost nothing
            self._ledger.add(generation.job.owner, generation.receipt)
            self._budget.use(generation.job.owner, all_tokens(generation.receipt.tokens))
            assert self._tasks is not None, "only an open one runs any"
            self._tasks.start_soon(self._budget.share)

    @contextmanager
    def _place(self, owner: str) -> Iterator[None]:
        """Hold a place for a generation that is being begun.

        Raises:
            BusyError: There is none.
            TooManyCalls: There is none for its owner.
        """
        turns, settings = self._turns, self._settings
        # Not those that turns count: one that was just started has not asked for its turn yet.
        taken = len(self._live) + self._beginning.total()
        if taken >= settings.max_running + settings.max_waiting:
            raise BusyError(f"{turns.running} generations run on this server and {turns.waiting} wait.")
        own = sum(generation.job.owner == owner for generation in self._live) + self._beginning[owner]
        if 0 < settings.max_calls_per_user <= own:
            raise TooManyCalls(f"{own} of your calls run on this server, as many as each caller may have.")
        self._beginning[owner] += 1
        try:
            yield
        finally:
            self._beginning -= Counter([owner])

    async def _kept(self, generation: Generation, *, fresh: bool) -> Followable:
        """Have a generation kept; one that will not start, for whatever reason, is ended."""
        kept: Followable | None = None
        try:
            kept = await self._store.keep(generation, fresh=fresh)
        finally:
            if kept is not generation:
                generation.abandon()
        return kept
