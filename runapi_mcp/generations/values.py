"""What is said of a generation: what was asked, how it stands, what it cost."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from runapi_mcp.errors import RunapiError
from runapi_mcp.wire.types import (
    Answer,
    Call,
    Called,
    DialectName,
    Inline,
    JsonObject,
    Linked,
    Part,
    Returned,
    Text,
    Usage,
)

Status: TypeAlias = Literal["running", "complete", "partial", "failed", "cancelled"]
FollowUp: TypeAlias = Callable[[Answer, int], Call | None]
Describe: TypeAlias = Callable[[str], str]
Hopeless: TypeAlias = Callable[[str], str | None]
Links: TypeAlias = Callable[[Answer], tuple[str, ...]]
Phase: TypeAlias = Literal["queued", "connecting", "waiting", "open", "thinking", "writing"]


def _no_more(_answer: Answer, _round: int) -> None:
    """Ask for nothing more."""


def _nothing(_text: str) -> str:
    """Say nothing of the text."""
    return ""


def _hope(_text: str) -> None:
    """Let every text go on."""


def _no_links(_answer: Answer) -> tuple[str, ...]:
    """Have no link resolved."""
    return ()


@dataclass(frozen=True, slots=True)
class Job:
    """What a tool wants generated, and what it takes to make its result later.

    Attributes:
        tool: The tool that asked.
        arguments: Its arguments, as they were validated.
        call: What to ask the model.
        dialect: How.
        owner: The principal; nobody else can see the generation.
        notices: Sentences the result must say.
        begin: Text that the answer starts with: the partial answer that a resume continues.
        follow_up: Given an answer and its round (from 1), the next call of this generation.
        describe: What the text so far amounts to, in a few words, for progress. Called at growing
            intervals, so it may read the whole text.
        hopeless: Why the text so far can no longer become right, or `None`. It ends the round, which
            then counts as one to follow up. Called at growing intervals.
        links: The links of an ended answer that are to be resolved; see :meth:`Upstream.redirects`.
    """

    tool: str
    arguments: JsonObject
    call: Call
    dialect: DialectName
    owner: str
    notices: tuple[str, ...] = ()
    begin: str = ""
    follow_up: FollowUp = field(default=_no_more, repr=False)
    describe: Describe = field(default=_nothing, repr=False)
    hopeless: Hopeless = field(default=_hope, repr=False)
    links: Links = field(default=_no_links, repr=False)

    @property
    def size(self) -> int:
        """About how many bytes the question takes, its files above all."""
        parts = [part for turn in self.call.turns for part in turn.parts]
        told = sum(map(_weight, parts))
        # Texts and data: URLs stand in the arguments a second time.
        return 2 * told

    @property
    def same_as(self) -> str:
        """A digest that two jobs share when they ask the same for the same principal."""
        asked = [self.owner, self.tool, self.arguments, len(self.begin)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _weight(part: Part) -> int:
    match part:
        case Inline(_, base64):
            return len(base64)
        case Text(text):
            return 2 * len(text)
        case Called(_, _, arguments):
            return 2 * len(arguments)
        case Returned(_, _, content):
            return 2 * len(content)
        case Linked():
            return 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a generation cost and how it went. Times are seconds; `None` is: not known."""

    model: str
    dialect: DialectName
    status: Status
    complete: bool
    finish_reason: str | None
    finish_reason_raw: str | None
    tokens: Usage | None
    seconds_to_first_byte: float | None
    seconds: float
    seconds_waited: float
    requests: int
    rounds: int
    client_request_id: str | None


@dataclass(frozen=True, slots=True)
class View:
    """A generation as it stands: what a tool makes its result of.

    Attributes:
        earlier: The texts of the rounds before the one that `answer` belongs to, oldest first.
        links: Where links of the answer lead, as far as they were resolved.
        hopeless: Why the last round was ended early, if it was.
        note: What must be said wherever the handle is: who knows it, if not everybody does.
    """

    handle: str
    job: Job
    status: Status
    answer: Answer
    receipt: Receipt
    error: RunapiError | None = None
    earlier: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    hopeless: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that a generation is alive: what a progress line is made of.

    Attributes:
        phase: What it is doing.
        searching: Whether it searches the web.
        round: Which of its calls this is, from 1.
        ahead: Generations before it in the queue.
        wait_left: Seconds left of a wait that RunAPI asked for.
        characters: Characters received, of the answer or, before it, of thoughts.
        tokens: Tokens of the answer so far, if upstream says.
        silent: Seconds since the last byte.
        tail: The end of the text received.
        described: What the text amounts to so far, in the words of its tool; may be empty.
    """

    phase: Phase
    searching: bool
    round: int
    ahead: int
    wait_left: float
    characters: int
    tokens: int | None
    silent: float
    tail: str
    described: str = ""


def spent(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the sum of two rounds' tokens; what neither said stays unsaid."""
    if one is None or other is None:
        return one or other
    return Usage(
        _sum(one.input, other.input),
        _sum(one.output, other.output),
        _sum(one.thinking, other.thinking),
        _sum(one.cached, other.cached),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
