"""Generations as tasks: the same handle, the same state, in the protocol's own words."""

from collections.abc import Mapping
from typing import Any, Final

from runapi_mcp.generations import Followable, Generations
from runapi_mcp.progress import progress_line
from runapi_mcp.server.caller import caller_of
from runapi_mcp.server.rendering import rendered
from runapi_mcp.server.tasks import Context, TaskState, Wire
from runapi_mcp.tools import Page, Tool

_POLL_MS: Final = 2_000


class GenerationTasks:
    """The tasks of the product: every generation that was handed over."""

    def __init__(self, generations: Generations, tools: Mapping[str, Tool[Any]]) -> None:
        self._generations = generations
        self._tools = tools

    async def state(self, task_id: str, ctx: Context) -> TaskState:
        """Return a generation as a task; see :meth:`TaskSource.state`."""
        generation = await self._find(task_id, ctx)
        view = generation.view()
        common = (generation.created, generation.updated, self._generations.keep_ms, _POLL_MS)
        if view.status == "running":
            return TaskState(task_id, "working", *common, message=progress_line(generation.evidence()))
        if view.status == "cancelled":
            return TaskState(task_id, "cancelled", *common)
        render = self._tools[view.job.tool].render
        assert render is not None, "only tools that render start generations"
        await generation.deliver()
        return TaskState(task_id, "completed", *common, result=rendered(render(view, Page())))

    async def cancel(self, task_id: str, ctx: Context) -> None:
        """Cancel a generation; see :meth:`TaskSource.cancel`."""
        await (await self._find(task_id, ctx)).stop()

    async def answer(self, task_id: str, responses: Mapping[str, Wire], ctx: Context) -> None:
        """Ignore responses: no task of ours ever asks for input."""
        del responses
        await self._find(task_id, ctx)

    async def _find(self, task_id: str, ctx: Context) -> Followable:
        return await self._generations.find(task_id, caller_of(ctx).owner)
