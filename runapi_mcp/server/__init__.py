"""MCP only: the lowlevel Server over our tool table.

The SDK's high-level server drops unknown arguments, answers bad ones with pydantic's own words and
makes an unknown tool a result; a thin table on the lowlevel one does what the specification asks.
"""

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel import Server

from runapi_mcp import __version__
from runapi_mcp.server.app import App, opened
from runapi_mcp.server.boundary import guarded
from runapi_mcp.server.generation_tasks import GenerationTasks
from runapi_mcp.server.handlers import Handlers
from runapi_mcp.server.identity import icon, without_icons
from runapi_mcp.server.tasks import TaskSource, serve_tasks
from runapi_mcp.tools import TOOLS, Tool

__all__ = ["App", "build_server", "opened"]

INSTRUCTIONS: Final = (
    "Gemini models through RunAPI. Calls stream and may take minutes: a result that says it is still running "
    "holds a handle; call get_result with it instead of asking again."
)
_STATIC: Final[tuple[CacheableMethod, ...]] = (
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
    "server/discover",
)
"""What never changes while the process lives."""


def build_server(
    app: App, *, tools: Mapping[str, Tool[Any]] = TOOLS, tasks: TaskSource | None = None
) -> Server[Any]:
    """Return the MCP server over `app`; `tools` and `tasks` default to the product's own."""
    tasks = tasks or GenerationTasks(app, tools)
    handlers = Handlers(app, tools, tasks)
    server: Server[Any] = Server(
        "runapi-mcp",
        version=__version__,
        title="Gemini through RunAPI",
        instructions=INSTRUCTIONS,
        website_url="https://runapi.ai",
        icons=[icon()],
        cache_hints=dict.fromkeys(_STATIC, CacheHint(ttl_ms=3_600_000, scope="public")),
        on_list_tools=guarded(handlers.list_tools),
        on_list_resources=guarded(handlers.list_resources),
        on_list_resource_templates=guarded(handlers.list_templates),
        on_read_resource=guarded(handlers.read_resource),
        on_list_prompts=guarded(handlers.list_prompts),
        on_get_prompt=guarded(handlers.get_prompt),
        on_completion=guarded(handlers.complete),
    )
    server.middleware.append(without_icons)
    # Not on_call_tool: a call may become a task, which is not a CallToolResult.
    server.add_request_handler("tools/call", types.CallToolRequestParams, guarded(handlers.call_tool))
    serve_tasks(server, tasks)
    return server
