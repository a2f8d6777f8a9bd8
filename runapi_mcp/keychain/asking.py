"""One question to the helper: start it, ask, and have an answer or a reason within a bounded time."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process

from runapi_mcp.subprocess import beside, talk

_HELPER: Final = Path(__file__).with_name("helper.py")
_USERS: Final = Path("/run/user")
_LEAVING: Final = 2.0
_MOST_BYTES: Final = 65_536


async def asked(request: Mapping[str, str], env: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Return the helper's answer, or `{"failed": "slow"}` when `seconds` are over and it has been ended.

    See :func:`runapi_mcp.keychain.helper.answered`.
    """
    written = bytearray()
    try:
        async with beside(_HELPER, with_session_bus(env)) as process:
            with anyio.move_on_after(seconds):
                await talk(process, request, written, _MOST_BYTES)
                await _left(process)
                return _answer(bytes(written))
        return {"failed": "slow"}
    except (OSError, NotImplementedError) as error:
        return {"failed": "broken", "with": getattr(error, "strerror", None) or type(error).__name__}


def _answer(written: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(written)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"failed": "broken", "with": "no answer"}


async def _left(process: Process) -> None:
    """Give a helper that has said its all a moment to leave by itself.

    To kill a process that is just leaving is to wait for it twice, and asyncio then complains on stderr of
    a child it does not know.
    """
    with anyio.move_on_after(_LEAVING):
        await process.wait()


def with_session_bus(env: Mapping[str, str], users: Path = _USERS) -> dict[str, str]:
    """Return the environment with the way to the session's D-Bus, behind which Linux has its keyrings.

    Hosts that hand on few variables leave it out; systemd has the socket at one place for every user, and
    other D-Bus libraries than the one `keyring` uses look there by themselves.
    """
    if sys.platform == "linux" and "DBUS_SESSION_BUS_ADDRESS" not in env:
        bus = users / str(os.getuid()) / "bus"
        if bus.is_socket():
            return {**env, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
    return dict(env)
