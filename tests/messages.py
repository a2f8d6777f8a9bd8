"""What a raw host writes: the greetings of both eras, requests, and the lines they are on stdio."""

import json
from typing import Any, Final

Message = dict[str, Any]

META: Final = "io.modelcontextprotocol/"
INITIALIZE: Final[Message] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}
INITIALIZED: Final[Message] = {"jsonrpc": "2.0", "method": "notifications/initialized"}
ENVELOPE: Final[Message] = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": {}}
"""What stands in the `_meta` of every request of 2026-07-28."""


def request(number: int | str, method: str, params: Message | None = None) -> Message:
    message: Message = {"jsonrpc": "2.0", "id": number, "method": method}
    return message if params is None else message | {"params": params}


def tool_call(number: int | str, tool: str, *, modern: bool, **arguments: Any) -> Message:
    """A `tools/call` that wants progress, under `p{number}`."""
    meta = {"progressToken": f"p{number}", **(ENVELOPE if modern else {})}
    return request(number, "tools/call", {"name": tool, "arguments": arguments, "_meta": meta})


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def lines(*messages: object) -> bytes:
    return b"".join(map(line, messages))
