"""One question to the helper: start it, ask, and have an answer or a reason within a bounded time."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process

_HELPER: Final = Path(__file__).with_name("helper.py")
_USERS: Final = Path("/run/user")
_LEAVING: Final = 2.0
_MOST_BYTES: Final = 65_536
_BROKEN_PIPES: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError)


async def asked(request: Mapping[str, str], env: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Return the helper's answer, or `{"failed": "slow"}` when `seconds` are over and it has been ended.

    See :func:`runapi_mcp.keychain.helper.answered`.
    """
    try:
        process = await anyio.open_process(
            [sys.executable, "-P", str(_HELPER)],
            env=with_session_bus(env),
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        return {"failed": "broken", "with": error.strerror or type(error).__name__}
    try:
        with anyio.move_on_after(seconds):
            written = await _talk(process, request)
            await _left(process)
            return _answer(written)
        return {"failed": "slow"}
    finally:
        await _ended(process)


async def _talk(process: Process, request: Mapping[str, str]) -> bytes:
    """Return what the helper writes; its stdin stays open, because it leaves when that is closed."""
    assert process.stdin is not None
    assert process.stdout is not None
    written = bytearray()
    with suppress(*_BROKEN_PIPES):
        await process.stdin.send(json.dumps(request).encode() + b"\n")
        async for piece in process.stdout:
            written += piece
            if len(written) > _MOST_BYTES:
                break
    return bytes(written)


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


async def _ended(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        await process.aclose()


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
