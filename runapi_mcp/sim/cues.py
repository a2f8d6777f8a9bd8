"""Naming a scenario and its parameters: `stall-middle seconds=0.2`, alone or in a `[[sim:…]]` marker."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_MARKER = re.compile(r"\[\[sim:([^\]]+)\]\]")
_QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\."""
_WORD = re.compile(rf"""(?:[^\s'"\\]+|{_QUOTED})+|\S""", re.DOTALL)
_QUOTES = re.compile(_QUOTED, re.DOTALL)
_ESCAPE = re.compile(r"""\\([\\"])""")

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
        """Read `NAME key=value …`; a value with spaces is quoted, as for a shell.

        Raises:
            ValueError: No name, something that is not `key=value`, or a quote that is not closed.
        """
        name, *pairs = _split(text) or [""]
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


def _split(text: str) -> list[str]:
    # What shlex does, which takes a second for a text of 250 kB and four for twice that.
    words = _WORD.findall(text)
    if open_ones := [word for word in words if word in ("'", '"', "\\")]:
        raise ValueError(f"no closing {open_ones[0]}")
    return [_QUOTES.sub(_unquote, word) for word in words]


def _unquote(found: re.Match[str]) -> str:
    quoted = found[0]
    if quoted[0] == "'":
        return quoted[1:-1]
    return _ESCAPE.sub(r"\1", quoted[1:-1]) if quoted[0] == '"' else quoted[1:]
