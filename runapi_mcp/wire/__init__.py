"""Strings in, events out: both dialects, the fold, and what they share. No I/O, no clock."""

from collections.abc import Mapping

from runapi_mcp.wire.chat import Chat
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.gemini import Native
from runapi_mcp.wire.types import Dialect, DialectName

__all__ = ["Chat", "Dialect", "DialectName", "Fold", "Native", "dialects"]


def dialects(chat_root: str) -> Mapping[DialectName, Dialect]:
    """Return the dialects by name; `chat_root` is the path that chat lives under."""
    return {"chat": Chat(chat_root), "native": Native()}
