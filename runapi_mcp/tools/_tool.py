"""What a tool is: a value that names it, describes it, and turns arguments into a reply."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from runapi_mcp.errors import RunapiError
from runapi_mcp.generations import PLAIN, Course, Job, Receipt, View
from runapi_mcp.run import Run
from runapi_mcp.wire.types import JsonObject


class Given(BaseModel):
    """What a model wrote: nothing unknown is let through, and a null is the same as nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: value for name, value in given.items() if value is not None or name not in known}


class Args(Given):
    """Arguments of a tool."""


A = TypeVar("A", bound=Args)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a long text to give: at most `limit` characters, from `offset`."""

    limit: int
    offset: int = 0
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
    answer: str = ""
    """What it has to give, alone and whole: for those who say the rest in words of their own."""
    notes: tuple[str, ...] = ()
    """What must be said beside that, but for what is said of the generation and its handle."""
    error: RunapiError | None = None
    """Why it has less to give than was asked for, if an error of ours is why."""

    @property
    def running(self) -> bool:
        """Whether it stands for a generation that goes on, behind `handle`."""
        return self.receipt is not None and self.receipt.status == "running"


def _plain(_job: Job) -> Course:
    return PLAIN


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
        course: The course that a job of this tool takes, wherever the job comes from.
        output: JSON Schema of the structured half of its result, if it has one.
        idempotent: Whether calling it twice changes nothing and costs nothing.
        opening: Its first line of progress, reported before anything is done.
    """

    name: str
    title: str
    description: str
    args: type[A]
    perform: Callable[[A, Run], Awaitable[Reply]]
    render: Callable[[View, Page], Reply] | None = None
    course: Callable[[Job], Course] = _plain
    output: JsonObject | None = None
    idempotent: bool = False
    opening: str = "connecting"
