"""The process's own pipes: claim the wire, read it, write it, notice when it is gone.

Standard library only and cheap to import, so that a program can claim the wire
before anything else had a chance to print on it.
"""

import os
import select
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

_CHUNK_BYTES: Final = 1 << 16  # what a Linux pipe holds: larger reads come back no fuller


class Wire(NamedTuple):
    """The two descriptors a host talks through, out of reach of stray prints.

    They stay open until the process ends: a thread may still be blocked on one,
    and a closed number could be given to another file under it.
    """

    stdin_fd: int
    stdout_fd: int


@cache
def claim_stdio() -> Wire:
    """Move the wire away from descriptors 0 and 1, once per process.

    Afterwards descriptor 0 reads end-of-file and descriptor 1 is stderr, for this
    process and for its children, so that neither ``print`` nor a child process
    can read from or write to the host. The SDK does that while it serves; what
    prints while it is imported would be a line to the host by then. Later calls
    return the same wire.

    Raises:
        OSError: the process has no descriptors left.
    """
    null = open_null()
    wire = Wire(_private(0), _private(1))
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    if sys.platform == "win32":
        _tell_windows()
    return wire


def read_chunks(fd: int) -> Iterator[bytes]:
    """Read until the other end closes; a broken descriptor counts as closed."""
    while True:
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:  # a parent may leave its pipe non-blocking
            select.select([fd], [], [])
            continue
        except OSError:
            return
        if not chunk:
            return
        yield chunk


def write_all(fd: int, content: bytes) -> None:
    """Write every byte, waiting for the reader as long as it takes.

    Raises:
        OSError: the other end is gone.
    """
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])


def wait_until_gone(stdout_fd: int, stdin_fd: int | None = None) -> bool:
    """Block until the host reads no more or, if `stdin_fd` is given, writes no more.

    Returns:
        True when that end is closed, whatever of stdin is still to be read; False where
        the platform cannot tell, which leaves the next write or read to find out, and
        once :func:`release_stdio` was called.
    """
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(stdout_fd, 0)  # errors and hang-ups are reported without being asked for
    half_closed: int = getattr(select, "POLLRDHUP", 0)  # of a socket, as some hosts make them; Linux only
    poll.register(_bell()[0], select.POLLIN)
    if stdin_fd is not None:
        poll.register(stdin_fd, half_closed)
    return any(event & (select.POLLERR | select.POLLHUP | half_closed) for _, event in poll.poll())


def release_stdio() -> None:
    """Let the host's pipes go while the process lives: some hosts read them to their end."""
    null = open_null()
    for fd in (0, 1, 2, *claim_stdio()):
        os.dup2(null, fd, inheritable=False)
    os.close(null)
    os.write(_bell()[1], b"x")  # who waits for a pipe to be closed holds it open


@cache
def _bell() -> tuple[int, int]:
    return os.pipe()


def open_null() -> int:
    """Open the null device above the standard descriptors; those of them that are closed it fills.

    A descriptor that was closed at start would be taken by the next file opened.
    """
    null = os.open(os.devnull, os.O_RDWR)
    return null if null > 2 else open_null()


def _private(fd: int) -> int:
    # Not inherited by children: one that outlives this process would keep the host waiting for the end.
    return os.dup(fd)


def _tell_windows() -> None:
    # Children inherit the handles of the Win32 table, which dup2 need not keep in step.
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        for fd, slot in ((0, -10), (1, -11)):
            handle = ctypes.c_void_p(msvcrt.get_osfhandle(fd))  # an int would be cut to 32 bits
            ctypes.windll.kernel32.SetStdHandle(slot, handle)
