"""Servers on real sockets, in a process of their own or in this one, and every way to reach them."""

import os
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from forked import FRESH
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from server.hosting import CANARY, NOTHING, PATIENCE, Heard, Host, server_env

from runapi_mcp.server.app import open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import SeenCall, Simulator
from runapi_mcp.transports.http.auth import Auth
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.serve import listening, shared_settings

NETWORK = ("http-2026", "http-2025", "sse")
"""The ways over the network, as the parameters of tests name them."""

Measured = Callable[[str, SeenCall, float], None]
"""Told what ended a call, the call as RunAPI saw it, and when it was ended."""


@dataclass
class WebServer:
    """A server process, and all it wrote to stderr."""

    base_url: str
    process: Process
    noise: list[bytes] = field(default_factory=list)

    @property
    def log(self) -> str:
        return b"".join(self.noise).decode()

    async def leaves(self) -> None:
        """Wait for a clean exit, in less time than a call here or the draining would take."""
        with anyio.fail_after(PATIENCE):
            assert await self.process.wait() == 0, self.log


@asynccontextmanager
async def web_server(
    upstream_url: str, *flags: str, before: Sequence[str] = (), program: Sequence[str] = FRESH, **env: str
) -> AsyncIterator[WebServer]:
    """`runapi-mcp serve --http` as a process; at the end its log is searched for the key."""
    command = [*before, *program, "serve", "--http", "--port", "0", *flags]
    process = await anyio.open_process(command, env=os.environ | server_env(upstream_url, env), stdin=None)
    assert process.stderr is not None
    lines = BufferedByteReceiveStream(process.stderr)
    server = WebServer("", process)
    async with process, anyio.create_task_group() as tasks:
        try:
            with anyio.fail_after(PATIENCE):
                said = (await lines.receive_until(b"/sse)", 10_000)).decode()
            found = re.search(r"http://\S+?(?=/mcp)", said)
            assert found, said
            server.base_url = found[0]
            tasks.start_soon(_drain, lines, server.noise)
            yield server
        finally:
            if process.returncode is None:
                process.terminate()
                with anyio.move_on_after(5, shield=True):
                    await process.wait()
            tasks.cancel_scope.cancel()
    assert "Traceback" not in server.log, server.log
    assert CANARY not in server.log


async def _drain(lines: BufferedByteReceiveStream, noise: list[bytes]) -> None:
    try:
        while True:
            noise.append(await lines.receive())
    except anyio.EndOfStream:
        pass


@asynccontextmanager
async def served(
    sim: Simulator, auth: Auth | None = None, *, env: Mapping[str, str] = NOTHING, **options: Any
) -> AsyncIterator[str]:
    """The URL of a server in this process."""
    settings = shared_settings(from_env(server_env(sim.base_url, env)), auth)
    async with open_app(settings) as app, listening(app, HttpOptions(port=0, **options), auth) as server:
        yield server.base_url


@asynccontextmanager
async def web_host(
    kind: str, base_url: str, *, name: str | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Host]:
    """The SDK's client, over the network; what the server said is searched for the key."""
    info = types.Implementation(name=name, version="1") if name else None
    mode = "2026-07-28" if kind == "http-2026" else "legacy"
    async with create_mcp_http_client(headers=dict(headers or {})) as http:
        if kind == "sse":
            transport = sse_client(f"{base_url}/sse", headers=dict(headers or {}))
        else:
            transport = streamable_http_client(f"{base_url}/mcp", http_client=http)
        heard = Heard()
        async with Client(transport, mode=mode, client_info=info, message_handler=heard) as client:
            host = Host(client, heard=heard)
            yield host
    assert not [line for line in host.said if CANARY in line]
