"""A server that outlives its host, to finish what a handle promises; only where its setting says so.

A host that starts a process for each call closes stdin, waits two seconds and ends the process group:
LangChain's adapters do, as every client of the MCP SDK for Python. What it started is then only the parent
of the server, which is in a session of its own. Standard library only, but for what happens after the host.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from runapi_mcp.transports.stdio.pipes import release_stdio

if TYPE_CHECKING:
    from runapi_mcp.generations.registry import Generations

MOST_SECONDS: Final = 900.0
"""How long a server goes on without its host at most."""
MOST: Final = 8
"""Servers without a host at once; another one leaves as without the setting."""


class Apart:
    """A server in a session of its own, whose parent is what the host knows."""

    def __init__(self, parent: int, let_go: int) -> None:
        self._parent = parent
        self._let_go = let_go
        self._alone = False

    def watch(self) -> None:
        """Take it for a signal to leave when the parent is ended by its host."""
        threading.Thread(target=self._watch, name="parent watch", daemon=True).start()

    def _watch(self) -> None:
        os.read(self._parent, 1)  # it never writes: this is its end
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)

    def go_on_alone(self) -> None:
        """Have the parent end, and keep nothing of the host's."""
        self._alone = True
        release_stdio()
        with suppress(OSError):  # the parent may be gone already
            os.write(self._let_go, b"x")
        os.close(self._let_go)


def stand_apart() -> Apart | None:
    """Go on as the child of this process, in a session of its own; where there is no such thing, as it is.

    To be called before there is any thread.
    """
    if sys.platform == "win32":
        return None
    (parent, held), (waited, let_go) = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.close(parent)
        os.close(let_go)
        _wait_for(child, waited)
    os.close(held)
    os.close(waited)
    os.setsid()
    return Apart(parent, let_go)


def _wait_for(child: int, waited: int) -> NoReturn:
    """Be there for the host until the child ends or lets go, and leave with its status."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, lambda *_: os._exit(0))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)  # the child has them
    if os.read(waited, 1):
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


async def finish(apart: Apart, generations: "Generations", folder: Path) -> None:
    """Let end what this server has promised, for a quarter of an hour at most, or until a signal says so."""
    import anyio

    from runapi_mcp.generations.store.place import DETACHED, Mark, Unusable
    from runapi_mcp.signalling import Signal
    from runapi_mcp.transports.process_exit import signals_received

    path = folder / f"{DETACHED}{os.getpid()}"
    mark, handles = Mark(path), generations.promised
    if not handles or len(list_detached(folder)) >= MOST:
        return
    try:
        mark.show()
    except (OSError, Unusable):
        return  # nothing is kept there either
    path.write_text(" ".join(handles), encoding="utf-8")
    settled = Signal()
    generations.settled.append(lambda _job, _receipt: settled.send())
    with signals_received() as signals:
        apart.go_on_alone()
        async with anyio.create_task_group() as tasks:

            async def leave_when_told() -> None:
                await anext(signals)
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave_when_told)
            with anyio.move_on_after(MOST_SECONDS):
                await settled.until(lambda: not generations.promised)
            tasks.cancel_scope.cancel()
    mark.take_back()


@dataclass(frozen=True)
class Detached:
    """A server that goes on without its host."""

    pid: str
    seconds: float
    handles: str


def list_detached(folder: Path) -> list[Detached]:
    """Return the servers that go on without their hosts."""
    from runapi_mcp.generations.store.place import DETACHED, is_shown

    found: list[Detached] = []
    for path in sorted(folder.glob(f"{DETACHED}*")):
        with suppress(OSError):  # it ends just now
            if is_shown(path):
                age, handles = time.time() - path.stat().st_mtime, path.read_text(encoding="utf-8")
                found.append(Detached(path.name.removeprefix(DETACHED), age, handles))
    return found
