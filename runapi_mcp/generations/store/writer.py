"""Writes this process's generations to the engine: in batches, at the pace of progress, never per chunk.

What the engine holds is checked at each write, and written anew from the start when it is not what it
should be: after an outage, a restart without a disk, an eviction.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio

from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.protocol import (
    Append,
    Begin,
    Deliver,
    Down,
    Engine,
    Forget,
    Hold,
    Op,
    Part,
    Sign,
)
from runapi_mcp.generations.store.records import Batch, Facts, Written, due, facts_written, next_batch
from runapi_mcp.signalling import Signal

PACE: Final = 0.5
"""Seconds between two batches."""
ALIVE: Final = 9.0
"""Seconds after which a server that gave no sign of life is taken to be gone."""
SIGN: Final = 3.0
"""Seconds between two signs of life."""
MOST_FACTS: Final = 4_194_304
"""Characters of a question, its files included, that are shared with the others."""
_MOST_DELIVERED: Final = 10_000
_MOST_WRITES: Final = 40
_MOST_AT_ONCE: Final = 1_048_576
"""Characters after which one write takes in no more generations: it has a second to get through."""
_STEP: Final = 2048
"""What a step counts for beside its characters: it costs the engine time, however small."""

TOO_LARGE: Final = "What was sent with it is too large to be shared: only this server knows the handle."


@dataclass(slots=True)
class _Writing:
    """A generation that the engine does not have all of yet.

    Attributes:
        epoch: How often it was begun.
        written: How far it is written; `None` when it is to be begun, or begun anew.
    """

    generation: Generation
    name: str
    epoch: int = 0
    written: Written | None = None

    @property
    def due(self) -> bool:
        """Whether there is something to write."""
        return self.written is None or due(self.generation, self.written)

    @property
    def unfinished(self) -> bool:
        """Whether there is more to write at once."""
        return self.written is None or self.written.seen is None or self.written.more


_Step: TypeAlias = tuple[_Writing, Batch | str]
"""What is written of one generation at once: its facts, where it is to be begun, or a batch."""


class Writer:
    """Keeps the engine up to date about the generations that this process runs.

    Args:
        engine: Where they are written.
        server: This process's own name among those that share the engine.
        clock: Seconds that only go forward.
        deadline: Seconds that a generation may take.
        kept: Whether this process still keeps an ended generation: what it does not is not written
            late either, so an outage makes nobody keep more.
    """

    def __init__(
        self,
        engine: Engine,
        server: str,
        clock: Callable[[], float],
        deadline: float,
        kept: Callable[[Generation], bool],
    ) -> None:
        self._engine = engine
        self._server = server
        self._clock = clock
        self._deadline = deadline
        self._kept = kept
        self._writing: dict[str, _Writing] = {}
        self._delivered: set[str] = set()
        self._news = False
        self._asked = Signal()
        self._turn = anyio.Lock()
        self._sign_due = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is something that may have to be written."""
        return bool(self._writing or self._delivered)

    def of(self, name: str) -> Generation | None:
        """Return the generation of this name, if it is this process's and not settled."""
        writing = self._writing.get(name)
        return writing.generation if writing else None

    async def begin(self, generation: Generation) -> None:
        """Write a generation that is about to start.

        Raises:
            Down: The engine cannot be reached; it will be written when it can.
        """
        if len(_facts_of(generation)) > MOST_FACTS:
            generation.note = TOO_LARGE
            return
        name = self._name(generation)
        self._writing[name] = _Writing(generation, name)
        self._asked.send()
        await self.flush()

    async def claim(self, generation: Generation, replaces: str) -> str:
        """Claim a question for a generation and return the handle that has it now.

        `replaces` is the handle that may lose it; "" is nobody's, "*" anybody's.

        Raises:
            Down: The engine cannot be reached.
        """
        key, ms = same_key(self._engine, generation.job.same_as), self._ms(self._deadline)
        [winner] = await self._engine.run(Hold(key, generation.handle, ms, replaces))
        return str(winner)

    async def forget(self, generation: Generation) -> None:
        """Take back a generation that will not start.

        Raises:
            Down: The engine cannot be reached; what it has will expire.
        """
        name = self._name(generation)
        if self._writing.pop(name, None) is not None:
            await self._engine.run(Forget(name))

    def hear(self, generation: Generation) -> None:
        """A generation has ended, is to, or its answer was delivered: have that written soon."""
        if generation.delivered:
            self._note_delivered(self._name(generation))
        else:
            self._news = True
        self._asked.send()

    async def forever(self) -> None:
        """Write a batch whenever one is due; while there is nothing to write, wait.

        That an answer was delivered is not written at once: whoever dies before its caller has it
        should not have said so, for the same question would be paid for again.
        """
        while True:
            await self._asked.until(lambda: self.busy)
            with anyio.move_on_after(PACE):
                await self._asked.until(lambda: self._news)
            self._news = False
            try:
                await self.flush()
            except Down:
                await anyio.sleep(PACE)

    async def flush(self) -> None:
        """Write all there is to write now, and give a sign of life if it is time.

        Raises:
            Down: The engine cannot be reached.
        """
        async with self._turn:
            try:
                await self._write_all()
            except Down as down:
                self._lose(down)
                raise

    async def leave(self) -> None:
        """Write the last of it, and take back the sign of life.

        Raises:
            Down: The engine cannot be reached.
        """
        if self.busy or self._sign_due:
            await self.flush()
            await self._engine.run(Part(self._server))

    # ------------------------------------------------------------ one write

    async def _write_all(self) -> None:
        """Write as often as it takes, within bounds; what is left has its turn at the next pace."""
        self._engine.check()
        waiting = deque(writing for writing in self._writing.values() if writing.due)
        about = self._signs()
        for _ in range(_MOST_WRITES):
            if not waiting and not about:
                return
            steps = _next_steps(waiting)
            done = await self._engine.run(*about, *(self._op(*step) for step in steps))
            for (writing, step), written in zip(steps, done[len(about) :], strict=True):
                self._note(writing, step, done=bool(written))
            self._delivered.difference_update(op.name for op in about if isinstance(op, Deliver))
            if about:
                self._sign_due = self._clock() + SIGN
            about = []
            waiting.extend(w for w, _ in steps if w.unfinished and w.name in self._writing)

    def _signs(self) -> list[Op]:
        """Return the sign of life, if it is time, and whose answers were delivered since."""
        # Not of one that is written in this very step: it may not be there before that.
        ready = [name for name in self._delivered if name not in self._writing]
        if self._clock() < self._sign_due and not ready:
            return []
        return [Sign(self._server, int(ALIVE * 1000)), *(Deliver(name, self._ms(0)) for name in ready)]

    def _op(self, writing: _Writing, step: Batch | str) -> Op:
        generation, name = writing.generation, writing.name
        if isinstance(step, str):
            writing.epoch += 1
            owner, ms = self._engine.name(generation.job.owner), self._ms(self._deadline)
            return Begin(name, self._server, writing.epoch, step, generation.handle, owner, ms)
        assert writing.written is not None, "it is begun before anything is added"
        ms, at = self._ms(0 if step.final else self._deadline), writing.written.entries
        return Append(
            name, self._server, writing.epoch, at, step.entries, step.live, step.final, ms
        )  # fmt: skip

    def _note(self, writing: _Writing, step: Batch | str, *, done: bool) -> None:
        """Note how one write went."""
        if not done:
            writing.written = None
        elif isinstance(step, str) or writing.written is None:
            writing.written = Written()
        else:
            writing.written = writing.written.after(step)
            writing.generation.note = ""
            if step.final:
                self._writing.pop(writing.name, None)  # the engine has all of it

    def _note_delivered(self, name: str) -> None:
        # Beyond that many, the same question may be given the same answer again.
        if len(self._delivered) < _MOST_DELIVERED:
            self._delivered.add(name)

    def _lose(self, down: Down) -> None:
        """The engine is away: whatever was being written has to be written anew, if it is still kept then."""
        self._sign_due = 0.0
        for writing in list(self._writing.values()):
            writing.written = None
            writing.generation.note = down.note
            if writing.generation.done.is_set() and not self._kept(writing.generation):
                del self._writing[writing.name]
                self._delivered.discard(writing.name)
        if down.for_good:
            self._writing.clear()
            self._delivered.clear()

    def _name(self, generation: Generation) -> str:
        return self._engine.name(generation.job.owner, generation.handle)

    def _ms(self, seconds: float) -> int:
        return int((seconds + self._engine.keep_seconds) * 1000)


def same_key(engine: Engine, same_as: str) -> str:
    """Return where the handle of a question's generation is."""
    return f"same:{engine.name(same_as)}"


def _next_steps(waiting: deque[_Writing]) -> list[_Step]:
    """Take from those that wait what goes in one write: facts where one is to be begun, else a batch."""
    steps: list[_Step] = []
    size = 0
    while waiting and size < _MOST_AT_ONCE:
        writing = waiting.popleft()
        step = (
            _facts_of(writing.generation)
            if writing.written is None
            else next_batch(writing.generation, writing.written)
        )
        size += _STEP + (len(step) if isinstance(step, str) else step.characters)
        steps.append((writing, step))
    return steps


def _facts_of(generation: Generation) -> str:
    """Return the facts of a generation, as they are written."""
    return facts_written(Facts(generation.job, generation.created))
