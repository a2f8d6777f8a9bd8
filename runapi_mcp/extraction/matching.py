"""Looks for one value in the material: as it is, and then as people and OCR write it. Pure."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from runapi_mcp.extraction.folding import (
    UNSPACED,
    Folded,
    contradicts,
    find_all,
    find_escape_end,
    find_nearest,
    fold_bare,
    fold_guessed,
    fold_plain,
    has_escapes,
    is_denied,
    is_parted,
)
from runapi_mcp.extraction.notation import (
    Day,
    Moment,
    find_days,
    find_figures,
    find_moments,
    read_day,
    read_figure,
)
from runapi_mcp.wire.json_text import escape_key

_MOST_PLACES: Final = 2_000
_MOST_WEIGHED: Final = 24
_MOST_SEARCHED: Final = 3_000_000_000
"""Characters that are gone through for all values together; it takes some seconds."""
MOST_GUESSED: Final = 2_000_000
"""Characters of material up to which it is also looked for what is only like a value."""
_LONGEST_LIKE: Final = 96
_MOST_READ: Final = 100_000
"""Dates of a source that are read, and as many numbers."""
LOOSE: Final = 2
"""The rank from which on digits are part of something else, such as a date or an identifier."""

Path: TypeAlias = tuple[str | int, ...]


class Source(NamedTuple):
    """A text of the material; `name` is its file's, empty for the text that was given as such."""

    name: str
    text: str


class Span(NamedTuple):
    """A stretch of a source, in characters."""

    source: int
    start: int
    end: int


@dataclass(slots=True)
class Leaf:
    """One value, and what was found of it."""

    path: Path
    value: Any
    candidates: dict[Span, int] = field(default_factory=dict)
    chosen: Span | None = None
    enum: bool = False
    inferred: bool = False

    @property
    def pointer(self) -> str:
        """Its path as a JSON Pointer."""
        return "".join(f"/{escape_key(str(part))}" for part in self.path)

    @property
    def key(self) -> str:
        """The name that it has, or the list that it is in."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")

    @property
    def kind(self) -> Path:
        """Its path without places in lists: what the same value of another item shares with it."""
        return tuple("*" if isinstance(part, int) else part for part in self.path)


_CURRENCIES: Final = {
    "EUR": "€",
    "USD": "US$ $",
    "GBP": "£",
    "JPY": "¥ 円 ￥",
    "CNY": "¥ 元 ￥ 人民币",
    "KRW": "₩ 원",
    "INR": "₹ Rs",
    "RUB": "₽ руб",
    "TRY": "₺ TL",
    "UAH": "₴",
    "ILS": "₪",
    "PLN": "zł",
    "CHF": "Fr. SFr",
    "BRL": "R$",
    "VND": "₫",
    "SAR": "ر.س ريال",
    "AED": "د.إ درهم",
    "EGP": "ج.م",
    "CZK": "Kč",
    "SEK": "kr",
    "NOK": "kr",
    "DKK": "kr",
}
"""Signs of currencies, by their codes: the value is the one, the material has the other."""


class Searcher:
    """Looks for values in the sources; what is made of them is made when it is first needed.

    Attributes:
        sources: The texts.
        size: Characters of all of them.
        denied: Values of which the sources say the contrary, in nearly the same words.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._same = [Folded(source.text) for source in sources]
        self._made: dict[str, list[Folded]] = {"same": self._same}
        self._figures: dict[Decimal, list[tuple[int, Span]]] | None = None
        self._dated: dict[int, list[Day]] = {}
        self._days: dict[tuple[int, int, int], list[Span]] | None = None
        self._moments: dict[tuple[int, int], list[tuple[int, Span]]] = {}
        self._remembered: dict[tuple[str, str, bool], list[Span]] = {}
        self._left = _MOST_SEARCHED
        self._escapes: bool | None = None
        self.denied: set[str] = set()
        self.size = sum(len(source.text) for source in sources)

    def find_candidates(self, leaf: Leaf) -> dict[Span, int]:
        """Return the places at which a value may stand, each with how far it is from the value as it is.

        What is the same in other writing counts beside what is the same; what is only like it where there
        is neither.
        """
        value = leaf.value
        if isinstance(value, Decimal | int):
            return self._as_number(Decimal(value))
        text = str(value)
        found: dict[Span, int] = {}
        for rank, look in enumerate((self._as_it_is, self._as_plain, self._as_bare, self._as_swapped)):
            for span in look(text):
                found.setdefault(span, rank)
        for other in (
            self._as_day,
            self._as_sign,
            self._as_address,
            self._as_figure,
            self._as_parts,
            self._as_escaped,
            self._as_phone,
            self._as_short,
            self._within_words,
            self._as_guessed,
            self._as_like,
        ):
            if found:
                break
            found = dict.fromkeys(other(text), 0)
        return dict(sorted(found.items()))

    def view(self, kind: str) -> list[Folded]:
        """Return the sources as they are compared in one way."""
        if kind not in self._made:
            match kind:
                case "plain":
                    made = [view.fold_plain() for view in self._same]
                case "written":
                    made = [view.fold_written() for view in self._same]
                case "bare":
                    made = [view.fold_bare() for view in self.view("plain")]
                case "escaped" | "attributes":
                    tags = kind == "escaped"
                    made = [view.unescape(tags=tags).fold_plain().fold_bare() for view in self._same]
                case _:
                    made = [view.fold_guessed() for view in self.view("bare")]
            self._made[kind] = made
        return self._made[kind]

    def _find(self, kind: str, wanted: str, *, parted: bool) -> list[Span]:
        """Return where a folded value stands; `parted` is whether as words of their own."""
        key = (kind, wanted, parted)
        if not wanted or self._left <= 0:
            return []
        if key not in self._remembered:
            self._remembered[key] = [*self._search(kind, wanted, parted=parted)][:_MOST_PLACES]
        return self._remembered[key]

    def _search(self, kind: str, wanted: str, *, parted: bool) -> Iterator[Span]:
        for number, view in enumerate(self.view(kind)):
            self._left -= len(view.text)
            text = self.sources[number].text
            for at in find_all(view.text, wanted, _MOST_PLACES):
                start, end = view.span(at, at + len(wanted))
                if kind in ("escaped", "attributes"):
                    end = find_escape_end(text, end - 1)
                end = _with_marks(text, end) if kind != "same" else end
                if not parted or _stands(text, start, end):
                    yield Span(number, start, end)

    def _as_it_is(self, text: str) -> list[Span]:
        return self._find("same", text, parted=True)

    def _as_plain(self, text: str) -> list[Span]:
        return self._find("plain", fold_plain(text), parted=True)

    def _as_bare(self, text: str) -> list[Span]:
        bare = fold_bare(text)
        return self._find("bare", bare, parted=True) if _tells(bare) else []

    def _as_number(self, value: Decimal) -> dict[Span, int]:
        if self._figures is None:
            self._figures = {}
            for number, view in enumerate(self.view("written")):
                dated = bytearray(len(view.text))
                taken = [(day.start, day.end) for day in self._read_days(number)]
                taken += [(one.start, one.end) for one in find_moments(view.text)]
                for start, end in taken:
                    dated[start:end] = b"\1" * (end - start)
                for figure in islice(find_figures(view.text), _MOST_READ):
                    known = self._figures.setdefault(figure.value, [])
                    # A day of the month or an hour is no number of anything.
                    rank = max(figure.rank, LOOSE + 1) if dated[figure.start] else figure.rank
                    if len(known) < _MOST_PLACES:
                        known.append((rank, Span(number, *view.span(figure.start, figure.end))))
        found = self._figures.get(value, [])
        best = min((rank for rank, _ in found), default=0)
        if found:
            return {span: rank for rank, span in sorted(found, key=itemgetter(1)) if rank == best}
        digits = fold_guessed(_write(value))
        guessed = self._find("guessed", digits, parted=True) if len(digits) >= 3 and self._may_guess else []
        return dict.fromkeys(guessed, 0)

    def _read_days(self, number: int) -> list[Day]:
        """Return the dates of a source, in its writing that is read for them."""
        if number not in self._dated:
            self._dated[number] = [*islice(find_days(self.view("written")[number].text), _MOST_READ)]
        return self._dated[number]

    def _as_figure(self, text: str) -> list[Span]:
        return [span for value in read_figure(text) for span in self._as_number(value)]

    def _as_day(self, text: str) -> list[Span]:
        wanted = read_day(text)
        if not wanted:
            return self._as_moment(text)
        if self._days is None:
            self._days = {}
            for number, view in enumerate(self.view("written")):
                for day in self._read_days(number):
                    known = self._days.setdefault(day[:3], [])
                    if len(known) < _MOST_PLACES:
                        known.append(Span(number, *view.span(day.start, day.end)))
        for loosened in (wanted, {(0, month, day) for _, month, day in wanted}):
            found = [span for day in loosened for span in self._days.get(day, ())]
            if found:
                return [self._with_time(span, text) for span in dict.fromkeys(found)][:_MOST_PLACES]
        return self._as_guessed_day(wanted)

    def _as_guessed_day(self, wanted: set[tuple[int, int, int]]) -> list[Span]:
        """Return where dates in figures stand that OCR took for something else."""
        if not self._may_guess:
            return []
        made = (
            form
            for year, month, day in wanted
            if year and day
            for form in (
                f"{year}{month:02}{day:02}",
                f"{day:02}{month:02}{year}",
                f"{month:02}{day:02}{year}",
            )
        )
        return [span for form in made for span in self._find("guessed", fold_guessed(form), parted=True)]

    def _as_moment(self, text: str) -> list[Span]:
        bare = text.strip()
        moments = [*find_moments(bare)]
        if len(moments) != 1 or moments[0].start or moments[0].end < len(bare) - 6:
            return []
        return self._at_time(moments[0])

    def _at_time(self, wanted: Moment) -> list[Span]:
        """Return where a time of day stands; its seconds too, if both have them."""
        return [
            span
            for second, span in self._read_times().get(wanted[:2], ())
            if wanted.second in (second, -1) or second == -1
        ]

    def _read_times(self) -> dict[tuple[int, int], list[tuple[int, Span]]]:
        if not self._moments:
            for number, view in enumerate(self.view("written")):
                for moment in find_moments(view.text):
                    known = self._moments.setdefault(moment[:2], [])
                    if len(known) < _MOST_PLACES:
                        known.append((moment.second, Span(number, *view.span(moment.start, moment.end))))
        return self._moments

    def _with_time(self, span: Span, text: str) -> Span:
        """Return the place of a date with the time of day beside it, if the value has that time."""
        for moment in find_moments(text[8:]):
            for near in self._at_time(moment):
                gap = near.start - span.end
                if near.source == span.source and 0 <= gap <= 12:
                    return Span(span.source, span.start, near.end)
        return span

    def _as_sign(self, text: str) -> list[Span]:
        signs = _CURRENCIES.get(text.strip().upper(), "").split()
        for sign in signs:
            found = self._find("same", sign, parted=sign.isalpha())
            if found:
                return found
        return []

    def _as_address(self, text: str) -> list[Span]:
        bare = text.strip()
        for prefix in ("https://www.", "http://www.", "https://", "http://", "mailto:", "tel:"):
            if bare.startswith(prefix):
                return self._find("plain", fold_plain(bare.removeprefix(prefix).rstrip("/")), parted=True)
        return []

    def _as_swapped(self, text: str) -> list[Span]:
        words = text.replace(",", " ").split()
        if not 2 <= len(words) <= 4 or any(letter.isdecimal() for letter in text):
            return []  # it is no name
        for turned in ([words[-1], *words[:-1]], [*words[1:], words[0]]):
            found = self._as_bare("".join(turned))
            if found:
                return found
        return []

    def _as_parts(self, text: str) -> list[Span]:
        """Return where the parts of a value stand one after the other, with little between them."""
        parts = [part for part in _SEPARATORS.split(text) if _tells(fold_bare(part))]
        if not 2 <= len(parts) <= 12:
            return []
        found: list[Span] = []
        later = [self._as_bare(part) for part in parts]
        for first in later[0][:_MOST_WEIGHED]:
            end = first.end
            for places in later[1:]:
                after = bisect_left(places, Span(first.source, end, 0))
                if after >= len(places) or places[after].source != first.source:
                    break
                end = places[after].end
            else:
                if end - first.start <= 3 * len(text) + 40:
                    found.append(Span(first.source, first.start, end))
        return found

    def _within_words(self, text: str) -> list[Span]:
        """Return where a value begins or ends a longer word, as in compounds and behind Arabic articles."""
        bare = fold_bare(text)
        joined = any("\u0590" <= character <= "\u06ff" for character in bare)
        if len(bare) < (3 if joined else 5):
            return []
        found = self._find("bare", bare, parted=False)
        texts = self.sources
        return [
            span
            for span in found
            if is_parted(texts[span.source].text, span.start)
            or (
                is_parted(texts[span.source].text, span.end)
                and not is_denied(texts[span.source].text, span.start)
            )
        ]

    def _as_escaped(self, text: str) -> list[Span]:
        """Return where a value stands in the source of a page or of JSON, with entities, tags or escapes."""
        if self._escapes is None:
            self._escapes = any(has_escapes(source.text) for source in self.sources)
        bare = fold_bare(text)
        if not self._escapes or not _tells(bare):
            return []
        return self._find("escaped", bare, parted=True) or self._find("attributes", bare, parted=True)

    def _as_phone(self, text: str) -> list[Span]:
        """Return where a telephone number stands in its national form, or with a nought in brackets."""
        digits = fold_bare(text)
        if not (digits.isdecimal() and 9 <= len(digits) <= 15 and text.lstrip().startswith(("+", "00"))):
            return []
        digits = digits.removeprefix("00")
        for code in (2, 1, 3):
            for form in (f"{digits[:code]}0{digits[code:]}", f"0{digits[code:]}"):
                if found := self._find("bare", form, parted=True):
                    return found
        return []

    def _as_short(self, text: str) -> list[Span]:
        """Return where the words of a value stand one after the other, some cut short or with other endings.

        `Street` is written `St.`, and a name has the ending of its case.
        """
        words = [word for word in fold_plain(text).split() if any(map(str.isalnum, word))]
        named = [word for word in words if word.strip(".") not in _TITLES]
        if not 2 <= len(words) <= 8 or len(text) > _LONGEST_LIKE:
            return []
        if 2 <= len(named) < len(words) and (found := self._as_bare("".join(named))):
            return found
        pattern = re.compile(r"[\s.,;:]{1,3}".join(map(_word_or_less, named or words)))
        found = []
        for number, view in enumerate(self.view("plain")):
            self._left -= len(view.text)
            if self._left <= 0:
                break
            for near in islice(pattern.finditer(view.text), _MOST_WEIGHED):
                span = Span(number, *view.span(*near.span()))
                source = self.sources[number].text
                quote = source[span.start : span.end + (source[span.end : span.end + 1] == ".")]
                if (
                    _is_cut_openly(quote, named)
                    and not contradicts(text, quote)
                    and _stands(source, span.start, span.end)
                ):
                    found.append(span)
        return found

    @property
    def _may_guess(self) -> bool:
        return self.size <= MOST_GUESSED

    def _as_guessed(self, text: str) -> list[Span]:
        wanted = fold_guessed(text)
        return self._find("guessed", wanted, parted=True) if len(wanted) >= 4 and self._may_guess else []

    def _as_like(self, text: str) -> list[Span]:
        """Return where something stands that differs from a value by few letters, and by no digit."""
        wanted = fold_guessed(text)
        if len(wanted) < 6 or not self._may_guess:
            return []
        if len(wanted) > _LONGEST_LIKE:
            return self._as_long(wanted)
        numbers = [fold_guessed(word) for word in text.split() if any(letter.isdigit() for letter in word)]
        found = []
        for span in self._find_like(wanted):
            quote = self.sources[span.source].text[span.start : span.end]
            if contradicts(text, quote):
                self.denied.add(text)
            elif all(number in fold_guessed(quote) for number in numbers):
                found.append(span)
        return found

    def _as_long(self, wanted: str) -> list[Span]:
        """Return where a long value stands by its beginning and its end."""
        half = _LONGEST_LIKE // 2
        ends = self._find_like(wanted[-half:])
        for first in self._find_like(wanted[:half]):
            for last in ends:
                length = last.end - first.start
                if first.source == last.source and len(wanted) * 4 // 5 <= length <= len(wanted) * 2:
                    return [Span(first.source, first.start, last.end)]
        return []

    def _find_like(self, wanted: str) -> list[Span]:
        most = max(len(wanted) // 6, 1)
        size = max(len(wanted) // (most + 1), 3)
        found: dict[Span, int] = {}
        for number, view in enumerate(self.view("guessed")):
            for start in range(0, len(wanted) - size + 1, size):
                # With so few errors one of the pieces is whole.
                self._left -= len(view.text)
                if self._left <= 0:
                    return []
                for at in find_all(view.text, wanted[start : start + size], _MOST_WEIGHED):
                    low = max(at - start - most, 0)
                    near = find_nearest(wanted, view.text[low : low + len(wanted) + 2 * most], most)
                    if near is not None and near[1] > near[0]:
                        span = view.span(low + near[0], low + near[1])
                        text = self.sources[number].text
                        placed = Span(number, span[0], _with_marks(text, span[1]))
                        if _stands(text, placed.start, placed.end):
                            found[placed] = near[2]
        best = min(found.values(), default=0)
        return sorted(span for span, distance in found.items() if distance == best)


_SEPARATORS: Final = re.compile("[,;\n，、；。]")
_TITLES: Final = frozenset(
    word
    for words in (
        "mr mrs ms miss dr prof sir dame m mm mme mlle monsieur madame mademoiselle herr frau sr sra srta",
        "senor senora dott sig sigra signor signora г-н г-жа",
    )
    for word in words.split()
)
"""What may stand before a name, or not, or in other words."""


def _is_cut_openly(quote: str, words: Sequence[str]) -> bool:
    """Whether a word at least is whole, and the others end in a full stop or are capitals, as on receipts.

    `Man Street` is not `Manhattan Street`. What Cyrillic writes in another case counts as whole.
    """
    whole = 0
    for written in quote.split():
        bare = fold_plain(written).strip(".,;:")
        if bare in words or "\u0400" <= bare[:1] <= "\u04ff":
            whole += 1
        elif not (written.endswith(".") or written.strip(".,;:").isupper()):
            return False
    return whole > 0


def _word_or_less(word: str) -> str:
    """Return a pattern of a word, of its beginning, or of its form in another case."""
    bare = re.sub(r"\W", "", word)
    if len(bare) < 4 or not bare.isalpha():
        return re.escape(word.strip(".,;:"))
    cut = "(?:".join(map(re.escape, bare[3:])) + ")?" * (len(bare) - 4)
    short = rf"{re.escape(bare[:2])}(?=\.)|{re.escape(bare[:3])}(?:{cut})?\b"
    # Of Latin names another ending makes another name: Mario, Maria, Marie.
    cased = rf"|{re.escape(bare[:-1])}[^\W\d_]{{1,3}}\b" if "\u0400" <= bare[0] <= "\u04ff" else ""
    return f"(?:{short}{cased})"


def _tells(bare: str) -> bool:
    """Whether so few letters and digits can tell one place from another."""
    return len(bare) >= 3 or (len(bare) == 2 and bool(UNSPACED.match(bare)))


def _write(value: Decimal) -> str:
    return format(value, "f")


def _with_marks(text: str, end: int) -> int:
    """Return where a stretch ends with the marks that its last character carries."""
    while (
        end < len(text) and not text[end].isascii() and not is_parted(text, end) and not text[end].isalnum()
    ):
        end += 1
    return end


def _stands(text: str, start: int, end: int) -> bool:
    """Whether a stretch is made of whole words."""
    strictly = end - start <= 2
    return is_parted(text, start, strictly=strictly) and is_parted(text, end, strictly=strictly)
