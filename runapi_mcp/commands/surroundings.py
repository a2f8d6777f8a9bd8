"""What a command is given of the process it runs in."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        out: Where answers go; it flushes itself.
        err: Where what is said about them goes; it flushes itself.
        variables: The settings that were given as flags, as the variables they stand for.
    """

    env: Mapping[str, str]
    settings: Callable[[], Settings]
    flags: Sequence[str]
    stdin: TextIO
    out: TextIO
    err: TextIO
    variables: Mapping[str, str] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Write a line to `out`."""
        self.out.write(f"{line}\n")

    def say_json(self, text: str) -> None:
        """Write a JSON text to `out`; what its encoding lacks is escaped, so that programs read the same."""
        self.say(escaped(text, self.out.encoding or "utf-8"))

    def note(self, line: str) -> None:
        """Write a line to `err`."""
        self.err.write(f"{line}\n")


def escaped(text: str, encoding: str) -> str:
    """Return a JSON text in characters that an encoding has; others can only stand in its strings."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in text)
    return text
