"""What is said of a generation: what was asked, how it stands, what it cost."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from runapi_mcp.errors import RunapiError
from runapi_mcp.wire.types import Answer, Call, DialectName, JsonObject, Usage

Status: TypeAlias = Literal["running", "complete", "partial", "failed", "cancelled"]
FollowUp: TypeAlias = Callable[[Answer, int], Call | None]
Phase: TypeAlias = Literal["queued", "connecting", "waiting", "open", "thinking", "writing"]


def _no_more(_answer: Answer, _round: int) -> None:
    """Ask for nothing more."""


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
    """

    tool: str
    arguments: JsonObject
    call: Call
    dialect: DialectName
    owner: str
    notices: tuple[str, ...] = ()
    begin: str = ""
    follow_up: FollowUp = field(default=_no_more, repr=False)

    @property
    def same_as(self) -> str:
        """A digest that two jobs share when they ask the same for the same principal."""
        asked = [self.owner, self.tool, self.arguments, len(self.begin)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


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
    """A generation as it stands: what a tool makes its result of."""

    handle: str
    job: Job
    status: Status
    answer: Answer
    receipt: Receipt
    error: RunapiError | None = None


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
