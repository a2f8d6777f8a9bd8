"""What is said of a generation: what was asked, how it stands, what it cost."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from runapi_mcp.errors import RunapiError
from runapi_mcp.wire.types import (
    Answer,
    Call,
    DialectName,
    FunctionCall,
    Inline,
    JsonObject,
    JsonValue,
    Linked,
    Part,
    Returned,
    Text,
    Usage,
)

Status: TypeAlias = Literal["running", "complete", "partial", "failed", "cancelled"]
Phase: TypeAlias = Literal["queued", "connecting", "waiting", "open", "thinking", "writing"]


@dataclass(frozen=True)
class Job:
    """What a tool wants generated, and what it takes to make its result later. Nothing but facts.

    Attributes:
        tool: The tool that asked.
        arguments: Its arguments, as they were validated.
        call: What to ask the model.
        dialect: How.
        owner: The principal; nobody else can see the generation.
        notices: Sentences the result must say.
        begin: Text that the answer starts with: the partial answer that a resume continues.
        checked_here: Rules of the caller's schema that only we judge, by JSON Pointer.
        question: Names of those arguments that hold the question; no result is made of them.
    """

    tool: str
    arguments: JsonObject
    call: Call
    dialect: DialectName
    owner: str
    notices: tuple[str, ...] = ()
    begin: str = ""
    checked_here: tuple[str, ...] = ()
    question: tuple[str, ...] = ()

    def answered(self) -> "Job":
        """Return the job without its question, which may be many times as large as the answer.

        What a result is made of stays, and so does the digest: the same question can still be joined.
        It cannot be asked again, so this is for what needs no resuming.
        """
        call = replace(self.call, turns=(), system=None, schema=None)
        spent: JsonObject = {
            name: _spent(self.arguments[name]) for name in self.question if name in self.arguments
        }
        job = replace(self, call=call, arguments=self.arguments | spent)
        vars(job)["same_as"] = self.same_as  # where cached_property looks
        return job

    @cached_property
    def size(self) -> int:
        """About how many bytes the question takes, its files above all."""
        # Texts and data: URLs stand in the arguments a second time.
        return 2 * sum(_weight(part) for turn in self.call.turns for part in turn.parts)

    @cached_property
    def same_as(self) -> str:
        """A digest that two jobs share when they ask the same for the same principal.

        The arguments do not say all: of a file they have the name, the call has the content.
        """
        digest = hashlib.sha256()
        about = json.dumps([self.owner, self.tool, self.arguments], sort_keys=True)
        sent = (text for turn in self.call.turns for part in turn.parts for text in _texts(part))
        for text in (about, self.begin, *sent):
            told = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(told))
            digest.update(told)
        return digest.hexdigest()


def _spent(argument: JsonValue) -> JsonValue:
    """Return what stands for an argument that is not needed any more, and is still one of its kind."""
    return ["…"] if isinstance(argument, list) else "…"


def _weight(part: Part) -> int:
    match part:
        case Inline(_, base64):
            return len(base64)
        case Text(text):
            return 2 * len(text)
        case FunctionCall(_, _, arguments):
            return 2 * len(arguments)
        case Returned(_, _, content):
            return 2 * len(content)
        case Linked():
            return 0


def _texts(part: Part) -> tuple[str, ...]:
    """Return what a part is made of, and of which kind it is."""
    return (type(part).__name__, *astuple(part))


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
        verdict: What its tool made of the texts when they were written; see :meth:`Course.judged`.
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
    verdict: JsonObject | None = None
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
