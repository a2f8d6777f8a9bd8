"""Google's native dialect: ``POST /v1beta/models/{model}:streamGenerateContent?alt=sse``.

Request fields and chunk shapes are those of docs/wire.md §6. The stream has no ``[DONE]``: it
is read to its end, since a bridge may say ``STOP`` before the text (§4).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import AliasChoices, ConfigDict, Field

from runapi_mcp.wire.chunks import NOTHING, ChunkDecoder, read_beside, tell_media, unwrap
from runapi_mcp.wire.fold import explain_block, read_finish
from runapi_mcp.wire.function_calls import find_signature
from runapi_mcp.wire.grounding import Parts
from runapi_mcp.wire.json_text import read_object
from runapi_mcp.wire.lax import Lax, Maybe, Name, Word
from runapi_mcp.wire.types import (
    Call,
    DialectName,
    Event,
    Finish,
    FunctionCall,
    FunctionCallDelta,
    Inline,
    JsonObject,
    JsonValue,
    Linked,
    Part,
    Request,
    Returned,
    Served,
    Text,
    TextSignature,
    Turn,
)
from runapi_mcp.wire.usage import NativeUsage

# ---------------------------------------------------------------- encode


@dataclass(frozen=True, slots=True)
class Native:
    """The native dialect."""

    root: str = "/v1beta"
    name: DialectName = "native"

    def encode(self, call: Call) -> Request:
        """Return the request for `call`."""
        # RunAPI's example leaves alt=sse out; Google then sends a JSON array (docs/wire.md §1.1).
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
    return {"role": turn.role, "parts": [_part(part) for part in turn.sent]}


def _part(part: Part) -> JsonValue:
    match part:
        case Text(text, signature=signature):
            return {"text": text, "thoughtSignature": signature} if signature else {"text": text}
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
    signature = find_signature(call)
    return made | ({"thoughtSignature": signature} if signature else {})


def _with_id(call_id: str, fields: JsonObject) -> JsonObject:
    return {"id": call_id, **fields} if call_id else fields


def _response(returned: Returned) -> JsonObject:
    """Return what a function gave as an object, which this dialect wants."""
    given = read_object(returned.content)
    return {"result": returned.content} if given is None else given


def _tools(call: Call) -> list[JsonValue]:
    search: list[JsonValue] = [{"googleSearch": {}}] if call.search else []
    parameters = "parameters" if call.spelling == "narrow" else "parametersJsonSchema"
    declarations: list[JsonValue] = [
        {"name": f.name, "description": f.description}
        | ({parameters: f.parameters} if f.takes_arguments else {})
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
        # They exclude each other (docs/wire.md §6.1).
        "responseSchema" if call.spelling == "narrow" else "responseJsonSchema": call.schema or None,
        "thinkingConfig": _thinking(call) or None,
    }
    return {key: value for key, value in config.items() if value is not None}


def _thinking(call: Call) -> JsonObject:
    # No budget: beside a level it is refused (docs/wire.md §6.1).
    thinking: JsonObject = {"includeThoughts": True} if call.include_thoughts else {}
    return thinking | ({"thinkingLevel": call.effort} if call.effort else {})


# ---------------------------------------------------------------- decode


class _FunctionCall(Lax):
    id: Maybe[str] = None
    name: Maybe[str] = None
    args: object = None


class _Inline(Lax):
    mime_type: Maybe[str] = Field(None, validation_alias=AliasChoices("mimeType", "mime_type"))


class _Part(Lax):
    text: str | None = None
    thought: Maybe[bool] = None
    signature: Maybe[str] = Field(
        None, validation_alias=AliasChoices("thoughtSignature", "thought_signature")
    )
    function_call: Maybe[_FunctionCall] = Field(
        None, validation_alias=AliasChoices("functionCall", "function_call")
    )
    inline: Maybe[_Inline] = Field(None, validation_alias=AliasChoices("inlineData", "inline_data"))


class _Content(Lax):
    parts: list[_Part | None] | None = None


class _Candidate(Lax):
    model_config = ConfigDict(extra="allow")

    index: Maybe[int] = None
    content: _Content | None = None
    finish_reason: Maybe[Word] = Field(None, validation_alias=AliasChoices("finishReason", "finish_reason"))
    finish_message: Maybe[str] = Field(None, validation_alias=AliasChoices("finishMessage", "finish_message"))
    ratings: object = Field(None, validation_alias=AliasChoices("safetyRatings", "safety_ratings"))

    def finish(self) -> Finish | None:
        """Return why the model stopped, if it did."""
        finish = read_finish(self.finish_reason, message=self.finish_message or "")
        if finish is None or finish.reason != "filtered":
            return finish
        return replace(finish, message=explain_block(self.finish_message, self.ratings))


class NativeChunk(Lax):
    """One chunk of a native stream; docs/wire.md §6.2 has its fields."""

    model_config = ConfigDict(extra="allow")

    candidates: list[_Candidate | None] | None = None
    usage: Maybe[NativeUsage] = Field(None, validation_alias=AliasChoices("usageMetadata", "usage_metadata"))
    model: Maybe[Name] = Field(None, validation_alias=AliasChoices("modelVersion", "model_version"))
    # Known to hold no source, and there in each chunk: what is not known is searched for them.
    response_id: object = Field(None, validation_alias=AliasChoices("responseId", "response_id"))
    created: object = Field(None, validation_alias=AliasChoices("createTime", "create_time"))
    trace_id: object = Field(None, alias="traceId")


class NativeDecoder(ChunkDecoder[NativeChunk]):
    """Decodes one native stream."""

    def __init__(self) -> None:
        super().__init__(NativeChunk)
        self._starts: list[int] = []
        self._kind = ""
        self._last: _Candidate | None = None

    # Lists rather than generators: a stream brings some thousand chunks, and a generator costs two calls.

    def _read(self, chunk: NativeChunk, found: list[Event]) -> None:
        if chunk.candidates is None and (inner := unwrap(chunk)) and inner.candidates is not None:
            chunk = inner
        if chunk.model and chunk.model != self._served:
            self._served = chunk.model
            found.append(Served(chunk.model))
        more = chunk.model_extra
        beside = read_beside(more) if more else NOTHING
        if beside.feedback:
            found += beside.feedback.read()
        # Before the text: only a usage with no text after it confirms a finish (see Ending).
        if chunk.usage and (usage := chunk.usage.read()):
            found.append(usage)
        candidate = self._choose(chunk.candidates) if chunk.candidates else None
        finish = candidate.finish() if candidate and candidate.finish_reason else None
        last, self._last = self._last, candidate or self._last
        parts: Sequence[int] = ()
        if candidate and not (finish and last and self._is_again(candidate, last)):
            parts = self._read_parts(candidate, found, last=finish is not None)
        told = candidate.model_extra if candidate else None
        if more or told:
            extra = [told, beside.model_extra]
            # Supports count from a part of their own chunk, or of all that came in several.
            starts = parts if len(parts) > 1 else self._starts
            found += self._citations.search(extra, Parts(starts[1:], certain=not self._written.tagged))
        # Before the finish: an error beside one says that it is none.
        if (beside.error or not chunk.candidates) and (failure := beside.failure()):
            found.append(failure)
        if finish:
            found += self._written.flush()
            found.append(finish)

    def _is_again(self, candidate: _Candidate, last: _Candidate) -> bool:
        """Whether a candidate that ends the stream is the last one once more, as some relays send it.

        One that calls what the one before it called calls nothing twice.
        """
        if candidate.content is None or candidate.content != last.content:
            return False
        parts = [part for part in candidate.content.parts or () if part]
        text = "".join(part.text or "" for part in parts)
        if not text and any(part.function_call for part in parts):
            return True
        return candidate == last and self._written.could_repeat(text)

    def _read_parts(self, candidate: _Candidate, found: list[Event], *, last: bool) -> list[int]:
        """Add what the parts hold to what was found; return where in the answer each of them begins."""
        starts = []
        for part in (candidate.content.parts if candidate.content else None) or ():
            starts.append(self._written.octets)
            if part is None:
                continue
            kind = "thought" if part.thought else "text" if part.text is not None else "other"
            if kind != self._kind or kind == "other":
                # Others did not begin it: a stream cuts parts into pieces.
                self._starts.append(self._written.octets)
            self._kind = kind
            if part.function_call:
                self._called = True
                found.append(_read_call(part.function_call, part.signature or ""))
            elif part.signature and not part.thought:
                # With the text's last piece, or behind it with an empty one (docs/wire.md §6.2).
                found.append(TextSignature(part.signature))
            if part.text and part.thought:
                found += self._written.add_thought(part.text)
            elif part.text:
                found += self._written.add_text(part.text, last=last)
            elif part.inline and not part.thought:
                found.append(tell_media(part.inline.mime_type))
        return starts


def _read_call(call: _FunctionCall, signature: str) -> FunctionCallDelta:
    # A relay of chat may leave them the text that they are there.
    text = call.args if isinstance(call.args, str) else json.dumps(call.args or {}, ensure_ascii=False)
    return FunctionCallDelta(None, call.id or "", call.name or "", text, signature)
