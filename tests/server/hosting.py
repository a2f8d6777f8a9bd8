"""Hosts for tests: the SDK's client on a real server process, and one made of raw pipes."""

import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TextIO

import anyio
import mcp_types as types
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from forked import FRESH, forked
from mcp import Client, StdioServerParameters
from mcp.client import IncomingMessage
from mcp.client.stdio import stdio_client
from messages import ENVELOPE, INITIALIZE, INITIALIZED, Message, lines, request, tool_call

from runapi_mcp.server.app import App, build_server, open_app
from runapi_mcp.settings import from_env

CANARY = "sk-canary-0123456789"
"""The key that every server under test is given; it must never come back out of one."""
RECEIPT = "ai.runapi/receipt"
PATIENCE = 30.0  # seconds; far above anything a passing test needs
GENEROUS = 5.0  # seconds; what is promised is 50 ms, and the figures are printed
HALF = "This is a simulated answer"
"""What half an answer of the simulator begins with."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Note:
    """One progress notification, and when it came: seconds since the call was sent."""

    at: float
    progress: float
    total: float | None
    message: str


@dataclass(frozen=True)
class Called:
    """What a tool call gave."""

    result: types.CallToolResult
    notes: Sequence[Note]
    seconds: float

    @property
    def blocks(self) -> list[str]:
        """The blocks of the text half."""
        return [block.text for block in self.result.content if isinstance(block, types.TextContent)]

    @property
    def text(self) -> str:
        """The text half."""
        return "\n\n".join(self.blocks)

    @property
    def facts(self) -> dict[str, Any]:
        """The structured half."""
        assert self.result.structured_content is not None, self.text
        facts: dict[str, Any] = self.result.structured_content
        return facts

    @property
    def failed(self) -> bool:
        return bool(self.result.is_error)

    @property
    def code(self) -> str | None:
        """The error's stable code, if there is one."""
        code: str | None = (self.result.meta or {}).get("ai.runapi/error")
        return code

    @property
    def receipt(self) -> dict[str, Any]:
        receipt: dict[str, Any] = (self.result.meta or {})[RECEIPT]
        return receipt

    @property
    def handle(self) -> str:
        handle: str = self.receipt["handle"]
        return handle

    @property
    def messages(self) -> list[str]:
        """What was said, in order: the client tells of what comes in one read in any."""
        return [note.message for note in sorted(self.notes, key=lambda note: note.progress)]


class Heard(list[types.ProgressNotification]):
    """Every progress that comes, whether a call asked for it or not."""

    async def __call__(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ProgressNotification):
            self.append(message)


@dataclass
class Host:
    """A client that keeps everything the server says, to be searched for the key."""

    client: Client
    app: App | None = None
    said: list[str] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)

    async def call(self, tool: str, /, *, on_note: anyio.Event | None = None, **arguments: Any) -> Called:
        """Call a tool; `on_note` is set when the first progress comes."""
        notes: list[Note] = []
        began = time.monotonic()

        async def note(progress: float, total: float | None, message: str | None) -> None:
            notes.append(Note(time.monotonic() - began, progress, total, message or ""))
            if on_note is not None:
                on_note.set()

        result = await self.client.call_tool(tool, arguments, progress_callback=note)
        called = Called(result, notes, time.monotonic() - began)
        self.said += [result.model_dump_json(by_alias=True), *called.messages]
        return called

    async def silently(self, tool: str, /, **arguments: Any) -> Called:
        """Call a tool without a progress token."""
        began = time.monotonic()
        result = await self.client.call_tool(tool, arguments)
        self.said.append(result.model_dump_json(by_alias=True))
        return Called(result, (), time.monotonic() - began)


def server_env(base_url: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server on a simulated RunAPI; with `RUNAPI_TOKEN=""` it has no key."""
    return {"RUNAPI_TOKEN": CANARY, "RUNAPI_BASE_URL": base_url, "RUNAPI_MCP_STORE": "memory", **env}


@asynccontextmanager
async def hosted(
    base_url: str, *, mode: str = "auto", name: str | None = None, **env: str
) -> AsyncIterator[Host]:
    """A real server process and the SDK's client on it; at the end all it said is searched for the key."""
    program, *words = forked()
    server = StdioServerParameters(command=program, args=words, env=server_env(base_url, env))
    info = types.Implementation(name=name, version="1") if name else None
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "stderr").open("w+", encoding="utf-8") as stderr,
    ):
        heard = Heard()
        transport = stdio_client(server, stderr)
        async with Client(transport, mode=mode, client_info=info, message_handler=heard) as client:
            host = Host(client, heard=heard)
            # Hosts are greeted before everything is imported; what is measured here comes after that.
            await host.silently("get_result", handle="g_nobody")
            yield host
        _assert_clean(stderr, host.said)


@asynccontextmanager
async def in_process(
    base_url: str,
    env: Mapping[str, str] = NOTHING,
    *,
    mode: str = "legacy",
    clock: Callable[[], float] = anyio.current_time,
    **more: str,
) -> AsyncIterator[Host]:
    """The whole server in this process, on the SDK's client in memory; RunAPI is still on its socket."""
    settings = from_env(server_env(base_url, {**env, **more}))
    async with open_app(settings, clock=clock) as app, Client(build_server(app), mode=mode) as client:
        host = Host(client, app)
        yield host
    assert not [line for line in host.said if CANARY in line]


def _assert_clean(stderr: TextIO, said: Sequence[str]) -> None:
    stderr.seek(0)
    noise = stderr.read()
    assert "Traceback" not in noise, noise
    assert CANARY not in noise
    assert not [line for line in said if CANARY in line]


class RawHost:
    """A host that writes JSON lines into a real server process and reads what comes, line by line."""

    def __init__(self, process: Process, *, modern: bool) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.modern = modern
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._notes: list[Message] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()
            await self.process.aclose()

    async def open(self) -> Self:
        """Greet the server and wait until it is up."""
        if self.modern:
            await self.send(self.request(0, "server/discover"))
        else:
            await self.send(INITIALIZE, INITIALIZED)
        assert "result" in await self.answer(0)
        # Hosts are greeted before everything is imported; what is measured here comes after that.
        await self.call(0, "get_result", handle="g_nobody")
        await self.answer(0)
        return self

    def request(self, number: int, method: str, /, **params: Any) -> Message:
        return request(number, method, params | ({"_meta": ENVELOPE} if self.modern else {}))

    async def call(self, number: int, tool: str, /, **arguments: Any) -> None:
        """Send a tool call, with `p{number}` as its progress token."""
        await self.send(tool_call(number, tool, modern=self.modern, **arguments))

    async def cancel(self, number: int) -> None:
        params: Message = {"requestId": number, "reason": "the user stopped it"}
        await self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    async def send(self, *messages: Message) -> None:
        await self._stdin.send(lines(*messages))

    async def close_stdin(self) -> None:
        await self._stdin.aclose()

    async def receive(self, seconds: float = PATIENCE) -> Message:
        """The next message; every line must be one, and none may hold the key."""
        with anyio.fail_after(seconds):
            line = await self._stdout.receive_until(b"\n", 50_000_000)
        assert CANARY.encode() not in line
        message: Message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    async def progress(self, number: int) -> Message:
        """The next progress of a call; an answer before it is a failure."""
        while True:
            message = await self.receive()
            assert "method" in message, message
            if message["params"].get("progressToken") == f"p{number}":
                params: Message = message["params"]
                return params

    async def answer(self, number: int, seconds: float = PATIENCE) -> Message:
        """The next answer, past any notification; it must be this one."""
        with anyio.fail_after(seconds):
            while "method" in (message := await self.receive(seconds)):
                pass
        assert message["id"] == number, message
        return message

    async def leaves(self, within: float = 5.0) -> str:
        """Wait for a clean exit in time; returns what was written to stderr."""
        with anyio.fail_after(within):
            status = await self.process.wait()
        assert self.process.stderr is not None
        noise = b"".join([piece async for piece in self.process.stderr]).decode()
        assert status == 0, noise
        assert "Traceback" not in noise, noise
        assert CANARY not in noise
        return noise


@asynccontextmanager
async def raw_host(
    base_url: str, *, modern: bool = False, fresh: bool = False, **env: str
) -> AsyncIterator[RawHost]:
    """A real server process, greeted, on raw pipes; a `fresh` one is the process that a test sees."""
    program = FRESH if fresh else forked()
    process = await anyio.open_process(program, env=os.environ | server_env(base_url, env))
    async with RawHost(process, modern=modern) as host:
        yield await host.open()
