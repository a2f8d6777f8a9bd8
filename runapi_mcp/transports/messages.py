"""One line to one JSON-RPC message and back. Pure: any bytes in, a message or a refusal out.

The SDK's own stdio transport drops what it cannot read, which leaves the host
waiting for its time-out. Here everything that cannot be served gets the error
JSON-RPC 2.0 §5.1 has for it. Nothing a host sent is ever quoted.
"""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Final

from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from runapi_mcp.transports.framing import MAX_LINE_BYTES

# Any escape of a JSON string. Pairs are taken whole, so that group 1 is a half without its other half.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be served, and what the host is told instead."""

    reply: JSONRPCError


ProgressKey = tuple[str, str | int]


def decode(line: bytes | None) -> JSONRPCMessage | Refused:
    """Read one line; ``None`` is a line that was too long to keep.

    Invalid UTF-8 and halves of surrogate pairs (what ``JSON.stringify`` makes of a
    cut emoji) are replaced by U+FFFD rather than refused.
    """
    if line is None:
        return _refusal(PARSE_ERROR, f"The line is longer than {MAX_LINE_BYTES >> 20} MiB and was skipped.")
    try:
        return _read(line)
    except ValidationError:
        return _read_again(_repaired(line))


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
    return _refusal(INTERNAL_ERROR, reason, request_id).reply


def _read(text: bytes | str) -> JSONRPCMessage | Refused:
    message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    # A request whose id is null or a fraction passes for a notification, and would never be answered.
    if isinstance(message, JSONRPCNotification) and "id" in (content := from_json(text)):
        return _not_a_message(content)
    return message


def _read_again(text: str) -> JSONRPCMessage | Refused:
    try:
        return _read(text)
    except ValidationError:
        pass
    try:
        content: object = from_json(text)
    except ValueError:
        return _refusal(PARSE_ERROR, "The line is not valid JSON.")
    return _not_a_message(content)


def _repaired(line: bytes) -> str:
    text = line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    return _ESCAPE.sub(lambda escape: "\\ufffd" if escape[1] else escape[0], text)


def _not_a_message(content: object) -> Refused:
    if isinstance(content, list):
        return _refusal(
            INVALID_REQUEST, "JSON-RPC batches are not supported here: send one message on each line."
        )
    if not isinstance(content, dict):
        return _refusal(INVALID_REQUEST, "A message must be a JSON object.")
    return _refusal(INVALID_REQUEST, _fault(content), _readable_id(content))


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


def _refusal(code: int, reason: str, request_id: RequestId | None = None) -> Refused:
    return Refused(JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=reason)))
