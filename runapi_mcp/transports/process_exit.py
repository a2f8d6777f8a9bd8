"""How the process goes: on a signal, soon, and only once."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken

from runapi_mcp.transports.stdio.pipes import wait_until_gone

LEAVE_SECONDS: Final = 0.9
"""From the first sign that the host is gone to the end of the process, at the latest."""

_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    *(number for number in signal.Signals if number.name == "SIGBREAK"),  # Windows: Ctrl-Break
)
_MOST_SIGNALS: Final = 16
_BETWEEN_TURNS: Final = 0.1  # seconds


@contextmanager
def signals_received(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Signals, or those that are to end a process, as an iterator. Main thread only."""
    with ExitStack() as stack:
        try:
            received = stack.enter_context(anyio.open_signal_receiver(*(numbers or _SIGNALS)))
        except NotImplementedError:  # Windows
            received = stack.enter_context(_handled(numbers or _SIGNALS))
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
    for number in _SIGNALS:
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


@contextmanager
def leaving_even_if_stuck(
    token: EventLoopToken,
    stdin_fd: int | None,
    stdout_fd: int,
    outlives: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Leave in time although the event loop may be stuck in a computation.

    Signals set an alarm before the loop hears of them; it rings in the middle of a
    regular expression, too. Where the platform tells that the host has closed a
    pipe, the process ends when the loop then stands still for 0.9 s. A loop that
    turns is left alone, and so is a process that `outlives` its host. Main thread
    only, inside `signals_received`, whose receiver goes on to hear the signals.
    """
    arguments = (token, stdin_fd, stdout_fd, outlives)
    threading.Thread(target=_watch, args=arguments, name="stdio host watch", daemon=True).start()
    if sys.platform == "win32":
        yield
        return
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    for number in _SIGNALS:
        signal.signal(number, lambda *_: signal.setitimer(signal.ITIMER_REAL, LEAVE_SECONDS))
    try:
        yield
    finally:
        # The interpreter's end would give the alarm back its default, which is death with another status.
        signal.signal(signal.SIGALRM, signal.SIG_IGN)


def _watch(token: EventLoopToken, stdin_fd: int | None, stdout_fd: int, outlives: Callable[[], bool]) -> None:
    running = wait_until_gone(stdout_fd, stdin_fd)
    while running and not outlives():
        last_resort = leave_at_the_latest()
        running = run_on_loop(token, _turn)
        last_resort.cancel()
        time.sleep(_BETWEEN_TURNS)


def run_on_loop(token: EventLoopToken, step: Callable[..., None], *args: object) -> bool:
    """Call ``step`` on the event loop from another thread, and wait for it.

    Returns:
        False when the loop is no longer running.
    """
    try:
        from_thread.run_sync(step, *args, token=token)
    except RuntimeError:  # anyio.RunFinishedError, or asyncio's own when the loop closes meanwhile
        return False
    return True


def _turn() -> None:
    """What a loop that is not stuck gets to at once."""
