"""A small process beside this one: asked one thing over its pipes, and gone whatever happens."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process

_BROKEN_PIPES: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError)


@asynccontextmanager
async def beside(script: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run a script with this Python for as long as the block lasts; nothing of it is left afterwards.

    Raises:
        OSError, NotImplementedError: No process can be started; the latter where an event loop knows none.
    """
    process = await anyio.open_process(
        [sys.executable, "-P", str(script)],
        env=env,
        stderr=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
            await process.aclose()


async def talk(process: Process, request: Mapping[str, object], written: bytearray, most: int) -> None:
    """Ask, and take down what it answers, until it has said all or more than `most` bytes.

    Its stdin stays open, because such a process leaves when that is closed.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(*_BROKEN_PIPES):
        await process.stdin.send(json.dumps(request).encode() + b"\n")
        async for piece in process.stdout:
            written += piece
            if len(written) > most:
                return
