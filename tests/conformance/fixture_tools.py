"""The suite's fixed tool names as tools of our own layer, and jobs that are tasks."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import mcp_types as types
from pydantic import Field

from runapi_mcp.errors import HandleError, RunapiError
from runapi_mcp.generations.values import Receipt
from runapi_mcp.request import Run
from runapi_mcp.server.boundary import Context
from runapi_mcp.server.tasks import TaskState, TaskStatus, Wire
from runapi_mcp.tools import Args, Reply, Tool

RUNNING = Receipt("fixture", "chat", "running", False, None, None, None, None, 0, 0, 0, 1, None)
CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}


class Nothing(Args):
    """No arguments."""


class Greeting(Args):
    name: str


class Computing(Args):
    seconds: float = 0
    label: str = ""


class Filename(Args):
    filename: str = ""


class Headed(Args):
    region: str = Field(json_schema_extra={"x-mcp-header": "Region"})


class Prompted(Args):
    prompt: str


class Messaged(Args):
    message: str


class Rich(Args):
    """Arguments whose schema uses what JSON Schema 2020-12 has."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        del args, kwargs
        address = {"street": {"type": "string"}, "city": {"type": "string"}}
        by_phone = {"contactMethod": {"const": "phone"}}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": address}},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": by_phone, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": False,
        }


@dataclass
class Job:
    """One task: it ends when its time has come and nothing is asked of its client any more."""

    seconds: float
    outcome: types.CallToolResult | types.ErrorData
    asks: dict[str, Wire] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: bool = False

    @property
    def status(self) -> TaskStatus:
        if self.cancelled:
            return "cancelled"
        if self.asks:
            return "input_required"
        if datetime.now(UTC) < self.began + timedelta(seconds=self.seconds):
            return "working"
        return "failed" if isinstance(self.outcome, types.ErrorData) else "completed"


class Jobs:
    """Where the fixture's tasks come from."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def begin(self, job: Job) -> str:
        handle = secrets.token_urlsafe(18)
        self._jobs[handle] = job
        return handle

    async def state(self, task_id: str, ctx: Context) -> TaskState:
        del ctx
        job = self._find(task_id)
        state = TaskState(task_id, job.status, job.began, job.began, ttl=60_000, poll=200)
        if isinstance(job.outcome, types.ErrorData):
            return replace(state, error=job.outcome, input_requests=job.asks)
        return replace(state, result=job.outcome, input_requests=job.asks)

    async def note_delivery(self, task_id: str, ctx: Context) -> None:
        del ctx
        self._find(task_id)

    async def cancel(self, task_id: str, ctx: Context) -> None:
        del ctx
        job = self._find(task_id)
        job.cancelled = job.cancelled or job.status in ("working", "input_required")

    async def answer(self, task_id: str, responses: Mapping[str, Wire], ctx: Context) -> None:
        del ctx
        for key in responses:
            self._find(task_id).asks.pop(key, None)

    def _find(self, task_id: str) -> Job:
        if task_id not in self._jobs:
            raise HandleError(f"There is no task {task_id!r}.")
        return self._jobs[task_id]


def texts(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)


def elicitation(message: str, schema: Wire) -> Wire:
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def tool(name: str, args: type[Args], perform: Callable[[Any, Run], Awaitable[Reply]]) -> Tool[Any]:
    return Tool(name, name.replace("_", " "), f"Fixture of the conformance suite: {name}.", args, perform)


def our_tools(jobs: Jobs) -> list[Tool[Any]]:
    """The tools that our own layer serves from end to end."""

    async def simple(_args: Nothing, _run: Run) -> Reply:
        return Reply("This is a simple text response for testing.")

    async def failing(_args: Nothing, _run: Run) -> Reply:
        raise RunapiError("This tool intentionally returns an error for testing.")

    async def with_progress(_args: Nothing, run: Run) -> Reply:
        for _ in range(3):
            await anyio.sleep(0.05)
            await run.begin("working")
        return Reply("It reported progress.")

    async def schema(_args: Rich, _run: Run) -> Reply:
        return Reply("Its schema is what counts.")

    async def headed(args: Headed, _run: Run) -> Reply:
        return Reply(f"The region is {args.region}.")

    async def greet(args: Greeting, _run: Run) -> Reply:
        return Reply(f"Hello, {args.name}!")

    async def compute(args: Computing, _run: Run) -> Reply:
        return _task(Job(args.seconds, texts(f"Computed {args.label} for {args.seconds} s.")))

    async def tool_error(_args: Nothing, _run: Run) -> Reply:
        return _task(Job(0.2, texts("The job failed.", is_error=True)))

    async def protocol_error(_args: Nothing, _run: Run) -> Reply:
        return _task(Job(0.2, types.ErrorData(code=types.INTERNAL_ERROR, message="The job broke.")))

    async def confirm(args: Filename, _run: Run) -> Reply:
        asks = {"confirm": elicitation(f"Delete {args.filename}?", CONFIRM)}
        return _task(Job(0, texts(f"Deleted {args.filename}."), asks))

    async def several(_args: Nothing, _run: Run) -> Reply:
        asks = {key: elicitation(f"What is {key}?", CONFIRM) for key in ("first", "second")}
        return _task(Job(0, texts("Both were answered."), asks))

    def _task(job: Job) -> Reply:
        return Reply("It goes on.", receipt=RUNNING, handle=jobs.begin(job))

    return [
        tool("test_simple_text", Nothing, simple),
        tool("test_error_handling", Nothing, failing),
        tool("test_tool_with_progress", Nothing, with_progress),
        tool("json_schema_2020_12_tool", Rich, schema),
        tool("test_x_mcp_header", Headed, headed),
        tool("greet", Greeting, greet),
        tool("slow_compute", Computing, compute),
        tool("failing_job", Nothing, tool_error),
        tool("protocol_error_job", Nothing, protocol_error),
        tool("confirm_delete", Filename, confirm),
        tool("multi_input", Nothing, several),
    ]
