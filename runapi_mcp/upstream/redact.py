"""Takes the key out of what upstream writes, which some upstreams echo, in whatever escapes they do it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from html.entities import html5
from typing import Final

from pydantic import SecretStr

from runapi_mcp.wire.json_text import PIECE
from runapi_mcp.wire.types import Event, Failure, Finish, TextDelta, ThoughtDelta

_SHORTEST_KEY: Final = 8
_INSTEAD: Final = "[key]"
_ESCAPE: Final = re.compile(r"\\[ux/]|%|&")
_UNSEEN: Final = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that nobody sees: some are taken out later, and the key would stand there whole."""
_HIDDEN: Final = re.compile(f"[{_UNSEEN}]")
_MOST_UNSEEN: Final = 32
"""How many of them in a row are looked past: what is held back of a stream is bounded by it."""
_LONGEST_SPELLING: Final = 340
"""Characters that one of the key's has at most, in all its escapes, with what is not seen before it."""
_SEARCHED: Final = 16_384
"""Characters that are searched for the key at a time: of the worst there are, it takes some milliseconds."""
_WRITTEN: Final = (TextDelta, ThoughtDelta)


def redact(text: str, key: SecretStr) -> str:
    """Return `text` without the key, plain or with any of its characters in escapes; itself if it has none.

    Of JSON, however often it was printed into a string, of a URL, of HTML, and of these in each other;
    also with up to 32 characters that nobody sees between two of its own. What is shorter than any key
    is left alone: it would only spoil the text. A long text may be read in a thread: no search holds
    Python's lock for more than a piece of it.
    """
    secret = key.get_secret_value()
    if len(secret) < _SHORTEST_KEY:
        return text
    text = text.replace(secret, _INSTEAD)
    # Most texts have none of the three; to look for one alone takes a tenth of the pattern's time.
    may_escape = "\\" in text or "%" in text or "&" in text
    if (may_escape and (_ESCAPE.search(text) if len(text) <= PIECE else _search(_ESCAPE, text))) or _hides(
        text
    ):
        text = _take_out(_pattern_of(secret), text, _LONGEST_SPELLING * len(secret))
    return text


def _hides(text: str) -> bool:
    """Whether a text has characters that nobody sees."""
    if text.isascii() and text.isprintable():
        return False
    return bool(_HIDDEN.search(text) if len(text) <= PIECE else _search(_HIDDEN, text))


def _search(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a pattern, of two characters at most, is somewhere in a long text."""
    return any(pattern.search(text, at, at + PIECE + 1) for at in range(0, len(text), PIECE))


def _take_out(pattern: re.Pattern[str], text: str, longest: int) -> str:
    """Return a text without what a pattern finds, which is `longest` at most; what `sub` would, in pieces."""
    kept, at = list[str](), 0
    while at < len(text):
        end = at + _SEARCHED
        found = pattern.search(text, at, end + longest)
        if found is None or found.start() >= end:
            kept.append(text[at:end])
            at = end
        else:
            kept += text[at : found.start()], _INSTEAD
            at = found.end()
    return "".join(kept)


_BACKSLASHES: Final = r"\\{0,15}+(?:%(?:25){0,7}5[cC]){0,15}+"
"""At every one of a long row it begins anew: so it takes what it can, and gives nothing back."""
_BETWEEN: Final = f"[{_UNSEEN}]{{0,{_MOST_UNSEEN}}}"


@lru_cache(maxsize=16)
def _pattern_of(secret: str) -> re.Pattern[str]:
    return re.compile(_BETWEEN.join(map(_spellings, secret)))


@lru_cache(maxsize=16)
def _plain_pattern_of(secret: str) -> re.Pattern[str]:
    return re.compile(_BETWEEN.join(map(re.escape, secret)))


def _spellings(sign: str) -> str:
    """Return a pattern for one character of the key, as itself and in every escape."""
    number = ord(sign)
    digits = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{number:02x}")
    entities = "".join(f"|{name}" for name, stands_for in html5.items() if stands_for == sign)
    escaped = rf"{_BACKSLASHES}(?:u00{digits}|x{digits}|{re.escape(sign)})"
    # Each begins with a sign of its own: so a place where none of them stands costs next to nothing.
    return (
        rf"(?:{re.escape(sign)}|\\{escaped}|%(?:25){{0,7}}(?:{digits}|5[cC]{escaped})"
        rf"|&(?:amp;){{0,7}}(?:#0{{0,7}}{number};?|#[xX]0{{0,7}}{digits};?{entities}))"
    )


class Redacting:
    """Takes the key out of the events of one stream, also where it comes in several deltas.

    Held back is at most the end of a delta that could be the beginning of the key.
    """

    def __init__(self, key: SecretStr) -> None:
        secret = key.get_secret_value()
        self._key = key
        self._secret = secret if len(secret) >= _SHORTEST_KEY else ""
        self._held: TextDelta | ThoughtDelta | None = None

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return what can be shown now that `events` have come."""
        shown: list[Event] = []
        for event in events:
            if isinstance(event, _WRITTEN):
                # By far the commonest: nothing of the key can be in it.
                if self._held is None and not (self._secret and self._secret[0] in event.text):
                    shown.append(event)
                else:
                    self._show(event, shown)
                continue
            if self._held is not None:
                shown += self.end()
            if isinstance(event, Failure):
                event = replace(event, message=redact(event.message, self._key))
            elif isinstance(event, Finish):
                raw, message = redact(event.raw, self._key), redact(event.message, self._key)
                event = replace(event, raw=raw, message=message)
            shown.append(event)
        return shown

    def end(self) -> Sequence[Event]:
        """Return what was held back and turned out not to be the key."""
        held, self._held = self._held, None
        return (held,) if held else ()

    def _show(self, event: TextDelta | ThoughtDelta, shown: list[Event]) -> None:
        kind, text = type(event), event.text
        if type(self._held) is kind:
            text = self._held.text + text
        else:
            shown += self.end()
        text = text.replace(self._secret, _INSTEAD)
        if _hides(text):
            longest = (1 + _MOST_UNSEEN) * len(self._secret)
            text = _take_out(_plain_pattern_of(self._secret), text, longest)
        kept = len(text) - _count_begun(text, self._secret)
        self._held = kind(text[kept:]) if kept < len(text) else None
        if kept:
            shown.append(kind(text[:kept]))


def _count_begun(text: str, secret: str) -> int:
    """Return how many characters at the end of `text` may begin the key, what is not seen included."""
    tail = text[-len(secret) * (1 + _MOST_UNSEEN) :]
    places = [place for place, sign in enumerate(tail) if not _HIDDEN.match(sign)] if _hides(tail) else None
    seen = tail if places is None else "".join(tail[place] for place in places)
    at = seen.find(secret[0], max(len(seen) - len(secret) + 1, 0))
    while at != -1 and not secret.startswith(seen[at:]):
        at = seen.find(secret[0], at + 1)
    if at == -1:
        return 0
    return len(tail) - (at if places is None else places[at])
