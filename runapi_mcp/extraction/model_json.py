"""JSON as models write it: kept to the digit, and found in an answer whatever stands around it.

A number with a fraction or an exponent is a float that remembers its digits. Text is written from those
digits; a structured result carries the nearest float, which is all that a JSON reader with doubles would
make of them, and names the numbers of which that is not the whole truth. So it does with the integers beyond
2**53, which hosts in JavaScript show as their neighbours. No key stands twice, and there is no NaN.

Models put prose, thinking tags and fences around a value, write line breaks into its strings as they are,
say it twice, and stop in the middle. A value is looked for at each bracket outside another value; where
reading stumbles, all that was open is given up at once and the pass goes on from there, so that no text is
gone through more than twice. What lies inside a value that was given up is a part of it, never an answer.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Literal, NoReturn

from runapi_mcp.errors import InputError
from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_SAFE: Final = 2**53 - 1
"""The integers up to here are told apart by readers of JSON that have doubles only (RFC 8259, section 6)."""
MOST_DEPTH: Final = 200


class NotJson(ValueError):
    """A text that is not JSON; the message says where."""


class Exact(float):
    """A number that remembers the digits it was written in."""

    __slots__ = ("digits",)
    digits: str

    def __new__(cls, digits: str) -> "Exact":
        """Read a JSON number.

        Raises:
            NotJson: It is too large for a double, which is what readers of JSON have.
        """
        number = super().__new__(cls, digits)
        if number in (float("inf"), float("-inf")):
            raise NotJson(f"the number {digits[:40]} is too large")
        number.digits = digits
        return number

    @property
    def whole_truth(self) -> bool:
        """Whether the float, as it is usually written, is the number."""
        return Decimal(self.digits) == Decimal(float.__repr__(self))


def read_json(text: str) -> JsonValue:
    """Return the JSON that `text` is.

    Raises:
        NotJson: It is not JSON, repeats a key, holds NaN, or is nested deeper than 200 levels.
    """
    try:
        value: JsonValue = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError as error:
        raise (
            error if isinstance(error, NotJson) else NotJson("it holds a number of too many digits")
        ) from None
    if _measure_depth(value) > MOST_DEPTH:
        raise NotJson("nested too deeply")
    return value


def parse_schema(given: JsonObject | str) -> JsonObject:
    """Return what an argument gives, as an object or as JSON text.

    Raises:
        InputError: It is not JSON, or not an object.
    """
    if not isinstance(given, str):
        return given
    try:
        schema = read_json(given)
    except NotJson as error:
        raise InputError(f"schema: not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise InputError("schema: must be a JSON object.")
    return schema


def write_json(value: JsonValue, *, indent: int = 2) -> str:
    """Return `value` as JSON text, with the digits its numbers came in."""
    return "".join(_write_pieces(value, "\n", " " * indent))


def list_inexact(value: JsonValue) -> JsonObject:
    """Return the numbers that a double does not hold, as written, by JSON Pointer; at most 100."""
    found: JsonObject = {}
    todo: list[tuple[str, JsonValue]] = [("", value)]
    while todo and len(found) < 100:
        at, item = todo.pop()
        match item:
            case Exact():
                if not item.whole_truth:
                    found[at or "(root)"] = item.digits
            case int() if abs(item) > _MOST_SAFE:
                found[at or "(root)"] = str(item)
            case dict():
                todo += [(f"{at}/{escape_key(key)}", member) for key, member in item.items()]
            case list():
                todo += [(f"{at}/{index}", member) for index, member in enumerate(item)]
    return dict(sorted(found.items()))


def _write_pieces(value: JsonValue, line: str, step: str) -> Iterator[str]:
    match value:
        case Exact():
            yield value.digits
        case dict() if value:
            for count, (key, member) in enumerate(value.items()):
                yield f"{',' if count else '{'}{line}{step}{json.dumps(key, ensure_ascii=False)}: "
                yield from _write_pieces(member, line + step, step)
            yield f"{line}}}"
        case list() if value:
            for count, member in enumerate(value):
                yield f"{',' if count else '['}{line}{step}"
                yield from _write_pieces(member, line + step, step)
            yield f"{line}]"
        case _:
            yield json.dumps(value, ensure_ascii=False)


def _measure_depth(value: JsonValue) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        item, depth = todo.pop()
        deepest = max(deepest, depth)
        if depth <= MOST_DEPTH and isinstance(item, dict | list):
            members = item.values() if isinstance(item, dict) else item
            todo += [(member, depth + 1) for member in members]
    return deepest


def _refuse_doubles(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise NotJson(f"the key {json.dumps(twice[:60], ensure_ascii=False)} stands twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_doubles, parse_constant=_refuse_constant, parse_float=Exact, strict=True
)


# ---------------------------------------------------------------- in an answer

# Comments are bounded: an open one would be read to the end of the text from each of its brackets.
_TOKEN: Final = re.compile(
    r"""(?:[ \t\r\n\u00a0]++ | //[^\n]{0,400}+\n | /\*(?s:.{0,400}?)\*/)*+(?:
        (?P<open>[{\[]) | (?P<close>[}\]]) | (?P<sign>[,:])
      | (?P<string>"[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+")
      | (?P<bent>"[^"\\]*+(?:\\(?s:.)[^"\\]*+)*+" | '[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'
          | “[^“”\\]*+”)
      | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+)
      | (?P<word>true|false|null|True|False|None) | (?P<odd>NaN|-?Infinity)
      | (?P<name>[A-Za-z_$][\w$]*+)(?=[ \t\r\n]*+:)
    )""",
    re.VERBOSE,
)
_NEXT: Final = re.compile(r"[{\[}\]]|```|</(?:think|thinking|thought|reasoning)>")
_PROSE: Final = re.compile(r"\w")
_MARKS: Final = re.compile(r"```[a-zA-Z0-9]*|</?[a-zA-Z]+>")
_AFTER: Final = " \t\r\n`~}]).,;\"'*"
"""What may follow the value that ends an answer: a fence, a stray bracket or quote."""
_INFO: Final = re.compile(r"[`~]{3,}+[ \t]*+(?:json\w*+)?\s*+", re.IGNORECASE)
_ENDS: Final = (*" \t\r\n", ",", "]", "}")
"""What ends a number."""
_MOST_SCANNED: Final = 50_000
"""Characters of an answer that are gone through while others wait; it takes some ten milliseconds."""
_LONGEST_TAG: Final = 24
# Strings come with line breaks as they are (misospace/pr-reviewer-action#449, discourse/discourse#41716).
_LENIENT: Final = json.JSONDecoder(strict=False)
_WORDS: Final[dict[str, JsonValue]] = {
    "true": True, "false": False, "null": None, "True": True, "False": False, "None": None,
}  # fmt: skip
_PYTHONS: Final = frozenset({"True", "False", "None"})
_ESCAPED: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_KEPT: Final = frozenset("\"\\/'")
"""Escaped signs that stand for themselves."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value in an answer.

    Attributes:
        value: What is whole of it.
        start: Where it begins.
        end: Where it ends.
        flaw: Why it is no JSON, although its brackets close; empty if it is.
        last: Whether it ends the answer.
        thought: Whether it stands among the model's thoughts.
        bent: Whether it is no JSON to the letter, but what JavaScript or Python would read as one value.
    """

    value: JsonValue
    start: int
    end: int
    flaw: str = ""
    last: bool = False
    thought: bool = False
    bent: bool = False


@dataclass(slots=True)
class Scan:
    """The values of one answer.

    Attributes:
        values: Those that are closed, in order; none is inside another.
        rest: What is whole of the longest that is not closed; `None` if there is none.
        items: If that is a list, how many of its items are whole.
        length: How long it is.
    """

    values: list[Found] = field(default_factory=list)
    rest: JsonValue = None
    items: int = 0
    length: int = 0


def scan_answer(text: str) -> Scan:
    """Return the values in an answer: objects and lists anywhere, another value if it stands alone."""
    whole = _read_alone(text)
    if whole is not None:
        return Scan([whole])
    scan, found, thoughts = Scan(), list[Found](), 0
    at, depth = 0, 0
    while mark := _NEXT.search(text, at):
        at = mark.end()
        match mark[0]:
            case "{" | "[":
                attempt = _Attempt(text, mark.start())
                at = attempt.resume
                if attempt.closed and not depth:
                    found.append(Found(attempt.value, mark.start(), at, attempt.flaw, bent=attempt.bent))
                elif not attempt.closed:
                    depth += attempt.depth
                    length = attempt.reached - mark.start()
                    if attempt.depth and length > scan.length:
                        scan.rest, scan.items, scan.length = attempt.value, attempt.items, length
            case "}" | "]":
                depth = max(depth - 1, 0)
            case "```":
                # Whatever was open, a brace of the prose say, a fence begins anew (garrytan/gbrain#3378).
                depth = 0
            case _:
                depth, thoughts = 0, at
    end = _end_of(text)
    scan.values = [replace(one, last=one.end >= end, thought=one.start < thoughts) for one in found]
    return scan


def _end_of(text: str) -> int:
    """Return where an answer ends, fences, closing tags and stray signs apart."""
    bare = text.rstrip(_AFTER)
    while bare.endswith(">") and (tag := bare.rfind("</", -_LONGEST_TAG)) >= 0:
        bare = bare[:tag].rstrip(_AFTER)
    return len(bare)


def is_closed(text: str) -> bool:
    """Whether an answer ends with a value that nothing could follow; a number alone might go on.

    What is long is looked at only as far as that costs little.
    """
    alone = _read_alone(text)
    if alone is not None:
        return isinstance(alone.value, bool | str | list | dict) or alone.value is None
    return len(text) <= _MOST_SCANNED and any(
        one.last and not one.flaw and not one.thought for one in scan_answer(text).values
    )


def is_prefaced(text: str, found: Found, later: Found) -> bool:
    """Whether a value lies inside the prose that leads up to a later one."""
    before, between = text[: found.start], text[found.end : later.start]
    return all(_PROSE.search(_MARKS.sub("", part)) for part in (before, between))


def _read_alone(text: str) -> Found | None:
    """Return the value that is all of an answer, or all that its one fence holds."""
    bare = text.strip("\ufeff \t\r\n")
    fence = _INFO.match(bare)
    for candidate in (bare, bare[fence.end() :].rstrip("`~ \t\r\n") if fence else ""):
        try:
            return Found(read_json(candidate), 0, len(text), last=True)
        except NotJson:
            continue
    return None


@dataclass(slots=True)
class _Frame:
    """An object or a list that is being read."""

    value: JsonObject | list[JsonValue]
    wants: Literal["first", "next", "colon", "value", "after"] = "first"
    key: str = ""
    doubtful: set[str] = field(default_factory=set)
    stopped: bool = False

    @property
    def begun(self) -> bool:
        return bool(self.value) or self.wants not in ("first", "colon")

    def put(self, value: JsonValue) -> None:
        """Take in a member or an item; nothing after an item that had to be left out."""
        self.wants = "after"
        if isinstance(self.value, list):
            if not self.stopped:
                self.value.append(value)
        elif self.key in self.value or self.key in self.doubtful:
            self.doubtful.add(self.key)
            self.value.pop(self.key, None)
        else:
            self.value[self.key] = value

    def leave_out(self) -> None:
        """Pass over a member or an item that is no JSON."""
        # What follows would move up a place in its list (promplate/partial-json-parser-js#12).
        self.wants = "after"
        self.stopped = isinstance(self.value, list)


class _Attempt:
    """One value, read from its bracket to its end or to where reading stumbles.

    Attributes:
        value: What is whole of it.
        closed: Whether it came to its end.
        flaw: What in it is no JSON, if the rest is.
        bent: Whether it is JSON but for how its strings, names and words are written.
        reached: Where reading ended.
        resume: Where to look for the next value.
        depth: Of one that is not closed, how many objects and lists are open that hold something.
        items: Of a list that is not closed, how many items are whole.
    """

    def __init__(self, text: str, start: int) -> None:
        self.flaw = ""
        self.bent = False
        self._open: list[_Frame] = []
        self._at = start
        self._text = text
        self.closed = self._read()
        self.reached = self._at
        self.resume = max(self._at, start + 1)
        self.value: JsonValue = self._root.value
        if not self.closed:
            self.depth = sum(frame.begun for frame in self._open)
            self.items = len(self._root.value) - (len(self._open) > 1)
            self.resume = max(self._resume, start + 1)

    def _read(self) -> bool:
        self._resume = self._at
        for token in self._tokens():
            kind = token.lastgroup or ""
            end = token.end()
            if kind in ("number", "word") and self._text[end : end + 1] not in _ENDS:
                return False  # more digits may have been to come (ibireme/yyjson#103)
            if not self._take(kind, token[kind]):
                return False
            # What begins in a string that reading stumbled over is looked at again.
            self._resume = token.start(kind) + 1 if kind in ("string", "bent") else end
            self._at = end
            if not self._open:
                return True
        return False

    def _tokens(self) -> Iterator[re.Match[str]]:
        while token := _TOKEN.match(self._text, self._at):
            yield token

    def _take(self, kind: str, written: str) -> bool:
        """Take one token; whether it may stand here."""
        if not self._open:
            self._root = _Frame({} if written == "{" else [])
            self._open.append(self._root)
            return True
        top = self._open[-1]
        listed = isinstance(top.value, list)
        if kind == "close":
            # A comma before it is one too many, and leaves nothing in doubt.
            if top.wants not in ("first", "after", "next") or (written == "]") is not listed:
                return False
            self._open.pop()
            return True
        if kind == "sign":
            wanted, then = ("after", "next") if written == "," else ("colon", "value")
            if top.wants != wanted:
                return False
            top.wants = then  # type: ignore[assignment]  # one of its words
            return True
        self.bent = self.bent or kind in ("bent", "name") or written in _PYTHONS
        if not listed and top.wants in ("first", "next"):
            if kind in ("string", "bent", "name"):
                top.key, top.wants = self._read_key(kind, written), "colon"
            return kind in ("string", "bent", "name")
        if kind == "name" or top.wants not in (("first", "next") if listed else ("value",)):
            return False
        self._put(top, kind, written)
        return True

    def _read_key(self, kind: str, written: str) -> str:
        try:
            return written if kind == "name" else str(_read_scalar(kind, written))
        except NotJson as error:
            self.flaw = str(error)
            return written

    def _put(self, top: _Frame, kind: str, written: str) -> None:
        if kind == "open":
            frame = _Frame({} if written == "{" else [])
            if len(self._open) >= MOST_DEPTH:
                self.flaw = "nested too deeply"
                top.leave_out()
            else:
                top.put(frame.value)
                self._note_double(top)
            self._open.append(frame)
            return
        try:
            top.put(_read_scalar(kind, written))
        except NotJson as error:
            self.flaw = str(error)
            top.leave_out()
        self._note_double(top)

    def _note_double(self, top: _Frame) -> None:
        if top.key in top.doubtful:
            self.flaw = f"the key {json.dumps(top.key[:60], ensure_ascii=False)} stands twice"


def _read_scalar(kind: str, written: str) -> JsonValue:
    """Return what a token means.

    Raises:
        NotJson: JSON has no such value, or its readers do not.
    """
    match kind:
        case "string":
            value: JsonValue = _LENIENT.decode(written)
            return value
        case "bent":
            return _read_bent(written)
        case "word":
            return _WORDS[written]
        case "number" if written.lstrip("-").isdigit():
            try:
                return int(written)
            except ValueError:
                raise NotJson("it holds a number of too many digits") from None
        case "number":
            return Exact(written)
        case _:
            raise NotJson(f"{written} is not JSON")


def _read_bent(written: str) -> str:
    """Return what a string means that JSON does not know: of other quotes, or with backslashes of its own.

    A path or a formula has backslashes that nobody doubled (kaptinlin/jsonrepair#8). They are backslashes, as
    long as none in the same string stands before a letter that makes another sign of it: who forgot to double
    one forgot it there, too (AgentToolkit/altk-evolve#318).

    Raises:
        NotJson: It can be read in two ways.
    """
    escapes = {found[1] for found in _ESCAPED.finditer(written)}
    unknown = {one for one in escapes if len(one) == 1 and one not in _KEPT and one not in "bfnrt"}
    if unknown and not escapes <= unknown | _KEPT:
        raise NotJson(f"a backslash before {min(unknown)} in a string must be doubled")

    def read(found: re.Match[str]) -> str:
        if found[1] in _KEPT:
            return found[1]
        return found[0] if unknown else str(_LENIENT.decode(f'"{found[0]}"'))

    return _ESCAPED.sub(read, written[1:-1])
