"""How a generation ended: decided once, when it does."""

from dataclasses import dataclass
from typing import Final

from runapi_mcp.errors import Interrupted, RunapiError
from runapi_mcp.generations.rounds import Rounds
from runapi_mcp.generations.values import Status


@dataclass(frozen=True, slots=True)
class Ended:
    """How a generation ended.

    Attributes:
        status: What it came to.
        error: What ended it, if something did and the answer was not whole before.
        crash: The bug of ours that ended it, if one did.
    """

    status: Status
    error: RunapiError | None = None
    crash: Exception | None = None


CANCELLED: Final = Ended("cancelled")


def crashed(bug: Exception) -> Ended:
    """Return the end that a bug of ours makes."""
    return Ended("failed", crash=bug)


def ended(rounds: Rounds, error: RunapiError | None = None) -> Ended:
    """Return the end of a generation whose rounds are over, or were ended by `error`."""
    if isinstance(error, Interrupted):
        if rounds.fold.finished and not rounds.empty:
            error = None  # the answer was whole before it came
        else:
            error.partial = rounds.fold.partial().text
    if error is not None:
        return Ended("failed" if rounds.empty else "partial", error)
    finish = rounds.fold.partial().finish
    whole = finish is not None and finish.reason in ("stop", "tool", "unknown")
    return Ended("complete" if whole else "partial")
