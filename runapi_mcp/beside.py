"""Work on what strangers send, done beside the event loop, so that others are answered meanwhile."""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_THREADS: Final = RunVar[anyio.CapacityLimiter]("threads beside the event loop")
_AT_ONCE: Final = 2
"""Each has Python's lock before the loop has it again: forty of them held up whoever else was there."""


async def beside(work: Callable[[Unpack[Ts]], T], *given: *Ts) -> T:
    """Return what comes of long work, done in a thread; no more than two such are under way, whoever asks.

    The work has to let go of Python's lock every millisecond or two: one search of a pattern through a text
    of megabytes holds it to its end.
    """
    threads = _THREADS.get(None)
    if threads is None:
        threads = anyio.CapacityLimiter(_AT_ONCE)
        _THREADS.set(threads)
    # Not abandoned: whoever asks and leaves again and again would have any number of threads at work.
    return await anyio.to_thread.run_sync(work, *given, limiter=threads)
