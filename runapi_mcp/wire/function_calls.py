"""Function calls as streams bring them, in pieces, and the results that go back to them in their order.

Gemini pairs results with calls by place, not by id (docs/wire.md §5.1).
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from pydantic import ConfigDict

from runapi_mcp.errors import InputError
from runapi_mcp.printable import one_line
from runapi_mcp.wire.json_text import read_object
from runapi_mcp.wire.lax import Lax, Maybe
from runapi_mcp.wire.types import FunctionCall, FunctionCallDelta, JsonObject, Returned

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')
_PROVIDERS: Final = ("google", "vertex", "vertex_ai", "gemini")
_SIGNATURES: Final = ("thought_signature", "thoughtSignature", "signature")
SEALED: Final = "reasoning_details"
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
        match self.extra_content:
            case {"google": {"thought_signature": str(signature), **more}, **others} if (
                not more and not others
            ):
                content = None
            case content:
                signature = ""
        return FunctionCallDelta(
            self.index,
            self.id or "",
            function.name or "",
            _text(function.arguments),
            signature,
            _write_extra(self.model_extra or {}, function.model_extra or {}, content),
        )


def _write_extra(call: dict[str, object], function: dict[str, object], content: object) -> str:
    """Return what stands in a call beside what is known of one, as JSON; it goes back as it came.

    Relays put the signature that Gemini 3 wants back into seven places at least: into the call, the
    function, ``provider_specific_fields``, and others' ``extra_content`` (earendil-works/pi#7745,
    BerriAI/litellm#16893). Each finds it again where it put it, and nowhere else.
    """
    beside = {key: value for key, value in call.items() if key != "type" and value is not None}
    inside = {key: value for key, value in function.items() if value is not None}
    extra = (
        beside | ({"function": inside} if inside else {}) | ({"extra_content": content} if content else {})
    )
    return json.dumps(extra, ensure_ascii=False) if extra else ""


def read_sealed(details: object) -> dict[str, list[JsonObject]]:
    """Return what OpenRouter keeps of Gemini's signatures apart from the calls, by the id of the call.

    It stands among the details of the thinking, encrypted, before the call or after it, and OpenRouter
    wants it back in the message's own details (earendil-works/pi#260, RooCodeInc/Roo-Code#10640).
    """
    sealed: dict[str, list[JsonObject]] = {}
    for detail in details if isinstance(details, list) else ():
        match detail:
            case {"type": "reasoning.encrypted", "data": str(data), **more} if data:
                call_id = more.get("id")
                sealed.setdefault(call_id if isinstance(call_id, str) else "", []).append(detail)
            case _:
                pass
    return sealed


def find_signature(call: FunctionCall) -> str:
    """Return the signature of a call, wherever a relay had put it; empty if there is none."""
    extra = read_object(call.extra) or {}
    content, fields = extra.get("extra_content"), extra.get("provider_specific_fields")
    function = extra.get("function")
    deeper = function.get("provider_specific_fields") if isinstance(function, dict) else None
    sealed = next((one for found in read_sealed(extra.get(SEALED)).values() for one in found), {})
    if isinstance(data := sealed.get("data"), str):
        return data
    for place in (google_extra(content), extra, function, fields, deeper):
        found = [place.get(name) for name in _SIGNATURES] if isinstance(place, dict) else []
        if signature := next((told for told in found if isinstance(told, str)), ""):
            return signature
    return call.signature


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
        self.id = self.name = self.signature = ""
        self._extra: dict[str, Any] = {}
        self._extra_size = 0
        self.whole = False
        self._pieces: list[str] = []
        self._length = 0
        self._depth = 0
        self._opaque = self._quoted = self._escaped = False
        self._plain: str | None = None
        self._grown = ""
        self._grows = True

    @property
    def size(self) -> int:
        return len(self.id) + len(self.name) + self._length + len(self.signature) + self._extra_size

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
        self.signature = self.signature or delta.signature
        if more := read_object(delta.extra) if delta.extra else None:
            inside = {**self._extra.get("function", {}), **more.get("function", {})}
            self._extra |= more | ({"function": inside} if inside else {})
            self._extra_size = len(json.dumps(self._extra))

    def write(self, piece: str) -> str:
        """Add arguments; return what of them belongs to another call, since these are whole."""
        self._note_grown(piece)
        end = self._end_in(piece)
        rest = piece[end:].lstrip()
        if not rest.startswith("{"):
            end, rest = len(piece), ""
        self._pieces.append(piece[:end])
        self._length += end
        return rest

    def _note_grown(self, piece: str) -> None:
        """Note a piece that says again all that came, and more (can1357/oh-my-pi#2082).

        So may an object of one member within another of the same: what was meant shows when all has come.
        """
        if not self._grows or not self._length or not piece.strip():
            return
        if len(piece) <= len(self._grown or self.arguments):
            self._grows = False
        else:
            self._grows = piece.startswith(self._grown or self.arguments)
        self._grown = piece if self._grows else ""

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
        extra = json.dumps(self._extra, ensure_ascii=False) if self._extra else ""
        grown = self._grown and read_object(self.arguments) is None and read_object(self._grown) is not None
        arguments = self._grown if grown else _unquote(self.arguments)
        return FunctionCall(call_id, self.name, arguments, self.signature, extra)

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
            if not (delta.id or delta.name or arguments.strip()):
                return  # an empty place in a relay's list
            call = self._begin(delta.index, delta.name)
        elif call.whole and arguments.strip():
            # Some relays send a call twice (docs/wire.md §5.2).
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
            # Two calls must not share an id, and some come without (docs/wire.md §5.1).
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
        # Google's layer numbers each of several calls 0: another id is another call (docs/wire.md §5.2).
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


def _unquote(arguments: str) -> str:
    """Return arguments out of the JSON text that a relay has made of their JSON text."""
    if arguments.lstrip().startswith('"'):
        with suppress(ValueError, RecursionError):
            inner = json.loads(arguments)
            return inner if isinstance(inner, str) and read_object(inner) is not None else arguments
    return arguments


def _plain(arguments: str) -> str:
    """Return the JSON of arguments, spaced and ordered as any other; empty if they are none."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return ""


def pair_results(calls: Sequence[FunctionCall], results: Sequence[Returned]) -> tuple[Returned, ...]:
    """Return the results of a turn's calls in the order of the calls, each with its call's id and name.

    An id decides; a result without one goes to the first open call of its name, and so does one whose
    id is the host's own where the calls came without any. One with neither goes to the first open call.

    Raises:
        InputError: An id that no call has, one given twice, or a call or a result that is left over.
    """
    paired: dict[int, Returned] = {}
    for result in sorted(results, key=lambda result: (not result.id, not result.name)):
        place = _place(calls, result, paired)
        paired[place] = Returned(calls[place].id, calls[place].name, result.content)
    if len(paired) < len(calls):
        missing = ", ".join(_label(call) for place, call in enumerate(calls) if place not in paired)
        raise InputError(
            f"the results of {one_line(missing, 200)} are missing.",
            advice='Give {"role": "function", "name": …, "id": …, "content": …} for each call.',
        )
    return tuple(paired[place] for place in range(len(calls)))


def _place(calls: Sequence[FunctionCall], result: Returned, paired: dict[int, Returned]) -> int:
    by_id = bool(result.id) and any(call.id for call in calls)
    for place, call in enumerate(calls):
        named = call.id == result.id if by_id else call.name == result.name
        if place not in paired and (named or not (result.id or result.name)):
            return place
    if not calls:
        raise InputError("a function's result, and no function was called.", advice="Leave it out.")
    still = ", ".join(_label(call) for place, call in enumerate(calls) if place not in paired)
    advice = f"Open are {one_line(still, 200)}." if still else "No call is open any more."
    if by_id and any(call.id == result.id for call in calls):
        raise InputError(f"two results have the id {one_line(result.id, 80)}.", advice=advice)
    what = f"has the id {one_line(result.id, 80)}" if by_id else f"of {one_line(result.name, 80)} is open"
    what = what if result.id or result.name else "is open"
    raise InputError(f"a function's result, and no call {what}.", advice=advice)


def _label(call: FunctionCall) -> str:
    return f"{call.name} ({call.id})" if call.id else call.name
