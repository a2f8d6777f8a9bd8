"""The words both dialects share: what goes in, and what comes out.

A **Call** is what a tool wants. A **Dialect** encodes it as a **Request**, and gives out a
**Decoder** that turns each **Frame** of the answering stream into **Events** (both are in
:mod:`~runapi_mcp.wire.dialects`). A Fold adds the Events up to an **Answer**. Nothing here, or
anywhere in this folder, does I/O or looks at a clock.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from runapi_mcp.models import DialectName as DialectName
from runapi_mcp.models import Effort as Effort

if TYPE_CHECKING:
    JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
else:
    JsonValue = Any  # pydantic cannot follow an alias that names itself
JsonObject: TypeAlias = dict[str, JsonValue]

Auth: TypeAlias = Literal["bearer", "x-goog-api-key"]
FinishReason: TypeAlias = Literal["stop", "length", "filtered", "tool", "error", "unknown"]
Origin: TypeAlias = Literal["annotation", "grounding", "relay", "link"]
Spelling: TypeAlias = Literal["wide", "narrow", "words"]
"""JSON Schema, Google's older Schema, or text in the system prompt; see `wire/schema/narrow.py`."""


# ---------------------------------------------------------------- what a tool wants


@dataclass(frozen=True, slots=True)
class FileRef:
    """Where the content of a part came from, and what tells whether it is still the same.

    `uri` is where it can be read again, empty where it came as bytes; `name` and `mime_type` are what it was
    called. `size` and `sha256` are those of the text or base64 that the part carries.
    """

    uri: str
    name: str
    mime_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a turn; of a file, if `file` says so.

    `signature` is what upstream sent with a model's text, to be sent back with it.
    """

    text: str
    file: FileRef | None = field(default=None, compare=False)
    signature: str = ""

    def without_content(self) -> "Text":
        """Return it as it is kept where contents of files are not."""
        return replace(self, text="")


@dataclass(frozen=True, slots=True)
class Inline:
    """A file carried inside the request."""

    mime_type: str
    base64: str = field(repr=False)
    file: FileRef | None = field(default=None, compare=False)

    def without_content(self) -> "Inline":
        """Return it as it is kept where contents of files are not."""
        return replace(self, base64="")


@dataclass(frozen=True, slots=True)
class Linked:
    """A file named by URL; upstream fetches it, we never do."""

    mime_type: str
    url: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function that the model asks the caller to run, or asked for in an earlier turn.

    `arguments` is JSON text. `signature` is what upstream sent with it; Gemini 3 wants it back
    (docs/wire.md §5.1). `extra` is JSON text of what else stood in a chat call, signatures in a relay's own
    place among them: it goes back unread.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """What came of a function that the model asked for; `content` is text, or JSON as text."""

    id: str
    name: str
    content: str


Part: TypeAlias = Text | Inline | Linked | FunctionCall | Returned


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's contribution to a conversation.

    `aside` is what we say beside its text, such as the day: it is sent behind it, and is no part of what
    tells one question from another.
    """

    role: Literal["user", "model"]
    parts: tuple[Part, ...]
    aside: str = ""

    @property
    def sent(self) -> tuple[Part, ...]:
        """The parts with the aside behind the last text."""
        match self.parts:
            case (*before, Text(text)) if self.aside:
                return (*before, Text(f"{text}\n\n{self.aside}"))
            case parts:
                return parts


@dataclass(frozen=True, slots=True)
class Function:
    """A function the model may ask the caller to run; `parameters` is a JSON Schema, empty if it has none."""

    name: str
    description: str
    parameters: JsonObject

    @property
    def takes_arguments(self) -> bool:
        """Whether there is anything to send: Google refuses an object without members (docs/wire.md §5.4)."""
        plain = {"type", "title", "description", "$schema", "properties", "required", "additionalProperties"}
        free = self.parameters.get("additionalProperties") not in (None, False)
        return bool(self.parameters.get("properties")) or free or not plain.issuperset(self.parameters)


@dataclass(frozen=True, slots=True)
class Call:
    """What a tool wants of a model. `None` means: leave it to the model's default.

    A `schema` that is empty asks for JSON of any kind; `spelling` says in which words the schemas are.
    """

    model: str
    turns: tuple[Turn, ...]
    system: str | None = None
    effort: Effort | None = None
    include_thoughts: bool = False
    max_output_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    search: bool = False
    schema: JsonObject | None = None
    functions: tuple[Function, ...] = ()
    spelling: Spelling = "wide"

    def unsigned(self) -> "Call":
        """Return this call without the signatures of texts, which another model or account cannot read.

        Those of function calls stay: Gemini 3 refuses calls without.
        """
        turns = (
            replace(
                turn, parts=tuple(replace(p, signature="") if isinstance(p, Text) else p for p in turn.parts)
            )
            for turn in self.turns
        )
        return replace(self, turns=tuple(turns))

    def continued(self, partial: str) -> "Call":
        """Return this call with `partial` as the model's turn and a request to go on from it."""
        go_on = "Continue exactly where your last message stops. Do not repeat or introduce anything."
        return replace(
            self, turns=(*self.turns, Turn("model", (Text(partial),)), Turn("user", (Text(go_on),)))
        )


@dataclass(frozen=True, slots=True)
class Request:
    """What is POSTed. `path` starts at the base URL and holds its own query."""

    path: str
    auth: Auth
    body: JsonObject


# ---------------------------------------------------------------- what comes back


class Frame(NamedTuple):
    """One SSE event, or one JSON document of a body that is not SSE."""

    text: str
    event: str = "message"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class TextSignature:
    """What upstream wants back with the text so far; a later one replaces it."""

    signature: str


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """More of the summary of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class TagOpened:
    """The answer began with a tag that opens thinking; what comes between it and its end is thought."""

    text: str


@dataclass(frozen=True, slots=True)
class TagUnclosed:
    """The thought since :class:`TagOpened` was the answer: nothing came after it.

    `text` is the closing tag; empty if there was none.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page the answer rests on. Title, URL and snippet are the upstream's: untrusted."""

    url: str
    title: str = ""
    origin: Origin = "grounding"
    snippet: str = ""


@dataclass(frozen=True, slots=True)
class Support:
    """A stretch of the answer and the sources behind it.

    `start` and `end` are UTF-8 byte offsets into the answer text as upstream counted them (they
    may be a byte off), `text` the stretch itself where upstream sent it, and `sources` indices
    into the sources of the same :class:`Grounding`.
    """

    start: int
    end: int
    text: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Grounding:
    """All that is known so far of where the answer comes from; a later one replaces it.

    `unread` is whether something came that looks like sources and could not be read.
    """

    sources: tuple[Source, ...] = ()
    supports: tuple[Support, ...] = ()
    queries: tuple[str, ...] = ()
    unread: bool = False


@dataclass(frozen=True, slots=True)
class FunctionCallDelta:
    """A piece of a function call as it came; :mod:`~runapi_mcp.wire.function_calls` says of which.

    `index` is upstream's own number for the call, `None` if it gave none; `arguments` and `extra` are
    JSON text, see :class:`FunctionCall`.
    """

    index: int | None
    id: str
    name: str
    arguments: str
    signature: str = ""
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens so far; cumulative, so a later one replaces an earlier one. `None` is: not said."""

    input: int | None = None
    output: int | None = None
    thinking: int | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """Why the model stopped: upstream's own word, ours, and its explanation if it gave one."""

    raw: str
    reason: FinishReason
    message: str = ""


@dataclass(frozen=True, slots=True)
class PromptBlocked:
    """The prompt itself was refused by a safety rule: upstream's word, and its explanation if it gave one."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """Which model answers, as upstream names it."""

    model: str


@dataclass(frozen=True, slots=True)
class Done:
    """The stream said that it is over (`[DONE]`); whatever follows is noise."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Upstream's own report of an error, in whichever shape it came.

    `message` is untrusted text. `status` is an HTTP-like number if there was one, `code` a
    string code or reason. `retry_after` is in seconds. `hopeless` means waiting will not help
    (a daily quota).
    """

    message: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    hopeless: bool = False


Event: TypeAlias = (
    TextDelta
    | TextSignature
    | ThoughtDelta
    | TagOpened
    | TagUnclosed
    | Grounding
    | FunctionCallDelta
    | Usage
    | Finish
    | PromptBlocked
    | Served
    | Done
    | Failure
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The sum of a stream's events.

    `finish` is `None` while (or if) the stream has not said why it ended; then the answer is
    only what had arrived. `usage` is `None` if upstream never sent any. `failure` is the error that
    upstream reported after the finish, if it did. `signature` is that of the text.
    """

    text: str = ""
    thoughts: str = ""
    grounding: Grounding = Grounding()
    function_calls: tuple[FunctionCall, ...] = ()
    usage: Usage | None = None
    finish: Finish | None = None
    model: str | None = None
    failure: Failure | None = None
    signature: str = ""
