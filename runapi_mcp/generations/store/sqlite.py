"""SQLite as the engine of one machine: its processes share a file, and what they write outlives them.

All of it happens in a thread of its own: the event loop never waits for the disk. What stands in the file
is the business of :mod:`.tables`.
"""

import asyncio
import logging
import os
import queue
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import anyio

from runapi_mcp.generations.store import engine as do
from runapi_mcp.generations.store.engine import READS, Down, Engine, Op
from runapi_mcp.generations.store.place import (
    ALIVE,
    Mark,
    Unusable,
    clear_marks,
    clear_old,
    find_shortage,
    is_shown,
    make_folder,
)
from runapi_mcp.generations.store.tables import SCHEMA, decode, perform

if TYPE_CHECKING:
    import sqlite3  # imported in the thread, at the first call: a host waits for the start

FILE: Final = "generations-4.sqlite"
"""Its schema's version is in its name: two versions of this program can run beside each other."""
DAY: Final = 86_400.0
MOST_BYTES: Final = 200 * 1024 * 1024
_LOCK_SECONDS: Final = 0.05
_LOOK: Final = 0.25
"""Seconds between looks for orders; only where something runs here."""
_CLEAR_SECONDS: Final = 60.0
_LONGEST_MS: Final = 3 * 86_400_000
"""No milliseconds that anything is kept for are as many: what lasts longer was written by a wrong clock.

But for what is counted for a month, of which as much as that is kept.
"""
_PAGE: Final = 4096
_LOG_PART: Final = 4
"""Which part of its bound the file's log may be, which is beside it."""
_BUSY_PAUSE: Final = 0.25
_PAUSE: Final = 5.0

AWAY: Final = "The store on this machine cannot be written now: for now only this server knows the handle."
OFF: Final = "Nothing can be kept on this machine ({why}): handles end with this server."

_RECENT: Final = """
SELECT handle FROM generations WHERE owner = ? AND (final IS NULL OR expires > ?) ORDER BY id DESC LIMIT ?
"""
_BUSY: Final = frozenset({5, 6})
_CORRUPT: Final = frozenset({11, 26})
_DAMAGED: Final = ("malformed database schema", "unsupported file format")
"""How the message begins where the code does not say it: the former before SQLite 3.31."""
_UNREADABLE: Final = TypeError | AttributeError | ValueError
"""What comes of rows that hold something else than is written here: no server is to end of it."""
_IO: Final = 10
_FULL: Final = 13
_NO_ROOM_FOR_INDEX: Final = _IO | 19 << 8
"""What a full disk comes to where the index of the log is still to be made; a disk does not stay full."""
_CANNOT_OPEN: Final = 14
_FOR_GOOD: Final = frozenset({3, 8, _IO, _CANNOT_OPEN, 15})
"""SQLite's result codes (sqlite.org/rescode.html): perm, read-only, I/O, can't open, locking protocol.

The last is what a home on NFS gives (charmbracelet/crush#3461), the third one on AFS (openai/codex#44388).
"""

_NO_CHECKPOINT: Final = 1006
"""SQLite's number for a connection that leaves its log alone when it is closed."""
_READER: Final = struct.pack("hhqqixxxx", 0, 0, (1 << 30) + 2, 510, 0)
"""The lock on a file of whoever reads it (sqlite.org/lockingv3.html), as Linux wants to be told."""

logger = logging.getLogger(__name__)
T = TypeVar("T")


_Outcome: TypeAlias = tuple[Any, Exception | None]


class SqliteEngine(Engine):
    """A file that the processes of one user share; see :class:`.engine.Engine`.

    Nothing is opened before it is needed. What cannot be used is left alone and said once.

    Args:
        folder: Where the file is, or is to be; an error says why there is no such place.
        scope: What must be equal for two processes to find what the other wrote.
        keep_seconds: How long what has ended is kept.
        most_bytes: How large the file may become.
        clock: Seconds that only go forward; asked on the event loop alone.
        now: The wall clock, in seconds.
    """

    title = "The store on this machine"
    place = "this machine"
    note = AWAY
    patience = _LOCK_SECONDS
    pushes = False

    def __init__(
        self,
        folder: Path | Unusable,
        scope: str = "",
        *,
        keep_seconds: float = DAY,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock, keep_seconds, scope)
        self._folder = folder
        self._most_bytes = most_bytes
        self._now = now
        self._steps: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[_Outcome]] | None]
        self._steps = queue.SimpleQueue()
        self._looked_at: int | None = None
        self._thread: threading.Thread | None = None
        # The thread's alone:
        self._file: sqlite3.Connection | None = None
        self._known = [0]
        self._clear_due = 0.0
        self._mark: Mark | None = None

    # ------------------------------------------------------------ Engine

    async def run(self, *ops: Op) -> list[Any]:
        """Do all of it in one transaction; see :meth:`Engine.run`."""
        self._check()
        reads = all(isinstance(op, READS) for op in ops)
        return await self._in_thread(lambda: self._transact(ops, reads=reads), wrote=not reads)

    @property
    def opened(self) -> bool:
        """Whether the file is open; see :attr:`Engine.opened`."""
        return self._file is not None

    async def orders(self) -> list[str]:
        """Look for orders after a quarter of a second; see :meth:`Engine.orders`.

        Whoever leaves one touches the server's sign of life: to read the file in vain would cost as much as
        all that a stream has written there.
        """
        await anyio.sleep(_LOOK)
        self._check()
        with suppress(OSError, Unusable):
            touched_at = (self._place / (ALIVE + self.server)).stat().st_mtime_ns
            if touched_at == self._looked_at:
                return []
            self._looked_at = touched_at
        return await self._in_thread(self._take_orders)

    async def aclose(self) -> None:
        """Close the file."""
        if self._thread is not None:
            with suppress(Down):
                await self._in_thread(self._leave, tells=False)
            self._steps.put(None)
            self._thread = None

    async def recent(self, owner: str, most: int) -> list[str]:
        """Return the handles of a principal's generations, the newest first.

        Raises:
            Down: It cannot be read.
        """
        self._check()
        given = (self.name(owner), int(self._now() * 1000), most)
        return await self._in_thread(lambda: [handle for (handle,) in self._open().execute(_RECENT, given)])

    async def clear(self) -> tuple[int, bool]:
        """Remove everything, of whichever base URL and key.

        Return how many generations that were, and whether nothing of them is left on the disk: where
        another program reads the file, what it reads is there until it stops.

        Raises:
            Down: It cannot be done now.
        """
        self._check()
        return await self._in_thread(self._clear)

    # ------------------------------------------------------------ the thread

    async def _in_thread(self, work: Callable[[], T], *, wrote: bool = False, tells: bool = True) -> T:
        """Have something done in the thread; it is, even if nobody waits for it any more.

        `tells` is whether that it was done tells that the file can be used.

        Raises:
            Down: It could not be done.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="store", daemon=True)
            self._thread.start()
        done: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._steps.put((work, done))
        made, error = await done
        if error is not None:
            raise self._note_loss(error, wrote=wrote) from None
        if tells:
            self._note_answer(wrote=wrote)
        answer: T = made
        return answer

    def _work(self) -> None:
        made: list[tuple[asyncio.Future[_Outcome], _Outcome]] = []
        while (step := self._steps.get()) is not None:
            work, done = step
            try:
                made.append((done, (self._try(work), None)))
            except Exception as error:  # noqa: BLE001  # the thread must not end of it; it is raised where it is awaited
                made.append((done, (None, self._explain(error))))
            # One wake-up for all that was asked for together: what begins as one is read as one from then on.
            if self._steps.empty():
                with suppress(RuntimeError):  # the loop is gone, and nobody waits
                    done.get_loop().call_soon_threadsafe(_settle, made)
                made = []

    def _try(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever it returns
        """Do it, once more where what was in the way could be cleared away."""
        try:
            return work()
        except Exception as error:
            code = _code_of(error)
            if code in _CORRUPT and self._file is not None and self._is_parted:
                self._close()  # it was read by an index of what is gone
            elif code in _CORRUPT:
                self._set_aside()
            elif code in _BUSY and self._file is None:
                time.sleep(self.patience / 5)  # another process is just making the file
            elif code == _FULL:
                self._make_room(self._most_bytes // 2)
            elif code in _FOR_GOOD and self._file is not None:
                self._close()  # it was moved, say; when it is opened again, that shows
            elif code == _IO and self._inodes()[1] and not self._log_size():
                # Its log was removed while another process has it open: the index is of what is gone.
                (self._place / f"{FILE}-shm").unlink(missing_ok=True)
            else:
                raise
        return work()

    def _explain(self, error: Exception) -> Exception:
        """Return what is behind an error of SQLite's, which of want of room knows a full disk alone."""
        short = find_shortage(self._place) if _code_of(error) in {_IO, _CANNOT_OPEN} else None
        return short or error

    def _note_loss(self, error: Exception, *, wrote: bool) -> Exception:
        """Note that it failed, and return what is to be raised."""
        if isinstance(error, Unusable) or _code_of(error) in _FOR_GOOD:
            why = str(error)
            self.off = OFF.format(why=why)
            logger.warning("Nothing is kept on this machine: %s.", why)
            return Down(self.off, for_good=True)
        if _code_of(error) is None and not isinstance(error, OSError | _UNREADABLE):
            return error
        busy = _code_of(error) in _BUSY
        pause, why = (_BUSY_PAUSE, "") if busy else (_PAUSE, str(error))
        return self._note_failure(pause, why, wrote=wrote)

    # ------------------------------------------------------------ the file

    @property
    def _place(self) -> Path:
        if isinstance(self._folder, Unusable):
            raise self._folder
        return self._folder

    def _open(self) -> "sqlite3.Connection":
        """Return the connection, opened at the first call.

        It is opened anew where another program has removed one of its files (nfrastack/db-backup#423): what
        is written there nobody else would find.

        Raises:
            Unusable: There is no place for it.
        """
        if self._file is not None and not self._is_parted:
            return self._file
        self._close()
        check_module()
        import sqlite3

        make_folder(self._place)
        path = self._place / FILE
        try:
            path.touch(mode=0o600)
        except PermissionError:
            raise Unusable(f"{path} belongs to another user") from None
        file = sqlite3.connect(path, timeout=self.patience, isolation_level=None)
        file.text_factory = decode
        try:
            # An empty one need not reach the disk, which takes longer than a call should wait.
            file.execute("PRAGMA synchronous = OFF")
            if not path.stat().st_size:
                # Before the first table: it gives pages back that were let go. To say so again takes the
                # lock, and whoever only reads would wait for a writer (openai/codex#46269).
                file.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _share(file)
            file.executescript(SCHEMA)
            for pragma in ("synchronous = NORMAL", "secure_delete = ON", f"journal_size_limit = {1 << 22}"):
                file.execute(f"PRAGMA {pragma}")
            file.execute(f"PRAGMA max_page_count = {self._most_bytes // _PAGE}")
            self._known = self._inodes()
        except BaseException:
            file.close()
            raise
        self._file = file
        self._clear_due = 0.0
        return file

    def _inodes(self) -> list[int]:
        """Return what tells apart the file, its index and its log; 0 for what is not there."""
        found, path = [], f"{self._place}{os.sep}{FILE}"
        for end in ("", "-shm", "-wal"):
            try:
                found.append(os.stat(path + end).st_ino)  # noqa: PTH116  # before each transaction
            except OSError:
                found.append(0)
        return found

    @property
    def _is_parted(self) -> bool:
        """Whether what is open is no longer what others find."""
        return self._inodes() != self._known

    def _close(self) -> None:
        """Close the connection; what others wrote beside it stays as it is.

        Whoever closes last brings the log into the file, cuts the file to the length that it knows of, and
        removes the log by its name. From a log or an index that others no longer use, that would destroy
        what they wrote since (NousResearch/hermes-agent#97329).
        """
        if self._file is not None:
            file, self._file = self._file, None
            if self._is_parted and self._inodes()[-1]:
                _close_apart(file, self._place / FILE)
            else:
                file.close()

    def _leave(self) -> None:
        if self._mark is not None:
            self._mark.take_back()
        self._close()

    def _set_aside(self) -> None:
        """Let a file go that cannot be read; the next one begins empty."""
        path, inode = self._place / FILE, self._known[0]
        self._close()
        with suppress(OSError):
            if inode and path.stat().st_ino != inode:
                return  # another process has done it
            logger.warning("The store on this machine is damaged; it is set aside, and begun anew.")
            path.replace(path.with_name(f"{FILE}.damaged"))
            for rest in ("-wal", "-shm"):
                path.with_name(FILE + rest).unlink(missing_ok=True)

    def _transact(self, ops: Sequence[Op], *, reads: bool) -> list[Any]:
        now = int(self._now() * 1000)
        file = self._open()
        if not reads:
            self._clear_now_and_then()
            self._bound_log(file)
        file.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
        answers: dict[type[Op], Iterator[Any]] = {}
        with _finish(file):
            for kind in dict.fromkeys(map(type, ops)):
                answers[kind] = iter(self._do(file, [op for op in ops if type(op) is kind], now))
        for op in ops:
            if isinstance(op, do.Tell):
                with suppress(OSError):  # its server is gone
                    # By the clock itself: the system's own time stamps stand still for milliseconds.
                    os.utime(self._place / (ALIVE + op.server), ns=(at := time.time_ns(), at))
        return [next(answers[type(op)]) for op in ops]

    def _do(self, file: "sqlite3.Connection", ops: Sequence[Op], now: int) -> Sequence[Any]:
        """Do operations of one kind: signs of life are files, all others stand in the tables."""
        lives = [is_shown(self._place / (ALIVE + op.server)) for op in ops if isinstance(op, do.Alive)]
        if lives:
            return lives
        if isinstance(ops[0], do.Sign):
            self._show(ops[0].server)
            return [None]
        return perform(file, ops, now)

    def _show(self, server: str) -> None:
        """Show that this process lives, and see that its file is still the one that others find."""
        if self._mark is None:
            self._mark = Mark(self._place / (ALIVE + server))
        self._mark.show()

    def _take_orders(self) -> list[str]:
        file = self._open()
        found = file.execute(
            "SELECT id, text FROM orders WHERE server = ? ORDER BY id", (self.server,)
        ).fetchall()
        if found:
            file.execute("DELETE FROM orders WHERE server = ? AND id <= ?", (self.server, found[-1][0]))
        return [decode(text) for _, text in found]

    # ------------------------------------------------------------ within bounds

    def _bound_log(self, file: "sqlite3.Connection") -> None:
        """See that the log does not grow without end, as it does while anybody has a transaction open.

        A shell that was left open is enough (DeusData/codebase-memory-mcp#1137, of 115 GB).

        Raises:
            OSError: It is too long, and cannot be cut now.
        """
        if self._log_size() <= self._most_bytes // _LOG_PART:
            return
        [busy, *_] = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise OSError("another program reads it without an end, so its log cannot be cut")

    def _log_size(self) -> int:
        with suppress(FileNotFoundError):
            return (self._place / f"{FILE}-wal").stat().st_size
        return 0

    def _clear_now_and_then(self) -> None:
        """Once a minute let go of what is over."""
        if time.monotonic() < self._clear_due:
            return
        self._make_room(self._most_bytes * 9 // 10)
        self._clear_due = time.monotonic() + _CLEAR_SECONDS

    def _make_room(self, most_bytes: int) -> None:
        """Remove what has expired, and of what has ended as much that the rest fits."""
        file = self._open()
        clear_marks(self._place)
        clear_old(self._place, FILE, self._now() - self.keep_seconds)
        file.execute("BEGIN IMMEDIATE")
        with _finish(file):
            removed = self._remove(file, most_bytes)
        if removed:
            file.execute("PRAGMA incremental_vacuum").fetchall()

    def _remove(self, file: "sqlite3.Connection", most_bytes: int) -> int:
        now = int(self._now() * 1000)
        gone = (now, now + _LONGEST_MS)
        for table in ("leases", "fields", "orders"):
            late = "expires > ? AND key NOT LIKE 'used:%'" if table == "fields" else "expires > ?"
            file.execute(f"DELETE FROM {table} WHERE expires <= ? OR {late}", gone)  # noqa: S608  # names of ours
        # What runs is let go only where nobody runs it: a clock may have jumped.
        expired = "SELECT id, server, final IS NOT NULL FROM generations WHERE expires <= ? OR expires > ?"
        found = file.execute(expired, gone)
        ids = [id_ for id_, server, ended in found if ended or not is_shown(self._place / (ALIVE + server))]
        drop = "DELETE FROM generations WHERE id = ?"
        file.executemany(drop, [(id_,) for id_ in ids])
        removed = len(ids)
        spare = "SELECT id FROM generations WHERE final IS NOT NULL ORDER BY delivered DESC, id"
        for row in file.execute(spare).fetchall() if _count_bytes(file) > most_bytes else ():
            file.execute(drop, row)
            removed += 1
            if _count_bytes(file) <= most_bytes:
                break
        return removed

    def _clear(self) -> tuple[int, bool]:
        file = self._open()
        count: int = file.execute("SELECT count(*) FROM generations").fetchone()[0]
        for table in ("generations", "leases", "fields", "orders"):
            file.execute(f"DELETE FROM {table}")  # noqa: S608  # a name of ours
        file.execute("PRAGMA incremental_vacuum").fetchall()
        # What was deleted stands in the log until that is cut.
        [busy, *_] = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        clear_old(self._place, FILE)
        return count, not busy


def check_module() -> None:
    """Check that this Python has SQLite: one that was built where its headers were missing has none.

    Raises:
        Unusable: It has not.
    """
    try:
        import sqlite3  # noqa: F401
    except ImportError:
        raise Unusable("this Python has no sqlite3") from None


def _close_apart(file: "sqlite3.Connection", path: Path) -> None:
    """Close a connection and leave the file and its log alone, as SQLite does while others read them."""
    set_config = getattr(file, "setconfig", None)  # since Python 3.12
    if set_config is not None:
        set_config(_NO_CHECKPOINT, True)  # noqa: FBT003  # it takes no name
    elif sys.platform == "linux":
        import fcntl

        with suppress(OSError), path.open("rb") as reader:
            # A lock of the open file's, not of the process's: it is in the way of our own connection, too.
            fcntl.fcntl(reader, fcntl.F_OFD_SETLK, _READER)
            file.close()
    file.close()


def _share(file: "sqlite3.Connection") -> None:
    """Have readers and writers not wait for each other.

    Raises:
        Unusable: The file system cannot share memory between processes.
    """
    if file.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise Unusable("its file system cannot share memory between processes")


def _count_bytes(file: "sqlite3.Connection") -> int:
    """Return the bytes of the pages that hold something, of whatever kind."""
    pages: int = file.execute("PRAGMA page_count").fetchone()[0]
    free: int = file.execute("PRAGMA freelist_count").fetchone()[0]
    return (pages - free) * _PAGE


def _settle(made: "Sequence[tuple[asyncio.Future[_Outcome], _Outcome]]") -> None:
    """Hand over what came of steps, where anybody still waits for it."""
    for done, outcome in made:
        if not done.done():
            done.set_result(outcome)


@contextmanager
def _finish(file: "sqlite3.Connection") -> Iterator[None]:
    """Commit the transaction that has begun, or take it back."""
    try:
        yield
        file.execute("COMMIT")
    except BaseException:
        if file.in_transaction:
            file.execute("ROLLBACK")
        raise


def _code_of(error: Exception) -> int | None:
    """Return SQLite's own code of an error, without what it says more."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == _NO_ROOM_FOR_INDEX:
        return _FULL
    # A schema that is no text is quoted in the message, which Python then cannot decode.
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_DAMAGED):
        return min(_CORRUPT)
    return None if code is None else code & 0xFF
