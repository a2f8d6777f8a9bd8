"""The tools, in the order in which hosts list them. A new one is a file and a line here.

`tool.py` says what a tool is. Shared by several: `coercion.py` makes what hosts send into what was meant,
`arguments.py` has the parameters and says what is wrong with them, `reply.py` tells of a generation.
"""

from typing import Any, Final

from runapi_mcp.tools.arguments import teach
from runapi_mcp.tools.ask import ASK, list_calls
from runapi_mcp.tools.coercion import Args
from runapi_mcp.tools.extract import EXTRACT
from runapi_mcp.tools.models import MODELS_TOOL
from runapi_mcp.tools.result import result_tool
from runapi_mcp.tools.search import SEARCH
from runapi_mcp.tools.tool import Page, Reply, Tool, make_reply

__all__ = ["TOOLS", "Args", "Page", "Reply", "Tool", "list_calls", "make_reply", "teach"]

_STARTERS: Final[tuple[Tool[Any], ...]] = (ASK, SEARCH, EXTRACT)

TOOLS: Final[dict[str, Tool[Any]]] = {
    tool.name: tool
    for tool in (*_STARTERS, MODELS_TOOL, result_tool({tool.name: tool for tool in _STARTERS}))
}
"""Every tool by name."""
