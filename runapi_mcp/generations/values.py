"""What is said of a generation: what was asked, how it stands, what it cost."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias, TypeGuard, TypeVar

from runapi_mcp.errors import RunapiError
from runapi_mcp.models import Ability, is_version_of
from runapi_mcp.wire.json_text import encode_pieces, weigh
from runapi_mcp.wire.types import (
    Answer,
    Call,
    DialectName,
    Inline,
    JsonObject,
    JsonValue,
    Part,
    Text,
    Usage,
)

Status: TypeAlias = Literal["running", "complete", "partial", "failed", "cancelled"]
T = TypeVar("T")

KEPT_CHARS: Final = 4_194_304
"""Characters of a question that are kept once it is answered, files apart."""
KEPT_BYTES: Final = 2_097_152
"""Characters of files that came as bytes, as base64 or text, that are kept where generations are shared."""
_KEPT_BYTES_HERE: Final = 65_536
"""The same for the memory of a process."""
_TEXT_BYTES: Final = 200
"""About what Python takes for a part of a turn beside its text."""
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
        digest: What tells the question apart from others, once it was computed.
        earlier: The texts of the rounds that a resume goes on from, oldest first.
        max_cost: What all of it may cost at most, in units of the currency that prices are in.
        wish: What its model was chosen by, auto or a word such as strongest; empty for one that the call
            or a setting named, and that is never left for another.
        others: Models that may be asked instead of the call's, in order of preference.
        needs: The abilities that the model must have.
        asked_on: The day on which it was asked, as the question tells the model, in ISO 8601; may be empty.
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
    digest: str = ""
    earlier: tuple[str, ...] = ()
    max_cost: float | None = None
    wish: str = ""
    others: tuple[str, ...] = ()
    needs: tuple[Ability, ...] = ()
    asked_on: str = ""

    def digested(self) -> "Job":
        """Return the job with its digest, and without the arguments that the call says already.

        That reads every byte of the question: megabytes are for a worker thread.
        """
        spent: JsonObject = {
            name: _spend(self.arguments[name]) for name in self.question if name in self.arguments
        }
        return replace(self, arguments=self.arguments | spent, digest=_digest(self))

    def answered(self) -> "Job":
        """Return the job with as much of its question as a conversation needs to go on from it.

        What a result is made of stays, and so does the digest: the same question can still be joined.
        """
        job = self.without_files(_KEPT_BYTES_HERE)
        if job.text_size > KEPT_CHARS:
            return job.without_question()
        return replace(job, call=replace(job.call, schema=None))

    def without_question(self) -> "Job":
        """Return the job without what was asked; what a result is made of stays."""
        return replace(self, call=replace(self.call, turns=(), system=None, schema=None))

    def without_files(self, room: int = KEPT_BYTES) -> "Job":
        """Return the job without the contents of files that can be read again where they are.

        Of what came as bytes `room` characters stay, and what does not fit is left out too.
        """
        if not any(_is_content(part) for turn in self.call.turns for part in turn.parts):
            return self  # most have none, and to copy a job takes as long as all else that is written of it
        turns = []
        for turn in self.call.turns:
            parts: list[Part] = []
            for part in turn.parts:
                if _is_content(part):
                    again = part.file is not None and bool(part.file.uri)
                    room -= 0 if again else sum(map(len, _texts(part)))
                    part = part.without_content() if again or room < 0 else part
                parts.append(part)
            turns.append(replace(turn, parts=tuple(parts)))
        return replace(self, call=replace(self.call, turns=tuple(turns)))

    @cached_property
    def size(self) -> int:
        """About how many bytes the question takes: its files above all, but also a schema of many members."""
        given = weigh(self.arguments) + weigh(self.call.schema)
        return self.text_size + given + sum(weigh(each.parameters) for each in self.call.functions)

    @property
    def text_size(self) -> int:
        """The same of its texts and files alone."""
        texts = (
            self.call.system or "",
            *(t for turn in self.call.turns for p in turn.parts for t in _texts(p)),
        )
        # Python keeps a character of a text in one to four bytes; base64 takes one.
        return sum(_TEXT_BYTES + (len(text) if text.isascii() else 3 * len(text)) for text in texts)

    @property
    def same_as(self) -> str:
        """A digest that two jobs share when they ask the same for the same principal."""
        return self.digest or _digest(self)


def _digest(job: Job) -> str:
    """Return what tells a question apart: what the call holds of it, and the other arguments."""
    digest = hashlib.sha256()
    options = {name: value for name, value in job.arguments.items() if name not in job.question}
    about = json.dumps([job.owner, job.tool, options], sort_keys=True)
    sent = (
        text
        for turn in job.call.turns
        for part in turn.parts
        for text in (turn.role, type(part).__name__, *_texts(part))
    )
    for text in (about, job.begin, job.call.system or "", *sent, *job.earlier):
        digest.update(b"%d:" % len(text))
        for piece in encode_pieces(text):
            digest.update(piece)
    return digest.hexdigest()


def _spend(argument: JsonValue) -> JsonValue:
    """Return what stands for an argument that is not needed any more, and is still one of its kind."""
    return ["…"] if isinstance(argument, list) else "…"


def _is_content(part: Part) -> TypeGuard[Text | Inline]:
    """Whether a part is a file's content."""
    return isinstance(part, Inline) or (isinstance(part, Text) and part.file is not None)


def _texts(part: Part) -> tuple[str, ...]:
    """Return what a part is made of; where a file came from is no part of a question."""
    match part:
        case Text():
            return (part.text, part.signature) if part.signature else (part.text,)
        case Inline():
            return (part.mime_type, part.base64)
        case _:
            return astuple(part)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a generation cost and how it went. Times are seconds; `None` is: not known.

    `model` is the one that RunAPI says it served, or, where it does not say, the one asked for.
    """

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
    cost: float | None = None
    """Of its tokens, where their price is known; without what a search may cost beside them."""
    currency: str | None = None
    searches: int = 0
    model_asked: str = ""
    model_served: str | None = None

    @property
    def swapped(self) -> bool:
        """Whether RunAPI says that it served another model than the one asked for, and no version of it."""
        served, asked = self.model_served, self.model_asked
        return bool(served and asked) and not is_version_of(served or "", asked)


@dataclass(frozen=True, slots=True)
class View:
    """A generation as it stands: what a tool makes its result of.

    Attributes:
        earlier: The texts of the rounds before the one that `answer` belongs to, oldest first.
        links: Where links of the answer lead, as far as they were resolved.
        hopeless: Why the last round was ended early, if it was.
        verdict: What its tool made of the texts when they were written; see :meth:`Policy.judge`.
        note: What must be said wherever the handle is: who knows it, if not everybody does.
        beside: Characters of the answer's text before and after what is here, where only a part was read.
        made: What was made of this state already; see :meth:`once`.
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
    beside: tuple[int, int] = (0, 0)
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` makes of this state, made when it is asked for first.

        It is kept under its name for as long as nothing is added to the answer, so it should be no
        larger than that, and must depend on nothing else.
        """
        if name not in self.made:
            self.made[name] = make()
        made: T = self.made[name]
        return made


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
        stage: What this round is for, where its rounds are not tries of one thing.
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
    stage: str = ""
