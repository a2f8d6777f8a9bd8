"""How long each host can be kept waiting, and how much it takes in one result.

A host names itself in ``clientInfo.name``. The rows come from watching real hosts, or from their
documents and trackers; each holds its reason. The window ends well before the host's own limit,
so that a result, or a handle to it, arrives first. Where the name says nothing, a session may show how
long its client waits: see :class:`Learned`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from runapi_mcp.settings import Hold

UNKNOWN_HOLD: Final = 50.0
"""Seconds for a host that is not in the table: most SDKs give a request 60 s."""
UNKNOWN_TASK: Final = 8.0
"""Seconds until a call becomes a task, where the host declares tasks: long enough for a short answer to
come in the same turn, short enough that nobody wonders whether their turn will ever come back."""


@dataclass(frozen=True, slots=True)
class Patience:
    """What is known of one host.

    Attributes:
        name: A part of its `clientInfo.name`, in lower case.
        hold: Seconds it can be kept waiting when it asked for progress.
        silent_hold: The same when it did not.
        max_chars: Characters it takes in one result before it cuts; `None` if not known to cut.
        reason: Why.
        task_after: Seconds until a call becomes a task, if the host declares tasks.
    """

    name: str
    hold: float
    silent_hold: float
    max_chars: int | None
    reason: str
    task_after: float = UNKNOWN_TASK


HOSTS: Final[tuple[Patience, ...]] = (
    Patience(
        "claude-code",
        600,
        110,
        None,
        "no limit seen in 400 s; without progress 120 s moves it aside; interactive it declares tasks, and a "
        "call of 87 s blocked the person's turn for 87 s, one handed over after 5 s for 5 s",
        task_after=8,
    ),
    Patience("claude-ai", 50, 50, None, "Claude Desktop: 240 s, in some builds 60 s; progress does not help"),
    Patience(
        "codex", 240, 240, 11_000, "300 s, progress does not extend it; cuts past about 12,000 characters"
    ),
    Patience("gemini-cli", 540, 540, 36_000, "600 s; keeps the first 8,000 and the last 32,000 characters"),
    Patience(
        "opencode",
        540,
        50,
        None,
        "60 s that each progress notification starts anew; past about 51 KB it keeps the rest in a file",
    ),
    Patience("visual studio code", 540, 50, None, "no limit found; shows progress"),
    Patience("zed", 50, 50, None, "60 s, progress does not extend it"),
    Patience("cline", 50, 50, None, "60 s, progress does not extend it"),
    Patience("goose", 270, 270, None, "300 s"),
    Patience("inspector", 50, 50, None, "60 s, sends no progress token"),
    Patience("cursor", 50, 50, None, "one report of 5 minutes, older ones of 60 s"),
)


def patience_of(host: str | None) -> Patience | None:
    """Return the row for a host by its `clientInfo.name`, or `None`."""
    name = (host or "").lower()
    return next((row for row in HOSTS if row.name in name), None)


_LEARNERS: Final = frozenset({"mcp"})
"""Names that every program on an SDK has: openai-agents gives a call 5 s, LangChain's adapters have no limit
and start a process for each call, where a handle may be of no use. No hold fits both."""
LEAST_HOLD: Final = 3.0
_SHARE: Final = 0.7
_MOST_REMEMBERED: Final = 64


@dataclass
class Learned:
    """What one session has shown of its client's patience; for clients whose name says nothing of it.

    A client that asks the same again has given up on its first request: while that is open, where it says
    nothing when its time is up; or after it took that back, as programs on the Python SDK do since 2.3,
    openai-agents after 5 s. One that comes back with a handle has got the answer that it was in, however
    long that took.

    Attributes:
        hold: Seconds to keep this client waiting at most; `None` until it has given up once.
    """

    hold: float | None = None
    _open: dict[str, float] = field(default_factory=dict)
    _taken_back: dict[str, float] = field(default_factory=dict)
    _given: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def ask(self, question: str, clock: Callable[[], float]) -> Iterator[bool]:
        """Note a request for as long as it is open; the value says whether it is asked after giving up.

        Args:
            question: What two requests share that ask the same.
            clock: Gives seconds; the same for all these notes.
        """
        now = clock()
        waited = self._taken_back.pop(question, now - self._open.get(question, now))
        # Calls that a model makes side by side come together; a client that waits gives seconds.
        gave_up = waited >= LEAST_HOLD
        if gave_up:
            self.hold = max(min(waited * _SHARE, self.hold or waited), LEAST_HOLD)
        self._open[question] = now
        try:
            yield gave_up
        except anyio.get_cancelled_exc_class():
            self._taken_back[question] = clock() - now
            if len(self._taken_back) > _MOST_REMEMBERED:
                del self._taken_back[next(iter(self._taken_back))]
            raise
        finally:
            if self._open.get(question) == now:
                del self._open[question]

    def give(self, handle: str, seconds: float) -> None:
        """Note an answer with a handle, which took that long."""
        self._given[handle] = min(seconds, self._given.pop(handle, seconds))
        if len(self._given) > _MOST_REMEMBERED:
            del self._given[next(iter(self._given))]

    def take(self, handle: str) -> None:
        """Note that the client has a handle: what gave it the handle did not take too long."""
        if self.hold is not None:
            self.hold = max(self.hold, self._given.get(handle, 0.0))


class Sessions:
    """The patience of each session that is under way, as far as it must be learned."""

    def __init__(self) -> None:
        self._learned: dict[str, Learned] = {}

    def of(self, session: str | None, host: str | None) -> Learned | None:
        """Return what a session has shown; `None` where nothing is to be learned, or it has no name."""
        if session is None or host not in _LEARNERS:
            return None
        learned = self._learned.pop(session) if session in self._learned else Learned()
        self._learned[session] = learned  # the newest is last
        if len(self._learned) > _MOST_REMEMBERED:
            del self._learned[next(iter(self._learned))]
        return learned


def task_seconds(setting: Hold, host: str | None) -> float:
    """Return the seconds until a call becomes a task, for a host that declares tasks."""
    row = patience_of(host)
    return (row.task_after if row else UNKNOWN_TASK) if setting == "auto" else float(setting)


def hold_seconds(setting: Hold, host: str | None, *, wants_progress: bool) -> float:
    """Return the seconds a call from `host` may take: the setting, or what the table says."""
    if setting != "auto":
        return float(setting)
    row = patience_of(host)
    if row is None:
        return UNKNOWN_HOLD
    return row.hold if wants_progress else row.silent_hold


def page_chars(setting: int, host: str | None) -> int:
    """Return the characters of one result page for `host`, never more than the setting."""
    row = patience_of(host)
    return min(setting, row.max_chars) if row and row.max_chars else setting
