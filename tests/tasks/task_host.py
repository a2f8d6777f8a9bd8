"""A 2026-07-28 host that knows tasks and speaks raw JSON-RPC, to a server process or to one in this."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
from anyio.streams.buffered import BufferedByteReceiveStream
from forked import forked
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from messages import ENVELOPE, META, Message, line, request
from server.hosting import server_env

from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.server.tasks import TaskSource
from runapi_mcp.settings import from_env
from runapi_mcp.tools import TOOLS, Tool

TASKS = "io.modelcontextprotocol/tasks"
PATIENCE = 20.0


class TaskHost:
    """Asks one thing at a time; what is no answer to it is passed over."""

    def __init__(
        self,
        send: Callable[[Message], Awaitable[None]],
        receive: Callable[[], Awaitable[Message]],
        name: str | None = None,
    ) -> None:
        self._send = send
        self._receive = receive
        self._info = {f"{META}clientInfo": {"name": name, "version": "1"}} if name else {}
        self._next = 0
        self.kill: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        """Ends the server so that it can do nothing more, where it is a process of its own."""

    async def ask(self, method: str, *, declares: bool = True, **params: Any) -> Message:
        self._next += 1
        declared: Message = {"extensions": {TASKS: {}} if declares else {}}
        meta = ENVELOPE | {f"{META}clientCapabilities": declared} | self._info
        with anyio.fail_after(PATIENCE):
            await self._send(request(self._next, method, params | {"_meta": meta}))
            while (answer := await self._receive()).get("id") != self._next:
                pass
        return answer

    async def call(self, tool: str, *, declares: bool = True, **arguments: Any) -> Message:
        answer = await self.ask("tools/call", declares=declares, name=tool, arguments=arguments)
        result: Message = answer["result"]
        return result

    async def task(self, task_id: str) -> Message:
        task: Message = (await self.ask("tasks/get", taskId=task_id))["result"]
        return task

    async def ended(self, task_id: str) -> Message:
        with anyio.fail_after(PATIENCE):
            while (task := await self.task(task_id))["status"] == "working":
                pass
        return task


@asynccontextmanager
async def spawned(base_url: str, **env: str) -> AsyncIterator[TaskHost]:
    """A host of a real server process."""
    process = await anyio.open_process(forked(), env=os.environ | server_env(base_url, env), stderr=None)
    async with process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        lines = BufferedByteReceiveStream(stdout)

        async def send(message: Message) -> None:
            await stdin.send(line(message))

        async def receive() -> Message:
            message: Message = json.loads(await lines.receive_until(b"\n", 1 << 24))
            return message

        async def kill() -> None:
            process.kill()
            # Only when its stdout is closed is it dead: one that is still to be killed would see its stdin
            # close, and leave in good order.
            with suppress(anyio.EndOfStream):
                while True:
                    await stdout.receive()

        try:
            host = TaskHost(send, receive)
            host.kill = kill
            yield host
        finally:
            with suppress(ProcessLookupError):
                process.terminate()


@asynccontextmanager
async def beside(
    base_url: str,
    *,
    name: str | None = None,
    tools: Mapping[str, Tool[Any]] = TOOLS,
    tasks: TaskSource | None = None,
    **env: str,
) -> AsyncIterator[TaskHost]:
    """A host of a server in this process; RunAPI is still on its socket."""
    to_server, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_host, from_server = anyio.create_memory_object_stream[SessionMessage](16)

    async def send(message: Message) -> None:
        await to_server.send(SessionMessage(jsonrpc_message_adapter.validate_python(message)))

    async def receive() -> Message:
        received = await from_server.receive()
        return received.message.model_dump(by_alias=True, mode="json", exclude_unset=True)

    async with (
        open_app(from_env(server_env(base_url, env))) as app,
        from_server,
        anyio.create_task_group() as running,
    ):
        server = build_server(app, tools=tools, tasks=tasks)
        running.start_soon(server.run, from_host, to_host, server.create_initialization_options())
        async with to_server:
            yield TaskHost(send, receive, name)
