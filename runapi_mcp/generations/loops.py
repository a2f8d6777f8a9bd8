"""Models that cannot stop: white space, an escape or a sentence without end.

Gemini does this where it is held to JSON, up to the output limit (googleapis/python-genai#1238): minutes
of it, all paid. What is looked for is the end of a text alone, so every look is linear and cheap.
"""

import re
from typing import Final

from runapi_mcp.errors import quoted

_TAIL: Final = 32_768
_PROBE: Final = 256
_BLANK_LOOP: Final = 4_096
_STRING_LOOP: Final = (4_096, 16)
"""Characters and repeats that make a loop inside a JSON string, where nobody repeats himself so often."""
_OTHER_LOOP: Final = (24_000, 64)
"""The same elsewhere: a long list of zeros or of equal rows can be what was asked for."""
_LONGEST_NUMBER: Final = 1_000
_DIGITS: Final = "0123456789.+-eE"
_ENOUGH_BLANKS: Final = 2_048
_ENOUGH_SECONDS: Final = 3.0
_RUN = re.compile(r"(?:\\[nrt]|\s){3,}")
_LONGEST_RUN: Final = 200
_ESCAPED = re.compile(r"\\.", re.DOTALL)


class Blanks:
    """The white space at the end of a text that grows: how much of it, and since when."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def add(self, piece: str, now: float) -> None:
        """Note what was added to the text, at `now`."""
        written = len(piece.rstrip())
        if written:
            self._count, self._since = len(piece) - written, now
        else:
            self._count += len(piece)

    def are_enough(self, now: float) -> bool:
        """Whether there are 2 kB of it, or some and nothing else for 3 seconds."""
        return self._count >= _ENOUGH_BLANKS or (self._count > 0 and now - self._since >= _ENOUGH_SECONDS)


def find_loop(text: str) -> str:
    """Return why a JSON text that ends like this goes round in circles; empty if it does not."""
    blanks = len(text) - len(text.rstrip())
    if blanks >= _BLANK_LOOP:
        return f"it went on with {blanks:,} characters of white space and nothing else"
    digits = len(text) - len(text.rstrip(_DIGITS))
    if digits > _LONGEST_NUMBER and not _is_in_string(text):
        return f"it wrote a number of {digits:,} digits"
    start, period = _repeated_end(text)
    if not period:
        return ""
    length = len(text) - start
    least, times = _STRING_LOOP if _is_in_string(text) else _OTHER_LOOP
    if length < least or length < times * period:
        return ""
    unit = text[start : start + period].strip(" .,;") or text[start : start + period]
    return f"it repeated {quoted(unit)} {length // period:,} times and got no further"


def shorten_loops(text: str, *, told: bool = True) -> str:
    """Return a text with runs of blanks cut short and a loop at its end standing there once.

    `told` says so where it stood; a text that is to be gone on from has no place for that.
    """
    if find_loop(text):
        digits = len(text) - len(text.rstrip(_DIGITS))
        start, period = (0, 0) if digits > _LONGEST_NUMBER else _repeated_end(text)
        if digits > _LONGEST_NUMBER:
            text = text[: len(text) - digits + 20] + ("…" if told else "")
        if period:
            times = (len(text) - start) // period
            text = text[: start + period] + (f"… (repeated {times:,} times)" if told else "")
    return _RUN.sub(
        lambda run: run[0] if len(run[0]) < _LONGEST_RUN else run[0][: 1 + run[0].startswith("\\")], text
    )


def _repeated_end(text: str) -> tuple[int, int]:
    """Return where the end of a text begins to repeat itself, and after how many characters it does.

    Zeros if it does not, or no longer than the last characters that are compared at all.
    """
    tail = text[-_TAIL:]
    at = tail.rfind(tail[-_PROBE:], 0, len(tail) - 1) if len(tail) > _PROBE else -1
    if at < 0:
        return 0, 0
    period = len(tail) - _PROBE - at
    while len(tail) < len(text) and tail[period:] == tail[:-period]:  # it began before what was looked at
        tail = text[-2 * len(tail) :]
    low, high = period + _PROBE, len(tail)
    while low < high:  # the longest end that equals itself, moved by the period
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tail[-middle:-period] == tail[period - middle :] else (low, middle - 1)
    return len(text) - low, period


def _is_in_string(text: str) -> bool:
    return _ESCAPED.sub("", text).count('"') % 2 == 1
