"""Bodies that are not the event stream that was asked for: what they are, and what they say."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from runapi_mcp.errors import ProtocolError, quoted
from runapi_mcp.wire.faults import read_failure
from runapi_mcp.wire.json_text import is_crowded
from runapi_mcp.wire.types import Failure, Frame

Kind: TypeAlias = Literal["events", "json", "page", "unknown"]

_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
TELLING: Final = len(codecs.BOM_UTF8 + b"event:")
"""Bytes that tell an event stream from another body."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_MOST_CANDIDATES = 8
_MOST_VALUES: Final = 200_000
"""About how many values a whole body may hold: more than any answer's chunks have together."""
_BETWEEN = re.compile(r"[\s,\[\]]*")
_FIELD_LINE = re.compile(r"(?:data|event|id|retry)?:|\s*$")


def body_kind(content_type: str, first: bytes) -> Kind:
    """Return what a body is, by its content type and its first bytes.

    `first` must be at least :data:`TELLING` bytes, white space aside, if the body has that many. A
    body that begins as an event stream is one, whatever a proxy calls it.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/event-stream" or _FIELD.match(first):
        return "events"
    if media_type.endswith(("json", "ndjson")):
        return "json"
    if media_type == "text/html":
        return "page"
    start = first.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return "json" if start in (b"{", b"[") else "page" if start == b"<" else "unknown"


def json_frames(text: str) -> Iterator[Frame]:
    """Yield the documents of a JSON body: one object, an array of them, or one a line.

    A document that the end of the body cuts is left out when others came before it; the fold then
    sees a stream without an ending.

    Raises:
        ProtocolError: Nothing in it is JSON, or it holds far too many values.
    """
    if is_crowded(text, _MOST_VALUES):
        raise ProtocolError(f"RunAPI's answer holds more than {_MOST_VALUES:,} values.")
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    found = False
    while position < len(text):
        try:
            _, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            if found:
                return
            raise ProtocolError(f"RunAPI's answer is not the JSON it says it is: {quoted(text)}.") from None
        yield Frame(text[position:end])
        found = True
        position = _skip(text, end)


def stray_failure(tail: str) -> Failure | None:
    """Return the error report that stands among a stream's lines without being an event.

    Google's stream may end in raw, pretty-printed JSON (wire notes §6.2), which the rules of SSE
    drop line by line.
    """
    stray = [line for line in _LINE_END.split(tail) if not _FIELD_LINE.match(line)]
    starts = [place for place, line in enumerate(stray) if line.startswith(("{", "["))]
    for start in starts[:_MOST_CANDIDATES]:
        try:
            failure = read_failure(json.loads("\n".join(stray[start:])))
        except (ValueError, RecursionError):
            continue
        if failure and failure.message:
            return failure
    return None


def _skip(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    return found.end() if found else position
