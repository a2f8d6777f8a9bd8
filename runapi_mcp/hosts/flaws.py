"""What in an entry hosts do not take: names that no variable can have, values that are no text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runapi_mcp.errors import quoted
from runapi_mcp.wire.types import JsonObject, JsonValue

_QUOTE_IT: Final = "Put it in quotes, or take it out: some hosts refuse the entry for it."


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in an entry that hosts do not take.

    Attributes:
        what: What it is, as a sentence about the config; no value is in it.
        mend: What mends it, as a sentence.
        fatal: Whether no host could start a program with it; else some do.
    """

    what: str
    mend: str
    fatal: bool = False


def word_flaws(entry: JsonObject) -> Iterator[Flaw]:
    """Yield what is wrong with the command and the arguments of an entry."""
    for name in ("command", "cmd", "args"):
        value = entry.get(name)
        words = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(word, str) and not _passes(word) for word in words):
            what = f"Its {name} holds a character that no program can be given."
            yield Flaw(what, "Take the character out.", fatal=True)
        for word in [word for word in words if not isinstance(word, str)][:1]:
            yield Flaw(f"Its {name} holds {_kind(word)}, where a text belongs.", _QUOTE_IT)


def variable_flaws(env: JsonObject) -> Iterator[Flaw]:
    """Yield what is wrong with the variables of an entry."""
    for name, value in env.items():
        if not names_a_variable(name):
            what = f"Its env has {quoted(name)}, which is no name for a variable."
            yield Flaw(what, "Correct the name: without = and NUL, and not empty.", fatal=True)
        elif isinstance(value, str) and not _passes(value):
            what = f"Its env gives {quoted(name)} a character that no variable can hold."
            yield Flaw(what, "Take the character out.", fatal=True)
        elif not isinstance(value, str):
            yield Flaw(f"Its env gives {quoted(name)} {_kind(value)}, where a text belongs.", _QUOTE_IT)


def names_a_variable(name: str) -> bool:
    """Whether a variable can have that name."""
    return bool(name) and "=" not in name and _passes(name)


def _passes(text: str) -> bool:
    """Whether a program can be given a text: no NUL, and nothing that bytes cannot stand for."""
    try:
        return b"\0" not in text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def _kind(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "something else"
