"""MCP only: the lowlevel Server over our tool table.

The SDK's high-level server drops unknown arguments without a word and writes its own schemas, so the
lowlevel one it is.
"""

import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from runapi_mcp import __version__
from runapi_mcp.errors import ConsentNeeded, HandleError, RunapiError
from runapi_mcp.server.app import App, ask_first, opened
from runapi_mcp.server.boundary import (
    CallRecord,
    Context,
    bounded,
    caller_of,
    declares_tasks,
    error_reply,
    guard,
    log_calls,
    render_reply,
)
from runapi_mcp.server.listing import list_tools
from runapi_mcp.server.prompts import complete_argument, list_prompts, write_prompt
from runapi_mcp.server.resources import list_resources, list_templates, read
from runapi_mcp.server.tasks import GenerationTasks, TaskSource, Wire, serve_tasks
from runapi_mcp.tools import TOOLS, Args, Tool, teach
from runapi_mcp.tools.coercion import NOT_GIVEN, read_object

__all__ = ["App", "build_server", "opened"]

_AFTER_PREFIX: Final = frozenset("_.:/-")
LOGO = files("runapi_mcp") / "assets" / "logo.svg"


class Handlers:
    """One method for each kind of request; what they raise is the boundary's to tell."""

    def __init__(self, app: App, tools: Mapping[str, Tool[Any]], tasks: TaskSource) -> None:
        self._app = app
        self._tools = tools
        self._tasks = tasks

    @cached_property
    def _listed(self) -> list[types.Tool]:
        # Made when a host asks: the first call does not wait for the schemas of all tools.
        return list_tools(self._tools.values(), always_load=self._app.settings.always_load)

    async def list_tools(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Return the tools; there are too few for pages."""
        return types.ListToolsResult(tools=self._listed)

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult | Wire:
        """Return a tool's result; or, where the client knows tasks and it is not done, a task.

        Where its person is to be asked first, it is told so, and calls again.

        Raises:
            MCPError: There is no such tool.
        """
        tool = self._tools.get(params.name) or self._prefixed(params.name)
        if tool is None:
            message = f"Unknown tool: {params.name[:60]!r}. Tools: {', '.join(self._tools)}."
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        arguments = params.arguments or {}
        with log_calls(tool.name, ctx, arguments) as entry:
            try:
                with bounded(tool.name):
                    return await self._call(tool, arguments, ctx, params.input_responses, entry)
            except RunapiError as error:
                if isinstance(error, ConsentNeeded) and error.question:
                    entry.outcome = {"outcome": "asked"}
                    return ask_first(error.question)
                reply = error_reply(error)
                entry.replied(reply)
                return render_reply(reply)

    def _prefixed(self, name: str) -> Tool[Any] | None:
        """Return the tool that a name ends in, behind a prefix.

        Gateways and hosts show one to their models, and some send it along (docker/mcp-gateway#278).
        """
        there = (tool for own, tool in self._tools.items() if name.endswith(own))
        return next((tool for tool in there if name.removesuffix(tool.name)[-1:] in _AFTER_PREFIX), None)

    async def _call(
        self,
        tool: Tool[Any],
        arguments: Mapping[str, Any],
        ctx: Context,
        answered: types.InputResponses | None,
        entry: CallRecord,
    ) -> types.CallToolResult | Wire:
        # First of all: of a server set up wrongly nothing else need be told.
        run = self._app.run(ctx, answered)
        args, run.remark = _read(tool, arguments)
        await run.begin(tool.opening)
        reply = await tool.perform(args, run)
        if run.remark not in reply.notes:
            reply = reply.saying(run.remark)
        await run.note_delivery(to_the_end=not reply.more)
        entry.replied(reply)
        if reply.running and reply.handle and declares_tasks(ctx):
            with suppress(HandleError):  # where no task can be had, the handle will do
                return (await self._tasks.state(reply.handle, ctx)).created_result()
        return render_reply(reply)

    async def list_resources(
        self, ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that exist for the caller."""
        return types.ListResourcesResult(resources=list_resources(sees_all=caller_of(ctx).sees_all))

    async def list_templates(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the resources that exist once a handle was given out."""
        return types.ListResourceTemplatesResult(resource_templates=list_templates())

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return what a resource holds; see :func:`read`."""
        return await read(str(params.uri), self._app.run(ctx), self._app.upstream.listed)

    async def list_prompts(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Return the prompts."""
        return types.ListPromptsResult(prompts=list_prompts())

    async def get_prompt(self, _ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return a prompt with its arguments put in; see :func:`write_prompt`."""
        return write_prompt(params.name, params.arguments or {})

    async def complete(self, _ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Return what an argument of a prompt may become; see :func:`complete_argument`."""
        live = self._app.upstream.listed
        return types.CompleteResult(completion=complete_argument(params.ref, params.argument, live))


def _read(tool: Tool[Any], arguments: Mapping[str, Any]) -> tuple[Args, str]:
    """Return a tool's arguments, and a sentence about what was ignored.

    Raises:
        InputError: They are not what it takes.
    """
    try:
        args: tuple[Args, str] = tool.args.read(arguments)
    except ValidationError as error:
        raise teach(error, tool.args) from None
    return args


async def with_object(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Have a call's arguments be an object where a client wrote [] or "", or JSON text (middleware).

    The SDK refuses these before any tool of ours could tell what is wrong.
    """
    if ctx.method == "tools/call" and ctx.params and isinstance(ctx.params.get("arguments"), str | list):
        meant = read_object(ctx.params["arguments"])
        given = {} if meant is NOT_GIVEN else meant
        return await call_next(replace(ctx, params={**ctx.params, "arguments": given}))
    return await call_next(ctx)


def icon() -> types.Icon:
    """Return our logo as a data URI: hosts show it without fetching anything."""
    encoded = base64.b64encode(LOGO.read_bytes()).decode("ascii")
    return types.Icon(src=f"data:image/svg+xml;base64,{encoded}", mime_type="image/svg+xml", sizes=["any"])


async def without_icons(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Keep the icon out of every result but the introduction (middleware).

    From 2026-07-28 on the SDK stamps each result with who made it; the icon there would weigh more
    than many answers.
    """
    result = await call_next(ctx)
    if ctx.method != "server/discover" and isinstance(result, dict):
        meta = result.get("_meta")
        stamp = meta.get(types.SERVER_INFO_META_KEY) if isinstance(meta, Mapping) else None
        if isinstance(stamp, dict):
            stamp.pop("icons", None)
    return result


def write_instructions(tools: Iterable[Tool[Any]]) -> str:
    """Return what a host tells its model of this server.

    By default it is all that Claude Code gives a model beside the tools' names, until it looks one up.
    """
    uses = " ".join(f"{tool.name}: {tool.use}" for tool in tools if tool.use)
    return (
        f"Gemini models through RunAPI. {uses}\nEach question stands alone: send all context, or files by "
        "their paths. Several may be asked at once. Calls may take minutes: a result that says it is still "
        "running holds a handle; call get_result with it to wait for the rest, and do not ask again."
    )


_STATIC: Final[tuple[CacheableMethod, ...]] = (
    "tools/list",
    "resources/templates/list",
    "prompts/list",
    "server/discover",
)
"""What never changes while the process lives, and is the same for all."""
_HINTS: Final[dict[CacheableMethod, CacheHint]] = {
    **dict.fromkeys(_STATIC, CacheHint(ttl_ms=3_600_000, scope="public")),
    "resources/list": CacheHint(ttl_ms=3_600_000, scope="private"),
}


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
        instructions=write_instructions(tools.values()),
        website_url="https://runapi.ai",
        icons=[icon()],
        cache_hints=_HINTS,
        on_list_tools=guard(handlers.list_tools),
        on_list_resources=guard(handlers.list_resources),
        on_list_resource_templates=guard(handlers.list_templates),
        on_read_resource=guard(handlers.read_resource),
        on_list_prompts=guard(handlers.list_prompts),
        on_get_prompt=guard(handlers.get_prompt),
        on_completion=guard(handlers.complete),
    )
    server.middleware += [without_icons, with_object]
    # Not on_call_tool: a call may become a task, which is not a CallToolResult.
    server.add_request_handler("tools/call", types.CallToolRequestParams, guard(handlers.call_tool))
    serve_tasks(server, tasks)
    return server
