"""The commonest chunk by far: a piece of text and nothing else. Read without building a model of it.

Nine chunks in ten hold one text and fields that say nothing new. Here they are parsed, every field
that means something is checked by hand, and anything else about the chunk sends it the long way:
the models of the dialect, which know every shape. So this decides nothing; it only saves time
(a quarter of what a chunk costs from socket to fold), and a test holds it to the models' answers.
"""

from typing import Final, NamedTuple

from pydantic_core import from_json

from runapi_mcp.wire.json_text import lenient
from runapi_mcp.wire.types import Usage
from runapi_mcp.wire.usage import ChatUsage, NativeUsage

_CHAT: Final = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"}
)
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})
_DELTA: Final = frozenset({"role", "content", "refusal"})

_NATIVE: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
_CANDIDATE: Final = frozenset({"index", "content"})
_CONTENT: Final = frozenset({"role", "parts"})
_PART: Final = frozenset({"text", "thought"})

_NOTHING: Final[dict[str, object]] = {}


class Plain(NamedTuple):
    """One piece of text, which may be empty, and the usage that came with it, if one did."""

    text: str
    thought: bool
    usage: tuple[Usage, ...]


def plain_chat(frame: str, served: str | None, followed: int | None) -> Plain | None:
    """Return what a chat chunk holds if it is only text, from the model `served`; else `None`.

    `followed` is the number of the choice that is read; see :class:`~runapi_mcp.wire.decoding.Followed`.
    """
    chunk = _known(_parsed(frame), _CHAT)
    choice = _only(chunk.get("choices"), _CHOICE)
    text = _known(choice.get("delta"), _DELTA).get("content")
    if not isinstance(text, str) or choice.get("finish_reason") is not None:
        return None
    if chunk.get("model", served) != served or choice.get("index", 0) != followed:
        return None
    return _metered(text, ChatUsage, chunk.get("usage"), thought=False)


def plain_native(frame: str, served: str | None, followed: int | None) -> Plain | None:
    """Return what a native chunk holds if it is only one text part, as :func:`plain_chat` does."""
    chunk = _known(_parsed(frame), _NATIVE)
    candidate = _only(chunk.get("candidates"), _CANDIDATE)
    part = _only(_known(candidate.get("content"), _CONTENT).get("parts"), _PART)
    text, thought = part.get("text"), part.get("thought", False)
    if not isinstance(text, str) or not isinstance(thought, bool):
        return None
    if chunk.get("modelVersion", served) != served or candidate.get("index", 0) != followed:
        return None
    return _metered(text, NativeUsage, chunk.get("usageMetadata"), thought=thought)


def _metered(text: str, model: type[ChatUsage | NativeUsage], told: object, *, thought: bool) -> Plain | None:
    """Return a text with the usage that was `told` beside it; `None` if that is no usage of `model`."""
    if told is None:
        return Plain(text, thought, ())
    usage = lenient(model, told)
    return Plain(text, thought, usage.read()) if usage else None


def _parsed(frame: str) -> object:
    try:
        return from_json(frame)
    except ValueError:
        return None


def _known(value: object, names: frozenset[str]) -> dict[str, object]:
    """Return an object of no other members than these; an empty one if it is anything else."""
    return value if isinstance(value, dict) and names.issuperset(value) else _NOTHING


def _only(value: object, names: frozenset[str]) -> dict[str, object]:
    """Return the one object in a list, as :func:`_known` does."""
    return _known(value[0], names) if isinstance(value, list) and len(value) == 1 else _NOTHING
