"""What a command is given of the process it runs in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from runapi_mcp.settings import Settings


@dataclass(frozen=True)
class Surroundings:
    """What a command is given of the process it runs in.

    Attributes:
        env: The environment.
        settings: Reads the settings; raises what is wrong with them.
        flags: The settings that were given as flags, as they were given.
        stdin: Where `-` reads from.
        out: Where answers go.
        err: Where what is said about them goes.
    """

    env: Mapping[str, str]
    settings: Callable[[], Settings]
    flags: Sequence[str]
    stdin: TextIO
    out: TextIO
    err: TextIO

    def say(self, line: str) -> None:
        """Write a line to `out`."""
        _write(self.out, line)

    def note(self, line: str) -> None:
        """Write a line to `err`."""
        _write(self.err, line)


def _write(stream: TextIO, line: str) -> None:
    """Write a line; a character that the stream's encoding does not have becomes a question mark."""
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
