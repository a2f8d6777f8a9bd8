"""The server's own key where finding it takes a while, as in a keyring that asks to be unlocked."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import anyio
from pydantic import SecretStr

from runapi_mcp.errors import KeyMissing, KeyringFailed
from runapi_mcp.progress import HEARTBEAT

OwnKey: TypeAlias = Callable[[], Awaitable[SecretStr | KeyMissing]]
"""Finds the key; returns why, if there is none."""
Say: TypeAlias = Callable[[str], Awaitable[None]]
"""Reports a line of progress."""

_LEAST: Final = 3.0
"""Seconds that a keyring is given however short the hold window is; it answers in far less by itself."""
_PROMPT: Final = 1.0
"""Seconds after which a keyring is waiting for a person."""


async def found(own_key: OwnKey, seconds: float, say: Say) -> SecretStr:
    """Return the key, and say that it takes a while if it does.

    Raises:
        KeyMissing: There is none.
        KeyringFailed: It was not found within `seconds`.
    """
    answer: SecretStr | KeyMissing = KeyringFailed(
        "The keyring has not answered yet; it may be asking to be unlocked.",
        advice="Unlock it, then call again.",
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_tell, say)
        with anyio.move_on_after(max(seconds, _LEAST)):
            answer = await own_key()
        tasks.cancel_scope.cancel()
    if isinstance(answer, KeyMissing):
        # Anew: several calls may have been told the same.
        raise type(answer)(answer.what, advice=answer.advice)
    return answer


async def _tell(say: Say) -> None:
    await anyio.sleep(_PROMPT)
    while True:
        await say("waiting for the keyring, which may be asking to be unlocked")
        await anyio.sleep(HEARTBEAT)
