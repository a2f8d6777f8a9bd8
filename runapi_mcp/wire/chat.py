"""The OpenAI-compatible dialect: ``POST {root}/chat/completions``, answered as SSE.

Chunk shapes are the wire notes' §5.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic import AliasChoices, Field, OnErrorOmit

from runapi_mcp.errors import InputError
from runapi_mcp.wire.decoding import Followed, decoded
from runapi_mcp.wire.faults import Report, read_failure
from runapi_mcp.wire.function_calls import CallOrder, ToolCall, google_extra
from runapi_mcp.wire.grounding import Citations
from runapi_mcp.wire.json_text import Lax, Maybe, read_object
from runapi_mcp.wire.plain import plain_chat
from runapi_mcp.wire.thoughts import ThoughtTags
from runapi_mcp.wire.types import (
    Call,
    DialectName,
    Event,
    Failure,
    Finish,
    FinishReason,
    Frame,
    Function,
    FunctionCall,
    Inline,
    JsonObject,
    JsonValue,
    Linked,
    Request,
    Returned,
    Served,
    Text,
    Turn,
)
from runapi_mcp.wire.usage import ChatUsage

_Said: TypeAlias = Text | Inline | Linked


def messages(turns: Sequence[Turn]) -> list[JsonValue]:
    """Return the messages of a conversation.

    Raises:
        InputError: A file that is not an image, which this dialect cannot carry.
    """
    written: list[JsonValue] = []
    ids: list[str] = []
    for turn in turns:
        results = [part for part in turn.parts if isinstance(part, Returned)]
        for place, part in enumerate(results):
            # Google's layer refuses a result without its function's name (wire notes §11 row 3).
            call_id = ids[place] if place < len(ids) else part.id
            written.append(
                {"role": "tool", "tool_call_id": call_id, "name": part.name, "content": part.content}
            )
        calls = [part for part in turn.parts if isinstance(part, FunctionCall)]
        ids = _call_ids(calls)
        said = tuple(part for part in turn.parts if not isinstance(part, FunctionCall | Returned))
        written += _said_by(turn, said, [_tool_call(*pair) for pair in zip(calls, ids, strict=True)])
    return written


def _call_ids(calls: Sequence[FunctionCall]) -> list[str]:
    """Return an id of its own for each call: two of one function must not share one."""
    ids: list[str] = []
    for place, call in enumerate(calls):
        taken = not call.id or call.id in ids
        ids.append(f"{call.id or f'call_{call.name}'}_{place + 1}" if taken else call.id)
    return ids


def _said_by(turn: Turn, said: tuple[_Said, ...], calls: list[JsonValue]) -> Iterator[JsonValue]:
    role = "assistant" if turn.role == "model" else "user"
    if calls:
        yield {"role": role, "content": _message_content(said) if said else None, "tool_calls": calls}
    elif said:
        yield {"role": role, "content": _message_content(said)}


def _message_content(parts: tuple[_Said, ...]) -> JsonValue:
    match parts:
        case (Text(text),):
            return text
        case _:
            return [_part(part) for part in parts]


def _part(part: _Said) -> JsonValue:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Inline(mime_type, base64) if mime_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": f"data:{mime_type};base64,{base64}"}}
        case Linked(mime_type, url) if mime_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        case Inline(mime_type) | Linked(mime_type):
            raise InputError(
                f"RunAPI's chat endpoint takes images only, not {mime_type}.",
                advice="Use a model with a native endpoint, such as gemini-3-flash-preview.",
            )


def _tool_call(call: FunctionCall, call_id: str) -> JsonObject:
    extra = read_object(call.extra) or {}
    inside = extra.pop("function", None)
    function: JsonObject = inside if isinstance(inside, dict) else {}
    function |= {"name": call.name, "arguments": call.arguments}
    made: JsonObject = {**extra, "id": call_id, "type": "function", "function": function}
    if call.signature and "extra_content" not in made:
        made["extra_content"] = {"google": {"thought_signature": call.signature}}
    return made


_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filtered",
    "tool_calls": "tool",
    "function_call": "tool",
    "error": "error",
}


# ---------------------------------------------------------------- encode


@dataclass(frozen=True, slots=True)
class Chat:
    """The chat dialect; `root` is the path the chat API lives under."""

    root: str = "/v1beta/openai"
    name: DialectName = "chat"

    def encode(self, call: Call) -> Request:
        """Return the request for `call`.

        Raises:
            InputError: A file that is not an image, which this dialect cannot carry.
        """
        return Request(f"{self.root}/chat/completions", "bearer", _body(call))

    def decoder(self) -> "ChatDecoder":
        """Return a fresh decoder."""
        return ChatDecoder()


def _body(call: Call) -> JsonObject:
    body: JsonObject = {
        "model": call.model,
        "messages": [*_system(call), *messages(call.turns)],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    optional: JsonObject = {
        "reasoning_effort": call.effort,
        "include_thoughts": call.include_thoughts or None,
        "max_tokens": call.max_output_tokens,
        "temperature": call.temperature,
        "stop": list(call.stop) or None,
        "seed": call.seed,
        "tools": _tools(call) or None,
        "response_format": _response_format(call),
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def _system(call: Call) -> list[JsonValue]:
    return [{"role": "system", "content": call.system}] if call.system else []


def _tools(call: Call) -> list[JsonValue]:
    search: list[JsonValue] = [{"type": "function", "function": {"name": "googleSearch"}}]
    functions: list[JsonValue] = [{"type": "function", "function": _declared(f)} for f in call.functions]
    return (search if call.search else []) + functions


def _declared(function: Function) -> JsonObject:
    declared: JsonObject = {"name": function.name, "description": function.description}
    return declared | ({"parameters": function.parameters} if function.takes_arguments else {})


def _response_format(call: Call) -> JsonValue:
    if call.schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": call.schema}}


# ---------------------------------------------------------------- decode


class _ContentPart(Lax):
    text: str | None = None


class _Delta(Lax):
    content: str | list[_ContentPart | None] | None = None
    reasoning: Maybe[str] = Field(None, validation_alias=AliasChoices("reasoning_content", "reasoning"))
    tool_calls: Maybe[list[OnErrorOmit[ToolCall]]] = None
    extra_content: object = None
    annotations: object = None


class _Choice(Lax):
    index: Maybe[int] = None
    delta: _Delta | None = Field(None, validation_alias=AliasChoices("delta", "message"))
    finish_reason: Maybe[str] = None
    error: object = None
    grounding: object = Field(None, validation_alias=AliasChoices("groundingMetadata", "grounding_metadata"))


class _Chunk(Report):
    choices: list[_Choice | None] | None = None
    usage: Maybe[ChatUsage] = None
    model: Maybe[str] = None
    grounding: object = Field(None, validation_alias=AliasChoices("groundingMetadata", "grounding_metadata"))


class ChatDecoder:
    """Decodes one chat stream."""

    def __init__(self) -> None:
        self._thoughts = ThoughtTags()
        self._citations = Citations()
        self._calls = CallOrder()
        self._followed = Followed()
        self._served: str | None = None

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Return the events of one frame; see :class:`~runapi_mcp.wire.types.Decoder`."""
        return decoded(frame, self._plainly, _Chunk, self._chunk)

    def end(self) -> Sequence[Event]:
        """Return what was held back."""
        return [*self._thoughts.end(), *self._citations.end()]

    def _plainly(self, text: str) -> Sequence[Event] | None:
        plain = plain_chat(text, self._served, self._followed.index)
        if plain is None:
            return None
        return [*plain.usage, *self._thoughts.feed(plain.text, flagged=False)]

    def _chunk(self, chunk: _Chunk) -> Iterator[Event]:
        if chunk.model and chunk.model != self._served:
            self._served = chunk.model
            yield Served(chunk.model)
        # Before the text: only a usage with no text after it confirms a finish (see Ending).
        if chunk.usage:
            yield from chunk.usage.read()
        choice = self._followed.among(chunk.choices)
        if choice:
            yield from self._choice(choice)
        yield from self._citations.metadata(chunk.grounding)
        # Before the finish: an error beside one says that it is none.
        if failure := _failure(chunk, choice):
            yield failure
        if choice:
            yield from self._finish(choice)

    def _choice(self, choice: _Choice) -> Iterator[Event]:
        delta = choice.delta
        yield from self._citations.metadata(choice.grounding)
        if delta is None:
            return
        extra = google_extra(delta.extra_content)
        if delta.reasoning:
            yield from self._citations.reasoning(delta.reasoning)
        if content := _content(delta):
            yield from self._thoughts.feed(content, flagged=extra.get("thought") is True)
        yield from self._calls.deltas(delta.tool_calls or [])
        yield from self._citations.annotations(delta.annotations)
        yield from self._citations.metadata(extra.get("grounding_metadata") or extra.get("groundingMetadata"))

    def _finish(self, choice: _Choice) -> Iterator[Event]:
        if choice.finish_reason:
            yield from self.end()
            yield Finish(choice.finish_reason, _REASONS.get(choice.finish_reason.lower(), "unknown"))


def _failure(chunk: _Chunk, choice: _Choice | None) -> Failure | None:
    """Return the error that a chunk reports: in its own place, in the choice, or beside its finish."""
    if choice and choice.error and (failure := read_failure({"error": choice.error})):
        return failure
    ended = choice is not None and (choice.finish_reason or "").lower() == "error"
    return chunk.failure(alone=not chunk.choices or ended)


def _content(delta: _Delta) -> str:
    if isinstance(delta.content, list):
        return "".join(part.text or "" for part in delta.content if part)
    return delta.content or ""
