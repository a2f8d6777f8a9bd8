"""Writes this server's generations to Redis: in batches, at the pace of progress, never per chunk.

What Redis holds is checked at each write, and written anew from the start when it is not what it
should be: after an outage, a restart without a disk, an eviction.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import anyio
from redis.asyncio.client import Pipeline

from runapi_mcp.generations.fleet.link import (
    APPEND,
    CLAIM,
    DELIVERED,
    RENEW,
    Down,
    Link,
    facts_key,
    name_of,
    same_key,
    server_key,
    tell_key,
    text_key,
)
from runapi_mcp.generations.fleet.records import Batch, Held, Step, Written, facts_of, next_steps
from runapi_mcp.generations.generation import Generation
from runapi_mcp.settings import Settings
from runapi_mcp.signalling import Signal

PACE: Final = 0.5
"""Seconds between two batches."""
ALIVE: Final = 9.0
"""Seconds after which a server that gave no sign of life is taken to be gone."""
SIGN: Final = 3.0
"""Seconds between two signs of life."""
MOST_FACTS: Final = 4_194_304
"""Characters of a question, its files included, that are shared with the other servers."""
_MOST_DELIVERED: Final = 10_000
_MOST_WRITES: Final = 40

AWAY: Final = "The store that the servers share cannot be reached: for now only this server knows the handle."
TOO_LARGE: Final = "What was sent with it is too large to be shared: only this server knows the handle."


class Publisher:
    """Keeps Redis up to date about the generations that this server runs.

    Args:
        kept: Whether this server still keeps an ended generation: what it does not is not written
            late either, so an outage makes nobody keep more.
    """

    def __init__(
        self,
        link: Link,
        settings: Settings,
        server: str,
        clock: Callable[[], float],
        kept: Callable[[Generation], bool],
    ) -> None:
        self._link = link
        self._settings = settings
        self._server = server
        self._clock = clock
        self._kept = kept
        self._held: dict[str, Held] = {}
        self._delivered: set[str] = set()
        self._news = False
        self._asked = Signal()
        self._turn = anyio.Lock()
        self._sign_due = 0.0

    def of(self, name: str) -> Generation | None:
        """Return the generation of this name, if it is this server's and not settled."""
        held = self._held.get(name)
        return held.generation if held else None

    async def begin(self, generation: Generation) -> None:
        """Write a generation that is about to start.

        Raises:
            Down: Redis cannot be reached; it will be written when it can.
        """
        if len(facts_of(generation)) > MOST_FACTS:
            generation.note = TOO_LARGE
            return
        name = name_of(generation.job.owner, generation.handle)
        self._held[name] = Held(generation, name)
        await self.flush()

    async def claim(self, generation: Generation, replaces: str) -> str:
        """Claim a question for a generation and return the handle that has it now.

        `replaces` is the handle that may lose it; "" is nobody's, "*" anybody's.

        Raises:
            Down: Redis cannot be reached.
        """
        key, ttl = same_key(generation.job.same_as), self._ms(self._settings.deadline)
        [winner] = await self._link.run(
            lambda pipe: pipe.eval(CLAIM, 1, key, replaces, generation.handle, ttl)
        )
        return str(winner)

    async def forget(self, generation: Generation) -> None:
        """Take back a generation that will not start.

        Raises:
            Down: Redis cannot be reached; what it has will expire.
        """
        name = name_of(generation.job.owner, generation.handle)
        if self._held.pop(name, None) is not None:
            await self._link.run(lambda pipe: pipe.delete(facts_key(name), text_key(name)))

    def hear(self, generation: Generation) -> None:
        """A generation has ended, or its answer was delivered: have that written at once."""
        name = name_of(generation.job.owner, generation.handle)
        if name not in self._held and generation.delivered:
            self._note_delivered(name)
        self._news = True
        self._asked.send()

    async def forever(self) -> None:
        """Write a batch whenever one is due."""
        while True:
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
            Down: Redis cannot be reached.
        """
        async with self._turn:
            try:
                await self._written()
            except Down:
                self._lost()
                raise

    async def leave(self) -> None:
        """Write the last of it, and take back the sign of life.

        Raises:
            Down: Redis cannot be reached.
        """
        await self.flush()
        await self._link.run(lambda pipe: pipe.delete(server_key(self._server), tell_key(self._server)))

    # ------------------------------------------------------------ one write

    async def _written(self) -> None:
        """Write as often as it takes, within bounds; what is left has its turn at the next pace."""
        self._link.check()
        await self._sign()
        waiting = deque(held for held in self._held.values() if held.due)
        for _ in range(_MOST_WRITES):
            if not waiting:
                return
            steps = next_steps(waiting)
            await self._write(steps)
            waiting.extend(held for held, _ in steps if held.unfinished and held.name in self._held)

    async def _sign(self) -> None:
        """Give a sign of life, if it is time, and say whose answers were delivered since."""
        signs, delivered = self._clock() >= self._sign_due, tuple(self._delivered)
        if not signs and not delivered:
            return

        def commands(pipe: Pipeline) -> None:
            pipe.set(server_key(self._server), "1", px=int(ALIVE * 1000))
            for name in delivered:
                pipe.eval(DELIVERED, 1, facts_key(name))

        await self._link.run(commands)
        self._delivered.difference_update(delivered)
        self._sign_due = self._clock() + SIGN

    async def _write(self, steps: list[Step]) -> None:
        def commands(pipe: Pipeline) -> None:
            for held, step in steps:
                if isinstance(step, str):
                    self._renew(pipe, held, step)
                else:
                    self._append(pipe, held, step)

        answers = await self._link.run(commands)
        for (held, step), done in zip(steps, answers, strict=True):
            self._note(held, step, done=done == 1)

    def _renew(self, pipe: Pipeline, held: Held, facts: str) -> None:
        held.epoch += 1
        ttl = self._ms(self._settings.deadline)
        keys = (facts_key(held.name), text_key(held.name))
        pipe.eval(RENEW, 2, *keys, self._server, ttl, held.epoch, facts)

    def _append(self, pipe: Pipeline, held: Held, batch: Batch) -> None:
        assert held.written is not None, "it is begun before anything is added"
        ttl = self._ms(0 if batch.final else self._settings.deadline)
        entries = [part for e in batch.entries for part in (e.round, e.text, e.thoughts)]
        keys = (facts_key(held.name), text_key(held.name))
        about = (batch.live, batch.final, int(batch.delivered))
        pipe.eval(APPEND, 2, *keys, self._server, ttl, held.epoch, held.written.entries, *about, *entries)

    def _note(self, held: Held, step: Batch | str, *, done: bool) -> None:
        """Note how one write went."""
        if not done:
            held.written = None
        elif isinstance(step, str) or held.written is None:
            held.written = Written()
        else:
            held.written = held.written.after(step)
            held.generation.note = ""
            if step.final:
                self._settled(held, step)

    def _settled(self, held: Held, last: Batch) -> None:
        """Redis has all of it; only that it is delivered may still be to come."""
        self._held.pop(held.name, None)
        if held.generation.delivered and not last.delivered:
            self._note_delivered(held.name)

    def _note_delivered(self, name: str) -> None:
        # Beyond that many, the same question may be given the same answer again.
        if len(self._delivered) < _MOST_DELIVERED:
            self._delivered.add(name)

    def _lost(self) -> None:
        """Redis is away: whatever was being written has to be written anew, if it is still kept then."""
        self._sign_due = 0.0
        for held in list(self._held.values()):
            held.written = None
            held.generation.note = AWAY
            if held.generation.done.is_set() and not self._kept(held.generation):
                del self._held[held.name]

    def _ms(self, seconds: float) -> int:
        return int((seconds + self._settings.keep_seconds) * 1000)
