"""What the flags of ask, search, extract and models ask for, with what was piped in."""

import argparse
import base64
import codecs
import json
import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TextIO, cast

from runapi_mcp.cli.client import Question
from runapi_mcp.cli.parser import Surroundings
from runapi_mcp.errors import InputError
from runapi_mcp.tools import TOOLS
from runapi_mcp.transports.stdio.pipes import read_chunks
from runapi_mcp.wire.types import JsonValue

STDIN: Final = "-"
MOST_BYTES: Final = 16_000_000
"""Of all that is piped in; about four times what a model takes."""
SOON: Final = 1.0
PATIENCE: Final = 30.0

Note = Callable[[str], None]


class Stdin:
    """A process's stdin, read once.

    Args:
        stream: The stream.
        note: Told that it is being read, when that takes a while.
        soon: Seconds after which that is said.
        patience: Seconds of silence after which a pipe that need not be read is taken to be nobody's.
    """

    def __init__(self, stream: TextIO, note: Note, *, soon: float = SOON, patience: float = PATIENCE) -> None:
        self._stream = stream
        self._note = note
        self._soon = soon
        self._patience = patience

    @property
    def offers(self) -> bool:
        """Whether it is a pipe or a regular file, as where something is piped in."""
        try:
            mode = os.fstat(self._stream.fileno()).st_mode
        except (OSError, ValueError):
            return False
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)

    def offered(self) -> bytes:
        """Return what is piped in beside something else; nothing if nobody writes in time.

        Raises:
            InputError: It is more than :data:`MOST_BYTES`.
        """
        return self._read(self._patience) if self.offers else b""

    def wanted(self) -> bytes:
        """Return all of it, however long that takes.

        Raises:
            InputError: It is more than :data:`MOST_BYTES`.
        """
        return self._read(None)

    def _read(self, patience: float | None) -> bytes:
        if self._stream.isatty():
            self._note("Reading from the terminal; Ctrl-D ends it.")
        pieces = _arriving(self._stream.fileno())
        read, told = bytearray(), self._stream.isatty()
        while True:
            try:
                piece = pieces.get(timeout=self._pause(told=told, begun=bool(read), patience=patience))
            except Empty:
                if told:
                    self._note("Nobody wrote to stdin: going on without it.")
                    return b""
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


def text_of(content: bytes) -> str:
    """Return what was piped in as text: UTF-8, or UTF-16 with its mark.

    Raises:
        InputError: It is neither.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError("What came on stdin is not text.", advice="Attach it as a file: --file -")
    return text


def data_url(content: bytes) -> str:
    """Return what was piped in as a file is attached that has no name; its kind is told by its content."""
    return f"data:;base64,{base64.b64encode(content).decode()}"


def with_stdin(words: Sequence[str], stdin: Stdin) -> str:
    """Return a prompt of words and stdin: where `-` stands, else at the end of what was typed.

    Raises:
        InputError: There is more than one `-`, or what came is too much or not text.
    """
    if not words:
        return joined(text_of(stdin.wanted() if stdin.offers else b""))
    if STDIN not in words:
        return joined(" ".join(words), text_of(stdin.offered()))
    if words.count(STDIN) > 1:
        raise InputError("There is one stdin.", advice="Give - once.")
    at = words.index(STDIN)
    return joined(" ".join(words[:at]), text_of(stdin.wanted()), " ".join(words[at + 1 :]))


def joined(*parts: str) -> str:
    """Return texts with a blank line between; those without anything in them are left out."""
    return "\n\n".join(part.strip("\r\n") for part in parts if part.strip())


def _arriving(descriptor: int) -> "SimpleQueue[bytes]":
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


def _waits(patience: float | None) -> str:
    if patience is None:
        return "Reading stdin until it ends …"
    return f"Reading stdin, a pipe that is silent; without a word in {patience:g} s it is left alone …"


def question_of(given: argparse.Namespace, around: Surroundings) -> Question:
    """Return the question that a command line stands for.

    Raises:
        InputError: It cannot be asked; nothing was sent.
        SystemExit: It asks nothing; how it is written was said.
    """
    match given.tool:
        case "ask_gemini":
            return _ask(given, around)
        case "search_web":
            return _search(given, around)
        case "extract_json":
            return _extract(given, around)
        case _:
            return _question(given)


def _ask(given: argparse.Namespace, around: Surroundings) -> Question:
    stdin = Stdin(around.stdin, around.note)
    files: list[str] = given.files or []
    if STDIN in files:
        if STDIN in given.prompt or files.count(STDIN) > 1:
            raise InputError("There is one stdin.", advice="Give - once.")
        attached = data_url(stdin.wanted())
        given.files = [attached if file == STDIN else file for file in files]
        given.prompt = " ".join(given.prompt)
    else:
        given.prompt = with_stdin(given.prompt, stdin)
    for name in ("messages", "functions"):
        if (written := getattr(given, name)) is not None:
            setattr(given, name, _json(written))
    if not given.prompt and not given.messages:
        given.parser.error("what is the question? Type it, or pipe it in.")
    return _question(given, files)


def _search(given: argparse.Namespace, around: Surroundings) -> Question:
    given.query = with_stdin(given.query, Stdin(around.stdin, around.note))
    if not given.query:
        given.parser.error("what is the question? Type it, or pipe it in.")
    return _question(given)


def _extract(given: argparse.Namespace, around: Surroundings) -> Question:
    named: list[str] = given.files or [STDIN]
    stdin = Stdin(around.stdin, around.note)
    if not given.files and not stdin.offers:
        given.parser.error("what is to be read? Name files, or pipe it in.")
    given.schema = _json(given.schema)
    if named.count(STDIN) > 1:
        raise InputError("There is one stdin.", advice="Give - once.")
    if STDIN in named:
        _take_stdin(given, named, stdin.wanted())
    return _question(given, named)


def _take_stdin(given: argparse.Namespace, named: Sequence[str], content: bytes) -> None:
    """Make what was piped in the text to extract from; beside files, or if it is no text, a file."""
    if not content.strip():
        raise InputError("Nothing came on stdin.", advice="Name files, or pipe text in.")
    if len(named) == 1:
        try:
            given.text, given.files = text_of(content), None
        except InputError:
            pass
        else:
            return
    given.files = [data_url(content) if file == STDIN else file for file in named]


def _question(given: argparse.Namespace, files: Sequence[str] = ()) -> Question:
    """Return the question that the flags stand for: those that are named as an argument of the tool."""
    # --model is a setting too, and given.model that setting.
    chosen = vars(given) | {"model": getattr(given, "which_model", None)}
    known = [field.alias or name for name, field in TOOLS[given.tool].args.model_fields.items()]
    arguments = {name: value for name in known if _is_given(value := chosen.get(name))}
    return Question(given.tool, arguments, [file for file in files if file != STDIN])


def _is_given(value: object) -> bool:
    """Whether a flag was given; 0 is a value."""
    return value is not None and value is not False and value not in ([], "")


def _json(written: str) -> JsonValue:
    """Return the JSON that is in a file, or that was typed itself.

    Raises:
        InputError: It is none.
    """
    typed = written.lstrip().startswith(("{", "["))
    try:
        return cast("JsonValue", json.loads(written if typed else _content(Path(written))))
    except (OSError, ValueError) as error:
        what = "What was typed" if typed else written
        raise InputError(f"{what} cannot be read as JSON ({error}).", advice="") from None


def _content(path: Path) -> str:
    """Return the text of a file; what has no end, such as a device, is not read to it."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES // 1_000_000} MB")
    return content.decode()
