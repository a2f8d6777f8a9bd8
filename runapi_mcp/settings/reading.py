"""How the texts of settings are read: each reader returns a value, or says what it takes.

A reader raises ValueError with what it takes, as in "a whole number from 1 to 64".
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pydantic import SecretStr  # takes longer to import than a host should wait for --version

Hold: TypeAlias = float | Literal["auto"]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of numbers from `low` to `high`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if low <= (value := float(text)) <= high:
                return value
        raise ValueError(f"a number from {low:g} to {high:g}")

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        with suppress(ValueError):
            if low <= (value := int(text)) <= high:
                return value
        raise ValueError(f"a whole number from {low} to {high}")

    return read


class OneOf:
    """Reads one of a few words, which it also tells."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __call__(self, text: str) -> Any:  # noqa: ANN401  # what each setting's Literal lists
        """Return the word."""
        if text not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        return text


def read_base_url(text: str) -> str:
    """Return a base URL without its trailing slash.

    Raises:
        ValueError: It is not https (or http to this machine), or carries more than host and path.
    """
    if holds_reference(text):
        raise ValueError("an https:// URL; the host did not fill in a reference in it")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("an https:// URL with a host, and a port if need be") from None
    plain_text_ok = url.scheme == "http" and url.hostname in LOOPBACK
    if not url.hostname or port == 0 or not (url.scheme == "https" or plain_text_ok):
        raise ValueError("an https:// URL (http:// only to this machine)")
    if any(c in "@?#\\" or c.isspace() or not c.isprintable() for c in text):
        raise ValueError("a URL without user name, password, query, fragment or spaces")
    return text.rstrip("/")


def read_path(text: str) -> str:
    """Return a URL path without its trailing slash."""
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+/?", text):
        raise ValueError("a path such as /v1beta/openai or /v1")
    return text.rstrip("/")


def read_prices(text: str) -> str:
    """Return where prices come from: `runapi`, or the name of a file."""
    if holds_reference(text):
        raise ValueError("runapi or a file; the host did not fill in a reference in it")
    return text


def read_hold(text: str) -> Hold:
    """Return a hold window in seconds, or auto."""
    if text == "auto":
        return "auto"
    try:
        return number(0, 3600)(text)
    except ValueError as error:
        raise ValueError(f"auto, or {error}") from None


def read_model_id(text: str) -> str:
    """Return a model id that can stand in a URL.

    Raises:
        ValueError: It has a slash, white space or another character that ids do not have.
    """
    if not _MODEL_ID.fullmatch(text):
        raise ValueError("a model id such as gemini-3-flash-preview, without a slash or spaces")
    return text


def read_store(text: str) -> "SecretStr":
    """Read where what is shared is kept: memory, a folder, or Redis; a secret, for it may hold a password."""
    if holds_reference(text):
        raise ValueError(f"{_STORES}; the host did not fill in a reference in it")
    if text == "memory":
        return secret(text)
    if "://" not in text:
        folder = PurePath(text)
        if text.startswith("~") or not (folder.is_absolute() or PureWindowsPath(text).is_absolute()):
            raise ValueError(f"{_STORES}; a folder with its whole path")
        return secret(text)
    try:
        url = urlsplit(text)
        where = url.path if url.scheme == "unix" else url.hostname
        url.port  # noqa: B018  # judged only when it is asked for
    except ValueError:
        raise ValueError(f"{_STORES}, with a port from 0 to 65535") from None
    if url.scheme not in ("redis", "rediss", "unix") or not where or any(c.isspace() for c in text):
        raise ValueError(_STORES)
    return secret(text)


_STORES: Final = "memory, a folder, or a redis://, rediss:// or unix:// URL"


def secret(text: str) -> "SecretStr":
    """Return a text that is not shown when it is printed."""
    from pydantic import SecretStr

    return SecretStr(text)


def read_folders(text: str) -> tuple[str, ...]:
    """Return the folders of a list separated by commas or line breaks."""
    if holds_reference(text):
        raise ValueError("folders; the host did not fill in a reference in it")
    return tuple(part.strip() for part in re.split(r"[\n,]", text) if part.strip())


def read_switch(text: str) -> bool:
    """Return whether something is on."""
    if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError("1 or 0")
    return text.lower() in ("1", "true", "yes", "on")


_WHOLE_REFERENCE = re.compile(
    r"\$\{.*\}|\$\(.*\)|\$[A-Za-z_]\w*|\$env:\w+|%\w+%|\{(?:env|file):.*\}|\{\{.*\}\}|<.*>",
    re.IGNORECASE | re.DOTALL,
)
_PLACEHOLDER = re.compile(
    r"your[-_ ].*|(?:my|the)[-_ ](?:[a-z0-9]+[-_ ])*(?:key|token)|(?:sk-)?(?:x{4,}|\*{4,}|\.{3,}|…)|\[.*\]"
    r"|changeme|replace[-_ ]?me|placeholder",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(
    r"\$\{[^}]*\}|\{env:[^}]*\}|\{\{[^}]*\}\}|(?:^|[/\\,])(?:%[A-Za-z_]\w*%|\$[A-Za-z_]\w*)|:\$[A-Z][A-Z0-9_]{2,}@"
)
_QUOTES = "\"'`“”‘’"


def is_reference(text: str) -> bool:
    """Whether a value is nothing but a reference, in the spelling of one host or another.

    Hosts hand on as it stands what they cannot fill in, or what is written as another host would have it.
    """
    return _WHOLE_REFERENCE.fullmatch(text.strip(_QUOTES)) is not None


def holds_reference(text: str) -> bool:
    """Whether a part of a value is a reference that nobody filled in."""
    return is_reference(text) or _REFERENCE.search(text) is not None


def key_problem(name: str, key: str) -> str:
    """Return why `key` cannot be used, without showing any of it; empty if it can."""
    if is_reference(key):
        return f"{name} holds a reference that the host did not fill in, not a key."
    if _PLACEHOLDER.fullmatch(key.strip(_QUOTES)):
        return f"{name} holds a placeholder, not a key."
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return f"{name} holds a key in quotes; take the quotes out."
    if key.startswith("AIza"):
        return f"{name} holds a key of Google's, which RunAPI does not know; it was not sent there."
    if not key.isascii():
        return f"{name} holds a character that is not ASCII; a RunAPI key has none."
    if any(c.isspace() for c in key):
        return f"{name} holds a space or a line break; a RunAPI key has none."
    if not key.isprintable():
        return f"{name} holds a control character; a RunAPI key has none."
    return ""
