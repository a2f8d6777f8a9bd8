"""Writes this server's generations to Redis: in batches, at the pace of progress, never per chunk.

What Redis holds is checked at each write, and written anew from the start when it is not what it
should be: after an outage, a restart without a disk, an eviction.
"""

from collections.abc import Callable
from typing import Final

import anyio
from redis.asyncio.client import Pipeline

from runapi_mcp.generations.fleet.batches import Batch, Held, facts_of
from runapi_mcp.generations.fleet.keys import digest, facts_key, same_key, server_key, tell_key, text_key
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.generations.generation import Generation
from runapi_mcp.settings import Settings

PACE: Final = 0.5
"""Seconds between two batches."""
ALIVE: Final = 9.0
"""Seconds after which a server that gave no sign of life is taken to be gone."""
MOST_FACTS: Final = 4_194_304
"""Characters of a question, its files included, that are shared with the other servers."""
_SIGN: Final = 3.0
_MOST_AT_ONCE: Final = 200
_MOST_ROUNDS: Final = 40

AWAY: Final = "The store that the servers share cannot be reached: for now only this server knows the handle."
TOO_LARGE: Final = "What was sent with it is too large to be shared: only this server knows the handle."

_RENEW: Final = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'server', ARGV[1], 'epoch', ARGV[3], 'facts', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
_APPEND: Final = """
local held = redis.call('HMGET', KEYS[1], 'server', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[3] then return 0 end
if redis.call('XLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'live', ARGV[5], 'final', ARGV[6])
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'delivered', '1') end
for i = 8, #ARGV, 3 do
  redis.call('XADD', KEYS[2], '*', 'round', ARGV[i], 'text', ARGV[i + 1], 'thoughts', ARGV[i + 2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""
DELIVERED: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'delivered', '1') end
return 1
"""
_CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and ARGV[1] ~= '*' then return held end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]
"""


def name_of(owner: str, handle: str) -> str:
    """Return the name under which Redis has a generation; who lacks the owner or handle cannot make it."""
    return digest(owner, handle)


class Publisher:
    """Keeps Redis up to date about the generations that this server runs."""

    def __init__(self, link: Link, settings: Settings, server: str, clock: Callable[[], float]) -> None:
        self._link = link
        self._settings = settings
        self._server = server
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._delivered: set[str] = set()
        self._asked = anyio.Event()
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
        facts = facts_of(generation)
        if len(facts) > MOST_FACTS:
            generation.note = TOO_LARGE
            return
        name = name_of(generation.job.owner, generation.handle)
        generation.shared = self._heard
        self._held[name] = Held(generation, name, facts)
        await self.flush()

    async def claim(self, generation: Generation, replaces: str) -> str:
        """Claim a question for a generation and return the handle that has it now.

        `replaces` is the handle that may lose it; "" is nobody's, "*" anybody's.

        Raises:
            Down: Redis cannot be reached.
        """
        key, ttl = same_key(generation.job.same_as), self._ms(self._settings.deadline)
        [winner] = await self._link.run(
            lambda pipe: pipe.eval(_CLAIM, 1, key, replaces, generation.handle, ttl)
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

    async def forever(self) -> None:
        """Write a batch whenever one is due."""
        while True:
            with anyio.move_on_after(PACE):
                await self._asked.wait()
            self._asked = anyio.Event()
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
                for _ in range(_MOST_ROUNDS):
                    if not await self._written():
                        return
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

    def _heard(self, generation: Generation) -> None:
        """A generation has ended, or its answer was delivered: that is to be written at once."""
        name = name_of(generation.job.owner, generation.handle)
        if name not in self._held and generation.delivered:
            self._delivered.add(name)
        self._asked.set()

    # ------------------------------------------------------------ one write

    async def _written(self) -> bool:
        """Write a batch of each generation that has news; return whether there is more to write."""
        due = [held for held in self._held.values() if held.due][:_MOST_AT_ONCE]
        signs, delivered = self._clock() >= self._sign_due, tuple(self._delivered)
        if not due and not signs and not delivered:
            return False
        steps = [(held, held.batch() if held.begun else None) for held in due]

        def commands(pipe: Pipeline) -> None:
            for held, batch in steps:
                if batch is None:
                    self._renew(pipe, held)
                else:
                    self._append(pipe, held, batch)
            if signs:
                pipe.set(server_key(self._server), "1", px=int(ALIVE * 1000))
            for name in delivered:
                pipe.eval(DELIVERED, 1, facts_key(name))

        answers = await self._link.run(commands)
        self._delivered.difference_update(delivered)
        if signs:
            self._sign_due = self._clock() + _SIGN
        for (held, batch), done in zip(steps, answers, strict=False):
            self._note(held, batch, done=done == 1)
        return any(held.more or not held.said for held, _ in steps)

    def _renew(self, pipe: Pipeline, held: Held) -> None:
        held.epoch += 1
        ttl = self._ms(self._settings.deadline)
        keys = (facts_key(held.name), text_key(held.name))
        pipe.eval(_RENEW, 2, *keys, self._server, ttl, held.epoch, held.facts)

    def _append(self, pipe: Pipeline, held: Held, batch: Batch) -> None:
        ttl = self._ms(0 if batch.final else self._settings.deadline)
        entries = [part for e in batch.entries for part in (e.round, e.text, e.thoughts)]
        keys = (facts_key(held.name), text_key(held.name))
        about = (batch.live, batch.final, int(batch.delivered))
        pipe.eval(_APPEND, 2, *keys, self._server, ttl, held.epoch, held.entries, *about, *entries)

    def _note(self, held: Held, batch: Batch | None, *, done: bool) -> None:
        """Note how one write went."""
        if not done:
            held.lose()
        elif batch is None:
            held.begun = True
        else:
            held.wrote(batch)
            held.generation.note = ""
        if held.final:
            self._held.pop(held.name, None)
            if held.generation.delivered and not held.delivered:
                self._delivered.add(held.name)

    def _lost(self) -> None:
        """Redis is away: whatever was being written has to be written anew."""
        self._sign_due = 0.0
        for held in list(self._held.values()):
            held.lose()
            held.generation.note = AWAY
            ended = held.generation.ended_at
            if ended is not None and self._clock() - ended > self._settings.keep_seconds:
                del self._held[held.name]

    def _ms(self, seconds: float) -> int:
        return int((seconds + self._settings.keep_seconds) * 1000)
