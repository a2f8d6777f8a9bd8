"""What a tool is: a value that names it, describes it, and turns arguments into a reply."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from runapi_mcp.generations import Job, Receipt, View
from runapi_mcp.run import Run
from runapi_mcp.wire.types import JsonObject


class Args(BaseModel):
    """Arguments of a tool, as a model wrote them: nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


A = TypeVar("A", bound=Args)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a long text to give: from `offset`, at most `limit` characters."""

    offset: int = 0
    limit: int = 40_000
    joined: bool = False
    """Whether the call was joined to a generation that ran already."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool's result before it becomes MCP: text, facts for those who read facts, a receipt."""

    text: str
    structured: JsonObject | None = None
    is_error: bool = False
    receipt: Receipt | None = None
    handle: str | None = None
    code: str = ""
    """The stable code of an error of ours, for programs."""

    @property
    def running(self) -> bool:
        """Whether it stands for a generation that goes on, behind `handle`."""
        return self.receipt is not None and self.receipt.status == "running"


def _as_it_is(job: Job) -> Job:
    return job


@dataclass(frozen=True)
class Tool(Generic[A]):
    """One tool.

    Attributes:
        name: What hosts and models call it.
        title: What people see.
        description: When to use it, when not, and what comes back.
        args: The model of its arguments.
        perform: Carries it out.
        render: Makes the reply of a generation that this tool started, now or later; `None` for a
            tool that starts none.
        prepare: Gives a job of this tool its hooks, as `perform` does: those of a job that comes from
            another server are lost on the way.
        output: JSON Schema of the structured half of its result, if it has one.
        idempotent: Whether calling it twice changes nothing and costs nothing.
    """

    name: str
    title: str
    description: str
    args: type[A]
    perform: Callable[[A, Run], Awaitable[Reply]]
    render: Callable[[View, Page], Reply] | None = None
    prepare: Callable[[Job], Job] = _as_it_is
    output: JsonObject | None = None
    idempotent: bool = False
    open_world: bool = True
    example: JsonObject = field(default_factory=dict)
