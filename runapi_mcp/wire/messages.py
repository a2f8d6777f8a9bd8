"""Turns as the chat dialect's messages (wire notes §5.1, §5.3)."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from runapi_mcp.errors import InputError
from runapi_mcp.wire.types import FunctionCall, Inline, JsonObject, JsonValue, Linked, Returned, Text, Turn

_Said: TypeAlias = Text | Inline | Linked


def messages(turns: Sequence[Turn]) -> list[JsonValue]:
    """Return the messages of a conversation.

    Raises:
        InputError: A file that is not an image, which this dialect cannot carry.
    """
    return [message for turn in turns for message in _messages(turn)]


def _messages(turn: Turn) -> Iterator[JsonValue]:
    for part in turn.parts:
        if isinstance(part, Returned):
            yield {"role": "tool", "tool_call_id": _call_id(part), "content": part.content}
    said = tuple(part for part in turn.parts if not isinstance(part, FunctionCall | Returned))
    calls: list[JsonValue] = [_tool_call(part) for part in turn.parts if isinstance(part, FunctionCall)]
    role = "assistant" if turn.role == "model" else "user"
    if calls:
        yield {"role": role, "content": _content(said) if said else None, "tool_calls": calls}
    elif said:
        yield {"role": role, "content": _content(said)}


def _content(parts: tuple[_Said, ...]) -> JsonValue:
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


def _tool_call(call: FunctionCall) -> JsonObject:
    made: JsonObject = {
        "id": _call_id(call),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        made["extra_content"] = {"google": {"thought_signature": call.signature}}
    return made


def _call_id(part: FunctionCall | Returned) -> str:
    """Return the id that ties a call to its result; a call that came without one goes by its name."""
    return part.id or f"call_{part.name}"
