"""Strings in, events out: both dialects, the fold, and what they share. No I/O, no clock.

The names below are imported when they are first used: the command line and the settings need only
`types`, and must not wait for the models that the dialects build.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runapi_mcp.wire.chat import Chat
    from runapi_mcp.wire.fold import Fold
    from runapi_mcp.wire.gemini import Native
    from runapi_mcp.wire.registry import dialects
    from runapi_mcp.wire.types import Dialect, DialectName

__all__ = ["Chat", "Dialect", "DialectName", "Fold", "Native", "dialects"]

_HOMES = {
    "Chat": "chat",
    "Dialect": "types",
    "DialectName": "types",
    "Fold": "fold",
    "Native": "gemini",
    "dialects": "registry",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
