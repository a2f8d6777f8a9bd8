"""The tool calls of a chat stream, which come in pieces (wire notes §5.3)."""

import json
from collections.abc import Iterator

from runapi_mcp.wire.json_text import Lax, Maybe
from runapi_mcp.wire.types import FunctionCallDelta


class _Function(Lax):
    name: Maybe[str] = None
    arguments: object = None


class ToolCall(Lax):
    """A piece of a call; arguments that are no text are told as the JSON that they are."""

    index: Maybe[int] = None
    id: Maybe[str] = None
    function: Maybe[_Function] = None
    extra_content: object = None


class CallOrder:
    """Numbers tool calls, which may come without an index, and then in turns (wire notes §5.3)."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._latest = 0
        self._next = 0

    def deltas(self, calls: list[ToolCall]) -> Iterator[FunctionCallDelta]:
        """Yield the pieces of calls that stand in one chunk."""
        for call in calls:
            function = call.function or _Function()
            signature = google_extra(call.extra_content).get("thought_signature")
            yield FunctionCallDelta(
                self._numbered(call, function),
                call.id or "",
                function.name or "",
                _text(function.arguments),
                signature if isinstance(signature, str) else "",
            )

    def _numbered(self, call: ToolCall, function: _Function) -> int:
        number = self._number(call, function) if call.index is None else call.index
        self._latest, self._next = number, max(self._next, number + 1)
        if call.id:
            self._by_id.setdefault(call.id, number)
        return number

    def _number(self, call: ToolCall, function: _Function) -> int:
        """Return the number of the call with this id; without one, a name begins a new call."""
        if call.id:
            return self._by_id.get(call.id, self._next)
        return self._next if function.name else self._latest


def google_extra(extra: object) -> dict[str, object]:
    """Return what Google says in an ``extra_content``; nothing if there is none."""
    match extra:
        case {"google": dict(google)}:
            return google
        case _:
            return {}


def _text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False) if arguments else ""
