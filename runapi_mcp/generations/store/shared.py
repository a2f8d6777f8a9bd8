"""The store of processes that share an engine: its own generations in memory, those of all in the engine.

When the engine is away, everything goes on as with memory alone, and says so where a handle is given out.
"""

import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, get_args

import anyio
import anyio.to_thread

from runapi_mcp.errors import HandleError, StoreDown
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.counts import Places, SharedDayBook, SharedDayCounts
from runapi_mcp.generations.store.engine import Down, Engine, Held, Hold, Order
from runapi_mcp.generations.store.memory import Followable, MemoryStore, joinable, unknown
from runapi_mcp.generations.store.place import Unusable
from runapi_mcp.generations.store.records import prepare
from runapi_mcp.generations.store.replica import Replica
from runapi_mcp.generations.store.sqlite import check_module
from runapi_mcp.generations.store.writer import Writer, same_key
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.signalling import Signal
from runapi_mcp.upstream.pacing import LONGEST, MemoryPacing

_LEAVE_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 0.5
_JOIN_SECONDS: Final = 1.0
"""For so long it is worth a wait to read what another process has of the same question."""
_SENT_SECONDS: Final = 0.05
"""By then a request that was begun is on its way."""
_IDLE_SECONDS: Final = 1.0
"""By then a server that was started to be asked something would have been."""
_LOOK_SECONDS: Final = 0.05
"""For so long what was read of a wait holds: who begins together with others is asked by one of them."""
_SLEWED_SECONDS: Final = 1.0
"""By so much a clock that is set right may go back without having jumped."""
_MOST_LOOKS: Final = 1_000
"""Of how many names it is remembered when they were looked for."""
_READ_CHARS: Final = 8_388_608
"""Characters of others' generations that are kept for their next pages."""

logger = logging.getLogger(__name__)


class SharedStore(MemoryStore):
    """A store that several processes share.

    Args:
        engine: Where they meet.
        settings: Bounds.
        clock: Seconds that only go forward.

    Attributes:
        pacing: The waits that RunAPI asked any of them for.
    """

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], float]) -> None:
        super().__init__(settings, clock)
        self._engine = engine
        self._writer = Writer(engine, settings.deadline, lambda g: g.handle in self._kept)
        self._places = Places(engine, settings.max_calls_per_user)
        self._begun = Signal()
        self._said_off = False
        self._read: dict[tuple[str, str], Replica] = {}
        self.pacing = SharedPacing(engine, clock)
        self.counts: SharedDayCounts = SharedDayCounts(engine)
        self.days: SharedDayBook = SharedDayBook(engine)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Write what this process's generations do, and listen to what others want of them."""
        try:
            async with anyio.create_task_group() as tasks:
                for work in (self._writer, self._places, self.counts, self.days):
                    tasks.start_soon(work.forever)
                tasks.start_soon(self._listen)
                tasks.start_soon(self._prepare)
                yield
                tasks.cancel_scope.cancel()
        finally:
            # What is still to be said is worth a second, even to a process that is told to go.
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True), suppress(Down):
                for work in (self.counts, self.days, self._places):
                    await work.write()
                await self._writer.leave()
            with anyio.move_on_after(_LEAVE_SECONDS, shield=True):
                await self._engine.aclose()

    async def keep(self, generation: Generation, *, fresh: bool) -> Followable:
        """Keep a generation, unless somebody else began the same meanwhile; see :meth:`MemoryStore.keep`.

        Raises:
            TooManyCalls: As many of its owner's run on all servers as may.
        """
        generation.shared = self._hear
        # Before others see it: who joined one that is refused would wait for nothing.
        with suppress(Down):
            await self._places.take(generation.job.owner, generation.handle)
        other = await self._begin(generation, fresh=fresh)
        if other is not None:
            return other
        # Two requests of this process may have come here together, and the engine may not have told them.
        same = None if fresh else self.same(generation.job)
        return same or await super().keep(generation, fresh=fresh)

    async def find(self, handle: str, owner: str, part: range | None = None) -> Followable:
        """Return a generation of this process or another; see :meth:`MemoryStore.find`."""
        try:
            return await super().find(handle, owner)
        except HandleError as error:
            missing = error
        try:
            known = self._read.pop((owner, handle), None)
            found = await Replica.load(self._engine, handle, owner, known, part)
        except Down as down:
            if down.for_good:
                raise missing from None
            raise StoreDown("handle: it is not of this server, and the others cannot be asked now.") from None
        if found is None and self._engine.settling:
            raise StoreDown("handle: the server that has it may not have told the others again yet.")
        if found is None:
            raise unknown(handle, self._engine.keep_seconds, self._engine.whose)
        if any(found.beside):
            return found
        self._read[owner, handle] = found
        while len(self._read) > 1 and sum(replica.size for replica in self._read.values()) > _READ_CHARS:
            del self._read[next(iter(self._read))]
        return found

    async def elsewhere(self, job: Job) -> Followable | None:
        """Return an undelivered generation of the same job; see :meth:`MemoryStore.elsewhere`."""
        with suppress(Down), anyio.move_on_after(self._engine.patience + _JOIN_SECONDS):
            [held] = await self._engine.run(Held(same_key(self._engine, job.same_as)))
            return await self._join(held[0], job) if held else None
        return None

    async def share(self, generation: Followable) -> None:
        """Write what others need to find a generation of this process; see :meth:`MemoryStore.share`."""
        if isinstance(generation, Generation):
            # A handle that is given out is worth more of a wait than a question that is to be sent.
            with anyio.move_on_after(_LEAVE_SECONDS) as waited:
                await self._writer.share(generation)
            if waited.cancelled_caught:
                generation.note = self._engine.note
            if self._engine.off and not self._said_off and generation.status != "complete":
                generation.note, self._said_off = self._engine.off, True

    async def asked(self, generation: Followable) -> Job:
        """Return its job as it was written, which is more than memory keeps."""
        if isinstance(generation, Generation) and generation.done.is_set():
            with suppress(Down):
                found = await Replica.load(self._engine, generation.handle, generation.job.owner)
                return generation.job if found is None else found.job
        return generation.job

    def outlives(self, generation: Followable) -> bool:
        """Whether an ended generation is found when this process is gone; known once it was closed."""
        if self._engine.off:
            return False
        return not isinstance(generation, Generation) or not self._writer.lacks(generation)

    @property
    def off(self) -> str:
        """Why nothing is kept for as long as this process lives; see :attr:`Engine.off`."""
        return self._engine.off

    @property
    def up(self) -> bool:
        """Whether the engine answered last."""
        return not self._engine.away

    async def away(self) -> float:
        """Return for how many seconds the engine has not answered; asks it now."""
        with suppress(Down):
            await self._engine.run(Hold("up", self._engine.server, 1, "*"))  # reading may be all it can do
        return self._engine.away

    # ------------------------------------------------------------ the same question

    async def _begin(self, generation: Generation, *, fresh: bool) -> Followable | None:
        """Write a generation, unless there is one to join, which is returned."""
        self._begun.send()
        # A process that was started for this call alone has the file still to open, on a busy machine.
        patience = self._engine.patience * (1 if self._engine.opened else 2)
        began = anyio.current_time()
        with suppress(Down), anyio.move_on_after(patience) as waited:
            replaces = "*" if fresh else ""
            # What somebody else wrote there may be no text, which nobody can name to replace it.
            ours = generation.handle
            while (holder := await self._writer.begin(generation, replaces)) not in (ours, replaces):
                # That somebody has it is known now: on a busy machine it takes longer to read than to begin.
                waited.deadline = began + patience + _JOIN_SECONDS
                other = await self._join(holder, generation.job)
                if other is not None:
                    self._writer.forget(generation)
                    return other
                replaces = holder  # which is over
        return None

    async def _join(self, handle: str, job: Job) -> Followable | None:
        """Return the generation behind a claim, if its answer is, or may be, still to be had.

        Raises:
            Down: The engine cannot be reached.
        """
        if handle in self._kept:
            return self.same(job)
        found = await Replica.load(self._engine, handle, job.owner)
        if found is None or not joinable(found):
            return None
        # Whoever began it may leave; we follow it too.
        await found.keep()
        return found

    # ------------------------------------------------------------ what others know and want

    async def _prepare(self) -> None:
        """Get ready to read what others wrote, once the first call is on its way, or none comes.

        A host that was started again may ask first of all for an answer that it was promised.
        """
        with anyio.move_on_after(_IDLE_SECONDS):
            await self._begun.wait()
            await anyio.sleep(_SENT_SECONDS)
        await anyio.to_thread.run_sync(prepare)
        with suppress(Unusable):
            await anyio.to_thread.run_sync(check_module)

    def _hear(self, generation: Generation) -> None:
        """A generation has ended, or its answer was delivered: let the others know."""
        self._writer.hear(generation)
        if generation.done.is_set():
            self._places.leave(generation.job.owner, generation.handle)

    async def _listen(self) -> None:
        """Obey what others tell; where nothing comes by itself, look for it while something runs here."""
        log = logger.warning
        while True:
            if not self._engine.pushes and not self._writer.busy:
                await self._begun.wait()
            try:
                for order in await self._engine.orders():
                    what, _, name = order.partition(" ")
                    if what in get_args(Order):
                        self._obey(what, name)
                    else:  # others can write anything there, and as much of it as they like
                        log("What is no order was found among those to this server, and ignored.")
                        log = logger.debug
            except Down:
                await anyio.sleep(_AWAY_SECONDS)

    def _obey(self, order: str, name: str) -> None:
        named = (g for g in self._kept.values() if self._engine.name(g.job.owner, g.handle) == name)
        generation = self._writer.of(name) or next(named, None)
        match order:
            case _ if generation is None:
                pass  # it is not kept any more
            case "stop":
                generation.cancel()
            case "keep":
                generation.hand_over()
            case "delivered":
                generation.note_delivery()


class SharedPacing(MemoryPacing):
    """Who has been asked to wait, by whichever server; see :class:`Pacing`."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._engine = engine
        self._looked: dict[str, float] = {}
        self._looking: dict[str, anyio.Event] = {}

    async def left(self, name: str) -> float:
        """Return the seconds still to wait; see :meth:`Pacing.left`. Calls that begin together look once."""
        while looking := self._looking.get(name):
            await looking.wait()
        if self._clock() >= self._looked.get(name, -math.inf) + _LOOK_SECONDS:
            await self._look(name)
        return await super().left(name)

    async def ask(self, name: str, seconds: float) -> None:
        """Note a wait; see :meth:`Pacing.ask`. The longer of two waits counts."""
        # What is about to be written over is looked at now: another server may have been told just now, too.
        self._looked.pop(name, None)
        if await self.left(name) >= seconds:
            return
        await super().ask(name, seconds)
        with suppress(Down), anyio.move_on_after(self._engine.patience):
            await self._engine.run(Hold(self._key(name), "1", int(seconds * 1000), "*"))

    async def _look(self, name: str) -> None:
        """Look what any server was asked for; whoever wants to know the same meanwhile waits for that."""
        looked = self._looking[name] = anyio.Event()
        try:
            with suppress(Down), anyio.move_on_after(self._engine.patience):
                [held] = await self._engine.run(Held(self._key(name)))
                # Nobody notes a longer one: it is of another clock, and would hold up all until that time
                # comes (junhoyeo/tokscale#1207). Who is told to wait writes it anew.
                if held and held[1] / 1000 < LONGEST + _SLEWED_SECONDS:
                    await super().ask(name, min(held[1] / 1000, LONGEST))
            # Where it could not be seen, too: who waited for it goes on without, and not one after the other.
            if len(self._looked) >= _MOST_LOOKS:
                self._looked.clear()
            self._looked[name] = self._clock()
        finally:
            del self._looking[name]
            looked.set()

    def _key(self, name: str) -> str:
        return f"pace:{self._engine.name(name)}"
