"""The connection to Redis: no call takes longer than a second, and an outage costs almost nothing.

After a failure everybody is told at once for a second that Redis is away; then one call tries again.
"""

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
        self._up = True
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
        return self._up

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
        if not self._up:
            logger.warning("Redis is back.")
        self._up, self._down_until = True, 0.0
        return answer

    def _lost(self, error: Exception) -> None:
        if self._up:
            # The class alone: a message may hold the address, and with it a password.
            logger.warning("Redis cannot be reached (%s); generations are local only.", type(error).__name__)
        self._up = False
        self._down_until = self._clock() + _PAUSE
