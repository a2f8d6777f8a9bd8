"""Documents with known values and known places, made from a seed: `documents()` gives the same each time.

Each is written piece by piece, so that the place of a value is known and not found. What a model would give
for a value is not always how it stands there: it writes dates as ISO 8601, numbers as JSON, names in the
usual case and order. Some values stand more than once, some nowhere, some only follow from the text.
"""

import json
import random
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
Json: TypeAlias = Any


@dataclass
class Document:
    """One document.

    Attributes:
        value: What was extracted from it.
        places: Where each value stands, by JSON Pointer: start and end; `None` is nowhere.
    """

    name: str
    text: str
    value: Any
    schema: dict[str, Any]
    places: dict[str, tuple[int, int] | str | None]


@dataclass(frozen=True)
class Locale:
    """How one language writes: a row of `locales.json`."""

    name: str
    companies: list[str]
    people: list[str]
    cities: list[str]
    goods: list[str]
    labels: dict[str, str]
    date: str
    months: list[str]
    group: str
    point: str
    currency: list[str]
    filler: str
    digits: str

    def day(self, day: tuple[int, int, int]) -> str:
        """Write a date as people do."""
        year, month, number = day
        return self.date.format(
            y=year, m=month, d=number, month=self.months[month - 1] if self.months else ""
        )


LOCALES = [Locale(**row) for row in json.loads(Path(__file__).with_name("locales.json").read_text("utf-8"))]

_EMOJI = ("👩‍💻", "🎉", "👍🏽", "🇩🇪", "❤️", "🧑‍🚀")
_STATES = ("paid", "open", "overdue", "in_progress")
_SHAPES = ("plain", "upper", "nfd", "fullwidth", "wrapped", "unseen", "ocr")
"""How the writing of a document differs from what a model gives for it."""


@dataclass
class Writer:
    chance: random.Random
    shape: str
    text: str = ""
    value: Any = field(default_factory=dict)
    places: dict[str, tuple[int, int] | str | None] = field(default_factory=dict)

    def say(self, text: str) -> None:
        self.text += text

    def put(self, path: Place, value: Json, written: str | None = None) -> None:
        """Write a value, and keep where it stands."""
        shown = self.shaped(written if written is not None else str(value))
        self.places[_pointer(path)] = (len(self.text), len(self.text) + len(shown))
        self.text += shown
        _set(self.value, path, value)

    def know(self, path: Place, value: Json, place: str | None) -> None:
        """Have a value that is not written: it follows, or it stands nowhere."""
        self.places[_pointer(path)] = place
        _set(self.value, path, value)

    def shaped(self, shown: str) -> str:
        """Write something in the shape of the document."""
        chance = self.chance
        match self.shape:
            case "upper":
                return shown.upper() if len(shown.upper()) == len(shown) else shown
            case "nfd":
                return unicodedata.normalize("NFD", shown)
            case "fullwidth":
                return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in shown)
            case "wrapped" if " " in shown and chance.random() < 0.5:
                return shown.replace(" ", "\n  ", 1)
            case "unseen" if len(shown) > 3:
                return shown[:2] + chance.choice("\u200b\u00ad\u2060") + shown[2:]
            case "ocr":
                return self._misread(shown)
            case _:
                return shown

    def _misread(self, shown: str) -> str:
        made = []
        for letter in shown:
            swap = {"o": "0", "O": "0", "0": "O", "l": "1", "1": "l", "I": "l", "S": "5", "5": "S", "B": "8"}
            made.append(swap[letter] if letter in swap and self.chance.random() < 0.15 else letter)
        return "".join(made)


def _pointer(path: Place) -> str:
    return "".join(f"/{part}" for part in path)


def _set(into: Json, path: Place, value: Json) -> None:
    for part, after in pairwise(path):
        fresh: Any = [] if isinstance(after, int) else {}
        if isinstance(part, int):
            if part == len(into):
                into.append(fresh)
            into = into[part]
        else:
            into = into.setdefault(part, fresh)
    if isinstance(path[-1], int):
        into.append(value)
    else:
        into[path[-1]] = value


def _number(locale: Locale, cents: int, *, places: int = 2) -> str:
    whole, part = divmod(cents, 10**places)
    digits = f"{whole:,}".replace(",", locale.group)
    shown = digits + (f"{locale.point}{part:0{places}}" if places else "")
    return shown.translate(str.maketrans("0123456789", locale.digits)) if locale.digits else shown


def _day(chance: random.Random) -> tuple[int, int, int]:
    return chance.randint(2019, 2027), chance.randint(1, 12), chance.randint(1, 28)


def _iso(day: tuple[int, int, int]) -> str:
    return f"{day[0]}-{day[1]:02}-{day[2]:02}"


def _shown_day(locale: Locale, day: tuple[int, int, int], chance: random.Random) -> str:
    year, month, number = day
    plain = f"{number:02}.{month:02}.{year}" if locale.point == "," else locale.day(day)
    shown = chance.choice((locale.day(day), plain, _iso(day)))
    return shown.translate(str.maketrans("0123456789", locale.digits)) if locale.digits else shown


def _invoice(locale: Locale, chance: random.Random, shape: str) -> Writer:
    out, label = Writer(chance, shape), locale.labels
    out.put(("seller",), chance.choice(locale.companies))
    out.say(f"\n{label['number']}: ")
    out.put(("number",), f"{chance.choice('AXR')}-{chance.randint(2019, 2027)}/{chance.randint(100, 9999)}")
    first, second = _day(chance), _day(chance)
    out.say(f"\n{label['issued']}: ")
    out.put(("issued",), _iso(first), _shown_day(locale, first, chance))
    out.say(f"\n{label['due']}: ")
    out.put(("due",), _iso(second), _shown_day(locale, second, chance))
    out.say(f"\n{label['customer']}: ")
    out.put(("customer", "name"), chance.choice(locale.people))
    out.say(f"\n{label['city']}: ")
    out.put(("customer", "city"), chance.choice(locale.cities))
    out.say(f"\n\n{locale.filler}\n\n")
    total = 0
    for place in range(chance.randint(2, 6)):
        out.say(f"{place + 1}. ")
        out.put(("items", place, "name"), chance.choice(locale.goods))
        quantity, price = chance.choice((1, 2, 2, 3, 12)), chance.choice((500, 500, 1250, 129950, 7))
        out.say("    ")
        out.put(("items", place, "quantity"), quantity, _number(locale, quantity, places=0))
        out.say("    ")
        out.put(("items", place, "price"), price / 100, _number(locale, price))
        out.say("\n")
        total += quantity * price
    tax = total * 19 // 100
    for name, cents in (("subtotal", total), ("tax", tax), ("total", total + tax)):
        out.say(f"{label[name]}: ")
        out.put((name,), cents / 100, _number(locale, cents))
        code, sign = locale.currency
        out.say(" ")
        if name == "subtotal":
            out.put(("currency",), code, sign)
        else:
            out.say(sign)
        out.say("\n")
    state = chance.choice(_STATES)
    out.say(f"{label['status']}: ")
    out.put(("status",), state, state.replace("_", " ").upper())
    out.say("\n")
    out.know(("reverse_charge",), chance.random() < 0.5, "inferred")
    out.know(("language",), locale.name, "inferred")
    out.know(("order",), f"PO-{chance.randint(70000, 99999)}", None)
    out.know(("discount",), chance.randint(100_000, 900_000) / 1000 + 0.001, None)
    return out


def _people(locale: Locale, chance: random.Random, shape: str) -> Writer:
    out = Writer(chance, shape)
    out.say(f"{locale.filler}\n")
    for place in range(chance.randint(3, 7)):
        name = chance.choice(locale.people)
        first, _, last = name.partition(" ")
        out.put(
            ("people", place, "name"), name, f"{last}, {first}" if last and chance.random() < 0.3 else name
        )
        out.say(" | ")
        born = _day(chance)
        out.put(("people", place, "born"), _iso(born), _shown_day(locale, born, chance))
        out.say(f" | {locale.labels['phone']} ")
        phone = f"+{chance.randint(20, 98)}{chance.randint(10**8, 10**9)}"
        out.put(("people", place, "phone"), phone, f"{phone[:3]} {phone[3:6]} {phone[6:9]}-{phone[9:]}")
        out.say(" | ")
        out.put(("people", place, "city"), chance.choice(locale.cities))
        out.say(f" {chance.choice(_EMOJI)}\n")
    out.know(("count",), len(out.value["people"]), "inferred")
    out.know(("office",), "Zzyzx Quartermaster", None)
    return out


def _chat(locale: Locale, chance: random.Random, shape: str) -> Writer:
    out = Writer(chance, shape)
    for place in range(chance.randint(3, 8)):
        hour, minute = chance.randint(0, 23), chance.randint(0, 59)
        out.say("[")
        out.put(("messages", place, "at"), f"{hour:02}:{minute:02}")
        out.say("] ")
        out.put(("messages", place, "from"), chance.choice(locale.people))
        out.say(": ")
        words = locale.filler[: chance.randint(8, 30)].strip()
        said = f"{chance.choice(_EMOJI)} {words} {chance.choice(_EMOJI)}"
        out.put(("messages", place, "text"), said)
        out.say("\n")
    out.know(("sentiment",), "positive", "inferred")
    out.know(("moderator",), "Quentin Xylophone", None)
    return out


def _letter(locale: Locale, chance: random.Random, shape: str) -> Writer:
    out = Writer(chance, shape)
    people, day = chance.sample(locale.people, 2), _day(chance)
    out.say(f"{locale.filler} ")
    out.put(("author",), people[0])
    out.say(f", {chance.choice(locale.cities)}, ")
    out.put(("date",), _iso(day), locale.day(day))
    out.say(f". {locale.filler} ")
    millions = chance.randint(11, 98)
    if locale.name == "en":
        out.put(("budget",), millions * 100_000, f"{millions / 10} million")
    else:
        out.put(("budget",), millions * 100_000, _number(locale, millions * 100_000, places=0))
    out.say(f" {locale.currency[1]}; ")
    share = chance.choice((0.05, 0.125, 0.19))
    out.put(("share",), share, f"{share * 100:g} %".replace(".", locale.point))
    out.say(f". {locale.filler} ")
    out.put(("recipient",), people[1])
    out.say(f" ({locale.labels['city']}: ")
    out.put(("city",), chance.choice(locale.cities))
    out.say(f"). {locale.filler}\n")
    out.know(("archive",), "Vault 93-KX-1182", None)
    return out


_KINDS = {"invoice": _invoice, "people": _people, "chat": _chat, "letter": _letter}
_SCHEMA = {"type": "object", "properties": {"status": {"enum": list(_STATES)}}}


def documents(seed: int = 20261128) -> list[Document]:
    """Return the corpus: each locale and kind in each shape."""
    made = []
    for locale in LOCALES:
        for kind, write in _KINDS.items():
            for shape in _SHAPES:
                name = f"{locale.name}-{kind}-{shape}"
                chance = random.Random(f"{seed} {name}")
                out = write(locale, chance, shape)
                made.append(Document(name, out.text, out.value, _SCHEMA, out.places))
    return made
