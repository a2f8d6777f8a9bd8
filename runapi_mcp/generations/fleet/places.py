"""How many generations of a principal run on all servers together: each has a place under a lease.

A server renews the leases of its own; those of a server that was killed lapse. While Redis is away
each server counts its own alone, and writes them anew when it is back.
"""

from contextlib import suppress
from typing import Final

import anyio
from redis.asyncio.client import Pipeline

from runapi_mcp.errors import TooManyCalls
from runapi_mcp.generations.fleet.keys import calls_key, digest
from runapi_mcp.generations.fleet.link import Down, Link
from runapi_mcp.generations.fleet.scripts import PLACE
from runapi_mcp.signalling import Signal

LEASE: Final = 9.0
"""Seconds after which a place is free again that nobody renews."""
_TRIES: Final = 5
_PAUSE: Final = 0.1


class Places:
    """The places of this server's generations among those of all.

    Args:
        link: The way to Redis.
        most: How many places each principal has; 0 is any number, and then nothing is counted.
        lease: Seconds for which a place is held at a time.
    """

    def __init__(self, link: Link, most: int, lease: float = LEASE) -> None:
        self._link = link
        self._most = most
        self._lease = lease
        self._taken: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._freed = Signal()

    async def take(self, owner: str, name: str) -> None:
        """Take a place for the generation of a name.

        Raises:
            TooManyCalls: `owner` has no place left.
            Down: Redis cannot be reached; the place is taken as soon as it can.
        """
        if not self._most:
            return
        key, running = calls_key(digest(owner)), 0
        for _ in range(_TRIES):
            try:
                [running] = await self._link.run(lambda pipe: self._place(pipe, key, name, self._most))
            except Down:
                self._taken[name] = key
                raise
            if not running:
                self._taken[name] = key
                return
            # A server may be about to write that one has ended, whose answer is here already.
            await anyio.sleep(_PAUSE)
        raise TooManyCalls(
            f"{running} of your calls run on the servers of this fleet, as many as each caller may have."
        )

    def leave(self, owner: str, name: str) -> None:
        """Give a place back, be it taken or only asked for; the others know it at once."""
        if self._most:
            self._taken.pop(name, None)
            self._left[name] = calls_key(digest(owner))
            self._freed.send()

    async def forever(self) -> None:
        """Renew the leases, and write at once which places are free."""
        while True:
            with anyio.move_on_after(self._lease / 3):
                await self._freed.until(lambda: bool(self._left))
            with suppress(Down):
                await self.write()

    async def write(self) -> None:
        """Write which places are free and which are still taken.

        Raises:
            Down: Redis cannot be reached.
        """
        left = tuple(self._left.items())
        if not left and not self._taken:
            return

        def commands(pipe: Pipeline) -> None:
            for name, key in left:
                pipe.zrem(key, name)
            for name, key in self._taken.items():
                self._place(pipe, key, name, 0)

        try:
            await self._link.run(commands)
        except Down:
            self._left.clear()  # they lapse
            raise
        for name, _ in left:
            del self._left[name]

    def _place(self, pipe: Pipeline, key: str, name: str, most: int) -> None:
        pipe.eval(PLACE, 1, key, name, int(self._lease * 1000), most)
