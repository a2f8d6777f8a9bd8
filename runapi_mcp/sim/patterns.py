"""The shortest plain string for a simple regular expression; best effort, no look-arounds."""

import re

_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d+)(?:,\d*)?\})\??")
_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "b": "", "t": "\t", "n": "\n"}


def matching(pattern: str) -> str | None:
    """A string the pattern matches, or `None` when this simple reader cannot find one."""
    try:
        compiled = re.compile(pattern)
        text = _alternatives(pattern, 0)[0]
    except (re.error, IndexError, RecursionError):
        return None
    return text if compiled.search(text) else None


def _alternatives(pattern: str, at: int) -> tuple[str, int]:
    """The first alternative's text, and where the group (or the pattern) ends."""
    text, at = _sequence(pattern, at)
    while at < len(pattern) and pattern[at] == "|":
        _, at = _sequence(pattern, at + 1)
    return text, at


def _sequence(pattern: str, at: int) -> tuple[str, int]:
    text = ""
    while at < len(pattern) and pattern[at] not in "|)":
        atom, at = _atom(pattern, at)
        quantifier = _QUANTIFIER.match(pattern, at)
        if quantifier:
            at = quantifier.end()
        text += atom * _times(quantifier)
    return text, at


def _times(quantifier: re.Match[str] | None) -> int:
    if quantifier is None or quantifier[1] == "+":
        return 1
    return min(int(quantifier[2]), 1000) if quantifier[2] else 0


def _atom(pattern: str, at: int) -> tuple[str, int]:
    match pattern[at]:
        case "^" | "$":
            return "", at + 1
        case ".":
            return "a", at + 1
        case "\\":
            return _CLASSES.get(pattern[at + 1], pattern[at + 1]), at + 2
        case "[":
            return _bracket(pattern, at)
        case "(":
            inside = re.compile(r"\((?:\?(?::|P<\w+>))?").match(pattern, at)
            text, end = _alternatives(pattern, inside.end() if inside else at + 1)
            return text, end + 1
        case literal:
            return literal, at + 1


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    start = at + 2 if pattern[at + 1] == "^" else at + 1
    end = start + 1
    while pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    end += 1
    allowed = re.compile(pattern[at:end])
    fitting = (sign for sign in "a1A-_ zZ09.@/" if allowed.fullmatch(sign))
    inside = pattern[start]
    return next(fitting, pattern[start + 1] if inside == "\\" else inside), end
