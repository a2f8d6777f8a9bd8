"""Checks in processes of their own, which are ended when one takes too long or nobody wants it any more.

One rule: whatever is done with a stranger's schema is done there. What it takes cannot be told before, and a
thread would not do: a regular expression keeps Python's lock until it is through.

At most two processes live as long as there is work for them, and are started when first needed. A caller has
one check at a time, so that none can hold up another for longer than a check may take. They know nothing of
the server but where its modules are: no key is in their environment.

Run as a module, this is such a process: a request on stdin, answers on stdout, a line of JSON each.
"""

import atexit
import faulthandler
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, Final

import anyio
from anyio.lowlevel import RunVar

from runapi_mcp.wire.types import JsonObject

SECONDS = 8.0
"""How long a check may take, the start of its process apart."""
MOST_MEMORY = 1 << 30
"""Bytes of address space that a check may take, where the system can be told."""

_LATER: Final = 1.0
"""Seconds after which a process ends by itself that should have been ended."""
_MOST_AT_ONCE: Final = 2
_START_SECONDS: Final = 20.0
_ROOM_SECONDS: Final = 30.0
_MOST_BYTES: Final = 64 << 20
_MOST_KEPT: Final = 256 << 20
"""Bytes of memory by which a process may grow and still be kept for the next check."""
_OUT_OF_MEMORY: Final = 3
_BROKEN: Final = 4
_IDLE_SECONDS: Final = 600.0
_LEFT: Final = "the process that was to check it had just left"
_TOO_LONG: Final = "it took more than {seconds:g} s and was stopped"
_WHYS: Final = {
    0: _LEFT,
    -getattr(signal, "SIGALRM", 14): _TOO_LONG,
    1: _TOO_LONG,
    _OUT_OF_MEMORY: "it took more memory than a check may",
}
"""What the codes mean with which a process ends, by itself or not."""
_NEEDED: Final = (
    *("SYSTEMROOT", "TEMP", "TMP", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUTF8"),
)
"""What a process needs of the environment; keys and proxies it does not."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Attributes:
        answers: What it answered, in order; the last is the whole answer if it came to an end.
        why: Why it did not; empty if it did.
    """

    answers: tuple[JsonObject, ...] = ()
    why: str = ""


async def check_elsewhere(request: JsonObject, owner: str) -> Checked:
    """Return what a worker answers; see :func:`perform`. Its owner's checks are made one after the other.

    A check that is cancelled is ended at once, with its process.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return Checked(why="this installation has no Python of its own to check it with")
    room = _room()
    with anyio.move_on_after(_ROOM_SECONDS) as waiting:
        await room.enter(owner)
    if waiting.cancelled_caught:
        return Checked(why="too many checks were waiting")
    try:
        limits: JsonObject = {"seconds": SECONDS + _LATER, "memory": MOST_MEMORY}
        asked = json.dumps(request | limits).encode() + b"\n"
        checked = await _ask(asked, room.threads)
        # It may have left in this very moment because it had nothing to do.
        return checked if checked.why != _LEFT else await _ask(asked, room.threads)
    finally:
        room.leave(owner)


async def _ask(request: bytes, threads: anyio.CapacityLimiter) -> Checked:
    try:
        worker = await _start(threads)
    except OSError:
        return Checked(why="no process could be started to check it with")
    if worker is None:
        return Checked(why="the process to check it with took too long to start")
    answers: list[JsonObject] = []
    kept = False
    try:
        with anyio.move_on_after(SECONDS) as limit:
            await anyio.to_thread.run_sync(
                worker.talk, request, answers, abandon_on_cancel=True, limiter=threads
            )
        if not limit.cancelled_caught and answers and "last" in answers[-1]:
            kept = not answers.pop()["last"]
            return Checked(tuple(answers))
        code = 1 if limit.cancelled_caught else worker.process.returncode
        why = _WHYS.get(code, "the process that checked it broke off")
        return Checked(tuple(answers), why.format(seconds=SECONDS))
    finally:
        if kept:
            _IDLE.append(worker)
        else:
            worker.process.kill()


async def _start(threads: anyio.CapacityLimiter) -> "_Worker | None":
    for gone in [worker for worker in _ALL if worker.process.poll() is not None]:
        gone.end()  # its caller left before anybody spoke to it, or it was to go: its pipes are still open
    while _IDLE:
        worker = _IDLE.pop()
        if worker.process.poll() is None:
            return worker
    worker = _Worker()
    ready = False
    try:
        with anyio.move_on_after(_START_SECONDS):
            await anyio.to_thread.run_sync(worker.read, abandon_on_cancel=True, limiter=threads)
            ready = True
        return worker if ready else None
    finally:
        if not ready:
            worker.process.kill()


class _Worker:
    """A process that checks, and its pipes; talked to in a thread, whatever the event loop is."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        kept = {name: os.environ[name] for name in _NEEDED if name in os.environ}
        self.process = subprocess.Popen(  # noqa: S603  # this Python, with a module of ours
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": paths},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        _ALL.append(self)

    def talk(self, request: bytes, answers: list[JsonObject]) -> None:
        """Ask, and take down what it answers, the last or not, until it says so or is gone."""
        with suppress(OSError, ValueError):
            assert self.process.stdin is not None
            self.process.stdin.write(request)
            self.process.stdin.flush()
            while answer := self.read():
                answers.append(answer)
                if "last" in answer:
                    return
        self.process.kill()
        self.end()

    def read(self) -> JsonObject:
        """Return its next answer; empty if it is gone, or says that it is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline(_MOST_BYTES)
        return json.loads(line) if line.endswith(b"\n") else {}

    def end(self) -> int | None:
        """Wait until it is gone, now that its pipes are closed, and return how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_START_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes
        with suppress(ValueError):
            _ALL.remove(self)
        return self.process.returncode


_IDLE: Final[list[_Worker]] = []
_ALL: Final[list[_Worker]] = []


@atexit.register
def end_workers() -> None:
    """End all of them; they would by themselves when this process is gone."""
    while _ALL:
        worker = _ALL[-1]
        worker.process.kill()
        worker.end()
    _IDLE.clear()


class _Room:
    """Room for two checks at once, no two of them of one owner; who waited longest comes first."""

    def __init__(self) -> None:
        self.threads = anyio.CapacityLimiter(2 * _MOST_AT_ONCE)
        self._busy: set[str] = set()
        self._waiting: list[tuple[str, anyio.Event]] = []

    async def enter(self, owner: str) -> None:
        ticket = (owner, anyio.Event())
        self._waiting.append(ticket)
        self._let_in()
        try:
            await ticket[1].wait()
        except BaseException:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            else:
                self.leave(owner)
            raise

    def leave(self, owner: str) -> None:
        self._busy.discard(owner)
        self._let_in()

    def _let_in(self) -> None:
        for ticket in [*self._waiting]:
            owner, turn = ticket
            if len(self._busy) < _MOST_AT_ONCE and owner not in self._busy:
                self._waiting.remove(ticket)
                self._busy.add(owner)
                turn.set()


_ROOM: RunVar[_Room] = RunVar("room for checks")


def _room() -> _Room:
    try:
        return _ROOM.get()
    except LookupError:
        room = _Room()
        _ROOM.set(room)
        return room


# ---------------------------------------------------------------- in the process


def perform(request: dict[str, Any]) -> Iterator[JsonObject]:
    """Yield what is asked for, the last the whole answer.

    Args:
        request: `schema` is the caller's, as JSON text. With `dialect`, it is checked and rewritten for
            the wire: `schema` and `checked_here`. Else `texts` are judged by it, with `begin` and
            `many`: first what they are as JSON, then the verdict on them. With `document`, it is looked
            for where its values stand in `sources`, each a name and a text. What is wrong with the
            schema is `refused`, with `advice`.
    """
    from runapi_mcp.errors import InputError
    from runapi_mcp.extraction.answers import judge_answers
    from runapi_mcp.extraction.check import Judge, read_schema
    from runapi_mcp.extraction.evidence import locate_document
    from runapi_mcp.extraction.model_json import parse_schema
    from runapi_mcp.extraction.verdict import read_unjudged
    from runapi_mcp.wire.schema.write import rewrite_schema

    try:
        if "dialect" in request:
            schema = read_schema(request["schema"])
            made = rewrite_schema(schema, request["dialect"])
            yield {"schema": made.schema, "checked_here": list(made.checked_here)}
            return
        if "document" in request:
            yield locate_document(request["document"], request["sources"], parse_schema(request["schema"]))
            return
        texts, many = request["texts"], request["many"]
        yield read_unjudged(texts, many=many).to_json()
        judge = Judge(parse_schema(request["schema"]))
        yield judge_answers(judge, texts, request["begin"], many=many).to_json()
    except InputError as error:
        yield {"refused": error.what, "advice": error.advice}
    except RecursionError:
        yield {"refused": "schema: nested too deeply.", "advice": "Make it flatter."}


def main() -> None:
    """Answer requests until nobody is there to ask."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    # It says only that it broke off, by its code.
    sys.excepthook = lambda *_: os._exit(_BROKEN)
    from runapi_mcp.extraction.answers import judge_answers  # noqa: F401  # what an import takes is no check's
    from runapi_mcp.extraction.check import judge_inner_drafts
    from runapi_mcp.extraction.evidence import locate_document  # noqa: F401
    from runapi_mcp.wire.schema.write import rewrite_schema  # noqa: F401

    judge_inner_drafts()
    _say(answers, {"ready": True})
    at_first, leaving = _peak_memory(), False
    while not leaving:
        try:
            request = json.loads(requests.get(timeout=_IDLE_SECONDS))
        except queue.Empty:
            break
        _limit_memory(request["memory"])
        with _time_limit(request["seconds"]):
            try:
                for answer in perform(request):
                    _say(answers, answer)
            except MemoryError:
                os._exit(_OUT_OF_MEMORY)
        leaving = _peak_memory() - at_first > _MOST_KEPT
        _say(answers, {"last": leaving})
    os._exit(0)


def _say(answers: IO[bytes], answer: JsonObject) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _read(stdin: IO[bytes], requests: "queue.SimpleQueue[bytes]") -> None:
    """Pass requests on, and leave when the other end is closed: nobody waits for an answer any more."""
    for line in stdin:
        requests.put(line)
    os._exit(1)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """End when the time is over, whatever holds Python up then and whoever else is gone."""
    if sys.platform == "win32":
        # Its thread needs no Python; elsewhere there is a way that looks at no frame of a running thread.
        faulthandler.dump_traceback_later(seconds, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
        yield
        faulthandler.cancel_dump_traceback_later()
    else:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_memory(most: int) -> None:
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))


def _peak_memory() -> int:
    """Return the most bytes of memory that this process has had; 0 where that is not known."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
