"""Function calls: the pieces in which they come, and what they are together.

OpenAI sends a call's id and name once and its arguments in pieces, told apart by ``index``. Around
Gemini little of that holds (wire notes §5.3, §11 row 1): Google's OpenAI layer gives every parallel
call index 0, or none; relays leave ids out, put the second call's arguments on the first one's index,
begin with an empty object, or send the whole call once more at the end. So the arguments decide too:
where they are a whole JSON object, whatever follows is the same call again or another one.
"""

import json
import re
from typing import Final

from pydantic import ConfigDict

from runapi_mcp.wire.json_text import Lax, Maybe
from runapi_mcp.wire.types import FunctionCall, FunctionCallDelta

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')
_PROVIDERS: Final = ("google", "vertex", "vertex_ai", "gemini")
_MOST_CALLS: Final = 256
"""Twice as many functions as Google lets be declared; what a stream has beyond them is no use of them."""


class _Function(Lax):
    model_config = ConfigDict(extra="allow")

    name: Maybe[str] = None
    arguments: object = None


class ToolCall(Lax):
    """A piece of a call on chat; arguments that are no text are told as the JSON that they are."""

    model_config = ConfigDict(extra="allow")

    index: Maybe[int] = None
    id: Maybe[str] = None
    type: object = None
    function: Maybe[_Function] = None
    extra_content: object = None

    def read(self) -> FunctionCallDelta:
        """Return it in our words."""
        function = self.function or _Function()
        signature = google_extra(self.extra_content).get("thought_signature")
        known = signature if isinstance(signature, str) else ""
        return FunctionCallDelta(
            self.index,
            self.id or "",
            function.name or "",
            _text(function.arguments),
            known,
            self._rest(function, known),
        )

    def _rest(self, function: _Function, signature: str) -> str:
        """Return what else stands in it as JSON text: a relay's signature, wherever it puts it."""
        rest = dict(self.model_extra or {})
        if self.extra_content and self.extra_content != {"google": {"thought_signature": signature}}:
            rest["extra_content"] = self.extra_content
        if function.model_extra:
            rest["function"] = function.model_extra
        rest = {name: value for name, value in rest.items() if value is not None}
        return json.dumps(rest, ensure_ascii=False) if rest else ""


def google_extra(extra: object) -> dict[str, object]:
    """Return what Google says in an ``extra_content``, under whichever of its names."""
    found = [extra.get(name) for name in _PROVIDERS] if isinstance(extra, dict) else []
    return next((said for said in found if isinstance(said, dict)), {})


def _text(arguments: object) -> str:
    if isinstance(arguments, str):
        # Some relays spell out that there are none yet.
        return "" if arguments.strip() == "null" else arguments
    return json.dumps(arguments, ensure_ascii=False) if arguments else ""


class _Growing:
    """One call, whose arguments grow at their end.

    Attributes:
        place: Where it stands among the calls.
        whole: Whether its arguments are a whole JSON object; those that are something else never are.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self.id = self.name = self.signature = self.extra = ""
        self.whole = False
        self._pieces: list[str] = []
        self._length = 0
        self._depth = 0
        self._opaque = self._quoted = self._escaped = False
        self._plain: str | None = None

    @property
    def size(self) -> int:
        said = (self.id, self.name, self.signature, self.extra)
        return self._length + sum(map(len, said))

    @property
    def half(self) -> bool:
        """Whether its arguments have begun and are no JSON object yet."""
        return self._depth > 0

    @property
    def arguments(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def describe(self, delta: FunctionCallDelta) -> None:
        """Take what a piece says beside its arguments."""
        self.id = delta.id or self.id
        self.name = delta.name or self.name
        self.signature = delta.signature or self.signature
        self.extra = delta.extra or self.extra

    def write(self, piece: str) -> str:
        """Add arguments; return what of them belongs to another call, since these are whole."""
        end = self._end_in(piece)
        rest = piece[end:].lstrip()
        if not rest.startswith("{"):
            end, rest = len(piece), ""
        self._pieces.append(piece[:end])
        self._length += end
        return rest

    def is_repeated_by(self, arguments: str) -> bool:
        """Whether arguments are the same as these, which are whole, however they are spaced."""
        if len(arguments) == self._length and arguments == self.arguments:
            return True
        if self._plain is None:
            self._plain = _plain(self.arguments)
        return bool(self._plain) and _plain(arguments) == self._plain

    def restart(self) -> None:
        """Forget the arguments, which were no more than a placeholder."""
        self._pieces, self._length, self._plain, self.whole = [], 0, None, False

    def joined(self, call_id: str) -> FunctionCall:
        return FunctionCall(call_id, self.name, self.arguments, self.signature, self.extra)

    def _end_in(self, piece: str) -> int:
        """Return where the object of the arguments ends in a piece of them; its length if it does not."""
        if self.whole or self._opaque:
            return len(piece) if self._opaque else 0
        if not self._depth and (begun := piece.lstrip()) and not begun.startswith("{"):
            self._opaque = True
            return len(piece)
        position = 0
        while position < len(piece):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            found = (_INSIDE if self._quoted else _OUTSIDE).search(piece, position)
            if found is None:
                break
            position = found.end()
            match found[0]:
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    self._escaped = True
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    self.whole = not self._depth
                    if self.whole:
                        return position
        return len(piece)


class GrowingCalls:
    """All calls of one answer, put together from pieces as they come.

    Attributes:
        size: Characters of all of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._calls: list[_Growing] = []
        self._at: dict[int, _Growing] = {}
        self._by_id: dict[str, _Growing] = {}
        self._latest: _Growing | None = None

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, delta: FunctionCallDelta) -> None:
        """Add a piece: to the call that it goes on with, to none if it is a repetition, or as a new call."""
        call = self._find(delta)
        arguments = delta.arguments
        if call is None:
            call = self._begin(delta.index, delta.name)
        elif call.whole and arguments.strip():
            if call.is_repeated_by(arguments):
                arguments = ""
            elif call.arguments.strip() == "{}" and (delta.id or not delta.name):
                # A relay's placeholder, before the arguments themselves.
                self.size -= call.size
                call.restart()
                self.size += call.size
            elif arguments.lstrip().startswith("{"):
                call = self._begin(delta.index, delta.name or call.name)
        self._write(call, delta, arguments)

    def joined(self) -> tuple[FunctionCall, ...]:
        """Return the calls in the order of their places, each with an id of its own."""
        calls = sorted(self._calls, key=lambda call: call.place)
        given = {call.id for call in calls}
        used: set[str] = {""}
        counts: dict[str, int] = {}
        found = []
        for call in calls:
            counts[call.name] = number = counts.get(call.name, 0) + 1
            call_id = call.id
            while call_id in used:
                call_id = f"call_{call.name or 'function'}_{number}"
                number += 1
                call_id = "" if call_id in given else call_id
            used.add(call_id)
            found.append(call.joined(call_id))
        return tuple(found)

    def _find(self, delta: FunctionCallDelta) -> _Growing | None:
        """Return the call that a piece goes on with or says again; `None` if it begins one."""
        call = self._by_id.get(delta.id) if delta.id else None
        at = self._latest if delta.index is None else self._at.get(delta.index)
        if call is None and at is not None and not (delta.id and at.id):
            # Without an index only what has no name goes on with a call, or what would be none alone.
            if delta.index is not None or at.half or not (delta.name or delta.id):
                call = at
        elif call is not None and delta.index is not None and at is None:
            # Another index is another call, unless it is the whole of this one again.
            call = call if call.whole and call.is_repeated_by(delta.arguments) else None
        # Relays repeat the name on every piece, or spell out more of it.
        named = call is not None and delta.name and call.name and not delta.name.startswith(call.name)
        return None if named else call

    def _begin(self, index: int | None, name: str) -> _Growing:
        call = _Growing(len(self._calls) if index is None else index)
        call.name = name
        self.size += call.size
        if len(self._calls) < _MOST_CALLS:
            self._calls.append(call)
        self._at[call.place] = call
        return call

    def _write(self, call: _Growing, delta: FunctionCallDelta, arguments: str) -> None:
        before = call.size
        self._latest = call
        call.describe(delta)
        if delta.id:
            self._by_id[delta.id] = call
        rest = call.write(arguments)
        self.size += call.size - before
        while rest and len(self._calls) < _MOST_CALLS:
            # Two objects in one piece are two calls.
            self._latest = call = self._begin(delta.index, call.name)
            before = call.size
            rest = call.write(rest)
            self.size += call.size - before


def _plain(arguments: str) -> str:
    """Return the JSON of arguments, spaced and ordered as any other; empty if they are none."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return ""
