"""What is piped in: read once, waited for as long as somebody may still write, and made text."""

import base64
import codecs
import locale
import os
import re
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TextIO

from runapi_mcp.errors import InputError
from runapi_mcp.transports.stdio.pipes import read_chunks

STDIN: Final = "-"
MOST_BYTES: Final = 16_000_000
"""Of all that is piped in; about four times what a model takes."""
SOON: Final = 1.0
PATIENCE: Final = 5.0
"""Seconds; agents leave the pipe open that they start commands with, and never write to it.

Many a command has hung for ever by that (DeusData/codebase-memory-mcp#1359, metabase/metabase-cli#13).
"""
_MOST_LOOKED_AT: Final = 4_096
_STEP: Final = 0.25
"""Seconds; the longest that Ctrl-C may go unseen."""

Note = Callable[[str], None]


class Stdin:
    """A process's stdin, read once.

    Args:
        stream: The stream.
        note: Told that it is being read, when that takes a while.
        soon: Seconds after which that is said.
        patience: Seconds of silence after which a pipe that need not be read is taken to be nobody's.
        closed: Whether it is not to be read unless that is asked for by `-`.
    """

    def __init__(
        self,
        stream: TextIO,
        note: Note,
        *,
        soon: float = SOON,
        patience: float = PATIENCE,
        closed: bool = False,
    ) -> None:
        self._stream = stream
        self._closed = closed
        self._note = note
        self._soon = soon
        self._patience = patience

    @property
    def offers(self) -> bool:
        """Whether it is a pipe or a regular file, as where something is piped in."""
        if self._closed:
            return False
        try:
            mode = os.fstat(self._stream.fileno()).st_mode
        except (OSError, ValueError):
            return False
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)

    def read_offered(self) -> bytes:
        """Return what is piped in beside something else; nothing if nobody writes in time.

        A command that stands before this one in a pipeline has all the time it takes.

        Raises:
            InputError: It is more than :data:`MOST_BYTES`.
        """
        return self._read(self._patience) if self.offers else b""

    def _time_left(self, patience: float | None) -> float | None:
        """Return how long silence is borne, once it is seen: without limit where somebody will write."""
        if patience is None or _is_written_beside(self._stream.fileno()):
            return None
        return patience

    def read_all(self) -> bytes:
        """Return all of it, however long that takes.

        Raises:
            InputError: It is more than :data:`MOST_BYTES`.
        """
        return self._read(None)

    def _read(self, patience: float | None) -> bytes:
        if self._stream.isatty():
            self._note("Reading from the terminal; Ctrl-D ends it.")
        pieces = _start_reading(self._stream.fileno())
        read, told = bytearray(), self._stream.isatty()
        while True:
            try:
                piece = _next(pieces, self._pause(told=told, begun=bool(read), patience=patience))
            except Empty:
                if told:
                    self._note("Nobody wrote to stdin: going on without it.")
                    return b""
                patience = self._time_left(patience)
                self._note(_waits(None if read else patience))
                told = True
                continue
            if not piece:
                return bytes(read)
            read += piece
            if len(read) > MOST_BYTES:
                raise InputError(f"More than {MOST_BYTES // 1_000_000} MB came on stdin.")

    def _pause(self, *, told: bool, begun: bool, patience: float | None) -> float | None:
        if not told:
            return self._soon
        return None if begun or patience is None else patience


def _is_written_beside(descriptor: int) -> bool:
    """Whether a pipe's other end is held by a program other than this one and those that started it.

    Told by /proc where there is one; elsewhere nobody is known to.
    """
    processes = Path("/proc")
    try:
        pipe = (processes / "self" / "fd" / str(descriptor)).readlink()
        others = {entry.name for entry in islice(processes.iterdir(), _MOST_LOOKED_AT)} - {*_ancestors()}
    except OSError:
        return False
    return any(name.isdecimal() and _writes(processes / name / "fd", pipe) for name in others)


def _ancestors() -> Iterator[str]:
    process = str(os.getpid())
    while process != "0":
        yield process
        try:
            # The name, in parentheses, may hold anything; the parent is the second word after it.
            process = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        except (OSError, IndexError):
            return


def _writes(held: Path, pipe: Path) -> bool:
    """Whether among what a process holds is an end of a pipe that can be written to."""
    try:
        ends = [end for end in islice(held.iterdir(), _MOST_LOOKED_AT) if end.readlink() == pipe]
        return any(end.lstat().st_mode & stat.S_IWUSR for end in ends)
    except OSError:  # it has ended, or belongs to somebody else
        return False


def decode(content: bytes) -> str:
    """Return bytes as text: UTF-8, or UTF-16 with its mark or, as PowerShell may leave it, without.

    Raises:
        ValueError: It is neither.
    """
    # Windows PowerShell pipes what a program wrote as UTF-16 with its mark (microsoft/botbuilder-tools#1046),
    # and puts UTF-8's before text that it pipes itself (browser-use/browser-harness#433).
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    if content[1:2] == b"\0" and content[:1] not in (b"", b"\0"):
        return content.decode("utf-16-le")
    return content.decode("utf-8-sig")


def text_of(content: bytes) -> str:
    """Return what was piped in as text: UTF-8, UTF-16 with its mark, or in the encoding of this machine.

    Raises:
        InputError: It is neither.
    """
    try:
        text = decode(content)
    except UnicodeDecodeError:
        text = _decode_as_here(content)
    if "\0" in text:
        raise InputError(
            "What came on stdin is not text, or not in UTF-8.",
            advice="Attach a picture or a PDF as a file: --file -. Convert a text: iconv -t UTF-8 -f NAME.",
        )
    return text


_UNWRITTEN: Final = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f]")
"""Control characters that no text has, ESC of colours apart."""


def _decode_as_here(content: bytes) -> str:
    """Return bytes in the encoding that programs here write: on Windows still one of its code pages."""
    try:
        text = content.decode(locale.getencoding())
    except (UnicodeDecodeError, LookupError):
        return "\0"
    # A code page has a letter for nearly every byte: a picture decodes too.
    return "\0" if _UNWRITTEN.search(text) else text


def data_url(content: bytes) -> str:
    """Return what was piped in as a file is attached that has no name; its kind is told by its content."""
    return f"data:;base64,{base64.b64encode(content).decode()}"


def add_stdin(words: Sequence[str], stdin: Stdin) -> str:
    """Return a prompt of words and stdin: where `-` stands, else at the end of what was typed.

    Raises:
        InputError: There is more than one `-`, or what came is too much or not text.
    """
    if not words:
        return join(text_of(stdin.read_all() if stdin.offers else b""))
    if STDIN not in words:
        return join(" ".join(words), text_of(stdin.read_offered()))
    if words.count(STDIN) > 1:
        raise InputError("There is one stdin.", advice="Give - once.")
    at = words.index(STDIN)
    return join(" ".join(words[:at]), text_of(stdin.read_all()), " ".join(words[at + 1 :]))


def join(*parts: str) -> str:
    """Return texts with a blank line between; those without anything in them are left out."""
    return "\n\n".join(part.strip("\r\n") for part in parts if part.strip())


# ---------------------------------------------------------------- one question after the other


_MOST_TYPED: Final = 4_095
"""Bytes of a line that a terminal of Linux hands on; what is behind them it loses without a word."""
_TOGETHER: Final = 0.05
"""Seconds within which the lines of a paste follow each other."""


def read_questions(stream: TextIO, write: Callable[[str], object]) -> Iterator[bytes]:
    """Yield the questions of a conversation until there is an empty one, or no more.

    What is piped in has one on each line. Several lines that come at once were pasted into a terminal: they
    are one question, and an empty line that is typed behind them ends it. Else each would be asked and paid
    for (TheR1D/shell_gpt#505), and what stands behind an empty one would be left to the shell, which runs it.

    Args:
        stream: Where they come from.
        write: Writes what a terminal is to show.

    Raises:
        InputError: A line, or what was pasted, is more than :data:`MOST_BYTES`.
    """
    typed, lines, line = stream.isatty(), _read_lines(stream), b"\n"
    while line:
        if typed:
            write("> ")
        question = line = next(lines)
        if typed and line and _is_more_there(stream):
            write("\nSeveral lines came at once: they are one question. An empty line ends it.\n")
            pieces, size = [line], len(line)
            while line and (line.strip() or _is_more_there(stream)):
                line = next(lines)
                pieces.append(line)
                if (size := size + len(line)) > MOST_BYTES:
                    raise InputError(f"More than {MOST_BYTES // 1_000_000} MB were pasted.")
            question = b"".join(pieces)
        if not question.strip():
            return
        yield question


def _read_lines(stream: TextIO) -> Iterator[bytes]:
    """Yield lines as they come, and nothing at the end, or when the terminal has gone."""
    if os.name == "nt" and stream.isatty():  # whose own encoding only the stream knows
        yield from stream.buffer
    else:
        line = bytearray()
        for chunk in read_chunks(stream.fileno()):
            *ended, rest = chunk.split(b"\n")
            for end in ended:
                yield bytes(line + end + b"\n")
                line.clear()
            line += rest
            if len(line) > MOST_BYTES:
                raise InputError(f"A line of more than {MOST_BYTES // 1_000_000} MB came on stdin.")
        if line:
            yield bytes(line)
    yield b""


def text_of_question(question: bytes, *, typed: bool) -> str:
    """Return a question as text, without the line ends around it.

    Raises:
        InputError: It is none, or the terminal may have lost the end of a line (jqlang/jq#3457).
    """
    if typed and os.name != "nt" and any(len(line) >= _MOST_TYPED for line in question.splitlines()):
        raise InputError(
            f"A terminal may lose what is behind the first {_MOST_TYPED:,} bytes of a line.",
            advice="Pipe the question in: runapi-mcp ask -c < FILE",
        )
    return text_of(question).strip("\r\n")


def _is_more_there(stream: TextIO) -> bool:
    """Whether another line of a terminal follows right behind; Windows does not tell."""
    with suppress(OSError):
        return bool(select.select([stream], [], [], _TOGETHER)[0])
    return False


def _start_reading(descriptor: int) -> "SimpleQueue[bytes]":
    """Return where the pieces of a file arrive, an empty one at its end.

    A thread reads them, for no select() takes every kind of stdin on every system; it is left behind
    when the process ends.
    """
    pieces: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        size = 0
        for piece in read_chunks(descriptor):
            pieces.put(piece)
            size += len(piece)
            if size > MOST_BYTES:
                return
        pieces.put(b"")

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return pieces


def _next(pieces: "SimpleQueue[bytes]", seconds: float | None) -> bytes:
    """Return the next piece, waiting for it in steps.

    Ctrl-C that comes after Python last looked for signals and before the system's wait begins would
    else be seen only when that wait ends: perhaps never.

    Raises:
        Empty: None came in so many seconds.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _STEP if ends is None else min(_STEP, ends - time.monotonic())
        try:
            return pieces.get(timeout=max(left, 0))
        except Empty:
            if ends is not None and time.monotonic() >= ends:
                raise


def _waits(patience: float | None) -> str:
    if patience is None:
        return "Reading stdin until it ends …"
    return f"Reading stdin, a pipe that is silent; without a word in {patience:g} s it is left alone …"
