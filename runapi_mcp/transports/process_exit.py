"""How the process goes: on a signal, soon, and only once."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import anyio

LEAVE_SECONDS: Final = 0.9
"""From the first sign that the host is gone to the end of the process, at the latest: the SDKs' clients wait
two before they send signals, and whoever runs a host in a terminal waits for all its servers."""

SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    *(number for number in signal.Signals if number.name == "SIGBREAK"),  # Windows: Ctrl-Break
)
_MOST_SIGNALS: Final = 16


@contextmanager
def signals_received(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Signals, or those that are to end a process, as an iterator. Main thread only."""
    with ExitStack() as stack:
        try:
            received = stack.enter_context(anyio.open_signal_receiver(*(numbers or SIGNALS)))
        except NotImplementedError:  # Windows
            received = stack.enter_context(_handled(numbers or SIGNALS))
        yield received


@contextmanager
def _handled(numbers: Sequence[signal.Signals]) -> Iterator[AsyncIterator[signal.Signals]]:
    """The same where the event loop receives no signals: Python's own handlers pass them on to it."""
    loop = asyncio.get_running_loop()
    send, receive = anyio.create_memory_object_stream[signal.Signals](_MOST_SIGNALS)

    def note(number: signal.Signals) -> None:
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            send.send_nowait(number)

    def pass_on(number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(note, signal.Signals(number))

    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        with send, receive:
            yield receive
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """A second signal must not turn a clean exit into a death (hosts send SIGINT, then SIGTERM)."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def leave_at_the_latest(seconds: float = LEAVE_SECONDS) -> threading.Timer:
    """End the process with status 0 after ``seconds``, unless it has ended by then.

    For what cancellation does not reach: a DNS look-up or a file read in a worker
    thread would hold the interpreter's exit for as long as it takes.

    Returns:
        What can still be cancelled.
    """
    last_resort = threading.Timer(seconds, os._exit, args=(0,))
    last_resort.daemon = True
    last_resort.start()
    return last_resort
