"""A text as it is compared: without what may differ though the same is meant, and the way back. Pure.

Every step folds one character at a time, so that each folded character knows the one it came from, and a
place found in what was folded is a place in the text itself.
"""

import html
import json
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_DASHES: Final = "‐‑‒–—―−﹘﹣－"
_SINGLE: Final = "‘’‚‛′`´ʼʹ"
_DOUBLE: Final = "“”„‟″«»「」『』"
_LETTERS: Final = {
    "ى": "ي",
    "ی": "ي",
    "ک": "ك",
    "ة": "ه",
    "ı": "i",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "đ": "d",
    "ł": "l",
}
"""Letters that are written for one another and have no decomposition."""
_LOOKALIKES: Final[dict[str, str]] = {
    **dict.fromkeys("o°ο", "0"),
    **dict.fromkeys("il|!ıj", "1"),
    "s": "5",
    "b": "8",
    "z": "2",
    "g": "9",
    "q": "9",
    "t": "7",
    "c": "e",
}
"""What OCR takes for one another; both sides are folded, so that which is right does not matter."""
_GUESSES: Final = {ord(letter): digit for letter, digit in _LOOKALIKES.items()}
_PAIRS: Final = (("rn", "m"), ("vv", "w"))
_FREE_MARKS: Final = (
    *((0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670)),
    *((0x06D6, 0x06ED), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F)),
)
"""Marks that people leave out: accents, and the vowels of Hebrew and Arabic. Those of India make the word."""
UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af"
    r"\uf900-\ufaff\U00020000-\U0003134f]"
)
"""Scripts in which words stand side by side, or with what belongs to the sentence fixed to them."""


_BLANKS: Final = re.compile(" {2,}")


class _Fold(dict[str, str]):
    """What each character is folded to, found out when it is first met."""

    @cached_property
    def plainly(self) -> tuple[dict[int, str], re.Pattern[str] | None]:
        """What the characters of ASCII are folded to, and what finds rows of those that stay, if any go."""
        table = {code: self[chr(code)] for code in range(128)}
        gone = "".join(chr(code) for code, folded in table.items() if not folded)
        return table, re.compile(f"[^{re.escape(gone)}]+") if gone else None

    def apply(self, text: str) -> str:
        """Return a text as it is folded, without the way back."""
        return text.translate(self.plainly[0]) if text.isascii() else "".join(map(self.__getitem__, text))


class _PlainFold(_Fold):
    def __missing__(self, character: str) -> str:
        if character in _DASHES:
            folded = "-"
        elif character in _SINGLE:
            folded = "'"
        elif character in _DOUBLE:
            folded = '"'
        elif character.isspace():
            folded = " "
        elif unicodedata.category(character) == "Cf" or character in "\u0640\ufe0e\ufe0f":
            folded = ""
        elif character.isdecimal():
            folded = str(unicodedata.decimal(character))
        else:
            folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
            folded = " " if folded.isspace() else folded
        self[character] = folded
        return folded


class _WrittenFold(_Fold):
    def __missing__(self, character: str) -> str:
        if character in "\r\n\u2028\u2029\x0b\x0c\x85":
            folded = "\n"
        elif character.isspace():
            folded = " "
        elif character in _DASHES:
            folded = "-"
        elif unicodedata.category(character) == "Cf" or _is_free(character):
            folded = ""
        else:
            folded = unicodedata.normalize("NFKC", character)
            folded = character if "\u2044" in folded else folded  # one half stays one sign
        self[character] = folded
        return folded


class _BareFold(_Fold):
    def __missing__(self, character: str) -> str:
        folded = _LETTERS.get(character, character)
        mark = unicodedata.category(character)[0] == "M" and not _is_free(character)
        folded = folded if mark or character.isalnum() else ""
        self[character] = folded
        return folded


_PLAIN: Final = _PlainFold()
_BARE: Final = _BareFold()
_WRITTEN: Final = _WrittenFold()


def _is_free(mark: str) -> bool:
    return any(low <= ord(mark) <= high for low, high in _FREE_MARKS)


@dataclass(frozen=True, slots=True)
class Folded:
    """A text as it is compared.

    Attributes:
        text: What it was folded to.
        places: Where in the source each character of that came from; `None` if it is the source itself.
    """

    text: str
    places: "array[int] | None" = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the stretch of the source that a stretch of this came from."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1

    def _map(self, fold: _Fold) -> "Folded":
        if self.text.isascii():
            return self._map_plainly(fold)
        pieces: list[str] = []
        places = array("I")
        for at, character in enumerate(self.text):
            folded = fold[character]
            if folded:
                pieces.append(folded)
                place = at if self.places is None else self.places[at]
                if len(folded) == 1:
                    places.append(place)
                else:
                    places.extend([place] * len(folded))
        return Folded("".join(pieces), places)

    def _map_plainly(self, fold: _Fold) -> "Folded":
        """Return the same where each character is folded to one or to none, which is much faster."""
        table, staying = fold.plainly
        places = array("I", range(len(self.text))) if self.places is None else self.places
        if staying:
            kept = array("I")
            for found in staying.finditer(self.text):
                kept.extend(places[found.start() : found.end()])
            places = kept
        return Folded(self.text.translate(table), places)

    def unescape(self, *, tags: bool) -> "Folded":
        """Return it with what entities of HTML and escapes of JSON stand for, and no names of tags.

        With `tags`, what is within a tag is left out, too.
        """
        own = self if self.places is not None else Folded(self.text, array("I", range(len(self.text))))
        return _join(own, _ESCAPES if tags else _ESCAPES.replace(_TAG, _TAG_NAME), _unescape)

    def fold_plain(self) -> "Folded":
        """Return it without case, forms of Unicode, kinds of dashes, quotes and blanks, unseen characters."""
        return _join(self._map(_PLAIN), _BLANKS, lambda row: " ")

    def fold_written(self) -> "Folded":
        """Return it with one form of each character and no unseen ones: what numbers and dates are read from.

        A row of blanks stays one of two at least, for it parts columns.
        """
        return _join(self._map(_WRITTEN), r"[ \n]*\n[ \n]*|  +", lambda row: "\n" if "\n" in row else "  ")

    def fold_bare(self) -> "Folded":
        """Return what is plain with letters and digits alone, and without the marks that people leave out."""
        return self._map(_BARE)

    def fold_guessed(self) -> "Folded":
        """Return what is bare with one letter for all that OCR takes for one another."""
        text, places = self.text.translate(_GUESSES), self.places
        for pair, one in _PAIRS:
            if pair not in text:
                continue
            kept = array("I")
            start = 0
            source = places if places is not None else array("I", range(len(text)))
            for found in re.finditer(pair, text):
                kept.extend(source[start : found.start() + 1])
                start = found.end()
            kept.extend(source[start:])
            text, places = text.replace(pair, one), kept
        return Folded(text, places)


def _join(folded: Folded, pattern: str | re.Pattern[str], join: Callable[[str], str]) -> Folded:
    """Return it with something shorter for each row that a pattern finds."""
    pieces: list[str] = []
    places = array("I")
    start = 0
    assert folded.places is not None, "it was mapped"
    for found in re.finditer(pattern, folded.text):
        row = join(found[0])
        pieces += [folded.text[start : found.start()], row]
        places.extend(folded.places[start : found.start() + len(row)])
        start = found.end()
    pieces.append(folded.text[start:])
    places.extend(folded.places[start:])
    return Folded("".join(pieces), places)


_TAG: Final = r"</?[A-Za-z][^<>]{0,200}>"
_TAG_NAME: Final = r"</?[A-Za-z][\w:.-]{0,40}"
_ESCAPES: Final = (
    r"&(?:[A-Za-z]{2,8}|#\d{2,6}|#[xX][0-9a-fA-F]{2,5});"
    r"|(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\u[0-9a-fA-F]{4}|" + _TAG
)
"""Entities of HTML, escapes of JSON, tags; each stands for one character or for none."""
_ESCAPE: Final = re.compile(_ESCAPES)


def _unescape(written: str) -> str:
    if written.startswith("<"):
        return " "
    meant = html.unescape(written) if written.startswith("&") else json.loads(f'"{written}"')
    return meant if len(meant) <= 2 and meant.isprintable() else " "


def has_escapes(text: str) -> bool:
    """Whether something stands in a text for another character."""
    return _ESCAPE.search(text) is not None


def find_escape_end(text: str, at: int) -> int:
    """Return where what stands for one character ends that begins at a place; the next place if none does."""
    found = _ESCAPE.match(text, at)
    return found.end() if found else at + 1


_DENIALS: Final = frozenset(
    word
    for words in (
        "not no never none nor neither without cannot nicht kein keine keinen keiner keinem nie niemals ohne",
        "ne pas jamais sans aucun aucune sin nunca ningun ninguna non mai senza nao sem nem niet geen ikke",
        "inte не нет ни без لا لم لن ليس ليست غير بدون לא אין בלי khong chua नहीं degil yok",
    )
    for word in words.split()
)
_DENIAL_SIGNS: Final = re.compile("[不未沒没無无非]|ない|ません|않|못|없")
_DENYING: Final = ("dis", "un", "in", "im", "il", "ir", "non", "mis", "miss", "anti", "a")
_WORDS: Final = re.compile(r"[^\W\d_]+")
_SHORT_NOT: Final = re.compile(r"n['’]t\b")


def contradicts(value: str, quote: str) -> bool:
    """Whether one of two like texts denies what the other says.

    A few letters are all that parts "is permitted" from "is not permitted", and "approved" from
    "disapproved" (open-legal-products/mike#391): nothing is evidence of its contrary.
    """
    said, found = _words(value), _words(quote)
    if _denials(value, said) % 2 != _denials(quote, found) % 2:
        return True
    one, other = {*said} - {*found}, {*found} - {*said}
    return any(f"{prefix}{word}" in other for word in one for prefix in _DENYING) or any(
        f"{prefix}{word}" in one for word in other for prefix in _DENYING
    )


def is_denied(text: str, at: int) -> bool:
    """Whether the word that begins at a place is the rest of one that says the contrary."""
    before = text[max(at - 8, 0) : at]
    start = next((len(before) - n for n, one in enumerate(reversed(before)) if not one.isalpha()), 0)
    return fold_plain(before[start:]) in _DENYING


def _words(text: str) -> list[str]:
    return _WORDS.findall(_SHORT_NOT.sub(" not", fold_plain(text)))


def _denials(text: str, words: list[str]) -> int:
    # French denies with two words, of which one may be left out.
    said = sum(word in _DENIALS for word in words) - (
        ("ne" in words) and ("pas" in words or "jamais" in words)
    )
    return said + len(_DENIAL_SIGNS.findall(text))


def fold_plain(value: str) -> str:
    """Return a value as :meth:`Folded.fold_plain` has a text."""
    return _BLANKS.sub(" ", _PLAIN.apply(value)).strip()


def fold_bare(value: str) -> str:
    """Return a value as :meth:`Folded.fold_bare` has a text."""
    return _BARE.apply(_PLAIN.apply(value))


def fold_guessed(value: str) -> str:
    """Return a value as :meth:`Folded.fold_guessed` has a text."""
    return Folded(fold_bare(value)).fold_guessed().text


def find_all(text: str, wanted: str, most: int) -> Iterator[int]:
    """Yield where `wanted` begins in a text, from the start, at most so many times."""
    at = text.find(wanted)
    while at >= 0 and most > 0:
        yield at
        most -= 1
        at = text.find(wanted, at + 1)


def is_parted(text: str, at: int, *, strictly: bool = False) -> bool:
    """Whether one word or number ends before `at` and another thing begins there.

    A letter beside a digit parts them, unless it is to be told `strictly`.
    """
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if unicodedata.category(after)[0] == "M" or after in "\u200d\ufe0e\ufe0f" or before == "\u200d":
        return False
    if before.isdecimal() and after.isdecimal():
        return False
    if after in ".," and before.isdecimal() and text[at + 1 : at + 2].isdecimal():
        return False
    if before in ".," and after.isdecimal() and text[max(at - 2, 0) : at - 1].isdecimal():
        return False
    if before.isalnum() and after.isalnum():
        if UNSPACED.match(before) or UNSPACED.match(after):
            return True
        return not strictly and before.isdecimal() != after.isdecimal()
    return True


def find_nearest(wanted: str, text: str, most: int) -> tuple[int, int, int] | None:
    """Return where in `text` what is nearest to `wanted` stands, and its distance, if that is `most` or less.

    Myers's bit vectors: one step for each character of the text, whatever is allowed.
    """
    end, distance = _nearest_end(wanted, text)
    if distance > most:
        return None
    back = text[:end][::-1]
    length, _ = _nearest_end(wanted[::-1], back[: len(wanted) + most], anchored=True)
    return end - length, end, distance


def _nearest_end(wanted: str, text: str, *, anchored: bool = False) -> tuple[int, int]:
    """Return where the nearest stretch ends, and its distance; `anchored` ones begin with the text."""
    size = len(wanted)
    mask, top = (1 << size) - 1, 1 << (size - 1)
    equal: dict[str, int] = {}
    for at, character in enumerate(wanted):
        equal[character] = equal.get(character, 0) | (1 << at)
    up, down, distance = mask, 0, size
    best, best_end = size, 0
    for at, character in enumerate(text):
        same = equal.get(character, 0)
        vertical = same | down
        horizontal = (((same & up) + up) ^ up) | same
        more, less = down | ~(horizontal | up) & mask, up & horizontal
        if more & top:
            distance += 1
        if less & top:
            distance -= 1
        more, less = (more << 1 | anchored) & mask, less << 1 & mask
        up, down = (less | ~(vertical | more)) & mask, more & vertical
        if distance < best:
            best, best_end = distance, at + 1
    return best_end, best
