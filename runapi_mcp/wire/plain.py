"""The commonest chunk by far: a piece of text and nothing else. Read without building a model of it.

Nine chunks in ten hold one text and fields that say nothing new. Here they are parsed, every field
that means something is checked by hand, and anything else about the chunk sends it the long way:
the models of the dialect, which know every shape. So this decides nothing; it only saves time
(a quarter of what a chunk costs from socket to fold), and a test holds it to the models' answers.
"""

from typing import Final, NamedTuple

from pydantic_core import from_json

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
    """One piece of text, and what came with it."""

    text: str
    thought: bool
    usage: dict[str, object] | None


def plain_chat(frame: str, served: str | None) -> Plain | None:
    """Return the text of a chat chunk that holds only text, from the model `served`; else `None`."""
    chunk = _known(_parsed(frame), _CHAT)
    choice = _only(chunk.get("choices"), _CHOICE)
    delta = _known(choice.get("delta"), _DELTA)
    text = delta.get("content")
    if not isinstance(text, str) or choice.get("finish_reason") is not None:
        return None
    return _plain(text, chunk.get("usage"), chunk.get("model"), served, thought=False)


def plain_native(frame: str, served: str | None) -> Plain | None:
    """Return the text of a native chunk that holds only one text part; else `None`."""
    chunk = _known(_parsed(frame), _NATIVE)
    candidate = _only(chunk.get("candidates"), _CANDIDATE)
    part = _only(_known(candidate.get("content"), _CONTENT).get("parts"), _PART)
    text, thought = part.get("text"), part.get("thought")
    if not isinstance(text, str) or not (thought is None or isinstance(thought, bool)):
        return None
    return _plain(text, chunk.get("usageMetadata"), chunk.get("modelVersion"), served, thought=bool(thought))


def _plain(text: str, usage: object, model: object, served: str | None, *, thought: bool) -> Plain | None:
    if (model is not None and model != served) or not (usage is None or isinstance(usage, dict)):
        return None
    return Plain(text, thought, usage)


def _parsed(frame: str) -> object:
    try:
        return from_json(frame)
    except ValueError:
        return None


def _known(value: object, names: frozenset[str]) -> dict[str, object]:
    """Return an object of no other members than these; an empty one if it is anything else."""
    return value if isinstance(value, dict) and value.keys() <= names else _NOTHING


def _only(value: object, names: frozenset[str]) -> dict[str, object]:
    """Return the one object in a list, as :func:`_known` does."""
    return _known(value[0], names) if isinstance(value, list) and len(value) == 1 else _NOTHING
