"""The OpenAI-compatible dialect: ``POST {root}/chat/completions``, answered as SSE.

Requests and chunks are those of docs/wire.md §5.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from pydantic import AliasChoices, ConfigDict, Field, OnErrorOmit

from runapi_mcp.errors import InputError
from runapi_mcp.wire.chunks import NOTHING, Beside, ChunkDecoder, read_beside, tell_media, unwrap
from runapi_mcp.wire.faults import read_failure
from runapi_mcp.wire.fold import explain_block, read_finish
from runapi_mcp.wire.function_calls import SEALED, ToolCall, google_extra, read_sealed
from runapi_mcp.wire.json_text import read_object
from runapi_mcp.wire.lax import Lax, Maybe, Name, lenient
from runapi_mcp.wire.types import (
    Call,
    DialectName,
    Event,
    Failure,
    Finish,
    Function,
    FunctionCall,
    FunctionCallDelta,
    Inline,
    JsonObject,
    JsonValue,
    Linked,
    Request,
    Returned,
    Served,
    Text,
    ThoughtDelta,
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
        results = [part for part in turn.sent if isinstance(part, Returned)]
        for place, part in enumerate(results):
            # Google's layer refuses a result without its function's name (docs/wire.md §5.1).
            call_id = ids[place] if place < len(ids) else part.id
            written.append(
                {"role": "tool", "tool_call_id": call_id, "name": part.name, "content": part.content}
            )
        calls = [part for part in turn.sent if isinstance(part, FunctionCall)]
        ids = _call_ids(calls)
        said = tuple(part for part in turn.sent if not isinstance(part, FunctionCall | Returned))
        written += _write_turn(turn, said, [_tool_call(*pair) for pair in zip(calls, ids, strict=True)])
    return written


def _call_ids(calls: Sequence[FunctionCall]) -> list[str]:
    """Return an id of its own for each call: two of one function must not share one."""
    ids: list[str] = []
    for place, call in enumerate(calls):
        taken = not call.id or call.id in ids
        ids.append(f"{call.id or f'call_{call.name}'}_{place + 1}" if taken else call.id)
    return ids


def _as_list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]


def _write_turn(turn: Turn, said: tuple[_Said, ...], calls: list[JsonObject]) -> Iterator[JsonValue]:
    role = "assistant" if turn.role == "model" else "user"
    if calls:
        message: JsonObject = {"role": role, "content": _message_content(said) if said else None}
        # OpenRouter wants them back beside the calls, where it had put them.
        sealed = [detail for call in calls if (held := call.pop(SEALED, None)) for detail in _as_list(held)]
        yield message | {"tool_calls": [*calls]} | ({SEALED: sealed} if sealed else {})
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
    # Gemini 3 refuses a call that comes back without its signature (docs/wire.md §5.1).
    if call.signature and "extra_content" not in made:
        made["extra_content"] = {"google": {"thought_signature": call.signature}}
    return made


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
        # Without it Google's layer counts nothing (docs/wire.md §5.1).
        "stream_options": {"include_usage": True},
    }
    optional: JsonObject = {
        "reasoning_effort": call.effort,
        # RunAPI's spelling, not Google's (docs/wire.md §5.1).
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
    # RunAPI's word for Google Search: a function that has no parameters (docs/wire.md §5.1).
    search: list[JsonValue] = [{"type": "function", "function": {"name": "googleSearch"}}]
    functions: list[JsonValue] = [{"type": "function", "function": _declare(f)} for f in call.functions]
    return (search if call.search else []) + functions


def _declare(function: Function) -> JsonObject:
    declared: JsonObject = {"name": function.name, "description": function.description}
    return declared | ({"parameters": function.parameters} if function.takes_arguments else {})


def _response_format(call: Call) -> JsonValue:
    if call.schema is None:
        return None
    if not call.schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": call.schema}}


# ---------------------------------------------------------------- decode


class _Open(Lax):
    """A part of a chunk in which sources may stand under a name of whoever relays it."""

    model_config = ConfigDict(extra="allow")


class _ContentPart(Lax):
    type: Maybe[str] = None
    text: str | None = None
    thinking: object = None
    image_url: object = None

    @property
    def media_type(self) -> str:
        """Return what kind of file it is; empty if it is none."""
        if self.type not in _MEDIA:
            return ""
        return _media_type_of(self.image_url)


class _Detail(Lax):
    text: Maybe[str] = None
    summary: Maybe[str] = None
    thinking: Maybe[str] = None
    content: Maybe[str] = None


class _Delta(_Open):
    content: str | list[_ContentPart | None] | None = Field(None, union_mode="left_to_right")
    role: object = None

    def text(self) -> str:
        """Return its part of the answer."""
        # Some relays send a list of parts (docs/wire.md §5.2).
        if not isinstance(self.content, list):
            return self.content or ""
        parts = [part for part in self.content if part and part.type not in _THINKING]
        return "".join(part.text or "" for part in parts)

    def more(self) -> "_More":
        """Return what it has beside a text."""
        return (lenient(_More, self.model_extra) if self.model_extra else None) or _NO_MORE

    def thought(self) -> str:
        """Return its part of the thinking: relays have it in one place, or the same in several."""
        told = self.more().thoughts()
        if isinstance(self.content, list):
            parts = [part for part in self.content if part and part.type in _THINKING]
            told.append("".join(part.text or _read_thought(part.thinking) for part in parts))
        told = [text for text in told if text]
        # An empty field, or a line break, may stand beside the one that is full.
        return next((text for text in told if text.strip()), told[0]) if told else ""


class _More(_Open):
    """What few deltas have beside a text; see :class:`Beside`."""

    reasoning_content: object = None
    reasoning: object = None
    thinking: object = None
    reasoning_details: object = None
    thinking_blocks: object = None
    refusal: Maybe[str] = None
    tool_calls: Maybe[list[OnErrorOmit[ToolCall]]] = None
    extra_content: object = None

    def thoughts(self) -> list[str]:
        """Return the texts in the fields of thinking."""
        fields = (
            self.reasoning_content,
            self.reasoning,
            self.thinking,
            self.reasoning_details,
            self.thinking_blocks,
            # Copilot's word, which few have.
            (self.model_extra or {}).get("reasoning_text"),
        )
        return [_read_thought(field) for field in fields if field]

    def calls(self) -> Sequence[ToolCall]:
        """Return its pieces of calls."""
        if self.tool_calls:
            return self.tool_calls
        # OpenAI's older form, of one call.
        older = (self.model_extra or {}).get("function_call")
        call = lenient(ToolCall, {"function": older}) if isinstance(older, dict) else None
        return (call,) if call else ()

    def images(self) -> list[str]:
        """Return the kinds of the images beside the text."""
        images = (self.model_extra or {}).get("images")
        held = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
        return [_media_type_of(image.get("image_url")) for image in held]


_NO_MORE: Final = _More.model_construct()


class _Choice(_Open):
    index: Maybe[int] = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: Maybe[str] = None
    native_finish_reason: Maybe[str] = None
    logprobs: object = None


class _Rare(_Open):
    """What few choices have; see :class:`Beside`."""

    finish_reason: Maybe[str] = Field(None, alias="finishReason")
    finish_message: Maybe[str] = Field(None, validation_alias=AliasChoices("finish_message", "finishMessage"))
    ratings: object = Field(None, validation_alias=AliasChoices("safety_ratings", "safetyRatings"))
    filters: object = Field(None, alias="content_filter_results")
    usage: Maybe[ChatUsage] = None
    error: object = None
    text: Maybe[str] = None


_NOTHING_RARE: Final = _Rare.model_construct()


def _finish(choice: _Choice, rare: _Rare) -> Finish | None:
    """Return why the model stopped, if it did."""
    # Google's layer has sent both at once, a null in OpenAI's place.
    finish = read_finish(choice.finish_reason or rare.finish_reason, choice.native_finish_reason)
    said = rare.finish_message or (choice.delta.more().refusal if choice.delta else None)
    if finish is None or not (said or rare.ratings or rare.filters):
        return finish
    return replace(finish, message=explain_block(said, rare.ratings, rare.filters))


class ChatChunk(Lax):
    """One chunk of a chat stream; docs/wire.md §5.2 has its fields."""

    model_config = ConfigDict(extra="allow")

    choices: list[_Choice | None] | None = None
    usage: Maybe[ChatUsage] = None
    model: Maybe[Name] = None
    kind: Maybe[str] = Field(None, alias="object")
    id: object = None
    created: object = None
    system_fingerprint: object = None
    service_tier: object = None


_THINKING: Final = frozenset({"thinking", "reasoning", "thought"})
_MEDIA: Final = frozenset({"image_url", "image", "output_image"})
_DATA: Final = re.compile(r"data:([a-z]{1,20}/[\w.+-]{1,60})[;,]")
_LONGEST_TYPE: Final = 100


def _media_type_of(image: object) -> str:
    """Return the kind of an image that OpenRouter or a relay like it sends, as OpenAI takes one."""
    url = image.get("url") if isinstance(image, dict) else image
    found = _DATA.match(url[:_LONGEST_TYPE]) if isinstance(url, str) else None
    return found[1] if found else "image"


class ChatDecoder(ChunkDecoder[ChatChunk]):
    """Decodes one chat stream."""

    def __init__(self) -> None:
        super().__init__(ChatChunk)
        self._pieces = False
        self._last: _Choice | None = None
        self._sealed: dict[str, list[JsonObject]] = {}
        self._ids: set[str] = set()

    def end(self) -> Sequence[Event]:
        """Return what was held back, and with it the signatures that stand apart from their calls."""
        found = [*super().end()]
        for call_id, details in self._sealed.items() if self._called else ():
            known = call_id if call_id in self._ids else ""
            extra = json.dumps({SEALED: details}, ensure_ascii=False)
            found.append(FunctionCallDelta(None, known, "", "", "", extra))
        self._sealed = {}
        return found

    # Lists rather than generators: a stream brings some thousand chunks, and a generator costs two calls.

    def _read(self, chunk: ChatChunk, found: list[Event]) -> None:
        if chunk.choices is None and (inner := unwrap(chunk)) and inner.choices is not None:
            chunk = inner
        if chunk.model != self._served and chunk.model:
            self._served = chunk.model
            found.append(Served(chunk.model))
        more = chunk.model_extra
        beside = read_beside(more) if more else NOTHING
        if beside.feedback:
            found += beside.feedback.read()
        choice = self._choose(chunk.choices) if chunk.choices else None
        # Before the text: only a usage with no text after it confirms a finish (see Ending).
        extra = choice.model_extra if choice else None
        rare = (lenient(_Rare, extra) if extra else None) or _NOTHING_RARE
        counted = chunk.usage or rare.usage
        if counted and (usage := counted.read()):
            found.append(usage)
        finish = _finish(choice, rare) if choice and (choice.finish_reason or rare.finish_reason) else None
        again = choice is not None and (finish or self._last) and self._is_again(choice, finish)
        if choice and not again:
            if choice.message is not None:
                self._read_message(choice, choice.message, found, last=finish is not None, kind=chunk.kind)
            elif choice.delta is not None:
                self._read_delta(choice.delta, found, last=finish is not None, piece=True)
            elif rare.text:
                # A completion of the older kind: text in place of a delta.
                found += self._written.add_text(rare.text, last=finish is not None)
            if extra:
                found += self._citations.search(rare.model_extra)
        if more:
            found += self._citations.search(beside.model_extra)
        # Before the finish: an error beside one says that it is none.
        if (beside.error or finish or not choice or rare.error) and (
            failure := _failure(beside, rare, alone=not chunk.choices or _is_error(choice))
        ):
            found.append(failure)
        if finish:
            found += self._written.flush()
            found += self._citations.flush()
            found.append(finish)

    def _is_again(self, choice: _Choice, finish: Finish | None) -> bool:
        """Whether a choice is the last one once more, as some relays send it."""
        last, self._last = self._last, choice if finish else None
        if last is None or choice != last:
            return False
        text = choice.delta.text() if choice.delta else ""
        called = choice.delta is not None and bool(choice.delta.more().tool_calls)
        return (called and not text) or self._written.could_repeat(text)

    def _read_message(
        self, choice: _Choice, message: _Delta, found: list[Event], *, last: bool, kind: str | None
    ) -> None:
        """Read a choice with a message: the whole answer, of which pieces may have come, or a piece of it."""
        delta = choice.delta
        if delta and (delta.text() or delta.thought() or delta.more().tool_calls):
            self._read_delta(delta, found, last=last, piece=True)
        elif (
            kind == "chat.completion"
            or self._pieces
            or (last and self._written.begins(message.text()))
            # Each message of some has all that came before it.
            or self._written.grows_into(message.text())
        ):
            found += self._written.add_message(message.text(), message.thought())
            for place, call in enumerate(message.more().tool_calls or ()):
                self._called = True
                piece = call.read()
                found.append(piece if piece.index is not None else replace(piece, index=place))
        else:
            # Some relays call every piece a message.
            self._read_delta(message, found, last=last)
        found += self._sources(message.more())

    def _read_delta(self, delta: _Delta, found: list[Event], *, last: bool, piece: bool = False) -> None:
        content, more = delta.content, delta.more() if delta.model_extra else _NO_MORE
        extra = google_extra(more.extra_content) if more is not _NO_MORE else {}
        flagged = extra.get("thought") is True
        # Of some thousand deltas nearly each has a text alone.
        if (more is not _NO_MORE or isinstance(content, list)) and (thought := delta.thought()):
            found += self._reasoning(thought)
        text = content if isinstance(content, str) else delta.text()
        if not text and more.refusal and not last:
            # OpenAI's place for what a model says when it will not; with a finish it is its explanation.
            text = more.refusal
        if text:
            self._pieces = self._pieces or piece
            found += self._written.add_text(text, flagged=flagged, last=last)
        if isinstance(content, list):
            found += [tell_media(part.media_type) for part in content if part and part.media_type]
        if more is _NO_MORE:
            return
        found += map(tell_media, more.images())
        for call in more.calls():
            self._called = True
            told = call.read()
            self._ids.add(told.id)
            found.append(told)
        if more.reasoning_details:
            for call_id, details in read_sealed(more.reasoning_details).items():
                self._sealed.setdefault(call_id, []).extend(details)
        if self._called and not more.tool_calls:
            # Google's layer may send a call's signature after the call, alone (open-webui/computer#224).
            signature = extra.get("thought_signature")
            if isinstance(signature, str) and not (text or flagged):
                found.append(FunctionCallDelta(None, "", "", "", signature))
        found += self._sources(more)

    def _sources(self, more: _More) -> Iterator[Event]:
        if extra := more.model_extra:
            yield from self._citations.search(extra)
        if more.extra_content is not None:
            yield from self._citations.search(more.extra_content)

    def _reasoning(self, thought: str) -> Iterator[Event]:
        for told in self._citations.reasoning(thought):
            if isinstance(told, ThoughtDelta):
                yield from self._written.add_thought(told.text)
            else:
                yield told


def _failure(beside: Beside, rare: _Rare, *, alone: bool) -> Failure | None:
    """Return the error that a chunk reports: in the choice, in its own place, or, `alone`, in any."""
    if rare.error and (failure := read_failure({"error": rare.error})):
        return failure
    return beside.failure() if beside.error or alone else None


def _is_error(choice: _Choice | None) -> bool:
    """Whether a finish is called one; then it may stand beside the choices (docs/wire.md §5.2)."""
    return choice is not None and (choice.finish_reason or "").lower() == "error"


def _read_thought(field: object) -> str:
    """Return the text of a field of thinking: a text, or OpenRouter's and LiteLLM's list of blocks."""
    if isinstance(field, str):
        return field
    items = field if isinstance(field, list) else [field]
    details = [detail for item in items if (detail := lenient(_Detail, item))]
    return "".join(d.text or d.summary or d.thinking or d.content or "" for d in details)
