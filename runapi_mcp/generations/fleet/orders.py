"""What a server tells another about one of its generations: one format, to tell it and to obey it."""

import logging
from collections.abc import Callable
from typing import Final, Literal

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio.client import Pipeline

from runapi_mcp.generations.fleet.keys import tell_key
from runapi_mcp.generations.fleet.link import Down, Link

logger = logging.getLogger(__name__)

_TOLD_MS: Final = 60_000
_AWAY_SECONDS: Final = 0.5


class Order(BaseModel):
    """What is to be done with the generation of a name.

    Attributes:
        do: `stop` it, or `keep` it though nobody here follows it; or know that its answer was `delivered`.
        name: What :func:`name_of` gave it.
    """

    model_config = ConfigDict(frozen=True)

    do: Literal["stop", "keep", "delivered"]
    name: str


async def tell(link: Link, server: str, order: Order) -> None:
    """Tell a server; it hears it within moments, if it lives.

    Raises:
        Down: Redis cannot be reached.
    """
    key = tell_key(server)

    def commands(pipe: Pipeline) -> None:
        pipe.rpush(key, order.model_dump_json())
        pipe.pexpire(key, _TOLD_MS)

    await link.run(commands, atomic=True)


async def listen(link: Link, server: str, obey: Callable[[Order], None]) -> None:
    """Have `obey` called with whatever `server` is told, until cancelled.

    What is no order is ignored; the log says so once, for whoever writes such things may write many.
    """
    log = logger.warning
    while True:
        try:
            said = await link.pop(tell_key(server))
            order = None if said is None else Order.model_validate_json(said)
        except Down:
            await anyio.sleep(_AWAY_SECONDS)
        except (ValidationError, UnicodeError):
            # Not what it says: it may hold anything.
            log("What is no order was found among those to this server, and ignored.")
            log = logger.debug
        else:
            if order is not None:
                obey(order)
