"""How many calls one replica holds, and what a call costs.

A real server process over Streamable HTTP; callers that ask for progress, each on a connection of
its own; an upstream that writes 20 pieces a second to each. While all of them run, the server's
memory, its processor time and how fast it answers a probe are measured.
"""

import time
from typing import Final

import anyio
import httpx

from benchmarks import served
from benchmarks.served import Served
from benchmarks.table import Row, Section, median
from benchmarks.upstream import Script

SCRIPT: Final = Script(chunks=2_000, pace=0.05)
"""What every call gets: 20 pieces a second, for longer than a measurement takes."""
_MEASURED: Final = 8.0


def section(base: str, *, quick: bool) -> Section:
    made = Section("How many calls one replica holds, each at 20 chunks/s, with progress")
    for calls in (50, 200) if quick else (1, 50, 100, 200, 400):
        with served.served(base, RUNAPI_MCP_MAX_RUNNING="10000") as server:
            made.rows.append(anyio.run(measure, server, calls))
    made.notes.append(
        "The callers and the upstream share the machine with the server: on one of its own it holds more. "
        "A probe is `/healthz`."
    )
    return made


async def call(server: Served, number: int, heard: list[int]) -> None:
    headers, body = served.call("ask_gemini", "p", prompt=f"Call {number} {SCRIPT}", wait_seconds=300)
    # Bare bytes: the caller shares the processor with the server, and is not what is measured.
    head = [f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    async with await anyio.connect_tcp("127.0.0.1", server.port) as line:
        await line.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        first = await line.receive()
        assert b" 200 OK" in first[:20], first
        async for piece in line:
            heard[number] += piece.count(b"data: {")


async def probes(server: Served, until: float) -> list[float]:
    taken = []
    async with httpx.AsyncClient(timeout=10) as http:
        while (began := time.monotonic()) < until:
            await http.get(f"{server.url}/healthz")
            taken.append((time.monotonic() - began) * 1000)
            await anyio.sleep(0.1)
    return taken


async def measure(server: Served, calls: int) -> Row:
    await probes(server, time.monotonic() + 0.5)
    empty, heard = server.resident(), [0] * calls
    async with anyio.create_task_group() as tasks:
        for number in range(calls):
            tasks.start_soon(call, server, number, heard)
            await anyio.sleep(0.004)
        await anyio.sleep(3)
        before, spent, began = sum(heard), server.cpu(), time.monotonic()
        taken = await probes(server, began + _MEASURED)
        seconds = time.monotonic() - began
        memory, processor = server.resident(), (server.cpu() - spent) / seconds
        notes = (sum(heard) - before) / calls / seconds
        tasks.cancel_scope.cancel()
    bounded = calls == 200
    return Row(
        f"{calls} calls: a probe, ms; lines of progress a second, each",
        f"{median(taken):.1f}; {notes:.1f}",
        [
            ("the longest probe, ms", f"{max(taken):.0f}"),
            ("processor", f"{processor:.0%}"),
            ("memory, MiB", f"{memory / 2**20:.0f}"),
            ("KiB each", f"{(memory - empty) / 1024 / calls:.0f}"),
        ],
        "≤ 20; 2" if bounded else "",
        median(taken) <= 20 and notes >= 1.95 if bounded else None,
    )
