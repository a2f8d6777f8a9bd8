"""The process that a test starts and signals; see forked.py. It imports little, which is the point of it."""

import os
import signal
import socket
import sys
from contextlib import suppress

assert sys.platform == "linux", "elsewhere what is tested starts afresh"

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


def main() -> None:
    """Have the command forked, or where that cannot be, become it."""
    assert sys.platform == "linux"
    _, server, *words = sys.argv
    early: list[int] = []
    child = 0

    def pass_on(number: int, _frame: object) -> None:
        if child:
            _signal(child, number)
        else:
            early.append(number)

    try:
        umask = os.umask(0o022)
        os.umask(umask)
        streams = [fd for fd in range(3) if not _take_if_closed(fd)]
        folder = os.open(".", os.O_RDONLY)  # which may be gone, and have no name any more
        order = {"words": words, "env": dict(os.environ), "umask": umask, "streams": streams}
        text = ascii(order).encode()  # without json, which is slow to import
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(server)
    except OSError:
        _start_afresh(words)
    passed_on = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
    before = {number: signal.signal(number, pass_on) for number in passed_on}
    socket.send_fds(connection, [b"%8d" % len(text)], [folder, *streams])
    connection.sendall(text)
    answers = connection.makefile("rb")
    child = int(answers.readline() or 0)
    if not child:
        for number, handler in before.items():
            signal.signal(number, handler)
        _start_afresh(words)
    # The other ends must see the command close them, and not this process keep them.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    for one in early:
        _signal(child, one)
    status = int(answers.readline() or -signal.SIGKILL)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


def _take_if_closed(fd: int) -> bool:
    """Return whether a standard stream is closed; keep its number from what this process opens."""
    try:
        os.fstat(fd)
    except OSError:
        assert os.open(os.devnull, os.O_RDWR) == fd  # the lowest that is free; closed again by an exec
        return True
    return False


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _start_afresh(words: list[str]) -> "NoReturn":
    os.execv(sys.executable, [sys.executable, *words])


main()
