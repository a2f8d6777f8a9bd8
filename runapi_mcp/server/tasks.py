"""The tasks extension (SEP-2663, revision 2026-07-28): a handle that the protocol itself knows."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field
from starlette.requests import Request

from runapi_mcp.errors import RunapiError
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import Followable
from runapi_mcp.progress import progress_line
from runapi_mcp.request import Run
from runapi_mcp.server.boundary import (
    TASKS,
    Context,
    bounded,
    declares_tasks,
    error_data,
    guard,
    render_reply,
)
from runapi_mcp.tools import Page, Reply, Tool, make_reply

TaskStatus: TypeAlias = Literal["working", "input_required", "completed", "cancelled", "failed"]
Wire: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task as it stands. Times are the wall clock's; `ttl` and `poll` are milliseconds.

    `whole` is whether its result gives all there is, and not a first page.
    """

    id: str
    status: TaskStatus
    created: datetime
    updated: datetime
    ttl: int
    poll: int
    message: str = ""
    result: types.CallToolResult | None = None
    whole: bool = True
    error: types.ErrorData | None = None
    input_requests: Mapping[str, Wire] = field(default_factory=dict)

    def write_flat(self) -> Wire:
        """Return what every shape of a task holds."""
        return {
            "taskId": self.id,
            "status": self.status,
            **({"statusMessage": self.message} if self.message else {}),
            "createdAt": _timestamp(self.created),
            "lastUpdatedAt": _timestamp(self.updated),
            "ttlMs": self.ttl,
            "pollIntervalMs": self.poll,
        }

    def write_created(self) -> Wire:
        """Return it as the result of the call that became a task."""
        return {"resultType": "task"} | self.write_flat()

    def write_detailed(self) -> Wire:
        """Return it as the result of ``tasks/get``, with what its status adds."""
        wire: Wire = {"resultType": "complete"} | self.write_flat()
        if self.status == "completed" and self.result is not None:
            wire["result"] = self.result.model_dump(by_alias=True, mode="json", exclude_none=True)
        if self.status == "failed" and self.error is not None:
            wire["error"] = self.error.model_dump(by_alias=True, mode="json", exclude_none=True)
        if self.status == "input_required":
            wire["inputRequests"] = dict(self.input_requests)
        return wire


class TaskSource(Protocol):
    """Where tasks come from."""

    async def state(self, task_id: str, ctx: Context) -> TaskState:
        """Return a task of the caller's as it stands, and change nothing.

        Raises:
            HandleError: There is none.
        """

    async def note_delivery(self, task_id: str, ctx: Context) -> None:
        """Note that the result of a completed task was made ready for its caller.

        Raises:
            HandleError: There is no such task.
        """

    async def cancel(self, task_id: str, ctx: Context) -> None:
        """Stop a task of the caller's; does nothing once it has ended.

        Raises:
            HandleError: There is none.
        """

    async def answer(self, task_id: str, responses: Mapping[str, Wire], ctx: Context) -> None:
        """Take the client's responses to a task's requests; unknown keys are ignored.

        Raises:
            HandleError: There is no such task.
        """


class TaskParams(types.RequestParams):
    """Parameters of ``tasks/get`` and ``tasks/cancel``."""

    task_id: str = Field(alias="taskId")


class UpdateParams(TaskParams):
    """Parameters of ``tasks/update``."""

    input_responses: dict[str, Wire] = Field(alias="inputResponses")


T = TypeVar("T", bound=TaskParams)


def serve_tasks(server: Server[Any], source: TaskSource) -> None:
    """Advertise the extension on `server` and serve its methods from `source`."""

    async def get(ctx: Context, params: TaskParams) -> Wire:
        state = await source.state(params.task_id, ctx)
        detailed = state.write_detailed()
        if state.status == "completed" and state.whole:
            await source.note_delivery(params.task_id, ctx)
        return detailed

    async def update(ctx: Context, params: UpdateParams) -> Wire:
        await source.answer(params.task_id, params.input_responses, ctx)
        return {"resultType": "complete"}

    async def cancel(ctx: Context, params: TaskParams) -> Wire:
        await source.cancel(params.task_id, ctx)
        return {"resultType": "complete"}

    server.extensions[TASKS] = {}
    server.add_request_handler("tasks/get", TaskParams, guard(_gate(get)))
    server.add_request_handler("tasks/update", UpdateParams, guard(_gate(update)))
    server.add_request_handler("tasks/cancel", TaskParams, guard(_gate(cancel)))


def _gate(handler: Callable[[Context, T], Awaitable[Wire]]) -> Callable[[Context, T], Awaitable[Wire]]:
    """Return a handler that only requests reach which may use the extension."""

    async def gated(ctx: Context, params: T) -> Wire:
        _check(ctx, params.task_id)
        return await handler(ctx, params)

    return gated


def _check(ctx: Context, task_id: str) -> None:
    """Refuse a request of another era, one for another task than it says, and one that does not declare.

    Raises:
        MCPError: It is one of these.
    """
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(code=types.METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
    # The SDK checks the routing header of the methods it knows; over stdio there is none.
    if isinstance(ctx.request, Request) and ctx.request.headers.get("mcp-name") != task_id:
        raise MCPError(code=types.HEADER_MISMATCH, message="The Mcp-Name header is not the taskId.")
    if not declares_tasks(ctx):
        raise MCPError(
            code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            message=f"This request does not declare the extension {TASKS}.",
            data={"requiredCapabilities": {"extensions": {TASKS: {}}}},
        )


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_POLL_MS: Final = 2_000


class GenerationTasks:
    """The tasks of the product: every generation that was handed over."""

    def __init__(
        self, run: Callable[[Context], Run], generations: Generations, tools: Mapping[str, Tool[Any]]
    ) -> None:
        self._run = run
        self._generations = generations
        self._tools = tools

    async def state(self, task_id: str, ctx: Context) -> TaskState:
        """Return a generation as a task; see :meth:`TaskSource.state`.

        A generation that ended in an error of RunAPI's is completed, with that as its result; one that a
        bug of ours ended has failed.
        """
        run = self._run(ctx)
        generation = await run.find(task_id)
        common = (generation.created, generation.updated, self._generations.keep_ms, _POLL_MS)
        if generation.status == "running":
            return TaskState(task_id, "working", *common, message=progress_line(generation.evidence()))
        if generation.status == "cancelled":
            return TaskState(task_id, "cancelled", *common)
        try:
            with bounded(ctx.method):
                reply = await self._render(generation, run.page_chars)
                result = render_reply(reply)
        except RunapiError as error:
            return TaskState(task_id, "failed", *common, error=error_data(error))
        return TaskState(task_id, "completed", *common, result=result, whole=not reply.more)

    async def note_delivery(self, task_id: str, ctx: Context) -> None:
        """Note that the result was given to its caller; see :meth:`TaskSource.note_delivery`."""
        await (await self._run(ctx).find(task_id)).deliver()

    async def cancel(self, task_id: str, ctx: Context) -> None:
        """Cancel a generation; see :meth:`TaskSource.cancel`."""
        await (await self._run(ctx).find(task_id)).stop()

    async def answer(self, task_id: str, responses: Mapping[str, Wire], ctx: Context) -> None:
        """Ignore responses: no task of ours ever asks for input."""
        del responses
        await self._run(ctx).find(task_id)

    async def _render(self, generation: Followable, limit: int) -> Reply:
        """Return what the tool that began an ended generation says of it, in a page of `limit` characters."""
        view = generation.view()
        render = self._tools[view.job.tool].render
        assert render is not None, "only tools that render start generations"
        return await make_reply(render, view, Page(limit=limit))
