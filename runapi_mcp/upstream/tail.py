"""The end of a stream of bytes, for reading what was said last."""

from collections import deque


class Tail:
    """Keeps about the last `most` bytes, in the pieces in which they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Add the next bytes; what is older than the last `most` goes."""
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) > self._most:
            self._size -= len(self._pieces.popleft())

    def text(self) -> str:
        """Return the last `most` bytes as text."""
        return b"".join(self._pieces)[-self._most :].decode(errors="replace")
