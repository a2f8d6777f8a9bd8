"""The OpenAI-compatible dialect: ``POST {root}/chat/completions``, answered as SSE.

Chunk shapes and their quirks are those of the wire notes §5: usage cumulative on every chunk, in
a chunk of its own, or absent; the role repeated; ``content`` null, text or parts; tool calls
without an index; thoughts in tags, or under another name; citations in four places.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import AliasChoices, Field

from runapi_mcp.wire.citations import Citations
from runapi_mcp.wire.documents import Lax, lenient, read_documents
from runapi_mcp.wire.faults import Report, read_failure_body
from runapi_mcp.wire.messages import messages
from runapi_mcp.wire.plain import plain_chat
from runapi_mcp.wire.thoughts import ThoughtTags
from runapi_mcp.wire.types import (
    Call,
    DialectName,
    Done,
    Event,
    Finish,
    FinishReason,
    Frame,
    FunctionCallDelta,
    JsonObject,
    JsonValue,
    Request,
    Served,
    Usage,
)

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
    functions: list[JsonValue] = [
        {
            "type": "function",
            "function": {"name": f.name, "description": f.description, "parameters": f.parameters},
        }
        for f in call.functions
    ]
    return (search if call.search else []) + functions


def _response_format(call: Call) -> JsonValue:
    if call.schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": call.schema}}


# ---------------------------------------------------------------- decode


class _ContentPart(Lax):
    text: str | None = None


class _Function(Lax):
    name: str | None = None
    arguments: str | dict[str, object] | None = None


class _ToolCall(Lax):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: object = None


class _Delta(Lax):
    content: str | list[_ContentPart] | None = None
    reasoning: str | None = Field(None, validation_alias=AliasChoices("reasoning_content", "reasoning"))
    tool_calls: list[_ToolCall] | None = None
    extra_content: object = None
    annotations: object = None


class _Choice(Lax):
    delta: _Delta | None = Field(None, validation_alias=AliasChoices("delta", "message"))
    finish_reason: str | None = None
    grounding: object = Field(None, validation_alias=AliasChoices("groundingMetadata", "grounding_metadata"))


class _Details(Lax):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Lax):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(Report):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    grounding: object = Field(None, validation_alias=AliasChoices("groundingMetadata", "grounding_metadata"))


class ChatDecoder:
    """Decodes one chat stream."""

    def __init__(self) -> None:
        self._thoughts = ThoughtTags()
        self._citations = Citations()
        self._calls = _CallOrder()
        self._served: str | None = None

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Return the events of one frame; see :class:`~runapi_mcp.wire.types.Decoder`."""
        text = frame.text.strip()
        if text == "[DONE]":
            return (Done(),)
        if frame.event == "error":
            return (read_failure_body(text),)
        if not text:
            return ()
        plain = plain_chat(text, self._served)
        usage = lenient(_Usage, plain.usage) if plain else None
        if plain and (usage is not None) is (plain.usage is not None):
            told: list[Event] = [_usage(usage)] if usage else []
            return [*told, *self._thoughts.feed(plain.text, flagged=False)] if plain.text else told
        return [event for chunk in read_documents(_Chunk, text) for event in self._chunk(chunk)]

    def end(self) -> Sequence[Event]:
        """Return what was held back."""
        return [*self._thoughts.end(), *self._citations.end()]

    def _chunk(self, chunk: _Chunk) -> Iterator[Event]:
        if chunk.model and chunk.model != self._served:
            self._served = chunk.model
            yield Served(chunk.model)
        # Before the text: only a usage with no text after it confirms a finish (see Ending).
        if chunk.usage:
            yield _usage(chunk.usage)
        for choice in (chunk.choices or [])[:1]:
            yield from self._choice(choice)
        yield from self._citations.metadata(chunk.grounding)
        for choice in (chunk.choices or [])[:1]:
            yield from self._finish(choice)
        if failure := chunk.failure(alone=not chunk.choices):
            yield failure

    def _choice(self, choice: _Choice) -> Iterator[Event]:
        delta = choice.delta
        yield from self._citations.metadata(choice.grounding)
        if delta is None:
            return
        extra = _google(delta.extra_content)
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


class _CallOrder:
    """Numbers tool calls that may come without an index: a new id or a new name is a new call."""

    def __init__(self) -> None:
        self._seen: list[str] = []

    def deltas(self, calls: list[_ToolCall]) -> Iterator[FunctionCallDelta]:
        for call in calls:
            function = call.function or _Function()
            arguments = function.arguments or ""
            if isinstance(arguments, dict):
                arguments = json.dumps(arguments, ensure_ascii=False)
            signature = _google(call.extra_content).get("thought_signature")
            yield FunctionCallDelta(
                self._index(call, function),
                call.id or "",
                function.name or "",
                arguments,
                signature if isinstance(signature, str) else "",
            )

    def _index(self, call: _ToolCall, function: _Function) -> int:
        if call.index is not None:
            return call.index
        known = bool(self._seen) and (self._seen[-1] == call.id if call.id else not function.name)
        if not known:
            self._seen.append(call.id or "")
        return len(self._seen) - 1


def _content(delta: _Delta) -> str:
    if isinstance(delta.content, list):
        return "".join(part.text or "" for part in delta.content)
    return delta.content or ""


def _google(extra: object) -> dict[str, object]:
    match extra:
        case {"google": dict(google)}:
            return google
        case _:
            return {}


def _usage(usage: _Usage) -> Usage:
    prompt, output, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    told = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
    thinking = told
    if None not in (prompt, output, total):
        # Google leaves thinking out of completion_tokens and counts it in the total; OpenAI's own
        # shape counts it in both and names it in the details (wire notes §5.3).
        unexplained = (total or 0) - (prompt or 0) - (output or 0)
        thinking = told or max(unexplained, 0)
        if told and unexplained < told:
            output = max((output or 0) - told, 0)
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(prompt, output, thinking, cached)
