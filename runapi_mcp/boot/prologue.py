"""The thread that answers during the import, and the hand-over to the server. Standard library only."""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final, NoReturn

from runapi_mcp import __version__
from runapi_mcp.boot.answers import Answers, Manifest
from runapi_mcp.transports.stdio.pipes import Wire, read_chunks, write_all


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in this block; nothing that was imported is garbage, so none is looked for.

    The collector runs again afterwards, and passes over what the imports left: a fifth of a
    million objects that live as long as the process.
    """
    gc.disable()
    # httpx does without its command line, and 70 modules of rich and pygments, where click is not installed:
    # it comes with httpx[cli] alone. None is how the import system spells that.
    without_click = "click" not in sys.modules
    if without_click:
        sys.modules["click"] = None  # type: ignore[assignment]
    for package in _DEFERRED:
        _defer(package)
    from pydantic import BaseModel

    # The SDK has 500 models, for two eras of the protocol; a call takes 20. To build what validates one takes
    # as long as to make its class, and pydantic leaves it to the first use where the base of all says so.
    BaseModel.model_config["defer_build"] = True
    try:
        yield
    finally:
        del BaseModel.model_config["defer_build"]
        if without_click:
            sys.modules.pop("click", None)
        gc.freeze()
        gc.enable()


_DEFERRED: Final = ("mcp", "mcp.server")
"""Packages of the SDK that import its client and its high-level server: 120 modules that no call needs."""


def _defer(package: str) -> None:
    """Have a package's modules imported without its own code, which runs once somebody asks it for a name."""
    from importlib.util import find_spec, module_from_spec

    spec = None if package in sys.modules else find_spec(package)
    if spec is None or spec.loader is None:
        return  # it is imported already, or not there: then the import says so
    module, loader = module_from_spec(spec), spec.loader

    def find(name: str) -> object:
        # Python looks for dunders that a package need not have, and takes none for an answer.
        if name.startswith("__"):
            raise AttributeError(name)
        vars(module).pop("__getattr__", None)
        loader.exec_module(module)
        return getattr(module, name)

    vars(module)["__getattr__"] = find
    sys.modules[package] = module
    parent, _, own = package.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)


MANIFEST: Final = f"{__file__.rpartition(os.sep)[0]}{os.sep}manifest.json"
_MOST_HELD: Final = 8 << 20
"""Bytes that are held for the server; a host that sends more waits in its own pipe."""


class Prologue:
    """Answers one host until the server takes over.

    What is read is held until then, except the requests that were answered and need no second
    look. Memory is bounded; a thread that fails ends the session instead of leaving it deaf.
    """

    def __init__(self, wire: Wire, manifest: Manifest) -> None:
        self._wire = wire
        self._answers = Answers(manifest)
        self._piece: list[bytes] = []
        self._lock = threading.Lock()
        self._taken = threading.Event()
        self._next: list[bytes] = []
        self._size = 0
        self._thread = threading.Thread(target=self._run, name="prologue", daemon=True)
        self._thread.start()

    def take_over(self) -> tuple[Iterator[bytes], list[str | int]]:
        """Stop answering; return what the server must read, and the ids it must not answer.

        The bytes begin with what was held and go on for as long as the host writes.
        """
        with self._lock:
            self._taken.set()
        return chain.from_iterable(self._parts()), self._answers.answered

    def refuse(self, why: str) -> None:
        """Stop answering, and tell whoever waits that there will be no server.

        A host that only sees its server go says that the connection was closed, and no more.
        """
        with self._lock:
            self._taken.set()
            self._say(self._answers.refuse(why))

    def _parts(self) -> Iterator[Iterable[bytes]]:
        yield [b"".join([*self._answers.held, *self._piece])]
        self._thread.join()
        if self._next:
            yield self._next
            yield read_chunks(self._wire.stdin_fd)

    def _run(self) -> None:
        for chunk in read_chunks(self._wire.stdin_fd):
            with self._lock:
                if self._taken.is_set():
                    self._next.append(chunk)
                    return
                self._take(chunk)
            if self._size > _MOST_HELD:
                self._taken.wait()
        self._end()

    def _take(self, chunk: bytes) -> None:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line, self._piece = b"".join([*self._piece, end]), []
            self._say(self._answers.answer(line))
        self._piece.append(rest)
        self._size += len(chunk)

    def _say(self, answer: bytes) -> None:
        try:
            write_all(self._wire.stdout_fd, answer)
        except OSError:
            _leave()  # nobody reads any more

    def _end(self) -> None:
        """The host has closed its end: leave at once, unless something is still to be answered."""
        with self._lock:
            if not self._taken.is_set():
                self._take(b"\n")
                if not self._answers.waiting:
                    _leave()


def begin(wire: Wire) -> Prologue | None:
    """Answer on `wire` from now on; `None` if the manifest is another version's."""
    with open(MANIFEST, encoding="utf-8") as file:  # noqa: PTH123  # pathlib takes longer than all of this
        made = json.load(file)
    return Prologue(wire, made["answers"]) if made["version"] == __version__ else None


def leave_on_signals() -> None:
    """Until the server listens for them itself, SIGINT and SIGTERM end the process with status 0."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _leave())


def _leave() -> NoReturn:
    # Not sys.exit: the main thread is in the middle of an import, and nothing is open that needs closing.
    os._exit(0)
