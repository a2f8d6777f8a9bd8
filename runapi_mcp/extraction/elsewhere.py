"""A check in a process of its own, which is ended when it takes too long or nobody wants it any more.

A thread would not do: `re` keeps Python's lock until it is through, whatever else has to go on.
"""

import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio.lowlevel import RunVar

from runapi_mcp.subprocess import beside, talk
from runapi_mcp.wire.types import JsonObject

SECONDS = 8.0
"""How long a check may take, the start of its process apart."""

_HELPER: Final = Path(__file__).with_name("helper.py")
_START_SECONDS: Final = 20.0
_ROOM_SECONDS: Final = 30.0
_MOST_AT_ONCE: Final = 4
_MOST_BYTES: Final = 64 << 20
_MOST_MEMORY: Final = 1 << 30
_TOO_LONG: Final = "it took more than {seconds:g} s and was stopped"
_WHYS: Final = {
    None: _TOO_LONG,
    1: _TOO_LONG,
    -getattr(signal, "SIGALRM", 14): _TOO_LONG,
    3: "it took more memory than a check may",
}
"""What the codes mean with which the helper ends (see there), or does not."""

_ROOM: RunVar[anyio.CapacityLimiter] = RunVar("room for checks")


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a check.

    Attributes:
        answers: What it answered, in order; the last is the whole answer if it came to an end.
        why: Why it did not; empty if it did.
    """

    answers: tuple[JsonObject, ...] = ()
    why: str = ""


async def found_elsewhere(request: JsonObject) -> Found:
    """Return what the helper answers; see :func:`runapi_mcp.extraction.helper.answers`.

    However it ends, its process is gone.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return Found(why="this installation has no Python of its own to check it with")
    room = _room()
    with anyio.move_on_after(_ROOM_SECONDS) as waiting:
        await room.acquire()
    if waiting.cancelled_caught:
        return Found(why="too many checks were waiting")
    try:
        return await _asked({**request, "path": [*sys.path], "seconds": SECONDS, "memory": _MOST_MEMORY})
    finally:
        room.release()


def _room() -> anyio.CapacityLimiter:
    try:
        return _ROOM.get()
    except LookupError:
        room = anyio.CapacityLimiter(_MOST_AT_ONCE)
        _ROOM.set(room)
        return room


async def _asked(request: JsonObject) -> Found:
    written = bytearray()
    try:
        async with beside(_HELPER) as process:
            with anyio.move_on_after(_START_SECONDS + SECONDS):
                await talk(process, request, written, _MOST_BYTES)
                if len(written) > _MOST_BYTES:
                    process.kill()
                await process.wait()
            return _found(bytes(written), process.returncode)
    except (OSError, NotImplementedError):
        return Found(why="no process could be started to check it with")


def _found(written: bytes, code: int | None) -> Found:
    *lines, _ = written.split(b"\n")
    answers = tuple(json.loads(line) for line in lines)
    if code == 0 and answers:
        return Found(answers)
    why = _WHYS.get(code, "the process that checked it broke off")
    return Found(answers, why.format(seconds=SECONDS))
