"""Generations as tasks: the same handle, the same state, in the protocol's own words."""

from collections.abc import Mapping
from typing import Any, Final

from runapi_mcp.errors import RunapiError
from runapi_mcp.generations import Followable
from runapi_mcp.progress import progress_line
from runapi_mcp.server.app import App
from runapi_mcp.server.boundary import bounded, error_data
from runapi_mcp.server.caller import Context
from runapi_mcp.server.rendering import rendered
from runapi_mcp.server.tasks import TaskState, Wire
from runapi_mcp.tools import Page, Reply, Tool

_POLL_MS: Final = 2_000


class GenerationTasks:
    """The tasks of the product: every generation that was handed over."""

    def __init__(self, app: App, tools: Mapping[str, Tool[Any]]) -> None:
        self._app = app
        self._tools = tools

    async def state(self, task_id: str, ctx: Context) -> TaskState:
        """Return a generation as a task; see :meth:`TaskSource.state`.

        A generation that ended in an error of RunAPI's is completed, with that as its result; one that a
        bug of ours ended has failed.
        """
        run = self._app.run(ctx)
        generation = await run.find(task_id)
        common = (generation.created, generation.updated, self._app.generations.keep_ms, _POLL_MS)
        if generation.status == "running":
            return TaskState(task_id, "working", *common, message=progress_line(generation.evidence()))
        if generation.status == "cancelled":
            return TaskState(task_id, "cancelled", *common)
        try:
            with bounded(ctx.method):
                result = rendered(self._reply(generation, run.page_chars))
        except RunapiError as error:
            return TaskState(task_id, "failed", *common, error=error_data(error))
        return TaskState(task_id, "completed", *common, result=result)

    async def delivered(self, task_id: str, ctx: Context) -> None:
        """Note that the result was given to its caller; see :meth:`TaskSource.delivered`."""
        await (await self._app.run(ctx).find(task_id)).deliver()

    async def cancel(self, task_id: str, ctx: Context) -> None:
        """Cancel a generation; see :meth:`TaskSource.cancel`."""
        await (await self._app.run(ctx).find(task_id)).stop()

    async def answer(self, task_id: str, responses: Mapping[str, Wire], ctx: Context) -> None:
        """Ignore responses: no task of ours ever asks for input."""
        del responses
        await self._app.run(ctx).find(task_id)

    def _reply(self, generation: Followable, limit: int) -> Reply:
        """Return what the tool that began an ended generation says of it, in a page of `limit` characters."""
        view = generation.view()
        render = self._tools[view.job.tool].render
        assert render is not None, "only tools that render start generations"
        return render(view, Page(limit=limit))
