"""MCP only: the lowlevel Server over our tool table, and THE error boundary.

The SDK's high-level server drops unknown arguments, answers bad ones with pydantic's own words and
makes an unknown tool a result; a thin table on the lowlevel one does what the specification asks.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from runapi_mcp import __version__
from runapi_mcp.errors import RunapiError, SettingsError
from runapi_mcp.generations import Generations
from runapi_mcp.run import Run
from runapi_mcp.server.caller import caller_of
from runapi_mcp.server.completion import completed
from runapi_mcp.server.generation_tasks import GenerationTasks
from runapi_mcp.server.identity import icon, without_icons
from runapi_mcp.server.journal import logged
from runapi_mcp.server.listing import listed_tools
from runapi_mcp.server.prompts import listed_prompts, written
from runapi_mcp.server.rendering import bug_reply, error_reply, rendered
from runapi_mcp.server.resources import listed_resources, listed_templates, read
from runapi_mcp.server.roots import host_roots
from runapi_mcp.server.tasks import TaskSource, declared, serve_tasks
from runapi_mcp.settings import Settings
from runapi_mcp.tools import TOOLS, Reply, Tool, taught
from runapi_mcp.upstream import Upstream

__all__ = ["App", "build_server", "opened"]

Context = ServerRequestContext[Any, Any]
logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from runapi_mcp.generations.fleet import Fleet

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


@dataclass(frozen=True)
class App:
    """What the process shares: settings, the connection to RunAPI, and its generations."""

    settings: Settings
    upstream: Upstream
    generations: Generations


@asynccontextmanager
async def opened(settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> AsyncIterator[App]:
    """Open what the process shares, for as long as the block lasts."""
    fleet = _fleet(settings, clock)
    upstream = Upstream(settings, clock=clock, pacing=fleet.pacing if fleet else None)
    generations = Generations(
        upstream,
        settings,
        store=fleet.store if fleet else None,
        budget=fleet.budget if fleet else None,
        clock=clock,
    )
    try:
        async with generations.open():
            yield App(settings, upstream, generations)
    finally:
        await upstream.aclose()


def _fleet(settings: Settings, clock: Callable[[], float]) -> "Fleet | None":
    """Return what this server shares with others, if it is to share anything.

    Raises:
        SettingsError: It is, and what that needs is not installed.
    """
    if settings.store is None:
        return None
    try:
        from runapi_mcp.generations.fleet import join_fleet
    except ImportError:
        raise SettingsError(
            "RUNAPI_MCP_STORE is set, and the redis package is not installed.",
            advice="Install runapi-mcp[redis].",
        ) from None
    return join_fleet(settings, clock)


def build_server(
    app: App, *, tools: Mapping[str, Tool[Any]] = TOOLS, tasks: TaskSource | None = None
) -> Server[Any]:
    """Return the MCP server over `app`; `tools` and `tasks` default to the product's own."""
    desk = _Desk(app, tools, tasks or GenerationTasks(app.generations, tools))
    server: Server[Any] = Server(
        "runapi-mcp",
        version=__version__,
        title="Gemini through RunAPI",
        instructions=INSTRUCTIONS,
        website_url="https://runapi.ai",
        icons=[icon()],
        cache_hints=dict.fromkeys(_STATIC, CacheHint(ttl_ms=3_600_000, scope="public")),
        on_list_tools=desk.list_tools,
        on_list_resources=desk.list_resources,
        on_list_resource_templates=desk.list_templates,
        on_read_resource=desk.read_resource,
        on_list_prompts=desk.list_prompts,
        on_get_prompt=desk.get_prompt,
        on_completion=desk.complete,
    )
    server.middleware.append(without_icons)
    # Not on_call_tool: a call may become a task, which is not a CallToolResult.
    server.add_request_handler("tools/call", types.CallToolRequestParams, desk.call_tool)
    serve_tasks(server, desk.tasks)
    return server


class _Desk:
    """Answers MCP requests."""

    def __init__(self, app: App, tools: Mapping[str, Tool[Any]], tasks: TaskSource) -> None:
        self.tasks = tasks
        self._app = app
        self._tools = tools
        self._listed = listed_tools(tools.values())

    async def list_tools(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self._listed)

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | dict[str, Any]:
        """Return a tool's result; or, where the client knows tasks and it is not done, a task.

        Raises:
            MCPError: There is no such tool.
        """
        tool = self._tools.get(params.name)
        if tool is None:
            message = f"Unknown tool: {params.name[:60]!r}. Tools: {', '.join(self._tools)}."
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        with logged(tool.name, ctx.request_id, params.arguments or {}) as entry:
            reply = await self._reply(tool, ctx, params.arguments or {})
            entry.replied(reply)
        if reply.running and reply.handle and declared(ctx):
            return (await self.tasks.state(reply.handle, ctx)).created_result()
        return rendered(reply)

    async def _reply(self, tool: Tool[Any], ctx: Context, arguments: dict[str, Any]) -> Reply:
        """Validate and perform. THE error boundary: here every error becomes a reply, and nowhere else."""
        try:
            args = tool.args.model_validate(arguments)
            run = self._run(ctx)
            await run.begin()
            return await tool.perform(args, run)
        except ValidationError as error:
            return error_reply(taught(error, tool.args))
        except RunapiError as error:
            return error_reply(error)
        except Exception:
            logger.exception("%s failed", tool.name)
            return bug_reply(tool.name)

    async def list_resources(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=listed_resources())

    async def list_templates(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=listed_templates())

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        return await read(str(params.uri), self._run(ctx), self._app.upstream.listed)

    async def list_prompts(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=listed_prompts())

    async def get_prompt(self, _ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        return written(params.name, params.arguments or {})

    async def complete(self, _ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        live = self._app.upstream.listed
        return types.CompleteResult(completion=completed(params.ref, params.argument, live))

    def _run(self, ctx: Context) -> Run:
        async def report(seconds: float, line: str) -> None:
            await ctx.session.report_progress(seconds, None, line)

        app = self._app
        roots = partial(host_roots, ctx)
        return Run(app.settings, app.upstream, app.generations, caller_of(ctx), report, roots=roots)
