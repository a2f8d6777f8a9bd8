"""Bytes in any pieces to lines, lines to JSON-RPC messages and back, and which requests are open.

Any bytes in, a message or a refusal out, in linear time and bounded memory.
"""

import codecs
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
from mcp.shared.dispatcher import coerce_request_id
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from runapi_mcp.signalling import Signal
from runapi_mcp.wire.json_text import PIECE, TooLong, cut_long_texts, is_crowded, put_back

MAX_LINE_BYTES: Final = 64 << 20


class LineSplitter:
    r"""Collects chunks and gives out the lines they complete, without their ``\n``.

    ``None`` stands for a line longer than the limit, whose bytes were dropped as
    they came. At most one unfinished line is held.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """The lines that end in ``chunk``, in order."""
        *ends, rest = chunk.split(b"\n")
        lines = [self._complete(end) for end in ends]
        self._keep(rest)
        return lines

    def finish(self) -> list[bytes | None]:
        """The last line, when the input ended without a newline."""
        return [self._complete(b"")] if self._size else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _complete(self, end: bytes) -> bytes | None:
        self._keep(end)
        line = None if self._size > self._limit else b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return line


# The possessive quantifiers keep what follows linear in time and in memory.
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
# Escapes of surrogates behind whole escapes of backslashes, pairs together: group 2 is a half by itself.
_SURROGATES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*+)\\u"
    r"(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|([dD][89a-fA-F][0-9a-fA-F]{2}))"
)

# The text of a message is nothing but these: a bracket that opens, one that closes, or all between two.
_TOKEN: Final = re.compile(r'([\[{])|[\]}]|(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)++', re.DOTALL)
_FRONT: Final = 65_536  # looked at to find an id: one token may be as long as the message
_LAST_ID: Final = re.compile(r'"id"\s*+:\s*+(-?\d{1,18}|"[^"\\]{1,1000}")\s*+\}\s*+\Z')

MAX_VALUES: Final = 50_000
"""About how many values a message may hold: each is an object of Python's, and is made while others wait.

What is large, a file or a document, is one value.
"""

MAX_NAME_CHARS: Final = 1_000
"""Characters of an id and of a progress token."""
_LONG_NUMBER: Final = 10**MAX_NAME_CHARS

MAX_LEVELS: Final = 201
"""How deep a message may be nested, itself included: what pydantic reads."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be served, and what the host is told instead."""

    reply: JSONRPCError


ProgressKey = tuple[str, str | int]


def decode(line: bytes | None) -> JSONRPCMessage | Refused:
    """Read one line; ``None`` is a line that was too long to keep. See `read`."""
    if line is None:
        return refusal(
            PARSE_ERROR, f"The line is longer than {MAX_LINE_BYTES >> 20} MiB and was skipped: send less."
        )
    return read(line)[0]


def read(octets: bytes | bytearray) -> tuple[JSONRPCMessage | Refused, bytes, bool]:
    """Read one message; return it, bytes in which others can read it, and whether those lack something.

    Those are ``octets`` themselves, as a rule. They lack texts of more than 64 KiB,
    for which they have names. A byte order mark is dropped, and invalid UTF-8 and
    halves of surrogate pairs (what ``JSON.stringify`` makes of a cut emoji) are
    replaced by U+FFFD rather than refused.
    """
    texts: Mapping[str, str] = {}
    if len(octets) > PIECE:
        try:
            octets, texts = cut_long_texts(octets, secrets.token_hex(8))
        except TooLong as error:
            return refusal(INVALID_REQUEST, str(error), _find_id(octets)), b"", False
        except ValueError:
            return refusal(PARSE_ERROR, "The message is not valid JSON."), b"", False
    octets = bytes(octets)
    if is_crowded(octets, MAX_VALUES):
        reason = f"A message may have about {MAX_VALUES:,} values; give what has more of them as one text."
        return refusal(INVALID_REQUEST, reason, _find_id(octets)), octets, False
    try:
        # Parsed once, and then validated: pydantic would make each kind of message of the text in turn.
        return _message(put_back(from_json(octets), texts)), octets, bool(texts)
    except ValueError:
        text = _repair(octets)
        return _read_again(text, texts), text.encode(), bool(texts)


def encode(message: JSONRPCMessage) -> bytes:
    r"""One message as one line of UTF-8, ``\n`` included, on every platform.

    Raises:
        TypeError: a result holds something that is not JSON.
        ValueError: the same.
    """
    try:
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
    except PydanticSerializationError:  # a lone surrogate in a result
        content = message.model_dump(by_alias=True, exclude_unset=True)
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def progress_key(message: JSONRPCMessage) -> ProgressKey | None:
    """What makes two progress notifications the same report; None for any other message."""
    match message:
        case JSONRPCNotification(
            method="notifications/progress", params={"progressToken": str() | int() as token}
        ):
            return ("progress", token)
        case _:
            return None


def busy(request_id: RequestId, limit: int) -> JSONRPCError:
    """The refusal of a request that comes while ``limit`` others are unanswered."""
    reason = f"{limit} requests are in flight already. Send this one again when one of them is answered."
    return refusal(INTERNAL_ERROR, reason, request_id).reply


def refusal(code: int, reason: str, request_id: RequestId | None = None) -> Refused:
    """The refusal of a message, under the id of the request if that is known."""
    return Refused(JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=reason)))


def _message(content: Any) -> JSONRPCMessage | Refused:  # noqa: ANN401  # any JSON
    message = jsonrpc_message_adapter.validate_python(content, by_name=False)
    # A request whose id is null or a fraction passes for a notification, and would never be answered.
    if isinstance(message, JSONRPCNotification) and "id" in content:
        return _not_a_message(content)
    return _refuse_long(message) or message


def _refuse_long(message: JSONRPCMessage) -> Refused | None:
    """Refuse a name of a request that nobody needs so long: it comes back with each report of progress."""
    if not isinstance(message, JSONRPCRequest):
        return None
    if _is_long(message.id):
        return refusal(INVALID_REQUEST, f"The id of a request may have {MAX_NAME_CHARS:,} characters.")
    meta = (message.params or {}).get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    if _is_long(token):
        reason = f"A progressToken may have {MAX_NAME_CHARS:,} characters."
        return refusal(INVALID_REQUEST, reason, message.id)
    return None


def _is_long(name: object) -> bool:
    """Whether a name has more characters than any needs; an integer is one of as many digits."""
    if isinstance(name, int):
        return abs(name) >= _LONG_NUMBER
    return isinstance(name, str) and len(name) > MAX_NAME_CHARS


def _read_again(text: str, texts: Mapping[str, str]) -> JSONRPCMessage | Refused:
    try:
        content = put_back(from_json(text), texts)
    except TooLong as error:
        return refusal(INVALID_REQUEST, str(error), _find_id(text.encode()))
    except ValueError as error:
        if "recursion limit" in str(error):
            return _too_deep(text)
        if "out of range" in str(error):
            reason = "A number in the message has too many digits."
            return refusal(PARSE_ERROR, reason, _find_id(text.encode()))
        return refusal(PARSE_ERROR, "The message is not valid JSON.")
    try:
        return _message(content)
    except ValidationError:
        return _not_a_message(content)


def _too_deep(text: str) -> Refused:
    reason = f"The message is nested more than {MAX_LEVELS} levels deep."
    return refusal(INVALID_REQUEST, reason, _find_id(text.encode()))


def _find_id(octets: bytes | bytearray) -> RequestId | None:
    """Return the id of a message that is not read as a whole, if it stands near either end."""
    text = bytes(octets[:_FRONT] + octets[-2 * MAX_NAME_CHARS :]).decode("utf-8", "replace")
    try:
        content = from_json(_surface(text), allow_partial=True)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    last = _LAST_ID.search(text, max(len(text) - 2 * MAX_NAME_CHARS, 0))
    if "id" not in content and last:
        content["id"] = from_json(last[1])
    return _readable_id(content)


def _surface(text: str) -> str:
    """Return the front of `text` with everything left out that is more than one level deep."""
    kept, level = [], 0
    for token in _TOKEN.finditer(text, 0, _FRONT):
        closes = token[0] in ("]", "}")
        level -= closes
        if level <= 1:
            kept.append(token[0])
        level += token.lastindex is not None
    return "".join(kept)


def _repair(octets: bytes) -> str:
    text = octets.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    return _SURROGATES.sub(_whole, text) if _SURROGATE.search(text) else text


def _whole(escape: re.Match[str]) -> str:
    return f"{escape[1]}\\ufffd" if escape[2] else escape[0]


def _not_a_message(content: object) -> Refused:
    if isinstance(content, list):
        return refusal(
            INVALID_REQUEST, "JSON-RPC batches are not supported here: send each message by itself."
        )
    if not isinstance(content, dict):
        return refusal(INVALID_REQUEST, "A message must be a JSON object.")
    return refusal(INVALID_REQUEST, _fault(content), _readable_id(content))


def _readable_id(content: dict[str, object]) -> RequestId | None:
    # An answer's id is one of ours: sent back, it would be taken for the answer to one of the host's.
    if "method" not in content and ("result" in content or "error" in content):
        return None
    request_id = content.get("id")
    return request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None


def _fault(content: dict[str, object]) -> str:
    if content.get("jsonrpc") != "2.0":
        return 'A message must say "jsonrpc": "2.0".'
    if "method" not in content:
        return "A message must have a method, or be an answer with an id and a result or an error."
    if not isinstance(content["method"], str):
        return "The method must be a string."
    if "id" in content and _readable_id(content) is None:
        return "The id of a request must be a string or an integer."
    return "The params must be an object."


# ---------------------------------------------------------------- requests that are not answered yet

MAX_OPEN_CALLS: Final = 1024

_OPEN_ENDED: Final = frozenset({"tools/call", "subscriptions/listen"})
_ANY_SECONDS: Final = 0.025  # the upstream must be closed 50 ms after the host has gone
_SHORT_SECONDS: Final = 0.3


class OpenCalls:
    """The requests of one client that were passed to the server and are not yet answered or cancelled.

    7 and "7" are two ids, but one to the SDK, which would stop the wrong one: they are not open at once.
    """

    def __init__(self) -> None:
        self._open: dict[RequestId, tuple[RequestId, str]] = {}
        self._closed = Signal()

    def admit(self, request: JSONRPCRequest) -> JSONRPCError | None:
        """Note a request on its way to the server, or return why it does not get there."""
        if len(self._open) >= MAX_OPEN_CALLS:
            return busy(request.id, MAX_OPEN_CALLS)
        key = coerce_request_id(request.id)
        if key in self._open:
            reason = "A request with this id is in progress: each request needs an id of its own."
            return refusal(INVALID_REQUEST, reason, request.id).reply
        self._open[key] = (request.id, request.method)
        return None

    def close(self, request_id: object) -> bool:
        """Note that the host waits for this one no longer.

        Returns:
            False for what is not the id of an open request.
        """
        if not isinstance(request_id, str | int) or isinstance(request_id, bool):
            return False
        key = coerce_request_id(request_id)
        known = self._open[key][0] if key in self._open else None
        if type(known) is not type(request_id) or known != request_id:
            return False
        del self._open[key]
        self._closed.send()
        return True

    async def settle(self) -> None:
        r"""Give what was asked before the end of the input a moment to be answered.

        The SDK cancels every request at the end of the input, even one that came
        just before it (``printf 'initialize\ntools/list\n' | server`` would print
        one answer). Open-ended ones get 25 ms of grace, the others 0.3 s more.
        """
        with anyio.move_on_after(_ANY_SECONDS):
            await self._closed.until(lambda: not self._open)
        with anyio.move_on_after(_SHORT_SECONDS):
            await self._closed.until(lambda: all(method in _OPEN_ENDED for _, method in self._open.values()))
