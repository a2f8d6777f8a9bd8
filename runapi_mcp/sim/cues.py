"""Naming a scenario and its parameters: `stall-middle seconds=0.2`, alone or in a `[[sim:…]]` marker."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

_MARKER = re.compile(r"\[\[sim:([^\]]+)\]\]")

LIMITS: Mapping[str, float] = {
    "seconds": 3600,
    "pace": 60,
    "words": 200_000,
    "n": 100_000,
    "mb": 256,
    "every": 60,
    "size": 1_000_000,
    "status": 599,
}
"""The largest value each numeric parameter may take; a larger one is lowered to it."""


@dataclass(frozen=True)
class Cue:
    """A scenario's name and the parameters given with it."""

    name: str
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Cue":
        """Read `NAME key=value …`; a value with spaces is quoted.

        Raises:
            ValueError: No name, something that is no `key=value`, or a quote that is not closed.
        """
        name, *pairs = shlex.split(text) or [""]
        if not name:
            raise ValueError("a scenario needs a name")
        wrong = [pair for pair in pairs if "=" not in pair]
        if wrong:
            raise ValueError(f"not key=value: {wrong[0]}")
        return cls(name, dict(pair.split("=", 1) for pair in pairs))

    @classmethod
    def in_text(cls, text: str) -> "Cue | None":
        """The cue in the last `[[sim:…]]` marker of a text, if there is one.

        Raises:
            ValueError: The marker cannot be read.
        """
        markers = _MARKER.findall(text)
        return cls.parse(markers[-1]) if markers else None

    def number(self, key: str, default: float) -> float:
        """A parameter as a number between 0 and its limit.

        Raises:
            ValueError: It is not a number.
        """
        value = float(self.params.get(key, default))
        return min(max(value, 0.0), LIMITS[key])

    def whole(self, key: str, default: int) -> int:
        """A parameter as a whole number between 0 and its limit.

        Raises:
            ValueError: It is not a number.
        """
        return int(self.number(key, default))

    def text(self, key: str, default: str) -> str:
        """A parameter as it was written."""
        return self.params.get(key, default)
