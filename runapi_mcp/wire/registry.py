"""The dialects by name."""

from collections.abc import Mapping

from runapi_mcp.wire.chat import Chat
from runapi_mcp.wire.gemini import Native
from runapi_mcp.wire.types import Dialect, DialectName


def dialects(chat_root: str) -> Mapping[DialectName, Dialect]:
    """Return the dialects by name; `chat_root` is the path that chat lives under."""
    return {"chat": Chat(chat_root), "native": Native()}
