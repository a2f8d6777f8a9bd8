"""The connection to Redis, the names of what is kept there, and what it does in one step (Lua).

No call takes longer than a second, and an outage costs almost nothing. No name holds a key of RunAPI,
or a principal.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import anyio
from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

PREFIX: Final = "runapi-mcp:1:"


def digest(*parts: str) -> str:
    """Return a name that only who knows all parts can make, and that tells none of them."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode("utf-8", "surrogatepass")).hexdigest()


def name_of(owner: str, handle: str) -> str:
    """Return the name under which Redis has a generation; who lacks the owner or handle cannot make it."""
    return digest(owner, handle)


def facts_key(name: str) -> str:
    """Return where a generation's facts are."""
    return f"{PREFIX}g:{name}"


def text_key(name: str) -> str:
    """Return where a generation's text is."""
    return f"{PREFIX}t:{name}"


def same_key(same_as: str) -> str:
    """Return where the handle of a question's generation is."""
    return f"{PREFIX}same:{same_as}"


def server_key(server: str) -> str:
    """Return where a server's sign of life is."""
    return f"{PREFIX}server:{server}"


def tell_key(server: str) -> str:
    """Return where a server is told things."""
    return f"{PREFIX}tell:{server}"


def pace_key(name: str) -> str:
    """Return where a wait is noted."""
    return f"{PREFIX}pace:{name}"


def taken_key(day: str, kind: str, name: str) -> str:
    """Return where it is counted what a principal has taken of a day's limit."""
    return f"{PREFIX}taken:{day}:{kind}:{name}"


def calls_key(name: str) -> str:
    """Return where a principal's running generations are."""
    return f"{PREFIX}calls:{name}"


RENEW: Final = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'server', ARGV[1], 'epoch', ARGV[3], 'facts', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
"""Begin a generation, or begin it anew. Facts, text; server, milliseconds to keep, epoch, facts."""

APPEND: Final = """
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
"""Write a batch, unless what is held is not what its server thinks: 0 says so.

Facts, text; server, milliseconds to keep, epoch, entries so far, live, final, delivered, and three
values an entry.
"""

DELIVERED: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'delivered', '1') end
return 1
"""
"""Note that an answer was delivered, if it is still there. Facts."""

CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and ARGV[1] ~= '*' then return held end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]
"""
"""Claim a question and return who has it. Question; who may lose it, the handle, milliseconds to keep."""

LONGER: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 1
"""
"""Note a wait, unless a longer one is noted. Wait; milliseconds."""

TAKE: Final = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
local turn = held and tonumber(string.match(held, '%d+$')) or -1
if tonumber(ARGV[3]) <= turn then return -2 end
local others = 0
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  if counts[i] ~= ARGV[1] then others = others + tonumber(string.match(counts[i + 1], '^%d+')) end
end
local limit = tonumber(ARGV[4])
if limit >= 0 and ARGV[6] == '1' and not held then return -3 end
if limit >= 0 and others + tonumber(ARGV[2]) > limit then return others end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return -1
"""
"""Write what one server has taken of a day, if that and the others' is within the limit (-1: none).

It is written whole and in turn, so that writing it again does no harm, and late writing none either.
Returns -1 if it is written, -2 if it came late, -3 if what it wrote before is lost, and else what the
others have taken. Counts; server, its count, its turn, limit, milliseconds to keep, whether it wrote before.
"""

PLACE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local taken = redis.call('ZCARD', KEYS[1])
local most = tonumber(ARGV[3])
if most > 0 and taken >= most and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return taken end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
"""
"""Take a place or keep it, or return how many are taken, where none is left.

Places; generation, milliseconds until it lapses, most that may be taken (0: any number).
"""


logger = logging.getLogger(__name__)
T = TypeVar("T")

CALL_SECONDS: Final = 1.0
"""The longest that any call may take."""
_PAUSE: Final = 1.0
_CONNECTIONS: Final = 32


class Down(Exception):
    """Redis did not answer, or not in time. Never leaves this folder."""


class Link:
    """One process's connections to Redis.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user and password if need be.
        clock: Seconds that only go forward.
    """

    def __init__(self, url: SecretStr, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._down_until = 0.0
        self._lost_at: float | None = None
        self.outages = 0
        """How often it was lost so far."""
        self._pool = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=_CONNECTIONS,
            timeout=0.5,
            socket_connect_timeout=0.5,
            socket_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            # An answer may hold half a surrogate pair, which JSON can carry and UTF-8 cannot.
            encoding_errors="surrogatepass",
        )
        self._redis = Redis(connection_pool=self._pool)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
        await self._pool.disconnect()

    @property
    def up(self) -> bool:
        """Whether the last call got through."""
        return self._lost_at is None

    @property
    def away(self) -> float:
        """For how many seconds no call got through; 0 if the last one did."""
        # Never 0 while it is away, however coarse the clock is.
        return 0.0 if self._lost_at is None else max(self._clock() - self._lost_at, 0.001)

    def check(self) -> None:
        """Do nothing, unless Redis failed less than a second ago.

        Raises:
            Down: It did. Whoever has work to prepare can ask before.
        """
        if self._clock() < self._down_until:
            raise Down

    async def run(self, commands: Callable[[Pipeline], object], *, atomic: bool = False) -> list[Any]:
        """Run the commands that `commands` puts into a pipeline, and return their answers.

        Raises:
            Down: Redis cannot be reached, or would not do it.
        """
        self.check()

        async def piped() -> list[Any]:
            async with self._redis.pipeline(transaction=atomic) as pipe:
                commands(pipe)
                return await pipe.execute()

        return await self._timed(piped)

    async def pop(self, key: str) -> str | None:
        """Wait up to half a second for the first item of a list, and take it.

        Raises:
            Down: Redis cannot be reached.
        """

        async def taken() -> list[Any] | None:
            # Not blpop(): its types are those of redis-py's two clients at once.
            answer = await self._redis.execute_command("BLPOP", key, CALL_SECONDS / 2)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            return cast("list[Any] | None", answer)

        item = await self._timed(taken)
        return None if item is None else str(item[1])

    async def _timed(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            with anyio.fail_after(CALL_SECONDS):
                answer = await call()
        except (RedisError, OSError, TimeoutError) as error:
            self._lost(error)
            raise Down from None
        if self._lost_at is not None:
            logger.warning("Redis is back.")
        self._lost_at, self._down_until = None, 0.0
        return answer

    def _lost(self, error: Exception) -> None:
        if self._lost_at is None:
            self._lost_at = self._clock()
            self.outages += 1
            # The class alone: a message may hold the address, and with it a password.
            logger.warning("Redis cannot be reached (%s); generations are local only.", type(error).__name__)
        self._down_until = self._clock() + _PAUSE
