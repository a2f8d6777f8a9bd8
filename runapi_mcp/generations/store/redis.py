"""Redis (or Valkey) as the engine of a fleet: one primary, not a cluster.

No call takes longer than a second, and one more where it waits for a connection of its process; an outage
costs almost nothing. Names hold neither a key of RunAPI nor a principal; questions and answers are there
until they expire.
"""

import math
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, Final, TypeVar, cast

import anyio
from pydantic import SecretStr
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError

from runapi_mcp.generations.store import engine as do
from runapi_mcp.generations.store.engine import LENIENT, READS, Down, Engine, Op

PREFIX: Final = "runapi-mcp:2:"

_BEGIN: Final = """
if (tonumber(redis.pcall('HGET', KEYS[1], 'epoch')) or 0) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'server', ARGV[1], 'epoch', ARGV[2], 'facts', ARGV[3], 'live', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""
"""Facts, text; server, epoch, facts, live, milliseconds to keep.

What was given up may still arrive, long after what was written instead (redisson/redisson#1129): the network
held it back, and closing a connection does not take back what is on its way.
"""

_APPEND: Final = """
local held = redis.call('HMGET', KEYS[1], 'server', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[3] then return 0 end
if redis.call('XLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return 0 end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'live', ARGV[5]) end
for i = 6, #ARGV, 3 do
  redis.call('XADD', KEYS[2], '*', 'round', ARGV[i], 'text', ARGV[i + 1], 'thoughts', ARGV[i + 2])
end
redis.call('HSET', KEYS[1], 'entries', redis.call('XLEN', KEYS[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""
"""Facts, text; server, milliseconds to keep, epoch, entries so far, live, three values an entry."""

_HOLD: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and ARGV[3] ~= '*' and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
"""Lease; holder, milliseconds, who may lose it."""

_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held, limit, others = nil, tonumber(ARGV[4]), 0
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  local count, turn, till = string.match(counts[i + 1], '^(%d+) (%d+) (%d+)$')
  if not till or tonumber(till) <= now then redis.call('HDEL', KEYS[1], counts[i])
  elseif counts[i] == ARGV[1] then held = tonumber(turn)
  else others = others + tonumber(count) end
end
if held and tonumber(ARGV[3]) <= held then return false end
if limit >= 0 and ARGV[6] == '1' and not held then return -1 end
if limit >= 0 and others + tonumber(ARGV[2]) > limit then return others end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %s %d', ARGV[2], ARGV[3], now + ARGV[5]))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return false
"""
"""Counts; field, count, turn, limit, milliseconds, whether it is there.

By Redis's own clock, for those of its clients may differ.
"""

_ADD: Final = """
if (tonumber(redis.call('GET', KEYS[2])) or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
for i = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""Counts, what its server added last; turn, milliseconds to know that, and to keep; two values a field."""

CALL_SECONDS: Final = 1.0
"""The longest that any call may take."""
AWAY: Final = "The store that the servers share cannot be reached: for now only this server knows the handle."
_PAUSE: Final = 1.0
_CONNECTIONS: Final = 32
_ENTRIES: Final = 16
_TOLD_MS: Final = 60_000
_FIELDS: Final = ("server", "epoch", "live", "entries", "facts")

T = TypeVar("T")


class RedisEngine(Engine):
    """One process's connections to Redis; see :class:`~runapi_mcp.generations.store.engine.Engine`.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user and password if need be.
        clock: Seconds that only go forward.
        keep_seconds: How long what has ended is kept.

    Raises:
        ValueError: The URL has an option that redis-py does not know, or no value of one.
    """

    title = "Redis"
    place = "the servers of this fleet"
    note = AWAY
    patience = math.inf
    pushes = True

    def __init__(self, url: SecretStr, clock: Callable[[], float], keep_seconds: float = 3600.0) -> None:
        super().__init__(clock, keep_seconds)
        self._pool = ConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=_CONNECTIONS,
            socket_connect_timeout=0.5,
            socket_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            encoding_errors=LENIENT,
        )
        try:
            self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        except (TypeError, AttributeError, RedisError):
            raise ValueError("not an option of a connection") from None
        if (half := self._pool.max_connections // 2) < 1:
            raise ValueError("too few connections")
        # A sign of life does not wait behind the looks of all who follow.
        self._free = {wrote: anyio.Semaphore(half, fast_acquire=True) for wrote in (False, True)}
        self._redis = Redis(connection_pool=self._pool)

    async def run(self, *ops: Op) -> list[Any]:
        """Do all of it in one transaction; see :meth:`Engine.run`."""

        async def piped() -> list[Any]:
            async with self._redis.pipeline() as pipe:
                parts: list[tuple[int, Callable[[list[Any]], Any]]] = []
                for op in ops:
                    before = len(pipe)
                    read = _queue(pipe, op)
                    parts.append((len(pipe) - before, read))
                said = iter(await pipe.execute())
            return [read([*islice(said, count)]) for count, read in parts]

        return await self._in_time(piped, wrote=not all(isinstance(op, READS) for op in ops))

    async def orders(self) -> list[str]:
        """Wait up to half a second for an order, and take it; see :meth:`Engine.orders`."""

        async def taken() -> list[Any] | None:
            # Not blpop(): its types are those of redis-py's two clients at once.
            key, wait = f"{PREFIX}tell:{self.server}", CALL_SECONDS / 2
            answer = await self._redis.execute_command("BLPOP", key, wait)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            return cast("list[Any] | None", answer)

        item = await self._in_time(taken, wrote=False)
        return [] if item is None else [str(item[1])]

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
        await self._pool.disconnect()

    async def _in_time(self, call: Callable[[], Awaitable[T]], *, wrote: bool) -> T:
        free = self._free[wrote]
        try:
            with anyio.fail_after(CALL_SECONDS):
                await free.acquire()
        except TimeoutError:  # it was held up by other calls of this process: that is no outage
            raise Down(self.note) from None
        try:
            self._check()
            try:
                with anyio.fail_after(CALL_SECONDS):
                    answer = await call()
            except (RedisError, OSError, TimeoutError, RecursionError, ValueError) as error:
                # The last two are redis-py's word on what no Redis writes: a port may be another's by now.
                if isinstance(error, ReadOnlyError) or "READONLY" in str(error):  # the latter from a script
                    # A primary that became a replica keeps its connections: a new one leads to the other.
                    await self._pool.disconnect(inuse_connections=False)
                # The class alone: a message may hold the address, and with it a password.
                raise self._note_failure(_PAUSE, type(error).__name__, wrote=wrote) from None
            self._note_answer(wrote=wrote)
            return answer
        finally:
            free.release()


def _queue(pipe: Pipeline, op: Op) -> Callable[[list[Any]], Any]:  # one case an operation
    """Put the commands of an operation into a pipeline; return how their answers are read."""
    match op:
        case do.Begin():
            stands = (op.server, op.epoch, op.facts, op.live, op.ms)
            pipe.eval(_BEGIN, 2, f"{PREFIX}g:{op.name}", f"{PREFIX}t:{op.name}", *stands)
            return lambda said: said[0] == 1
        case do.Append():
            entries = [part for entry in op.entries for part in (entry.round, entry.text, entry.thoughts)]
            held = (op.server, op.ms, op.epoch, op.at, op.live)
            pipe.eval(_APPEND, 2, f"{PREFIX}g:{op.name}", f"{PREFIX}t:{op.name}", *held, *entries)
            return lambda said: said[0] == 1
        case do.Read():
            pipe.hmget(f"{PREFIX}g:{op.name}", list(_FIELDS if op.facts else _FIELDS[:-1]))
            pipe.exists(f"{PREFIX}d:{op.name}")
            pipe.xlen(f"{PREFIX}t:{op.name}")
            pipe.xrange(f"{PREFIX}t:{op.name}", min=op.cursor or "-", count=_ENTRIES)
            return _record
        case do.Deliver():
            pipe.set(f"{PREFIX}d:{op.name}", "1", px=op.ms)
        case do.Forget():
            pipe.delete(f"{PREFIX}g:{op.name}", f"{PREFIX}t:{op.name}")
        case do.Hold():
            pipe.eval(_HOLD, 1, PREFIX + op.key, op.holder, op.ms, op.replaces)
            return lambda said: str(said[0])
        case do.Held():
            pipe.get(PREFIX + op.key)
            pipe.pttl(PREFIX + op.key)
            return lambda said: None if said[0] is None else (said[0], max(int(said[1]), 0))
        case do.Add():
            added = [part for item in op.counts.items() for part in item]
            marks = (PREFIX + op.key, f"{PREFIX}added:{op.server}")
            pipe.eval(_ADD, 2, *marks, op.turn, do.ADDED_MS, op.ms, *added)
        case do.Take():
            given = (op.field, op.count, op.turn, op.limit, op.ms, int(op.there))
            pipe.eval(_TAKE, 1, PREFIX + op.key, *given)
            return lambda said: said[0] if said[0] is None else int(said[0])
        case do.Get():
            pipe.hgetall(PREFIX + op.key)
            return lambda said: said[0]
        case do.Sign():
            pipe.set(f"{PREFIX}server:{op.server}", "1", px=op.ms)
        case do.Alive():
            pipe.exists(f"{PREFIX}server:{op.server}")
            return lambda said: bool(said[0])
        case do.Tell():
            pipe.rpush(f"{PREFIX}tell:{op.server}", f"{op.order} {op.name}")
            pipe.pexpire(f"{PREFIX}tell:{op.server}", _TOLD_MS)
    return lambda _said: None


def _record(said: list[Any]) -> do.Record | None:
    [server, epoch, live, held, *facts], delivered, length, found = said
    # A text without its beginning is none: Redis may evict all of a stream, and others may trim it.
    if server is None or live is None or int(held or length) != length:
        return None
    entries = [(_after(number), _entry(fields)) for number, fields in found]
    kept, more = facts[0] if facts else "", len(entries) == _ENTRIES
    return do.Record(server, epoch, kept, live, bool(delivered), entries, more)


def _entry(fields: dict[str, str]) -> do.Entry:
    """Return an entry.

    Raises:
        ValueError: It is not what this version writes.
    """
    try:
        return do.Entry(int(fields["round"]), fields["text"], fields["thoughts"])
    except KeyError:
        raise ValueError("no entry") from None


def _after(number: str) -> str:
    """Return the number that the next entry has at least; "(" would do it too, but not in Redis 6.0."""
    milliseconds, _, count = number.partition("-")
    return f"{milliseconds}-{int(count) + 1}"
