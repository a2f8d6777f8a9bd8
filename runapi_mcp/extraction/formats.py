"""The formats of JSON Schema, judged without further packages; a format not named here is not judged."""

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from jsonschema import FormatChecker

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
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and _made(date.fromisoformat, text)


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
    return _made(lambda whole: urlsplit(whole).port, text)


def _uuid(text: str) -> bool:
    return bool(_UUID.fullmatch(text))


def _ipv6(text: str) -> bool:
    return "%" not in text and _made(ipaddress.IPv6Address, text)


def _made(make: Callable[[str], object], text: str) -> bool:
    try:
        make(text)
    except (ValueError, re.error, OverflowError):
        return False
    return True


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "date": _date,
    "time": _time,
    "date-time": _date_time,
    "duration": lambda text: bool(text.isascii() and _DURATION.fullmatch(text)),
    "email": lambda text: text.isascii() and _mail(text, _hostname),
    "idn-email": lambda text: _mail(text, _idn_hostname),
    "hostname": _hostname,
    "idn-hostname": _idn_hostname,
    "ipv4": lambda text: _made(ipaddress.IPv4Address, text),
    "ipv6": _ipv6,
    "uri": lambda text: bool(_SCHEME.match(text)) and _reference(text),
    "uri-reference": _reference,
    "iri": lambda text: bool(_SCHEME.match(text)) and _iri_reference(text),
    "iri-reference": _iri_reference,
    "uri-template": lambda text: bool(_TEMPLATE.fullmatch(text)),
    "uuid": _uuid,
    "json-pointer": lambda text: bool(_POINTER.fullmatch(text)),
    "relative-json-pointer": lambda text: bool(_RELATIVE_POINTER.fullmatch(text)),
    "regex": lambda text: _made(re.compile, text),
}


def format_checker() -> FormatChecker:
    """Return a checker that knows these formats, and no others."""
    checker = FormatChecker(formats=())
    for name, check in _CHECKS.items():
        checker.checks(name)(_for_strings(check))
    return checker


def _for_strings(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: check(value) if isinstance(value, str) else True
