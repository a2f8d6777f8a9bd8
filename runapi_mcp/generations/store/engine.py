"""What several processes share: a log of text for each generation, leases, counts, and orders."""

import codecs
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

from runapi_mcp.generations.store.records import digest

logger = logging.getLogger(__name__)

LENIENT: Final = "runapi-mcp-lenient"
"""How what a store holds is decoded: any bytes are a text, for others can write there.

An answer may hold half a surrogate pair, which JSON can carry and UTF-8 cannot; what is no UTF-8 is U+FFFD.
"""


def _decode_leniently(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogatepass")(error)
    except UnicodeDecodeError:
        return codecs.replace_errors(error)


codecs.register_error(LENIENT, _decode_leniently)


class Down(Exception):
    """An engine did not answer, or not in time. Never leaves this folder.

    Attributes:
        note: What whoever gets a handle must be told of it; nothing where it was said already.
        for_good: Whether it will not come back while this process lives.
        why: What it said itself; nothing where others just use it.
    """

    def __init__(self, note: str = "", *, for_good: bool = False, why: str = "") -> None:
        super().__init__(note)
        self.note = note
        self.for_good = for_good
        self.why = why


# ---------------------------------------------------------------- what an engine is asked to do


class Op:
    """Something that an engine is asked to do; `ms` are milliseconds for which it holds."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of text: of which round, and how much of answer and thoughts."""

    round: int
    text: str
    thoughts: str


@dataclass(frozen=True, slots=True)
class Begin(Op):
    """Write the facts of a generation and how it stands, and forget what was written of it before.

    Attributes:
        name: What :meth:`Engine.name` made of its owner and handle.
        server: Who runs it.
        epoch: How often it was begun.
        live: How it stands, as JSON.
        handle: What its caller holds; kept only where nobody but its caller can read it.
    """

    name: str
    server: str
    epoch: int
    facts: str
    live: str
    handle: str
    owner: str
    ms: int


@dataclass(frozen=True, slots=True)
class Append(Op):
    """Add entries to a generation; `False` if what is held of it is not what its server thinks.

    Attributes:
        at: Entries that are held before these.
        live: How it stands, as JSON; empty if that is as before.
        final: Its status, once it has ended and all is told; empty before.
    """

    name: str
    server: str
    epoch: int
    at: int
    entries: Sequence[Entry]
    live: str
    final: str
    ms: int


START: Final = ""
"""The cursor before the first entry."""


@dataclass(frozen=True, slots=True)
class Read(Op):
    """Read how a generation stands and its entries after `cursor`: a :class:`Record`, or `None`.

    Of one that has ended after one round, the entries that have the characters of `part` are enough.
    """

    name: str
    cursor: str = START
    facts: bool = False
    part: range | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What an engine holds of a generation.

    Attributes:
        facts: Empty unless they were asked for.
        entries: With the cursor after each of them.
        more: Whether there may be more of them.
        beside: Characters of the text before and after the entries, where these are a part of all.
    """

    server: str
    epoch: str
    facts: str
    live: str
    delivered: bool
    entries: Sequence[tuple[str, Entry]]
    more: bool = False
    beside: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Deliver(Op):
    """Note that an answer was given to a caller, to the end."""

    name: str
    ms: int


@dataclass(frozen=True, slots=True)
class Forget(Op):
    """Forget a generation that will not start."""

    name: str


@dataclass(frozen=True, slots=True)
class Hold(Op):
    """Take a lease and return who has it: whoever had it keeps it, but for `replaces`; "*" is anybody."""

    key: str
    holder: str
    ms: int
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Held(Op):
    """Return who has a lease and for how many milliseconds more, or `None`."""

    key: str


LOST: Final = -1
"""What :class:`Take` gives when what its field held is lost; other refusals are what the others hold."""


@dataclass(frozen=True, slots=True)
class Take(Op):
    """Set one field of a few to a count, unless with the others' it would be above `limit` (-1: no limit).

    Returns `None` if it is set, and else the sum of the others', or :data:`LOST` where a count is expected
    to be `there` and is not. `turn` goes up with each writing, so that a late one does no harm.
    """

    key: str
    field: str
    count: int
    turn: int
    limit: int
    ms: int
    there: bool = False


@dataclass(frozen=True, slots=True)
class Add(Op):
    """Add to the counts of some fields, once for each `turn` of a server, which takes them in order."""

    key: str
    counts: Mapping[str, int]
    server: str
    turn: int
    ms: int


ADDED_MS: Final = 600_000
"""Milliseconds for which it is known what a server added last."""


@dataclass(frozen=True, slots=True)
class Get(Op):
    """Return all fields, as a dictionary."""

    key: str


@dataclass(frozen=True, slots=True)
class Sign(Op):
    """Give a sign of life of a server, which holds for `ms` where nothing better shows that it lives."""

    server: str
    ms: int


@dataclass(frozen=True, slots=True)
class Alive(Op):
    """Return whether a server lives."""

    server: str


Order: TypeAlias = Literal["stop", "keep", "delivered"]
"""To stop a generation, to keep it though nobody here follows it, or to know that its answer was given."""


@dataclass(frozen=True, slots=True)
class Tell(Op):
    """Leave an order about a generation to the server that runs it; see :meth:`Engine.orders`."""

    server: str
    order: Order
    name: str


SETTLING: Final = 2.0
"""Seconds after an outage in which what others wrote may be lost until they do again."""

READS: Final = (Read, Held, Get, Alive)
"""What changes nothing."""


# ---------------------------------------------------------------- who does it


class Engine(ABC):
    """What several processes share.

    Args:
        clock: Seconds that only go forward; asked on the event loop alone.
        keep_seconds: How long what has ended is kept.
        scope: What must be equal, too, for two processes to find what the other wrote.

    Attributes:
        title: Its name, for the log.
        place: Where that is, for people; in a sentence about the processes that share it.
        note: What whoever gets a handle must be told where it could not be written.
        patience: Seconds for which a call is kept waiting before it goes on without.
        off: That nothing is kept while this process lives, and why; empty where it is not so.
        pushes: Whether orders come by themselves; else they are looked for while something runs here.
        server: This process's own name among those that share it.
        on_loss: Called when it may have lost what it had: it can be used again, or lacks what was there.
    """

    title: ClassVar[str]
    place: ClassVar[str]
    note: ClassVar[str]
    patience: float
    pushes: ClassVar[bool]

    def __init__(self, clock: Callable[[], float], keep_seconds: float, *scope: str) -> None:
        self.keep_seconds = keep_seconds
        self.server = secrets.token_hex(8)
        self._scope = scope
        self._clock = clock
        self._down_until = 0.0
        self._lost_at: float | None = None
        self._lost_writing = False
        self._settled_at = 0.0
        self.off = ""
        self.on_loss: Callable[[], None] = lambda: None

    @property
    def whose(self) -> str:
        """For whom a generation is kept, to the end of a sentence."""
        return "for the same base URL and key" if any(self._scope) else "for whoever asked the question"

    @property
    def opened(self) -> bool:
        """Whether nothing is to be opened any more before it can be asked."""
        return True

    @property
    def away(self) -> float:
        """For how many seconds no call got through; 0 if the last one did, or where nothing is to be kept."""
        # Never 0 while it is away, however coarse the clock is.
        return 0.0 if self._lost_at is None else max(self._clock() - self._lost_at, 0.001)

    @property
    def settling(self) -> float:
        """For how many seconds more the others may be about to write anew what it lost."""
        return max(self._settled_at - self._clock(), 0.0)

    def note_loss(self) -> None:
        """Note that it may have lost what it had, until all have written anew what they have."""
        self._settled_at = self._clock() + SETTLING
        self.on_loss()

    def _check(self) -> None:
        """Do nothing, unless it failed a moment ago.

        Raises:
            Down: It did.
        """
        if self.off:
            raise Down(for_good=True)
        if self._clock() < self._down_until:
            raise Down(self.note)

    def _note_answer(self, *, wrote: bool) -> None:
        """Note that a call got through.

        A store that is full, a replica, or one whose user may not write still reads: only writing tells
        that it can be written again.
        """
        if self._lost_writing and not wrote:
            return
        lost_at, self._lost_at, self._lost_writing, self._down_until = self._lost_at, None, False, 0.0
        if lost_at is not None:
            logger.warning("%s can be used again.", self.title)
            self.note_loss()

    def _note_failure(self, pause: float, why: str, *, wrote: bool) -> Down:
        """Note that a call failed, and let none pass for a while; without a reason it is not yet an outage.

        What is returned is to be raised.
        """
        if self._lost_at is None and why:
            self._lost_at = self._clock()
            logger.warning("%s cannot be used now: %s.", self.title, why)
        self._lost_writing = self._lost_at is not None and (self._lost_writing or wrote)
        self._down_until = self._clock() + pause
        return Down(self.note, why=why)

    def name(self, *parts: str) -> str:
        """Return a name that only who knows all parts can make, and that tells none of them."""
        return digest(*self._scope, *parts)

    @abstractmethod
    async def run(self, *ops: Op) -> list[Any]:
        """Do all of it in one step, and return what each of them gives.

        Of each kind at most one is about the same generation: they may be done together.

        Raises:
            Down: It cannot be reached, or would not do it; then perhaps nothing was done.
        """

    @abstractmethod
    async def orders(self) -> list[str]:
        """Return what this server was told, each an order and a name, after a wait of a second at most.

        Raises:
            Down: It cannot be reached.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close it."""
