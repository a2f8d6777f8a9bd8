"""Characters of strangers' text that act without being seen. Pure, and linear in the text.

Control characters command a terminal; bidirectional overrides show a text in another order than it is
read in (CVE-2021-42574, "Trojan Source"); tags and repeated variation selectors carry whole sentences that
a model reads and nobody sees. What languages and emoji need stays: the marks LRM, RLM and ALM, the joiners
ZWJ and ZWNJ, isolates that are closed, the flags of regions, one variation selector after a character.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

_PIECE: Final = 65_536
"""Characters that are looked at in one go: while a thread does it, the others need wait no longer."""

_CONTROL: Final = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# An embedding is an override in all but name where no closing mark follows, and nothing needs one any more.
_OVERRIDE: Final = "\u202a-\u202e"
_HALVES: Final = "\ud800-\udfff"
# What is not assigned there is ignored when drawn, like the tags (Unicode's Default_Ignorable_Code_Point).
_TAG: Final = "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
_VARIANT: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_ISOLATE: Final = "\u2066-\u2069"

_SUSPECT: Final = re.compile(f"[{_CONTROL}{_OVERRIDE}{_ISOLATE}{_TAG}{_VARIANT}{_HALVES}]")
_ESCAPED: Final = re.compile(f"[{_CONTROL}{_OVERRIDE}{_ISOLATE}{_TAG}]|(?<=[{_VARIANT}])[{_VARIANT}]")
# A flag of a part of a country: a black flag, then its code in tags (Unicode Technical Standard 51).
_FLAG: Final = (
    "\U0001f3f4[\U000e0061-\U000e007a]{2}[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,4}\U000e007f"
)
_FLAG_OR_UNSEEN: Final = re.compile(f"({_FLAG})|[{_CONTROL}{_OVERRIDE}{_TAG}]+")
_HALF: Final = re.compile(f"[{_HALVES}]")
_REPEATED: Final = re.compile(f"([{_VARIANT}])[{_VARIANT}]+")
# Isolates end with their paragraph (Unicode Standard Annex 9).
_ISOLATE_OR_END: Final = re.compile(f"[{_ISOLATE}\n\r\u2029]")
_CLOSE: Final = "\u2069"


def remove_unseen(text: str) -> str:
    """Return a stranger's text without the characters that act without being seen.

    Removed are C0 but tab and line ends, DEL and C1, bidirectional embeddings and overrides, isolates
    that nothing closes in their line, tags outside of flags, and variation selectors after another; a
    lone half of a surrogate pair becomes U+FFFD. Of a line of more than 65,536 characters each piece
    stands for itself.
    """
    pieces = [*_pieces(text)]
    if not any(_SUSPECT.search(piece) for piece in pieces):
        return text
    return "".join(_without_unseen(piece) for piece in pieces)


def escape_unseen(document: str) -> str:
    r"""Return a JSON text that spells such characters as ``\uXXXX``, and so has the same value.

    Isolates and tags are spelled out wherever they stand; halves of pairs are left as they are.
    """
    return _ESCAPED.sub(lambda found: _escape(found[0]), document) if _SUSPECT.search(document) else document


def _without_unseen(text: str) -> str:
    if not _SUSPECT.search(text):
        return text
    seen = _close_isolates(_FLAG_OR_UNSEEN.sub(r"\1", text))
    return _REPEATED.sub(r"\1", _HALF.sub("\N{REPLACEMENT CHARACTER}", seen))


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that end where a line does, if one does."""
    start = 0
    while len(text) - start > _PIECE:
        end = text.rfind("\n", start, start + _PIECE) + 1 or start + _PIECE
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def _close_isolates(text: str) -> str:
    """Return a text without isolates that nothing closes in their line, and ends of none."""
    unclosed: list[int] = []
    alone: list[int] = []
    for found in _ISOLATE_OR_END.finditer(text):
        char, place = found[0], found.start()
        if char == _CLOSE:
            if unclosed:
                unclosed.pop()
            else:
                alone.append(place)
        elif char in "\u2066\u2067\u2068":
            unclosed.append(place)
        else:
            alone += unclosed
            unclosed.clear()
    alone += unclosed
    if not alone:
        return text
    places = [-1, *sorted(alone), len(text)]
    return "".join(text[before + 1 : after] for before, after in pairwise(places))


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


_MOST_QUOTED: Final = 300
_NOT_OF_A_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def one_line(text: str, limit: int) -> str:
    """Fold `text` to a single line of at most `limit` characters, with nothing unseen in it.

    Control characters become spaces, runs of white space one space; a cut is marked by an ellipsis,
    which counts towards the limit.
    """
    # A little more than the limit is looked at, so a huge text costs no more than a small one.
    head = text[: limit * 4]
    folded = " ".join(remove_unseen(_NOT_OF_A_LINE.sub(" ", head)).split())
    if len(folded) <= limit and len(head) == len(text):
        return folded
    # What was closed before the cut may not be after it.
    return remove_unseen(folded[: limit - 1]).rstrip() + "…"


def quote_text(text: str) -> str:
    """Quote text that came from upstream: one line, at most 300 characters, in “ ”."""
    return f"“{one_line(text, _MOST_QUOTED)}”"
