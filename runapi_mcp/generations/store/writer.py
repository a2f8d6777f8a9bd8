"""Writes this process's generations to the engine: in batches, at the pace of progress, never per chunk.

What the engine holds is checked at each write, and written anew from the start when it is not what it
should be: after an outage, a restart without a disk, an eviction.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

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
from runapi_mcp.generations.store.records import Facts, Written, due, next_batch, write
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
        facts: Its facts, until they are written first.
        epoch: How often it was begun.
        replaces: Who may lose its question to it; "*" is anybody.
        holder: The handle that has its question.
        written: How far it is written; `None` when it is to be begun, or begun anew.
    """

    generation: Generation
    name: str
    facts: str
    epoch: int = 0
    replaces: str = ""
    holder: str = ""
    written: Written | None = None

    @property
    def due(self) -> bool:
        """Whether there is something to write."""
        return self.written is None or due(self.generation, self.written)

    @property
    def unfinished(self) -> bool:
        """Whether there is more to write at once."""
        return self.written is None or self.written.more


@dataclass(frozen=True, slots=True)
class _Step:
    """What is written of one generation at once: its facts, where it is to be begun, or a batch.

    Attributes:
        ops: What the engine is asked for; the first one says whether it did it.
        size: What it costs the engine.
        after: How far the generation is written then.
    """

    writing: _Writing
    ops: tuple[Op, ...]
    size: int
    after: Written


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

    def lacks(self, generation: Generation) -> bool:
        """Whether the engine does not have all of a generation that it is to have."""
        return self._name(generation) in self._writing

    async def begin(self, generation: Generation, replaces: str) -> str:
        """Write a generation that is about to start, and return the handle that has its question now.

        `replaces` is the handle that may lose it; "" is nobody's, "*" anybody's.

        Raises:
            Down: The engine cannot be reached; it will be written when it can.
        """
        facts = write(Facts.of(generation))
        if len(facts) > MOST_FACTS:
            generation.note = TOO_LARGE
            return generation.handle
        name = self._name(generation)
        writing = self._writing[name] = _Writing(generation, name, facts, replaces=replaces)
        self._asked.send()
        await self.flush()
        return writing.holder or generation.handle

    async def claim(self, generation: Generation, replaces: str) -> None:
        """Claim a question that another generation had, which is over.

        Raises:
            Down: The engine cannot be reached.
        """
        await self._engine.run(self._claim(generation, replaces))

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
            steps = self._next_steps(waiting)
            done = await self._engine.run(*about, *(op for step in steps for op in step.ops))
            answers = iter(done[len(about) :])
            for step in steps:
                self._note(step, *(next(answers) for _ in step.ops))
            self._delivered.difference_update(op.name for op in about if isinstance(op, Deliver))
            if about:
                self._sign_due = self._clock() + SIGN
            about = []
            unfinished = (step.writing for step in steps if step.writing.unfinished)
            waiting.extend(writing for writing in unfinished if writing.name in self._writing)

    def _signs(self) -> list[Op]:
        """Return the sign of life, if it is time, and whose answers were delivered since."""
        # Not of one that is written in this very step: it may not be there before that.
        ready = [name for name in self._delivered if name not in self._writing]
        if self._clock() < self._sign_due and not ready:
            return []
        return [Sign(self._server, int(ALIVE * 1000)), *(Deliver(name, self._ms(0)) for name in ready)]

    def _claim(self, generation: Generation, replaces: str) -> Hold:
        key, ms = same_key(self._engine, generation.job.same_as), self._ms(self._deadline)
        return Hold(key, generation.handle, ms, replaces)

    def _next_steps(self, waiting: deque[_Writing]) -> list[_Step]:
        """Take from those that wait what goes in one write."""
        steps: list[_Step] = []
        size = 0
        while waiting and size < _MOST_AT_ONCE:
            steps.append(self._next_step(waiting.popleft()))
            size += _STEP + steps[-1].size
        return steps

    def _next_step(self, writing: _Writing) -> _Step:
        generation, name, written = writing.generation, writing.name, writing.written
        if written is None:
            writing.epoch += 1
            facts, writing.facts = writing.facts or write(Facts.of(generation)), ""
            owner = self._engine.name(generation.job.owner)
            ms = self._ms(self._deadline)
            begin = Begin(name, self._server, writing.epoch, facts, generation.handle, owner, ms)
            # Whoever is written late has its question late, too.
            return _Step(writing, (begin, self._claim(generation, writing.replaces)), len(facts), Written())
        batch = next_batch(generation, written)
        ms = self._ms(0 if batch.final else self._deadline)
        about = (name, self._server, writing.epoch, written.entries)
        append = Append(*about, batch.entries, batch.live, batch.final, ms)
        return _Step(writing, (append,), batch.after.total - written.total, batch.after)

    def _note(self, step: _Step, done: bool, holder: str = "") -> None:  # noqa: FBT001  # the engine's answers
        """Note how one write went."""
        writing = step.writing
        writing.holder = holder or writing.holder
        writing.written = step.after if done else None
        if step.after.seen is not None and done:
            writing.generation.note = ""
        if step.after.final and done:
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
