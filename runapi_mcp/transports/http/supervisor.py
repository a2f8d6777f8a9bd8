"""The parent of several worker processes: it accepts connections, and hands each to a worker.

One Python process uses one core. Of the usual ways to share a socket none spreads long streams well: where
all workers accept, whoever wakes first takes all that has come; where the kernel chooses (SO_REUSEPORT),
chance gives one of two workers 115 of 200, and what waits for one that dies is lost. So the parent alone
accepts, serves nothing, and hands each connection (SCM_RIGHTS) to whoever has least to do. In the same way
it brings two workers in touch, when a request of one is the other's; see :mod:`worker`.

Workers are forked when everything is imported. Signals tell them to leave, to hurry and to read files again.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from runapi_mcp import logs
from runapi_mcp.transports.http.worker import BEAT, CLIENT, HURRY, READY, SIBLING, Handed, Notes, Worker

assert sys.platform != "win32", "descriptors are not handed over there"

_TURN: Final = 1.0
"""Seconds between two looks at the workers."""
_STUCK_SECONDS: Final = 60.0
"""A worker whose event loop stands still for so long is ended, as supervisors end a server."""
_RESTART_SECONDS: Final = 1.0
"""Between two starts of a worker: one that always dies is not to take a core."""
_TAKE_SECONDS: Final = 2.0
"""How long a connection waits for a worker to have room for it."""


@dataclass(eq=False, slots=True)
class _Child:
    """A worker, as its parent sees it."""

    number: int
    pid: int = 0
    channel: socket.socket | None = None
    ready: bool = False
    began: float = -_RESTART_SECONDS
    handed: int = 0
    beat: float = 0.0
    silent: float = 0.0


def supervise(listener: socket.socket, count: int, serve: Callable[[Worker], int], *, rereads: bool) -> int:
    """Have workers serve what comes to a listening socket, until SIGINT or SIGTERM; return the exit code.

    Args:
        listener: Where clients come.
        count: How many workers.
        serve: Serves as a worker, in a process of its own, and returns its exit code.
        rereads: Whether there are files to be read again on SIGHUP; else that ends the process.
    """
    return _Parent(listener, count, serve).run(rereads=rereads)


class _Parent:
    def __init__(self, listener: socket.socket, count: int, serve: Callable[[Worker], int]) -> None:
        self._listener = listener
        self._listener.settimeout(0)
        self._address = listener.getsockname()
        self._serve = serve
        self._notes = Notes(count)
        self._children = [_Child(number) for number in range(count)]
        self._on_terminal = os.isatty(2)
        self._served = self._leaving = False
        self._code = 0

    def run(self, *, rereads: bool) -> int:
        numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if rereads else [])]
        with _signals_noted(numbers) as noted:
            looked = time.monotonic()
            while not self._leaving or any(child.pid for child in self._children):
                self._start_missing()
                self._turn(noted)
                looked, before = time.monotonic(), looked
                self._end_stuck(min(looked - before, _TURN))
                self._reap()
        return self._code

    def _turn(self, noted: socket.socket) -> None:
        channels = {child.channel: child for child in self._children if child.channel}
        # What comes while there is no worker waits in the kernel.
        listening = [self._listener] if any(child.ready for child in self._children) else []
        ending = any(child.pid and not child.channel for child in self._children)
        found, _, _ = select.select([noted, *listening, *channels], [], [], BEAT if ending else _TURN)
        for each in found:
            if each is noted:
                for number in noted.recv(64):
                    self._note_signal(number)
            elif each is self._listener:
                self._take_connections()
            else:
                self._hear(channels[each])

    def _note_signal(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None) and not (self._on_terminal and not os.isatty(2)):
            return self._tell(number)
        self._tell(HURRY if self._leaving else signal.SIGTERM)
        self._leaving = True
        return None

    def _tell(self, number: int) -> None:
        for child in self._children:
            if child.pid:
                os.kill(child.pid, number)

    # ------------------------------------------------------------ workers come and go

    def _start_missing(self) -> None:
        """Start what is not there: the first alone, for what it fails at the others would fail at as well."""
        for child in self._children[: None if self._served else 1]:
            if not self._leaving and not child.pid and time.monotonic() - child.began >= _RESTART_SECONDS:
                self._start(child)

    def _start(self, child: _Child) -> None:
        ours, theirs = socket.socketpair()
        self._notes.write(child.number, 0.0, 0, 0, 0)
        child.began = time.monotonic()
        try:
            child.pid = os.fork()
        except OSError as error:  # the machine has no room for it now, and the others go on
            logs.warning("worker cannot be started", worker=child.number, why=error.strerror)
            ours.close()
            theirs.close()
            return
        if not child.pid:
            code = 1
            try:
                # An end of another's that stays open here would hide from it that the parent is gone.
                for each in (self._listener, ours, *(each.channel for each in self._children)):
                    if each is not None:
                        each.close()
                code = self._serve_as(child, theirs)
            except BaseException as error:  # noqa: BLE001  # it must not go on as a second parent
                sys.excepthook(type(error), error, error.__traceback__)
            finally:
                os._exit(code)
        theirs.close()
        ours.settimeout(0)
        child.channel = ours
        child.handed, child.beat, child.silent = 0, 0.0, 0.0

    def _serve_as(self, child: _Child, channel: socket.socket) -> int:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        announces = not self._served
        count = len(self._children)
        worker = Worker(child.number, count, announces, Handed(channel, self._address), self._notes)
        with logs.about(worker=child.number):
            return self._serve(worker)

    def _reap(self) -> None:
        for child in self._children:
            if not child.pid:
                continue
            ended, status = os.waitpid(child.pid, os.WNOHANG)
            if not ended:
                continue
            self._close(child)
            child.pid = 0
            code = os.waitstatus_to_exitcode(status)
            if not self._served:  # what is wrong was said
                self._leaving, self._code = True, abs(code)
            elif not self._leaving:
                logs.warning("worker died, and is started again", worker=child.number, code=code)

    def _end_stuck(self, seconds: float) -> None:
        """End workers that stood still for long, by this process's own turns: containers may be paused."""
        for child in self._children:
            beat = self._notes.read(child.number)[0]
            child.silent = child.silent + seconds if child.ready and beat == child.beat else 0.0
            child.beat = beat
            if child.silent > _STUCK_SECONDS:
                logs.warning("worker stands still, and is ended", worker=child.number)
                os.kill(child.pid, signal.SIGKILL)

    def _close(self, child: _Child) -> None:
        child.ready = False
        if child.channel:
            child.channel.close()
            child.channel = None

    # ------------------------------------------------------------ what they are handed

    def _take_connections(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except ConnectionAbortedError:
                continue
            except BlockingIOError:
                return
            except OSError as error:  # no file descriptor is free
                logs.warning("no connection can be accepted", why=error.strerror)
                time.sleep(BEAT)
                return
            with connection:
                self._hand(connection)

    def _hand(self, connection: socket.socket) -> None:
        """Hand a connection to whoever has least to do."""
        until = time.monotonic() + _TAKE_SECONDS
        while time.monotonic() < until:
            ready = sorted((child for child in self._children if child.ready), key=self._load)
            for child in ready:
                if self._send(child, CLIENT, connection):
                    child.handed += 1
                    return
            select.select([], [child.channel for child in ready if child.channel], [], BEAT)

    def _load(self, child: _Child) -> tuple[int, int, int]:
        """Return what a worker has to do; a connection of which it has not said anything counts as a call.

        Among equals it is the turn of whoever was handed the fewest.
        """
        _, taken, load, open_ = self._notes.read(child.number)
        unknown = child.handed - taken
        return load + unknown, open_ + unknown, child.handed

    def _hear(self, child: _Child) -> None:
        try:
            assert child.channel is not None
            said, fds, _, _ = socket.recv_fds(child.channel, 1, 1)
        except OSError:
            said, fds = b"", []
        if not said:
            self._close(child)
        elif said == READY:
            child.ready = self._served = True
        else:
            with socket.socket(fileno=fds[0]) as end:
                self._send(self._children[said[0]], SIBLING, end)

    def _send(self, child: _Child, kind: bytes, end: socket.socket) -> bool:
        """Hand a worker a descriptor; false if it has no room for it now, or is gone."""
        if not child.ready or child.channel is None:
            return False
        try:
            socket.send_fds(child.channel, [kind], [end.fileno()])
        except BlockingIOError:
            return False
        except OSError:
            child.ready = False  # that it is gone will be heard
            return False
        return True


@contextmanager
def _signals_noted(numbers: list[signal.Signals]) -> Iterator[socket.socket]:
    """Give what the numbers of signals can be read from, for as long as the block lasts."""
    noted, wakes = socket.socketpair()
    with noted, wakes:
        wakes.settimeout(0)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        woken = signal.set_wakeup_fd(wakes.fileno())
        try:
            yield noted
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
