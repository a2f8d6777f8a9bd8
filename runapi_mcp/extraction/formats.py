r"""Formats and regular expressions of JSON Schema; a format not named here is not judged.

Regular expressions are ECMA-262's (JSON Schema core, section 6.4): `$` is the end and no place before a
line end, `\d` is 0 to 9, `\p{…}` and `(?<name>…)` are known. They are read as `ajv` and zod read them, with
the flag u; if that cannot be, with v, as Python's, or as browsers read old ones.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from jsonschema import FormatChecker
from regress import Regex, RegressError

from runapi_mcp.wire.json_text import without_surrogates

_TIME: Final = re.compile(
    r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.IGNORECASE
)
_DURATION: Final = re.compile(
    r"P(?!$)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?)"
)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_LONGEST_NAME: Final = 1_000
_MAILBOX: Final = re.compile(r"(?!\.)[^\s@\"(),:;<>\[\\\]]+(?<!\.)|\"[^\"\n]+\"")
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_RELATIVE_POINTER: Final = re.compile(r"(?:0|[1-9]\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)")
_URI_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TEMPLATE: Final = re.compile(r"(?:[^{}\s\"'<>\\^`|]|\{[^{}\s]+\})*")


def _date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and _can_make(date.fromisoformat, text)


def _time(text: str) -> bool:
    return bool(text.isascii() and _TIME.fullmatch(text))


def _date_time(text: str) -> bool:
    return len(text) > 11 and text[10] in "Tt " and _date(text[:10]) and _time(text[11:])


def _hostname(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.split("."))


def _idn_hostname(text: str) -> bool:
    try:
        # Python's IDNA takes 25 microseconds for a character; nothing as long as that is a name.
        return len(text) <= _LONGEST_NAME and _hostname(text.encode("idna").decode())
    except UnicodeError:
        return False


def _mail(text: str, host: Callable[[str], bool]) -> bool:
    name, at, domain = text.rpartition("@")
    literal = domain.startswith("[") and domain.endswith("]")
    return bool(at) and bool(_MAILBOX.fullmatch(name)) and (literal or host(domain))


def _reference(text: str) -> bool:
    return bool(_URI_CHARACTERS.fullmatch(text)) and _iri_reference(text)


def _iri_reference(text: str) -> bool:
    if any(c.isspace() or c in '<>"\\^`{|}' for c in text):
        return False
    return _can_make(lambda whole: urlsplit(whole).port, text)


def _uuid(text: str) -> bool:
    return bool(_UUID.fullmatch(text))


def _ipv6(text: str) -> bool:
    return "%" not in text and _can_make(ipaddress.IPv6Address, text)


def _can_make(make: Callable[[str], object], text: str) -> bool:
    try:
        make(text)
    except (ValueError, OverflowError):
        return False
    return True


_PYTHONS: Final = re.compile(r"\(\?(?:P[<=>]|[aiLmsux]+\)|>)|\\[AZz]|[*+?}]\+")
"""What only Python's expressions have; others read some of it as something else."""


class NoPattern(ValueError):
    """A text that is no regular expression; the message says why."""


@lru_cache(maxsize=256)
def read_pattern(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a regular expression matches somewhere in a text.

    It may take for ever: only where it can be stopped.

    Raises:
        NoPattern: It is none.
    """
    wanted = without_surrogates(_in_our_words(pattern))
    try:
        if literal := _LITERAL.fullmatch(wanted):
            # JavaScript's own notation with its slashes, which no text could match.
            return _make_search(Regex(literal[1], f"{literal[2]}u"))
        # Python's re knows neither \p{…} nor a lookbehind of any width (router-for-me/CLIProxyAPI#5644,
        # pleaseai/shunt#488).
        return _make_search(Regex(wanted, "u"))
    except RegressError as error:
        why = str(error)
    if _PYTHONS.search(pattern):
        try:
            # \z is the end, which Python writes \Z until 3.14 (python-openapi/openapi-schema-validator#32).
            python = re.compile(pattern.replace(r"\z", r"\Z"))
        except (re.error, OverflowError, RecursionError):
            raise NoPattern(why) from None
        return lambda text: python.search(text) is not None
    for flags in ("v", ""):
        try:
            return _make_search(Regex(wanted, flags))
        except RegressError:
            continue
    raise NoPattern(why)


_LITERAL: Final = re.compile(r"/(\^.*\$)/([imsu]{0,4})", re.DOTALL)
_POSIX: Final = {
    "alpha": r"\p{Alphabetic}", "digit": "0-9", "alnum": r"\p{Alphabetic}0-9", "upper": r"\p{Lu}",
    "lower": r"\p{Ll}", "space": r"\s", "punct": r"\p{P}\p{S}", "xdigit": "0-9A-Fa-f", "word": r"\w",
}  # fmt: skip
_CLASS: Final = re.compile(rf"\[:({'|'.join(_POSIX)}):\]")
_IS: Final = re.compile(r"(\\[pP]\{)Is([A-Z][A-Za-z_]{1,40}\})")
_PROPERTIES: Final = ("Alphabetic}", "Ideographic}", "Lowercase}", "Uppercase}", "White_Space}")


def _in_our_words(pattern: str) -> str:
    r"""Return a pattern with classes that other engines name as ECMA's names them: POSIX's, Java's scripts.

    ECMA-262 takes [[:alpha:]] for six signs and a bracket, and knows no \p{IsLatin}.
    """
    if "[[:" in pattern or "[^[:" in pattern:
        pattern = _CLASS.sub(lambda found: _POSIX[found[1]], pattern)
    return _IS.sub(lambda is_: f"{is_[1]}{'' if is_[2] in _PROPERTIES else 'Script='}{is_[2]}", pattern)


def _make_search(regex: Regex) -> Callable[[str], bool]:
    return lambda text: regex.find(without_surrogates(text)) is not None


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "date": _date,
    "time": _time,
    "date-time": _date_time,
    "duration": lambda text: bool(text.isascii() and _DURATION.fullmatch(text)),
    "email": lambda text: text.isascii() and _mail(text, _hostname),
    "idn-email": lambda text: _mail(text, _idn_hostname),
    "hostname": _hostname,
    "idn-hostname": _idn_hostname,
    "ipv4": lambda text: _can_make(ipaddress.IPv4Address, text),
    "ipv6": _ipv6,
    "uri": lambda text: bool(_SCHEME.match(text)) and _reference(text),
    "uri-reference": _reference,
    "iri": lambda text: bool(_SCHEME.match(text)) and _iri_reference(text),
    "iri-reference": _iri_reference,
    "uri-template": lambda text: bool(_TEMPLATE.fullmatch(text)),
    "uuid": _uuid,
    "json-pointer": lambda text: bool(_POINTER.fullmatch(text)),
    "relative-json-pointer": lambda text: bool(_RELATIVE_POINTER.fullmatch(text)),
    "regex": lambda text: _can_make(read_pattern, text),
}


FORMS: Final = {
    "date": "a date as YYYY-MM-DD, for example 2026-01-31",
    "time": "a time with its offset, for example 09:30:00Z",
    "date-time": "a date and time with its offset, for example 2026-01-31T09:30:00Z",
    "duration": "a duration of ISO 8601, for example P3DT12H",
    "email": "an email address alone, for example ada@example.org",
    "idn-email": "an email address alone, for example ada@example.org",
    "hostname": "a host name alone, for example www.example.org",
    "idn-hostname": "a host name alone, for example www.example.org",
    "ipv4": "an IPv4 address, for example 192.0.2.1",
    "ipv6": "an IPv6 address, for example 2001:db8::1",
    "uri": "a whole URI, for example https://example.org/a",
    "uri-reference": "a URI or a path, for example /a/b",
    "iri": "a whole IRI, for example https://example.org/a",
    "iri-reference": "an IRI or a path, for example /a/b",
    "uri-template": "a URI template, for example https://example.org/{id}",
    "uuid": "a UUID, for example 3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "json-pointer": "a JSON Pointer, for example /a/0",
    "relative-json-pointer": "a relative JSON Pointer, for example 1/a",
    "regex": "a regular expression",
}
"""What each format wants, as it is said to a model: the name alone tells it nothing."""


def make_format_checker() -> FormatChecker:
    """Return a checker that knows these formats, and no others."""
    checker = FormatChecker(formats=())
    for name, check in _CHECKS.items():
        checker.checks(name)(_for_strings(check))
    return checker


def _for_strings(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: check(value) if isinstance(value, str) else True
