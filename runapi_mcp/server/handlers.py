"""Answers to MCP requests, from our tools, prompts and resources."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from runapi_mcp.errors import HandleError, RunapiError
from runapi_mcp.server.app import App
from runapi_mcp.server.boundary import bounded, error_reply
from runapi_mcp.server.caller import Context
from runapi_mcp.server.completion import completed
from runapi_mcp.server.journal import Entry, logged
from runapi_mcp.server.listing import listed_tools
from runapi_mcp.server.prompts import listed_prompts, written
from runapi_mcp.server.rendering import rendered
from runapi_mcp.server.resources import listed_resources, listed_templates, read
from runapi_mcp.server.tasks import TaskSource, Wire, declared
from runapi_mcp.tools import Args, Tool, taught


class Handlers:
    """One method for each kind of request; what they raise is the boundary's to tell."""

    def __init__(self, app: App, tools: Mapping[str, Tool[Any]], tasks: TaskSource) -> None:
        self._app = app
        self._tools = tools
        self._tasks = tasks
        self._listed = listed_tools(tools.values())

    async def list_tools(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Return the tools; there are too few for pages."""
        return types.ListToolsResult(tools=self._listed)

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | Wire:
        """Return a tool's result; or, where the client knows tasks and it is not done, a task.

        Raises:
            MCPError: There is no such tool.
        """
        tool = self._tools.get(params.name)
        if tool is None:
            message = f"Unknown tool: {params.name[:60]!r}. Tools: {', '.join(self._tools)}."
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        arguments = params.arguments or {}
        with logged(tool.name, ctx.request_id, arguments) as entry:
            try:
                with bounded(tool.name):
                    return await self._called(tool, arguments, ctx, entry)
            except RunapiError as error:
                reply = error_reply(error)
                entry.replied(reply)
                return rendered(reply)

    async def _called(
        self, tool: Tool[Any], arguments: Mapping[str, Any], ctx: Context, entry: Entry
    ) -> types.CallToolResult | Wire:
        args = _validated(tool, arguments)
        run = self._app.run(ctx)
        await run.begin(tool.opening)
        reply = await tool.perform(args, run)
        entry.replied(reply)
        if reply.running and reply.handle and declared(ctx):
            with suppress(HandleError):  # where no task can be had, the handle will do
                return (await self._tasks.state(reply.handle, ctx)).created_result()
        return rendered(reply)

    async def list_resources(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that exist for every caller."""
        return types.ListResourcesResult(resources=listed_resources())

    async def list_templates(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the resources that exist once a handle was given out."""
        return types.ListResourceTemplatesResult(resource_templates=listed_templates())

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return what a resource holds; see :func:`read`."""
        return await read(str(params.uri), self._app.run(ctx), self._app.upstream.listed)

    async def list_prompts(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Return the prompts."""
        return types.ListPromptsResult(prompts=listed_prompts())

    async def get_prompt(self, _ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return a prompt with its arguments put in; see :func:`written`."""
        return written(params.name, params.arguments or {})

    async def complete(self, _ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Return what an argument of a prompt may become; see :func:`completed`."""
        live = self._app.upstream.listed
        return types.CompleteResult(completion=completed(params.ref, params.argument, live))


def _validated(tool: Tool[Any], arguments: Mapping[str, Any]) -> Args:
    """Return a tool's arguments.

    Raises:
        InputError: They are not what it takes.
    """
    try:
        args: Args = tool.args.model_validate(arguments)
    except ValidationError as error:
        raise taught(error, tool.args) from None
    return args
