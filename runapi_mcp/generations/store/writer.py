"""Writes this process's generations to the engine: in batches, at the pace of progress, never per chunk.

What the engine holds is checked at each write, and written anew from the start when it is not what it
should be: after an outage, a restart without a disk, an eviction.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import anyio

from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.engine import (
    Append,
    Begin,
    Deliver,
    Down,
    Engine,
    Entry,
    Forget,
    Hold,
    Op,
    Sign,
)
from runapi_mcp.generations.store.records import Facts, Stand, write
from runapi_mcp.signalling import Signal

PACE: Final = 0.75
"""Seconds between two batches: who is killed loses what came since, and it is to be less than a second."""
_GAP: Final = 0.01
"""Seconds between two writes at least: calls that begin or end together share one."""
ALIVE: Final = 9.0
"""Seconds after which a server that gave no sign of life is taken to be gone."""
SIGN: Final = 3.0
"""Seconds between two signs of life."""
MOST_FACTS: Final = 4_194_304
"""Characters of a question, its files included, that are shared with the others."""
MOST_CHARS: Final = 16_777_216
"""Characters of one generation's text that are shared; the rest only its own process has."""
_ENTRY_CHARS: Final = 262_144
_BATCH_CHARS: Final = 1_048_576
_MOST_UNTOLD: Final = 10_000
_MOST_WRITES: Final = 40
_MOST_AT_ONCE: Final = 1_048_576
"""Characters after which one write takes in no more generations: it has a second to get through."""
_STEP: Final = 2048
"""What a batch counts for beside its characters: it costs the engine time, however small."""

TOO_LARGE: Final = "What was sent with it is too large to be shared: only this server knows the handle."


class Log:
    """What the engine is told of one generation: what was asked, and batch by batch what came of it.

    What it was told is taken for written; where that turns out to be wrong, it is told all of it anew.

    Args:
        generation: The generation.
        name: What :meth:`Engine.name` made of its owner and handle.
        facts: Its facts, for the first time that they are told: they may be megabytes.
        replaces: Who may lose its question to it; see :class:`Hold`.

    Attributes:
        holder: The handle that has its question.
        written: Whether the engine has its facts and how it stood since.
        final: Whether it was told what became of it.
        more: Whether there is more to tell at once.
        size: Characters of its text that were told.
    """

    def __init__(self, generation: Generation, name: str, facts: str = "", replaces: str = "") -> None:
        self.generation = generation
        self.name = name
        self.replaces = replaces
        self.holder = ""
        self.epoch = 0
        self._facts = facts
        self.begin_anew()

    def begin_anew(self) -> None:
        """Take it that the engine knows nothing of it."""
        self.written = self.final = False
        self.more = True
        self.size = self.entries = 0
        self._round, self._text, self._thoughts = 1, 0, 0
        self._seen: tuple[object, ...] = ()
        self._stood: tuple[object, ...] = ()

    @property
    def due(self) -> bool:
        """Whether there is something new to tell. Costs no look at the text."""
        ended = self.generation.done.is_set()
        return not self.final and (self.more or ended or self._seen != self._look())

    def facts(self) -> str:
        """Return what was asked, as it is written first or anew."""
        facts, self._facts = self._facts, ""
        return facts or write(Facts.of(self.generation))

    def batch(self) -> tuple[Sequence[Entry], str, str]:
        """Return what is told next: text, how it stands if that is new, and its status in the end."""
        generation = self.generation
        stands = (generation.trace.requests, generation.leaving, *generation.stands)
        if stands == self._stood and not self.more and not generation.done.is_set():
            # All that most batches bring; to tell the rest each time costs more than all the text.
            fold = generation.fold
            entries, live, final = self._cut([fold.text], fold.thoughts), "", ""
        else:
            view = generation.known()
            texts = [*view.earlier, view.answer.text][self._round - 1 :]
            entries = self._cut(texts, view.answer.thoughts)
            self.final = view.status != "running" and not self.more
            live = write(Stand.of(view, generation, over=self.final))
            final = view.status if self.final else ""
        self._seen, self._stood = self._look(), stands
        self.entries += len(entries)
        return entries, live, final

    def _cut(self, texts: Sequence[str], thoughts: str) -> Sequence[Entry]:
        """Return what was not told yet of the rounds from the present one on, and of the last one's thoughts.

        A round that begins has at least one entry, which says so.
        """
        room, cut = min(_BATCH_CHARS, MOST_CHARS - self.size), list[Entry]()
        for later, text in enumerate(texts):
            if room <= 0:
                break
            begun = not later
            if later:
                self._round, self._text, self._thoughts = self._round + 1, 0, 0
            # Thoughts of a round that is over are not worth having.
            thought = thoughts if later == len(texts) - 1 else ""
            while room > 0 and (self._text < len(text) or self._thoughts < len(thought) or not begun):
                at, thought_at, most = self._text, self._thoughts, min(room, _ENTRY_CHARS)
                entry = Entry(self._round, text[at : at + most], thought[thought_at : thought_at + most])
                self._text, self._thoughts = at + len(entry.text), thought_at + len(entry.thoughts)
                self.size += len(entry.text) + len(entry.thoughts)
                room -= len(entry.text) + len(entry.thoughts) + 1
                begun = True
                cut.append(entry)
        self.more = room <= 0 and self.size < MOST_CHARS
        return cut

    def _look(self) -> tuple[object, ...]:
        """Return what tells whether there is news; of its text first."""
        generation, fold, trace = self.generation, self.generation.fold, self.generation.trace
        text = (fold.characters, fold.thought_characters)
        return *text, fold.size, id(fold), trace.phase, trace.requests, generation.ahead, generation.leaving


class Writer:
    """Keeps the engine up to date about the generations that this process runs.

    Args:
        engine: Where they are written.
        deadline: Seconds that a generation may take.
        kept: Whether this process still keeps an ended generation: what it does not is not written
            late either, so an outage makes nobody keep more.
    """

    def __init__(self, engine: Engine, deadline: float, kept: Callable[[Generation], bool]) -> None:
        self._engine = engine
        self._deadline = deadline
        self._kept = kept
        self._logs: dict[str, Log] = {}
        self._wanted: dict[str, Log] = {}
        self._delivered: set[str] = set()
        self._forgotten: set[str] = set()
        self._asked = Signal()
        self._written = anyio.Event()
        self._sign_due = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is something that may have to be written."""
        return bool(self._logs or self._delivered or self._forgotten)

    def of(self, name: str) -> Generation | None:
        """Return the generation of this name, if it is this process's and not settled."""
        log = self._logs.get(name)
        return log.generation if log else None

    def lacks(self, generation: Generation) -> bool:
        """Whether the engine was not told all of an ended generation."""
        return self._name(generation) in self._logs or bool(generation.note)

    async def begin(self, generation: Generation, replaces: str) -> str:
        """Write a generation that is about to start, and return the handle that has its question now.

        `replaces` is the handle that may lose it; "" is nobody's, "*" anybody's. While the engine is away
        it is its own, and is written when that can be.
        """
        facts = write(Facts.of(generation))
        if len(facts) > MOST_FACTS:
            generation.note = TOO_LARGE
            return generation.handle
        name = self._name(generation)
        log = self._logs[name] = Log(generation, name, facts, replaces)
        await self._have_written(log)
        return log.holder or generation.handle

    async def share(self, generation: Generation) -> None:
        """Write a generation, unless the engine lacks no more of it than who is killed may lose."""
        log = self._logs.get(self._name(generation))
        if log is not None and (not log.written or generation.done.is_set()):
            await self._have_written(log)

    def forget(self, generation: Generation) -> None:
        """Take back a generation that will not start; whoever joins another need not wait for that."""
        name = self._name(generation)
        self._wanted.pop(name, None)
        # Beyond that many, what is not taken back expires.
        if self._logs.pop(name, None) is not None and len(self._forgotten) < _MOST_UNTOLD:
            self._forgotten.add(name)
            self._asked.send()

    def hear(self, generation: Generation) -> None:
        """A generation has ended, is to, or its answer was delivered: have that written soon.

        That an answer was delivered is not written at once: whoever dies before its caller has it should
        not have said so, for the same question would be paid for again.
        """
        name = self._name(generation)
        # Beyond that many, the same question may be given the same answer again.
        if generation.delivered and len(self._delivered) < _MOST_UNTOLD:
            self._delivered.add(name)
        elif not generation.delivered and name in self._logs:
            self._wanted[name] = self._logs[name]
        self._asked.send()

    async def forever(self) -> None:
        """Write at its pace what is due, and at once what is wanted; while there is nothing, wait."""
        next_at = wrote_at = 0.0
        while True:
            await self._asked.until(lambda: self.busy)
            with anyio.move_on_after(next_at - anyio.current_time()):
                await self._asked.until(lambda: bool(self._wanted))
            await anyio.sleep_until(wrote_at + _GAP)
            if anyio.current_time() >= next_at:
                next_at = anyio.current_time() + PACE
                self._want_all()
            with suppress(Down):
                await self._write()
            wrote_at = anyio.current_time()

    async def leave(self) -> None:
        """Write the last of it, and let the sign of life lapse.

        Raises:
            Down: The engine cannot be reached.
        """
        if self.busy or self._sign_due:
            self._want_all()
            await self._write()
            await self._engine.run(Sign(self._engine.server, 1))

    # ------------------------------------------------------------ one write

    def _want_all(self) -> None:
        self._wanted |= {log.name: log for log in self._logs.values() if log.due}

    async def _have_written(self, log: Log) -> None:
        """Wait until a generation is written, or cannot be; whoever comes during a write shares the next."""
        self._wanted[log.name] = log
        self._asked.send()
        await self._written.wait()

    async def _write(self) -> None:
        """Write what is wanted, and give a sign of life if it is time.

        Raises:
            Down: The engine cannot be reached.
        """
        waiting, self._wanted = deque(self._wanted.values()), {}
        written, self._written = self._written, anyio.Event()
        try:
            # Within bounds: what is left then has its turn at the next pace.
            for _ in range(_MOST_WRITES):
                about = self._signs()
                if not waiting and not about:
                    break
                waiting.extend(await self._write_once(about, waiting))
        finally:
            written.set()

    async def _write_once(self, about: Sequence[Op], waiting: deque[Log]) -> list[Log]:
        """Write as many of those that wait as go in one write, and return of which there is more."""
        told: list[tuple[Log, Sequence[Op]]] = []
        size = 0
        while waiting and size < _MOST_AT_ONCE:
            log = waiting.popleft()
            before, ops = log.size, self._tell(log)
            told.append((log, ops))
            size += _STEP + log.size - before + sum(len(op.facts) for op in ops if isinstance(op, Begin))
        if not about and any(isinstance(op, Begin) for _, ops in told for op in ops):
            # What is begun, for the first time or anew, is of nobody who lives if the last sign was lost.
            about = [self._sign()]
        try:
            done = await self._engine.run(*about, *(op for _, ops in told for op in ops))
        except Down as down:
            self._lose(down)  # perhaps it got through, and perhaps not
            raise
        if about:
            self._sign_due = anyio.current_time() + SIGN
            self._delivered.difference_update(op.name for op in about if isinstance(op, Deliver))
            self._forgotten.difference_update(op.name for op in about if isinstance(op, Forget))
        answers = iter(done[len(about) :])
        for log, ops in told:
            self._note(log, ops, [next(answers) for _ in ops])
        return [log for log, _ in told if log.more and log.name in self._logs]

    def _tell(self, log: Log) -> Sequence[Op]:
        """Return what the engine is told of a generation: its beginning, unless it has that, and a batch."""
        held, at = log.written or log.entries, log.entries
        entries, live, final = log.batch()
        server, ops = self._engine.server, list[Op]()
        if not held:
            log.epoch += 1
            ms, job, handle = self._ms(self._deadline), log.generation.job, log.generation.handle
            owner = self._engine.name(job.owner)
            ops.append(Begin(log.name, server, log.epoch, log.facts(), live, handle, owner, ms))
            # Whoever is written late has its question late, too.
            ops.append(Hold(same_key(self._engine, job.same_as), handle, ms, log.replaces))
            live = ""
        if held or entries or final:
            ms = self._ms(0 if final else self._deadline)
            ops.append(Append(log.name, server, log.epoch, at, entries, live, final, ms))
        return ops

    def _note(self, log: Log, ops: Sequence[Op], answers: Sequence[Any]) -> None:
        """Note what the engine answered to what it was told of a generation."""
        for op, said in zip(ops, answers, strict=True):
            if isinstance(op, Hold):
                log.holder = said
            else:
                log.written = said
        if not log.written:
            log.begin_anew()
        elif log.final:
            self._logs.pop(log.name, None)  # the engine has all of it
        if log.written:
            log.generation.note = ""

    def _signs(self) -> list[Op]:
        """Return the sign of life, if it is time, and what was delivered or taken back since."""
        # Not of one that is still to be written: it may not be there before that.
        ready = [name for name in self._delivered if name not in self._logs]
        if anyio.current_time() < self._sign_due and not ready and not self._forgotten:
            return []
        told = (*(Deliver(name, self._ms(0)) for name in ready), *map(Forget, self._forgotten))
        return [self._sign(), *told]

    def _sign(self) -> Op:
        return Sign(self._engine.server, int(ALIVE * 1000))

    def _lose(self, down: Down) -> None:
        """The engine is away: whatever was being written has to be written anew, if it is still kept then."""
        self._sign_due = 0.0
        for log in list(self._logs.values()):
            log.begin_anew()
            log.generation.note = "" if down.for_good else down.note
            if log.generation.done.is_set() and not self._kept(log.generation):
                del self._logs[log.name]
                self._delivered.discard(log.name)
        if down.for_good:
            for told in (self._logs, self._delivered, self._forgotten):
                told.clear()

    def _name(self, generation: Generation) -> str:
        return self._engine.name(generation.job.owner, generation.handle)

    def _ms(self, seconds: float) -> int:
        return int((seconds + self._engine.keep_seconds) * 1000)


def same_key(engine: Engine, same_as: str) -> str:
    """Return where the handle of a question's generation is."""
    return f"same:{engine.name(same_as)}"
