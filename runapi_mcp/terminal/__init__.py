"""The tools in a terminal: the same tools on the same generations, without MCP between."""

from runapi_mcp.terminal.asking import Outcome, Question, perform
from runapi_mcp.terminal.completion import script
from runapi_mcp.terminal.printing import as_json, printed
from runapi_mcp.terminal.screen import Screen, live_screen, no_screen

__all__ = [
    "Outcome",
    "Question",
    "Screen",
    "as_json",
    "live_screen",
    "no_screen",
    "perform",
    "printed",
    "script",
]
