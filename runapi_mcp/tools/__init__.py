"""The tools, in the order in which hosts list them. A new one is a file and a line here.

What a tool is, `_tool` says. The other files with an underscore are what several tools share: `_args`
their arguments, `_teaching` what is wrong with them, `_job` the way to a generation, `_replying` how a
generation is told; or what one tool would be too long with: `_conversation` and `_functions` (ask),
`_filters` (search).
"""

from typing import Any, Final

from runapi_mcp.tools.arguments import taught
from runapi_mcp.tools.ask import ASK, asked_for
from runapi_mcp.tools.extract import EXTRACT
from runapi_mcp.tools.models import MODELS_TOOL
from runapi_mcp.tools.result import result_tool
from runapi_mcp.tools.search import SEARCH
from runapi_mcp.tools.tool import Args, Page, Reply, Tool

__all__ = ["TOOLS", "Args", "Page", "Reply", "Tool", "asked_for", "taught"]

_STARTERS: Final[tuple[Tool[Any], ...]] = (ASK, SEARCH, EXTRACT)

TOOLS: Final[dict[str, Tool[Any]]] = {
    tool.name: tool
    for tool in (*_STARTERS, MODELS_TOOL, result_tool({tool.name: tool for tool in _STARTERS}))
}
"""Every tool by name."""
