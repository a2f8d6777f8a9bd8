"""How much of a check may be done on the event loop; what may take longer is done in a process of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

SECONDS: Final = 0.02
"""Of processor time, for one verdict: long enough for an invoice of a hundred lines."""


class TooDear(Exception):
    """A check that takes more than it may here, or could."""


class Allowance:
    """What one check may take; it must not be used for another.

    Args:
        seconds: Of processor time of this thread.
        clock: Tells it.
    """

    def __init__(self, seconds: float = SECONDS, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def spend(self) -> None:
        """Go on, if there is something left.

        Raises:
            TooDear: There is not.
        """
        if self._clock() > self._until:
            raise TooDear


_ALLOWED: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def within(allowance: Allowance | None) -> Iterator[None]:
    """Have the rules that are judged in this block keep to an allowance; to none, if it is `None`."""
    token = _ALLOWED.set(allowance)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def spend() -> bool:
    """Go on; whether there is an allowance to keep to.

    Raises:
        TooDear: Nothing is left of it.
    """
    allowance = _ALLOWED.get()
    if allowance is None:
        return False
    allowance.spend()
    return True
