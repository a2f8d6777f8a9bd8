"""How long a regular expression can take at the most, told from the expression without trying it.

`re` goes through every way in which an expression can match before it says that it does not, and nothing
stops it on its way. The ways are counted here in the engine's own parse of the expression: exact for what
is written without a choice, an upper bound for the rest. Only what is bounded to be short may be tried
where others wait.
"""

import re
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NamedTuple

MOST: Final = 2_000_000
"""Steps of the engine that may be taken at once: about ten milliseconds."""
_LONGEST: Final = 1_000
_FOLDING: Final = re.compile(r"\(\?[a-zA-Z-]*i")
_FIRST: Final = ("AT_BEGINNING", "AT_BEGINNING_STRING")
_ENDLESS: Final = float("inf")


class _Cost(NamedTuple):
    """What an expression takes at one position: ways in which it can match, and steps for all of them."""

    ways: float
    steps: float
    empty: bool
    """Whether it can match nothing."""


_CHARACTER: Final = _Cost(1, 1, empty=False)
_PLACE: Final = _Cost(1, 1, empty=True)


def is_quick_to_read(pattern: str) -> bool:
    """Whether compiling an expression takes a few milliseconds at the most.

    Ranges without case are gone through character by character.
    """
    return len(pattern) <= _LONGEST and not _FOLDING.search(pattern)


@lru_cache(maxsize=1024)
def effort(pattern: str, length: int) -> float:
    """Return a bound of the steps that searching a text of `length` characters takes; may be infinite."""
    if not is_quick_to_read(pattern):
        return _ENDLESS
    tree = _parsed(pattern)
    if tree is None:
        return _ENDLESS
    starts = 1 if _anchored(tree) else length + 1
    try:
        return length + starts * _sequence(tree, length).steps
    except RecursionError:
        return _ENDLESS


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> Any:  # noqa: ANN401  # the parse tree of re is not typed
    """Return the parse tree of an expression, or `None` where it cannot be had."""
    try:
        # There is no public way to it; without it every expression is one that may take long.
        return import_module("re._parser").parse(pattern)
    except (ImportError, AttributeError, re.error, RecursionError, OverflowError):
        return None


def _anchored(tree: Any) -> bool:  # noqa: ANN401  # as above
    """Whether an expression can match at the first place only."""
    first = [argument for operation, argument in tree[:1] if str(operation) == "AT"]
    return bool(first) and str(first[0]) in _FIRST and not tree.state.flags & re.MULTILINE


def _sequence(items: Any, length: int) -> _Cost:  # noqa: ANN401  # the parse tree of re is not typed
    ways, steps, empty = 1.0, 1.0, True
    for operation, argument in items:
        part = _one(str(operation), argument, length)
        steps += ways * part.steps
        ways = min(ways * part.ways, _ENDLESS)
        empty = empty and part.empty
    return _Cost(ways, steps, empty)


def _one(operation: str, argument: Any, length: int) -> _Cost:  # noqa: ANN401  # as above
    match operation:
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY" | "RANGE" | "CATEGORY":
            return _CHARACTER
        case "AT":
            return _PLACE
        case "SUBPATTERN":
            return _sequence(argument[-1], length)
        case "BRANCH":
            return _either([_sequence(branch, length) for branch in argument[1]])
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, part = argument
            return _repeated(_sequence(part, length), least, most, length)
        case "ASSERT" | "ASSERT_NOT":
            # What was found in there is not gone through again.
            return _Cost(1, _sequence(argument[1], length).steps, empty=True)
        case _:
            return _Cost(_ENDLESS, _ENDLESS, empty=True)


def _either(branches: list[_Cost]) -> _Cost:
    ways, steps = sum(b.ways for b in branches), sum(b.steps for b in branches)
    return _Cost(ways, steps, any(b.empty for b in branches))


def _repeated(part: _Cost, least: int, most: int, length: int) -> _Cost:
    """Return what repeating a part costs: it matches so often as there are characters, at most."""
    least, most = min(least, length + 1), min(most, length + 1)
    if part.empty and most > 1:
        return _Cost(_ENDLESS, _ENDLESS, empty=True)
    choice = part.ways > 1
    try:
        ways = sum(part.ways**times for times in range(least, most + 1)) if choice else most - least + 1
    except OverflowError:
        ways = _ENDLESS
    rounds = ways if choice else 1
    return _Cost(ways, (most + 1) * part.steps * rounds, part.empty or not least)
