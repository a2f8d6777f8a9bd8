"""A fleet of real server processes behind a proxy that gives each new connection to the next of them."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from anyio.abc import Process, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from messages import Message, tool_call
from network.raw_web import modern_headers
from server.hosting import CANARY, server_env

NOTHING: Mapping[str, str] = {}


@dataclass
class Server:
    """One process of the fleet."""

    process: Process
    port: int
    log: list[bytes] = field(default_factory=list)

    def kill(self) -> None:
        """End it so that it can do nothing more."""
        self.process.kill()


@dataclass(frozen=True)
class Said:
    """What a call gave, and how far its progress came.

    Attributes:
        text: All of it.
        answer: The answer as far as it came, without the server's own words, which come last.
    """

    text: str
    answer: str
    receipt: Message
    is_error: bool
    progress: list[str]

    @property
    def handle(self) -> str:
        handle: str = self.receipt["handle"]
        return handle

    @property
    def status(self) -> str:
        status: str = self.receipt["status"]
        return status


class Fleet:
    """Servers, and the one address at which they are reached."""

    def __init__(self, servers: list[Server], port: int) -> None:
        self.servers = servers
        self.served: list[int] = []
        """Which server each connection went to, oldest first."""
        self.url = f"http://127.0.0.1:{port}"
        self._next = 0

    async def post(self, message: Message, token: str = "") -> httpx.Response:
        """Send a message over a connection of its own, so to the next server."""
        headers = modern_headers(message) | ({"Authorization": f"Bearer {token}"} if token else {})
        async with httpx.AsyncClient(timeout=30) as http:
            return await http.post(f"{self.url}/mcp", json=message, headers=headers)

    async def call(self, tool: str, /, token: str = "", **arguments: Any) -> Said:
        """Call a tool on the next server."""
        answer = await self.post(tool_call(1, tool, modern=True, **arguments), token)
        assert answer.status_code == 200, answer.text
        assert CANARY not in answer.text
        heard = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        result = heard[-1]["result"]
        progress = [m["params"]["message"] for m in heard if m.get("method") == "notifications/progress"]
        blocks = [block["text"] for block in result["content"]]
        receipt = result.get("_meta", {}).get("ai.runapi/receipt", {})
        text, before = "\n".join(blocks), "\n".join(blocks[:-1])
        return Said(text, before, receipt, result.get("isError", False), progress)

    async def connected(self, client: SocketStream) -> None:
        """Join one connection to the next server that takes it."""
        async with client:
            for _ in self.servers:
                index = self._next
                self._next = (index + 1) % len(self.servers)
                try:
                    server = await anyio.connect_tcp("127.0.0.1", self.servers[index].port)
                except OSError:
                    continue
                self.served.append(index)
                async with server, anyio.create_task_group() as tasks:
                    tasks.start_soon(_copied, client, server, tasks.cancel_scope)
                    tasks.start_soon(_copied, server, client, tasks.cancel_scope)
                return


async def _copied(source: SocketStream, sink: SocketStream, both: anyio.CancelScope) -> None:
    try:
        async for piece in source:
            await sink.send(piece)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    both.cancel()


@asynccontextmanager
async def fleet(
    upstream_url: str, store: str, *flags: str, size: int = 3, env: Mapping[str, str] = NOTHING
) -> AsyncIterator[Fleet]:
    """Start servers on one store, and the proxy before them; at the end their logs are searched."""
    ours = server_env(upstream_url, {"RUNAPI_MCP_STORE": store, "RUNAPI_MCP_LOG": "info", **env})
    servers: list[Server] = []
    command = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0", *flags]
    async with anyio.create_task_group() as tasks:
        try:
            for _ in range(size):
                process = await anyio.open_process(command, env=os.environ | ours, stdin=None)
                servers.append(Server(process, 0))
            for server in servers:
                await _listening(server)
                tasks.start_soon(_drained, server)
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            async with listener, anyio.create_task_group() as serving:
                one = Fleet(servers, listener.extra(SocketAttribute.local_port))
                serving.start_soon(listener.serve, one.connected)
                yield one
                serving.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                for server in servers:
                    await _ended(server)
            tasks.cancel_scope.cancel()
    for server in servers:
        log = b"".join(server.log).decode()
        assert "Traceback" not in log, log
        assert CANARY not in log


async def _listening(server: Server) -> None:
    assert server.process.stderr is not None
    lines = BufferedByteReceiveStream(server.process.stderr)
    with anyio.fail_after(60):
        while not (found := re.search(rb"http://\S+?:(\d+)/mcp", b"".join(server.log))):
            try:
                server.log.append(await lines.receive())
            except anyio.EndOfStream:
                raise AssertionError(b"".join(server.log).decode()) from None
    server.port = int(found[1])


async def _drained(server: Server) -> None:
    assert server.process.stderr is not None
    async for piece in server.process.stderr:
        server.log.append(piece)


async def _ended(server: Server) -> None:
    if server.process.returncode is None:
        server.process.terminate()
        with anyio.move_on_after(5):
            await server.process.wait()
    if server.process.returncode is None:
        server.process.kill()
    await server.process.wait()
    await server.process.aclose()
