"""Takes the key out of what upstream writes, which some upstreams echo, in whatever escapes they do it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pydantic import SecretStr

from runapi_mcp.wire.types import Event, TextDelta, ThoughtDelta

_SHORTEST_KEY: Final = 8
_INSTEAD: Final = "[key]"
_ESCAPE: Final = re.compile(r"\\[ux/]|%|&#")
_WRITTEN: Final = (TextDelta, ThoughtDelta)


def redact(text: str, key: SecretStr) -> str:
    """Return `text` without the key, plain or with any of its characters in escapes; itself if it has none.

    Of JSON, however often it was printed into a string, of a URL, of HTML. What is shorter than any key is
    left alone: it would only spoil the text.
    """
    secret = key.get_secret_value()
    if len(secret) < _SHORTEST_KEY:
        return text
    text = text.replace(secret, _INSTEAD)
    return _pattern_of(secret).sub(_INSTEAD, text) if _ESCAPE.search(text) else text


@lru_cache(maxsize=16)
def _pattern_of(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spellings, secret)))


def _spellings(sign: str) -> str:
    """Return a pattern for one character of the key, as itself and in every escape."""
    number = ord(sign)
    digits = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{number:02x}")
    return (
        rf"(?:{re.escape(sign)}|\\\\{{0,15}}(?:u00{digits}|x{digits}|{re.escape(sign)})|%(?:25)?{digits}"
        rf"|&#(?:0{{0,4}}{number}|[xX]0{{0,4}}{digits});)"
    )


class Redacting:
    """Takes the key out of the text of one stream, also where it comes in several deltas.

    Held back is at most the end of a delta that could be the beginning of the key.
    """

    def __init__(self, key: SecretStr) -> None:
        secret = key.get_secret_value()
        self._secret = secret if len(secret) >= _SHORTEST_KEY else ""
        self._held: TextDelta | ThoughtDelta | None = None

    def feed(self, event: Event) -> Sequence[Event]:
        """Return what can be shown now that `event` has come."""
        if not isinstance(event, _WRITTEN):
            return (*self.end(), event) if self._held else (event,)
        # By far the commonest: nothing of the key can be in it.
        if self._held is None and not (self._secret and self._secret[0] in event.text):
            return (event,)
        before, self._held = self._held, None
        if before and type(before) is type(event):
            return self._show(type(event)(before.text + event.text))
        return (before, *self._show(event)) if before else self._show(event)

    def end(self) -> Sequence[Event]:
        """Return what was held back and turned out not to be the key."""
        held, self._held = self._held, None
        return (held,) if held else ()

    def _show(self, event: TextDelta | ThoughtDelta) -> Sequence[Event]:
        text = event.text.replace(self._secret, _INSTEAD)
        kept = len(text) - _count_begun(text, self._secret)
        if kept < len(text):
            self._held = type(event)(text[kept:])
            text = text[:kept]
        return (event if text == event.text else type(event)(text),) if text else ()


def _count_begun(text: str, secret: str) -> int:
    """Return how many characters at the end of `text` could be the beginning of `secret`."""
    at = text.find(secret[0], max(len(text) - len(secret) + 1, 0))
    while at != -1 and not secret.startswith(text[at:]):
        at = text.find(secret[0], at + 1)
    return 0 if at == -1 else len(text) - at
