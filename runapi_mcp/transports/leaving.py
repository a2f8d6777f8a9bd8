"""How the process goes: on a signal, soon, and only once."""

import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import anyio

LEAVE_SECONDS: Final = 0.9
"""From the first sign that the host is gone to the end of the process, at the latest."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_received() -> Iterator[AsyncIterator[signal.Signals] | None]:
    """SIGINT and SIGTERM as an iterator; None where the event loop cannot receive them.

    There (Windows) Ctrl-C cancels the main task and ``anyio.run`` raises
    KeyboardInterrupt. Main thread only.
    """
    with ExitStack() as stack:
        try:
            received = stack.enter_context(anyio.open_signal_receiver(*_SIGNALS))
        except NotImplementedError:
            yield None
        else:
            yield received


def ignore_signals() -> None:
    """A second signal must not turn a clean exit into a death (hosts send SIGINT, then SIGTERM)."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def leave_at_the_latest(seconds: float = LEAVE_SECONDS) -> None:
    """End the process with status 0 after ``seconds``, unless it has ended by then.

    For what cancellation does not reach: a DNS look-up or a file read in a worker
    thread would hold the interpreter's exit for as long as it takes.
    """
    last_resort = threading.Timer(seconds, os._exit, args=(0,))
    last_resort.daemon = True
    last_resort.start()
