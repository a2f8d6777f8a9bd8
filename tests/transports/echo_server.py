"""A small real server for the stdio tests: ``python echo_server.py``, one tool for each way to misbehave."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from runapi_mcp.transports.stdio.pipes import claim_stdio
from runapi_mcp.transports.stdio.serve import serve_stdio

Context = ServerRequestContext[Any]


def mark(trace: str, event: str) -> None:
    Path(trace, event).touch()


async def echo(_: Context, text: str) -> str:
    return text


async def slow(_: Context, trace: str) -> str:
    """Never answers; leaves a file behind when it has begun, and one when it was cancelled."""
    mark(trace, "begun")
    try:
        await anyio.sleep_forever()
    finally:
        mark(trace, "cancelled")
    return "unreachable"


async def stuck(_: Context, trace: str) -> str:
    """Blocks a worker thread, out of reach of cancellation."""
    mark(trace, "begun")
    await anyio.to_thread.run_sync(time.sleep, 30)
    return "unreachable"


async def spin(_: Context, trace: str, on: str) -> str:
    """Computes for minutes on the event loop; a regular expression keeps all threads from running."""
    mark(trace, "begun")
    if on == "regex":
        re.match(r"(a+)+$", "a" * 60 + "b")
    while True:
        pass


async def flood(ctx: Context, notes: str) -> str:
    for number in range(int(notes)):
        await ctx.session.report_progress(number, message="x" * 100)
    return f"{notes} reported"


async def noisy(_: Context, text: str) -> str:
    print("a stray print", flush=True)
    os.write(1, b"a stray write\n")
    subprocess.run(["sh", "-c", "echo a stray child; cat"], check=True)  # noqa: ASYNC221
    return text


async def big(_: Context, size: str) -> str:
    return "x" * int(size)


async def torn(_: Context, text: str) -> str:
    return f"{text}\ud83d"


async def linger(_: Context, trace: str) -> str:
    """Makes the process take its time after serving, and leave a file when that begins."""
    LINGERING.append(trace)
    return trace


LINGERING: list[str] = []
TOOLS = {tool.__name__: tool for tool in (echo, slow, stuck, spin, flood, noisy, big, torn, linger)}


async def list_tools(_: Context, __: t.PaginatedRequestParams | None) -> t.ListToolsResult:
    await anyio.sleep(0.05)  # a list that takes its time
    return t.ListToolsResult(tools=[t.Tool(name=name, input_schema={"type": "object"}) for name in TOOLS])


async def call_tool(ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
    text = await TOOLS[params.name](ctx, **(params.arguments or {}))
    return t.CallToolResult(content=[t.TextContent(text=text)])


server = Server("echo", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


if __name__ == "__main__":
    claim_stdio()
    print("a stray print before there is a server")
    anyio.run(serve_stdio, server)
    for trace in LINGERING:
        mark(trace, "served")
        time.sleep(0.2)
