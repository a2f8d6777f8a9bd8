"""Google's native dialect: ``POST /v1beta/models/{model}:streamGenerateContent?alt=sse``.

Request fields and chunk shapes are those of the wire notes §6. The stream has no ``[DONE]``: it
is read to its end, since a bridge may say ``STOP`` before the text (§6.3).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import AliasChoices, Field

from runapi_mcp.wire.decoding import Followed, decoded
from runapi_mcp.wire.faults import Report
from runapi_mcp.wire.grounding import Citations
from runapi_mcp.wire.json_text import Lax, Maybe, read_object
from runapi_mcp.wire.plain import plain_native
from runapi_mcp.wire.types import (
    Call,
    DialectName,
    Event,
    Finish,
    FinishReason,
    Frame,
    FunctionCall,
    FunctionCallDelta,
    Inline,
    JsonObject,
    JsonValue,
    Linked,
    Part,
    PromptBlocked,
    Request,
    Returned,
    Served,
    Text,
    TextDelta,
    ThoughtDelta,
    Turn,
)
from runapi_mcp.wire.usage import NativeUsage

_FILTERED = (
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR "
    "IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION"
)
_BROKEN = (
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE "
    "MALFORMED_RESPONSE"
)
_REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_FILTERED.split(), "filtered"),
    **dict.fromkeys(_BROKEN.split(), "error"),
}
_NO_REASON = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_NOT_BLOCKED = frozenset({"", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})


# ---------------------------------------------------------------- encode


@dataclass(frozen=True, slots=True)
class Native:
    """The native dialect."""

    root: str = "/v1beta"
    name: DialectName = "native"

    def encode(self, call: Call) -> Request:
        """Return the request for `call`."""
        path = f"{self.root}/models/{call.model}:streamGenerateContent?alt=sse"
        return Request(path, "x-goog-api-key", _body(call))

    def decoder(self) -> "NativeDecoder":
        """Return a fresh decoder."""
        return NativeDecoder()


def _body(call: Call) -> JsonObject:
    body: JsonObject = {"contents": [_content(turn) for turn in call.turns]}
    optional: JsonObject = {
        "systemInstruction": {"parts": [{"text": call.system}]} if call.system else None,
        "tools": _tools(call) or None,
        "generationConfig": _generation_config(call) or None,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def _content(turn: Turn) -> JsonValue:
    return {"role": turn.role, "parts": [_part(part) for part in turn.parts]}


def _part(part: Part) -> JsonValue:
    match part:
        case Text(text):
            return {"text": text}
        case Inline(mime_type, base64):
            return {"inlineData": {"mimeType": mime_type, "data": base64}}
        case Linked(mime_type, url):
            return {"fileData": {"mimeType": mime_type, "fileUri": url}}
        case FunctionCall():
            return _function_call(part)
        case Returned():
            return {"functionResponse": _with_id(part.id, {"name": part.name, "response": _response(part)})}


def _function_call(call: FunctionCall) -> JsonObject:
    arguments = read_object(call.arguments) or {}
    made: JsonObject = {"functionCall": _with_id(call.id, {"name": call.name, "args": arguments})}
    return made | ({"thoughtSignature": call.signature} if call.signature else {})


def _with_id(call_id: str, fields: JsonObject) -> JsonObject:
    return {"id": call_id, **fields} if call_id else fields


def _response(returned: Returned) -> JsonObject:
    """Return what a function gave as an object, which this dialect wants."""
    given = read_object(returned.content)
    return {"result": returned.content} if given is None else given


def _tools(call: Call) -> list[JsonValue]:
    search: list[JsonValue] = [{"googleSearch": {}}] if call.search else []
    declarations: list[JsonValue] = [
        {"name": f.name, "description": f.description}
        | ({"parametersJsonSchema": f.parameters} if f.takes_arguments else {})
        for f in call.functions
    ]
    return search + ([{"functionDeclarations": declarations}] if declarations else [])


def _generation_config(call: Call) -> JsonObject:
    config: JsonObject = {
        "maxOutputTokens": call.max_output_tokens,
        "temperature": call.temperature,
        "stopSequences": list(call.stop) or None,
        "seed": call.seed,
        "responseMimeType": "application/json" if call.schema is not None else None,
        "responseJsonSchema": call.schema,
        "thinkingConfig": _thinking(call) or None,
    }
    return {key: value for key, value in config.items() if value is not None}


def _thinking(call: Call) -> JsonObject:
    thinking: JsonObject = {"includeThoughts": True} if call.include_thoughts else {}
    return thinking | ({"thinkingLevel": call.effort} if call.effort else {})


# ---------------------------------------------------------------- decode


class _FunctionCall(Lax):
    id: Maybe[str] = None
    name: Maybe[str] = None
    args: object = None


class _Part(Lax):
    text: str | None = None
    thought: Maybe[bool] = None
    signature: Maybe[str] = Field(
        None, validation_alias=AliasChoices("thoughtSignature", "thought_signature")
    )
    function_call: Maybe[_FunctionCall] = Field(
        None, validation_alias=AliasChoices("functionCall", "function_call")
    )


class _Content(Lax):
    parts: list[_Part | None] | None = None


class _Candidate(Lax):
    index: Maybe[int] = None
    content: _Content | None = None
    finish_reason: Maybe[str] = Field(None, validation_alias=AliasChoices("finishReason", "finish_reason"))
    finish_message: Maybe[str] = Field(None, validation_alias=AliasChoices("finishMessage", "finish_message"))
    grounding: object = Field(None, validation_alias=AliasChoices("groundingMetadata", "grounding_metadata"))


class _PromptFeedback(Lax):
    block_reason: Maybe[str] = Field(None, validation_alias=AliasChoices("blockReason", "block_reason"))


class _Chunk(Report):
    candidates: list[_Candidate | None] | None = None
    feedback: Maybe[_PromptFeedback] = Field(
        None, validation_alias=AliasChoices("promptFeedback", "prompt_feedback")
    )
    usage: Maybe[NativeUsage] = Field(None, validation_alias=AliasChoices("usageMetadata", "usage_metadata"))
    model: Maybe[str] = Field(None, validation_alias=AliasChoices("modelVersion", "model_version"))


class NativeDecoder:
    """Decodes one native stream."""

    def __init__(self) -> None:
        self._citations = Citations()
        self._followed = Followed()
        self._served: str | None = None
        self._calls = 0

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Return the events of one frame; see :class:`~runapi_mcp.wire.types.Decoder`."""
        return decoded(frame, self._plainly, _Chunk, self._chunk)

    def end(self) -> Sequence[Event]:
        """Return nothing: this dialect holds nothing back."""
        return ()

    def _plainly(self, text: str) -> Sequence[Event] | None:
        plain = plain_native(text, self._served, self._followed.index)
        if plain is None:
            return None
        delta = ThoughtDelta if plain.thought else TextDelta
        return [*plain.usage, delta(plain.text)] if plain.text else plain.usage

    def _chunk(self, chunk: _Chunk) -> Iterator[Event]:
        if chunk.model and chunk.model != self._served:
            self._served = chunk.model
            yield Served(chunk.model)
        if chunk.feedback and (reason := chunk.feedback.block_reason or "") not in _NOT_BLOCKED:
            yield PromptBlocked(reason)
        # Before the text: only a usage with no text after it confirms a finish (see Ending).
        if chunk.usage:
            yield from chunk.usage.read()
        candidate = self._followed.among(chunk.candidates)
        if candidate:
            yield from self._parts(candidate)
            yield from self._citations.metadata(candidate.grounding)
        # Before the finish: an error beside one says that it is none.
        if failure := chunk.failure(alone=not chunk.candidates):
            yield failure
        if candidate:
            yield from _finish(candidate)

    def _parts(self, candidate: _Candidate) -> Iterator[Event]:
        for part in (candidate.content.parts if candidate.content else None) or []:
            if part is None:
                continue
            if part.function_call:
                yield self._call(part.function_call, part.signature or "")
            if part.text:
                yield ThoughtDelta(part.text) if part.thought else TextDelta(part.text)

    def _call(self, call: _FunctionCall, signature: str) -> FunctionCallDelta:
        self._calls += 1
        arguments = json.dumps(call.args or {}, ensure_ascii=False)
        return FunctionCallDelta(self._calls - 1, call.id or "", call.name or "", arguments, signature)


def _finish(candidate: _Candidate) -> Iterator[Finish]:
    raw = candidate.finish_reason or ""
    if raw not in _NO_REASON:
        yield Finish(raw, _REASONS.get(raw.upper(), "unknown"), candidate.finish_message or "")
