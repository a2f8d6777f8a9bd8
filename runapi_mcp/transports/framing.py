"""Bytes in any pieces to lines, in linear time and bounded memory. Pure, standard library only."""

from typing import Final

MAX_LINE_BYTES: Final = 64 << 20


class LineSplitter:
    r"""Collects chunks and gives out the lines they complete, without their ``\n``.

    ``None`` stands for a line longer than the limit, whose bytes were dropped as
    they came. At most one unfinished line is held.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """The lines that end in ``chunk``, in order."""
        *ends, rest = chunk.split(b"\n")
        lines = [self._complete(end) for end in ends]
        self._keep(rest)
        return lines

    def finish(self) -> list[bytes | None]:
        """The last line, when the input ended without a newline."""
        return [self._complete(b"")] if self._size else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _complete(self, end: bytes) -> bytes | None:
        self._keep(end)
        line = None if self._size > self._limit else b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return line
