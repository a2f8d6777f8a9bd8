"""JSON as text: written compactly, read where it is an object, and its keys in JSON Pointers.

Apart from what validates it, in `lax`: the processes that check schemas start without pydantic.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runapi_mcp.wire.types import JsonValue


def escape_key(key: str) -> str:
    """Return a key as a part of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can spell and UTF-8 cannot, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text


def dump(value: object) -> bytes:
    """Return `value` as compact UTF-8 JSON, lone surrogates replaced.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    return without_surrogates(_dumps(value)).encode()


_STEP: Final = r'[,\[{]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_STEPS: Final = re.compile(_STEP, re.DOTALL), re.compile(_STEP.encode(), re.DOTALL)
_STRETCH: Final = 1_048_576
_STEPS_OF_ONE: Final = 3
"""A value's name, itself, and what parts it from the next."""


def is_crowded(document: str | bytes, most: int) -> bool:
    """Whether JSON, or what should be, has far more than about `most` values; its texts may have any length.

    Each value becomes an object of Python's, and they are all made in one go, while nobody else is answered.
    """
    if not has_more_signs(document, most):
        return False
    steps: Iterator[object] = (
        _STEPS[0].finditer(document) if isinstance(document, str) else _STEPS[1].finditer(document)
    )
    # A loop of Python's own, between whose turns others have theirs where this is done in a thread.
    return any(count > _STEPS_OF_ONE * most for count, _ in enumerate(steps))


def has_more_signs(document: str | bytes, most: int) -> bool:
    """Whether there are more signs that part values, wherever they stand; each value has one at least."""
    left = most
    for at in range(0, len(document), _STRETCH):
        stretch = document[at : at + _STRETCH]
        if isinstance(stretch, str):
            left -= sum(stretch.count(sign) for sign in ",[{")
        else:
            left -= sum(stretch.count(sign) for sign in (b",", b"[", b"{"))
        if left < 0:
            return True
    return False


PIECE: Final = 65_536
"""Characters of a text that are encoded or decoded in one go: no other thread runs meanwhile."""

MAX_TEXT_CHARS: Final = 8_000_000
"""Characters of a text without a data: URL; twice what a tool takes, which says so in better words."""


# ---------------------------------------------------------------- long texts apart

# As many whole texts, and what stands between them, as there are; the inside of a text up to its end.
_TEXTS: Final = re.compile(rb'(?:[^"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_INSIDE: Final = re.compile(rb'[^"\\]*+(?:\\(?:u[^"\\]{4}|[^u])[^"\\]*+)*+', re.DOTALL)
_DATA: Final = re.compile(r".{0,200}?data:", re.IGNORECASE | re.DOTALL)
_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class TooLong(ValueError):
    """A text is longer than anybody may need; the message is for whoever sent it."""


def cut_long_texts(document: bytes | bytearray, mark: str) -> tuple[bytes, dict[str, str]]:
    """Return JSON with a name instead of each text of more than 64 KiB, and the texts by their names.

    The names begin with `mark`, which nobody may know, so that no other text passes for one. It is done in
    pieces: a parser holds Python's lock to its end, for a text of 60 MB longer than others should wait.

    Raises:
        TooLong: A text has more than `MAX_TEXT_CHARS`, and does not begin with a data: URL.
        ValueError: What stands in a long text is not JSON.
    """
    kept, texts, at = bytearray(), dict[str, str](), 0
    while at < len(document):
        end = _end(_TEXTS, document, at)
        kept += document[at:end]
        if end == at:  # a text begins that does not end in this piece
            text, end = _read_text(document, at + 1)
            name = f"{mark}-{len(texts)}"
            texts[name] = text
            kept += b'"%s"' % name.encode()
        at = end
    return bytes(kept), texts


def put_back(value: Any, texts: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
    """Return a JSON value with the texts in it for which there are names.

    Raises:
        TooLong: One of them is the name of a member.
    """
    match value:
        case str():
            return texts.get(value, value)
        case list():
            return [put_back(item, texts) for item in value]
        case dict():
            if not texts.keys().isdisjoint(value):
                raise TooLong(f"The name of a member may have {PIECE:,} characters.")
            return {name: put_back(item, texts) for name, item in value.items()}
        case _:
            return value


def _read_text(document: bytes | bytearray, at: int) -> tuple[str, int]:
    """Return the text that begins at a place, and where what follows it does."""
    pieces: list[str] = []
    left = MAX_TEXT_CHARS
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while (end := _end(_INSIDE, document, at)) > at:
        pieces.append(json.loads(f'"{decoder.decode(document[at:end])}"'))
        at = end
        left -= len(pieces[-1])
        if left < 0 and not _DATA.match(pieces[0]):
            raise TooLong(f"A text may have {MAX_TEXT_CHARS:,} characters, but for files, as data: URLs.")
    if document[at : at + 1] != b'"':
        raise ValueError("A text does not end.")
    pieces.append(decoder.decode(b"", final=True))
    return _join(pieces), at + 1


def _join(pieces: list[str]) -> str:
    """Return texts as one, without halves of surrogate pairs: a pair that was parted is one character."""
    for place in range(len(pieces) - 1):
        both = pieces[place][-1:] + pieces[place + 1][:1]
        if _PAIR.fullmatch(both):
            pieces[place] = pieces[place][:-1] + both.encode("utf-16", "surrogatepass").decode("utf-16")
            pieces[place + 1] = pieces[place + 1][1:]
    return "".join(map(without_surrogates, pieces))


def _end(pattern: re.Pattern[bytes], document: bytes | bytearray, at: int) -> int:
    """Return where what a pattern finds in a piece of a document ends."""
    found = pattern.match(document, at, at + PIECE)
    return found.end() if found else at


# ---------------------------------------------------------------- written


def encode_pieces(text: str) -> Iterator[bytes]:
    """Yield a text in UTF-8, lone surrogates as they are, in pieces between which other threads run."""
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE].encode("utf-8", "surrogatepass")


def is_larger(value: JsonValue, most: int) -> bool:
    """Whether the texts in a JSON value have more than `most` characters together."""
    left, waiting = most, [value]
    while waiting and left >= 0:
        match waiting.pop():
            case str() as text:
                left -= len(text)
            case list() as items:
                waiting += items
            case dict() as members:
                left -= sum(map(len, members))
                waiting += members.values()
    return left < 0


_VALUE_BYTES: Final = 100
"""About what Python takes for a value: an object, and its place in a list or, with its name, in a dict."""


def weigh(value: JsonValue) -> int:
    """Return about how many bytes of memory a JSON value takes, which is far more than its text has."""
    size, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        size += _VALUE_BYTES
        match item:
            case str() as text:
                size += len(text) if text.isascii() else 3 * len(text)
            case list() as items:
                waiting += items
            case dict() as members:
                size += sum(map(len, members)) + _VALUE_BYTES
                waiting += members.values()
    return size


def dump_pieces(value: JsonValue) -> Iterator[bytes]:
    """Yield what :func:`dump` returns in pieces, so that a thread that does it lets others run.

    One call of the encoder holds Python's lock to its end: over a second for 80 MB on a slow machine.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    long: set[int] = set()
    _find_long(value, long)
    for piece in _dump_long(value, long):
        yield without_surrogates(piece).encode()


def _find_long(value: JsonValue, found: set[int]) -> bool:
    """Add the ids of lists and objects with a long text in them; whether a value is such, or such a text."""
    if isinstance(value, str):
        return len(value) > PIECE
    if not isinstance(value, list | dict):
        return False
    items = value if isinstance(value, list) else value.values()
    # Of all of them: the rest has to be found, too, once one is.
    inside = [_find_long(item, found) for item in items]
    if any(inside):
        found.add(id(value))
    return any(inside)


def _dump_long(value: JsonValue, long: set[int]) -> Iterator[str]:
    if isinstance(value, str) and len(value) > PIECE:
        yield '"'
        for at in range(0, len(value), PIECE):
            yield _dumps(value[at : at + PIECE])[1:-1]
        yield '"'
    elif isinstance(value, list) and id(value) in long:
        for place, item in enumerate(value):
            yield "," if place else "["
            yield from _dump_long(item, long)
        yield "]"
    elif isinstance(value, dict) and id(value) in long:
        for place, (name, item) in enumerate(value.items()):
            yield f"{',' if place else '{'}{_dumps(name)}:"
            yield from _dump_long(item, long)
        yield "}"
    else:
        yield _dumps(value)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is; `None` if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
