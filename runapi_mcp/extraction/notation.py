"""Numbers, dates and times as people write them, and what they may mean. Pure, and linear in the text.

One spelling can mean several values: `1.234` is a thousand here and a little more than one there, `04.03.`
is in March or April. All are given; who looks for a value knows which one is wanted.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, NamedTuple


class Figure(NamedTuple):
    """A number that a text may mean, and where it stands; `rank` is how far it is from a plain one."""

    value: Decimal
    start: int
    end: int
    rank: int = 0


class Day(NamedTuple):
    """A date that a text may mean, and where it stands; what was not written of it is 0."""

    year: int
    month: int
    day: int
    start: int
    end: int


class Moment(NamedTuple):
    """A time of day, and where it stands; its second is -1 if none was written."""

    hour: int
    minute: int
    start: int
    end: int
    second: int = -1


# ---------------------------------------------------------------- numbers

_SPACES: Final = " \u00a0\u2007\u2009\u202f"
_MARKS: Final = ".,'’٬٫·，．"
_NUMBER: Final = re.compile(rf"\d++(?:[{_SPACES}]\d{{3}}(?!\d)|[{_MARKS}]\d++)*+")
_PARTS: Final = re.compile(r"\d++")
_FRACTION: Final = re.compile(r"(?<!\d)(\d{1,6})? ?([½¼¾⅛⅜⅝⅞⅕⅖⅗⅘])")
_SCALED: Final = re.compile(
    r"\s?(?:(%|٪|％)|(‰)|([eE][+-]?\d{1,3})|[×x*] ?10\^?([+-]?\d{1,2})|([^\W\d_]{1,10})\.?)"
)
_SCALE_WORDS: Final = """
    3 k tsd ribu nghìn bin thousand thousands tausend mil mille mila тыс тысяч ألف
    5 lakh lakhs
    6 triệu juta milyon εκατ
    6 m mn mln mio million millions millionen millón millones milhão milhões milioni млн مليون
    7 crore crores
    9 b bn tỷ milyar miliar billion billions mrd milliarde milliarden milliard milliards miliardi млрд
"""
_SCALES: Final = {
    word: int(power) for power, *words in map(str.split, _SCALE_WORDS.strip().splitlines()) for word in words
}
_SIGN_SCALES: Final = {"千": 3, "천": 3, "万": 4, "萬": 4, "만": 4, "億": 8, "亿": 8, "억": 8, "兆": 12}
_WORDS: Final = {
    word: number
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "zero um dois três quatro cinco seis sete oito nove dez onze doze",
    )
    for number, word in enumerate(words.split())
} | {"once": 1, "twice": 2}
_ENGLISH_ONES: Final = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
"""
_ENGLISH_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES: Final = {word: number for number, word in enumerate(_ENGLISH_ONES.split())}
_TENS: Final = {word: 10 * number for number, word in enumerate(_ENGLISH_TENS.split(), 2)}
_NUMERAL: Final = "|".join(sorted([*_ONES, *_TENS, "hundred", "thousand", "million", "dozen"], key=len)[::-1])
_ENGLISH: Final = re.compile(
    rf"(?<![^\W\d_])(?:a )?(?:{_NUMERAL})(?:(?:[ -]| and )(?:{_NUMERAL})){{0,8}}(?![^\W\d_])", re.IGNORECASE
)
_HAN_DIGITS: Final = {
    sign: number
    for signs in ("零一二三四五六七八九", "〇壹贰叁肆伍陆柒捌玖", "零壹貳參肆伍陸柒捌玖")
    for number, sign in enumerate(signs)
} | {"两": 2, "兩": 2}
_HAN_TENS: Final = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1_000, "仟": 1_000}
_HAN_GROUPS: Final = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_HAN: Final = re.compile(f"[{''.join([*_HAN_DIGITS, *_HAN_TENS, *_HAN_GROUPS])}]{{2,24}}")
_APART: Final = re.compile(
    rf"(\d[\d{_SPACES}.,’']{{0,20}})\s?(?:руб\w{{0,4}}\.?|грн\.?|zł|Kč|€|EUR|euros?|dollars?|kr\.?)"
    r"\s?(?:and |und |et )?(\d{2})\s?(?:коп\w{0,4}\.?|gr|hal|cents?|ct|øre|öre)?(?![\d.,])",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]{2,8}+(?![^\W\d_])")
_MOST_DIGITS: Final = 40
_MINUS: Final = "-−–‐"


def find_figures(text: str) -> Iterator[Figure]:
    """Yield every number that `text` may mean; see :meth:`Folded.fold_written` for how it should be."""
    for found in _NUMBER.finditer(text):
        start, end = found.span()
        if end - start > 2 * _MOST_DIGITS:
            continue
        written = found[0]
        rank = 0 if _stands_alone(text, start, end) else 2
        readings = _list_readings(written)
        for value in readings:
            yield from _read_signs(text, value, start, end, rank)
            yield from _read_scales(text, value, start, end, rank)
        if not readings or any(blank in written for blank in _SPACES):
            # It is a list, a version, a date; or two columns beside each other.
            for part in _PARTS.finditer(written):
                yield Figure(Decimal(part[0]), start + part.start(), start + part.end(), 2)
    yield from _find_fractions(text)
    yield from _find_parts(text)
    yield from _find_words(text)
    yield from _find_han(text)


def _find_fractions(text: str) -> Iterator[Figure]:
    for found in _FRACTION.finditer(text):
        part = Decimal(str(unicodedata.numeric(found[2])))
        yield Figure(Decimal(found[1] or 0) + part, *found.span())


def _find_parts(text: str) -> Iterator[Figure]:
    """Yield sums of money whose whole units and hundredths stand apart: `5 руб. 20 коп.`."""
    for found in _APART.finditer(text):
        for whole in _list_readings(found[1]):
            if whole == whole.to_integral_value():
                yield Figure(whole + Decimal(found[2]).scaleb(-2), *found.span())


def _find_words(text: str) -> Iterator[Figure]:
    """Yield numbers that are written as words; in English also those of several."""
    for found in _ENGLISH.finditer(text):
        number = _read_english(found[0])
        if number is not None:
            yield Figure(Decimal(number), found.start(), found.end(), 2)
    for word in _WORD.finditer(text):
        number = _WORDS.get(word[0].lower())
        if number is not None:
            yield Figure(Decimal(number), word.start(), word.end(), 2)


def _read_english(words: str) -> int | None:
    total = group = 0
    for word in re.split(r"[\s-]+", words.lower()):
        match word:
            case "a" | "and":
                continue
            case "dozen":
                group = 12 * (group or 1)
            case "hundred":
                group = 100 * (group or 1)
            case "thousand" | "million":
                total += (group or 1) * (1_000 if word == "thousand" else 1_000_000)
                group = 0
            case _:
                group += _ONES.get(word, 0) + _TENS.get(word, 0)
    return total + group or None


def _find_han(text: str) -> Iterator[Figure]:
    """Yield numbers in Chinese characters, in those of cheques too."""
    for found in _HAN.finditer(text):
        number = _read_han(found[0])
        if number is not None:
            yield Figure(Decimal(number), found.start(), found.end(), 2)


def _read_han(written: str) -> int | None:
    if not any(sign in _HAN_TENS or sign in _HAN_GROUPS for sign in written):
        return int("".join(str(_HAN_DIGITS[sign]) for sign in written))
    total = group = digit = 0
    for sign in written:
        if sign in _HAN_DIGITS:
            digit = _HAN_DIGITS[sign]
        elif sign in _HAN_TENS:
            group, digit = group + (digit or 1) * _HAN_TENS[sign], 0
        else:
            total, group, digit = (total + group + digit) * _HAN_GROUPS[sign], 0, 0
    return total + group + digit


_MONEY: Final = re.compile(r"[\s$€£¥₹₽₩₺₴₪(+−–-]*(?:[A-Z]{2,3}|Rs\.?|R|kr|Fr\.)?[\s$€£¥₹₽₩₺₴₪(+−–-]*")
"""What may stand before a number that means that number alone."""


def read_figure(text: str) -> set[Decimal]:
    """Return what a text means that is a number and, maybe, a currency or a unit; empty if it is none."""
    bare = text.strip()
    found = [*_NUMBER.finditer(bare)]
    if len(found) != 1 or len(bare) - len(found[0][0]) > 8:
        return set()
    if not _MONEY.fullmatch(bare[: found[0].start()]):
        return set()  # a number within a name: any other would be taken for it
    return {figure.value for figure in find_figures(bare) if figure.rank == 0}


def _list_readings(written: str) -> set[Decimal]:
    """Return the numbers that digits with marks between them may be."""
    plain = written.translate(_UNIFY)
    marks = [character for character in plain if not character.isdecimal()]
    groups = _PARTS.findall(plain)
    if len("".join(groups)) > _MOST_DIGITS:
        return set()
    if not marks:
        return {Decimal(plain)}
    made: set[Decimal] = set()
    last, before = marks[-1], marks[:-1]
    grouped = all(len(group) == 3 for group in groups[1:]) or (
        len(groups[-1]) == 3 and all(len(group) == 2 for group in groups[1:-1])
    )
    if grouped and len({*marks}) == 1 and len(groups[0]) <= 3:
        made.add(Decimal("".join(groups)))
    if last in ".," and last not in before and all(len(group) in (2, 3) for group in groups[1:-1]):
        made.add(Decimal("".join(groups[:-1]) + "." + groups[-1]))
    return made


_UNIFY: Final = str.maketrans(
    {**dict.fromkeys(_SPACES, " "), "’": "'", "٬": "'", "٫": ".", "·": ".", "，": ",", "．": "."}
)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether digits are a number of their own, and no part of an identifier or a date."""
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    joined = before[-1:].isalpha() and before[-1:].isascii()
    joined = joined or (before[-1:] in ("-", "/", "_", ":", ".") and before[:-1].isalnum())
    tail = after[:1] in ("-", "/", "_", ":") and after[1:].isalnum()
    return not joined and not tail


def _read_signs(text: str, value: Decimal, start: int, end: int, rank: int) -> Iterator[Figure]:
    before, after = text[max(start - 2, 0) : start], text[end : end + 1]
    yield Figure(value, start, end, rank)
    if before[-1:] and before[-1:] in _MINUS and not before[:-1].isalnum():
        yield Figure(-value, start - 1, end, rank)
    elif before[-1:] == "(" and after == ")":
        yield Figure(-value, start - 1, end + 1, rank)
    elif after and after in _MINUS and not text[end + 1 : end + 2].isalnum():
        yield Figure(-value, start, end + 1, rank + 1)
    elif len(before) == 2 and before[-1] in "$€£¥" and before[0] in _MINUS:
        yield Figure(-value, start - 2, end, rank)


def _read_scales(text: str, value: Decimal, start: int, end: int, rank: int) -> Iterator[Figure]:
    sign = _SIGN_SCALES.get(text[end : end + 1])
    if sign is not None:
        yield Figure(value.scaleb(sign), start, end + 1, rank)
        return
    found = _SCALED.match(text, end)
    if found is None:
        return
    percent, permille, exponent, power, word = found.groups()
    shift: int | None = None
    if percent:
        shift = -2
    elif permille:
        shift = -3
    elif exponent or power:
        shift = int(exponent[1:] if exponent else power)
    elif word:
        shift = _SCALES.get(word.lower())
    if shift is None or abs(shift) > 300:
        return
    try:
        yield Figure(value.scaleb(shift), start, found.end(), rank)
    except InvalidOperation:
        return


# ---------------------------------------------------------------- dates

_MONTH_NAMES: Final = """
    january jan januar janvier janv enero ene janeiro gennaio gen januari styczen stycznia ocak января янв
        يناير leden ledna ιανουαριου ιανουαριος січня tammikuuta ianuarie januar siječnja
    february feb februar fevrier fevr febrero fevereiro fev febbraio februari luty lutego subat февраля фев
        فبراير unor unora φεβρουαριου φεβρουαριος лютого helmikuuta februarie veljače
    march mar marz mrz maerz mars marzo marco maart marzec marca mart марта мар
        مارس brezen brezna μαρτιου μαρτιος березня maaliskuuta martie marcius ožujka maret
    april apr avril avr abril abr aprile kwiecien kwietnia nisan апреля апр
        ابريل duben dubna απριλιου απριλιος квітня huhtikuuta aprilie aprilis travnja
    may mai mayo maio maggio mag mei maj maja mayis мая май
        مايو kveten kvetna μαιου μαιος травня toukokuuta majus svibnja
    june jun juni juin junio junho giugno giu czerwiec czerwca haziran июня июн
        يونيو cerven cervna ιουνιου ιουνιος червня kesäkuuta iunie junius lipnja
    july jul juli juillet juil julio julho luglio lug lipiec lipca temmuz июля июл
        يوليو cervenec cervence ιουλιου ιουλιος липня heinäkuuta iulie julius srpnja
    august aug aout agosto ago augustus sierpien sierpnia agustos августа авг
        اغسطس srpen srpna αυγουστου αυγουστος серпня elokuuta kolovoza
    september sep sept septembre septiembre setembro set settembre wrzesien wrzesnia eylul сентября сен
        سبتمبر zari σεπτεμβριου σεπτεμβριος вересня syyskuuta septembrie szeptember rujna
    october oct oktober okt octobre octubre outubro out ottobre ott pazdziernik pazdziernika ekim октября окт
        اكتوبر rijen rijna οκτωβριου οκτωβριος жовтня lokakuuta octombrie oktober
    november nov novembre noviembre novembro listopad listopada kasim ноября ноя
        نوفمبر νοεμβριου νοεμβριος листопада marraskuuta noiembrie studenoga
    december dec dezember dez decembre diciembre dic dezembro dicembre grudzien grudnia aralik декабря дек
        ديسمبر prosinec prosince δεκεμβριου δεκεμβριος грудня joulukuuta decembrie prosinca
"""
"""The months, two lines each; marks are left out, here and where they are looked up."""
_ERAS: Final = {"令和": 2018, "平成": 1988, "昭和": 1925, "民國": 1911, "民国": 1911, "พ.ศ.": -543}


@lru_cache(4_096)
def _fold(word: str) -> str:
    """Return a word in small letters without marks over or under them."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


_MONTHS: Final = {
    _fold(name): line // 2 + 1
    for line, names in enumerate(_MONTH_NAMES.strip().splitlines())
    for name in names.split()
}
_NAME: Final = r"(?<![^\W\d_])([^\W\d_]{3,12}+)(?![^\W\d_])"
_GAP: Final = r"\s{1,2}"
_YEAR: Final = r"['’]?(\d{4}|\d{2})"
_YMD: Final = re.compile(
    r"(?<!\d)(\d{4})(?: ?[-/.–] ?| ?[年년] ?)(\d{1,2})"
    r"(?:(?: ?[-/.–] ?| ?[月월] ?)(\d{1,2})(?: ?[日일])?)?(?:[月월])?(?!\d)"
)
_DMY: Final = re.compile(r"(?<!\d)(\d{1,2}) ?[-/.–] ?(\d{1,2}) ?[-/.–] ?(\d{4}|\d{2})(?!\d)")
_COMPACT: Final = re.compile(r"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?!\d)")
_ERA: Final = re.compile(
    rf"({'|'.join(map(re.escape, _ERAS))}) ?(\d{{1,3}}|元) ?年? ?(\d{{1,2}}) ?月 ?(\d{{1,2}}) ?日"
)
_MY: Final = re.compile(r"(?<![\d/.-])(0?[1-9]|1[0-2]) ?[/.-] ?((?:19|20)\d\d)(?![\d/-])")
_HAN_DAY: Final = re.compile(
    r"([〇零一二三四五六七八九]{4})年([一二三四五六七八九十]{1,3})月([一二三四五六七八九十]{1,3})日"
)
_VIETNAMESE: Final = re.compile(r"(\d{1,2}) tháng (\d{1,2})(?:,? năm (\d{4}))?")
_MARKED_NAMES: Final = """
    ม.ค. มกราคม जनवरी ינואר জানুয়ারি
    ก.พ. กุมภาพันธ์ फ़रवरी फरवरी פברואר ফেব্রুয়ারি
    มี.ค. มีนาคม मार्च מרץ মার্চ
    เม.ย. เมษายน अप्रैल אפריל এপ্রিল
    พ.ค. พฤษภาคม मई מאי মে
    มิ.ย. มิถุนายน जून יוני জুন
    ก.ค. กรกฎาคม जुलाई יולי জুলাই
    ส.ค. สิงหาคม अगस्त אוגוסט আগস্ট
    ก.ย. กันยายน सितंबर ספטמבר সেপ্টেম্বর
    ต.ค. ตุลาคม अक्टूबर אוקטובר অক্টোবর
    พ.ย. พฤศจิกายน नवंबर נובמבר নভেম্বর
    ธ.ค. ธันวาคม दिसंबर דצמבר ডিসেম্বর
"""
"""The months of Thai, Hindi, Hebrew and Bengali: their names have marks, or a word fixed to them."""
_MARKED_MONTHS: Final = {
    unicodedata.normalize("NFKC", name): month
    for month, names in enumerate(_MARKED_NAMES.strip().splitlines(), 1)
    for name in names.split()
}
_D_MARKED: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}}) ?ב?({'|'.join(map(re.escape, sorted(_MARKED_MONTHS, key=len)[::-1]))}),? ?"
    r"(?:พ\.ศ\. ?)?(\d{4})(?!\d)"
)
_BUDDHIST: Final = 543
_MD: Final = re.compile(r"(?<![\d年])(\d{1,2}) ?[月월] ?(\d{1,2}) ?[日일]")
_D_NAME: Final = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|[ºª.»”\"])?(?:\s{1,2}|-|/)?(?:of |de |di |do |of the )?"
    rf"{_NAME}(?:\.|,)?(?:(?:,?{_GAP}|-|/)(?:de |del |of )?{_YEAR}(?!\d))?",
    re.IGNORECASE,
)
_NAME_D: Final = re.compile(
    rf"{_NAME}\.?{_GAP}(\d{{1,2}})(?:st|nd|rd|th|\.)?(?!\d)(?:,?{_GAP}{_YEAR}(?![\d:]))?"
)
_NAME_Y: Final = re.compile(rf"{_NAME}\.?,?{_GAP}(?:de |del )?(\d{{4}})(?!\d)", re.IGNORECASE)
_TIME: Final = re.compile(
    r"(?<![\d:.])(\d{1,2})(?:[:h](\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?)?\s?(am|pm|a\.m\.|p\.m\.)?(?![\d:])",
    re.IGNORECASE,
)


def find_days(text: str) -> Iterator[Day]:
    """Yield every date that `text` may mean."""
    for found in _YMD.finditer(text):
        yield from _make_day(int(found[1]), int(found[2]), int(found[3] or 0), found)
    for found in _DMY.finditer(text):
        year = _read_year(found[3])
        yield from _make_day(year, int(found[2]), int(found[1]), found)
        if found[1] != found[2]:
            yield from _make_day(year, int(found[1]), int(found[2]), found)
        if len(found[3]) == 2:
            yield from _make_day(_read_year(f"{int(found[1]):02}"), int(found[2]), int(found[3]), found)
    for found in _COMPACT.finditer(text):
        yield from _make_day(int(found[1]), int(found[2]), int(found[3]), found)
    for found in _ERA.finditer(text):
        year = 1 if found[2] == "元" else int(found[2])
        yield from _make_day(_ERAS[found[1]] + year, int(found[3]), int(found[4]), found)
    for found in _MY.finditer(text):
        yield from _make_day(int(found[2]), int(found[1]), 0, found)
    for found in _HAN_DAY.finditer(text):
        year = int("".join(str(_HAN_DIGITS[sign]) for sign in found[1]))
        yield from _make_day(year, _read_han(found[2]) or 0, _read_han(found[3]) or 0, found)
    for found in _VIETNAMESE.finditer(text):
        yield from _make_day(int(found[3] or 0), int(found[2]), int(found[1]), found)
    for found in _D_MARKED.finditer(text):
        year = int(found[3]) - (_BUDDHIST if int(found[3]) > 2400 else 0)
        yield from _make_day(year, _MARKED_MONTHS[found[2]], int(found[1]), found)
    for found in _MD.finditer(text):
        yield from _make_day(0, int(found[1]), int(found[2]), found)
    for found in _D_NAME.finditer(text):
        yield from _read_named(found[2], found[1], found[3], found)
    for found in _NAME_D.finditer(text):
        yield from _read_named(found[1], found[2], found[3], found)
    for found in _NAME_Y.finditer(text):
        yield from _read_named(found[1], "", found[2], found)


def find_moments(text: str) -> Iterator[Moment]:
    """Yield every time of day in `text`."""
    for found in _TIME.finditer(text):
        half = (found[4] or "").replace(".", "").lower()
        if found[2] is None and not half:
            continue
        hour, minute = int(found[1]), int(found[2] or 0)
        if half and 1 <= hour <= 12:
            hour = hour % 12 + (12 if half == "pm" else 0)
        if hour < 24 and minute < 60:
            end = found.start() + len(found[0].rstrip())
            yield Moment(hour, minute, found.start(), end, int(found[3]) if found[3] else -1)


def read_day(text: str) -> set[tuple[int, int, int]]:
    """Return the dates that a text means which is one, with a time of day or without; empty if it is none."""
    bare = text.strip()
    if len(bare) > 40:
        return set()
    days = [day for day in find_days(bare) if day.start <= 4 and (day.end - day.start) * 2 >= len(bare) - 10]
    whole = max((day.end - day.start for day in days), default=0)
    return {day[:3] for day in days if day.end - day.start == whole and _is_rest_time(bare, day)}


def _is_rest_time(text: str, day: Day) -> bool:
    """Whether what stands after a date is a time of day or a zone, and nothing else."""
    return (
        sum(character.isalpha() for character in text[day.end :].replace("UTC", "").replace("GMT", "")) <= 4
    )


def _read_named(name: str, day: str, year: str | None, found: re.Match[str]) -> Iterator[Day]:
    month = _MONTHS.get(_fold(name))
    if month is not None:
        yield from _make_day(_read_year(year) if year else 0, month, int(day or 0), found)


def _make_day(year: int, month: int, day: int, found: re.Match[str]) -> Iterator[Day]:
    if 1 <= month <= 12 and 0 <= day <= 31:
        yield Day(year, month, day, found.start(), found.start() + len(found[0].rstrip(" ,")))


def _read_year(written: str) -> int:
    year = int(written)
    if len(written) > 2:
        return year
    return year + (2000 if year < 70 else 1900)
