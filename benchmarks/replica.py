"""How many calls one replica holds, and what a call costs.

A real server process over Streamable HTTP; callers that ask for progress, each on a connection of
its own; an upstream that writes 20 pieces a second to each. While all of them run, the server's
memory, its processor time and how fast it answers a probe are measured.
"""

import time
from contextlib import AbstractContextManager
from typing import Final

import anyio
import httpx

from benchmarks import served
from benchmarks.served import Served
from benchmarks.table import Row, Section, median
from benchmarks.upstream import Script

ENDLESS: Final = Script(chunks=2_000, pace=0.05)
"""20 pieces a second, for longer than a measurement takes."""
SHORT: Final = Script(chunks=80, pace=0.05)
_MEASURED: Final = 8.0
HELD: Final = ((1, 1), (50, 1), (100, 1), (200, 1), (400, 1))
ANSWERED: Final = ((200, 1), (500, 1))
"""How many calls, and in how many processes."""


def section(base: str, *, quick: bool) -> Section:
    made = Section("How many calls a server holds, each at 20 chunks/s, with progress")
    for calls, workers in HELD[1::2] if quick else HELD:
        with _replica(base, workers) as server:
            made.rows.append(anyio.run(_hold, server, calls, workers))
    for calls, workers in ANSWERED[:1] if quick else ANSWERED:
        with _replica(base, workers) as server:
            made.rows.append(anyio.run(_answer, server, calls, workers))
    made.notes.append(
        "The callers and the upstream share the machine with the server: on one of its own it holds more. "
        "A probe is `/healthz`; a process is one of `--workers`."
    )
    return made


def _replica(base: str, workers: int) -> AbstractContextManager[Served]:
    options = ["--workers", str(workers)] if workers > 1 else []
    return served.served(base, *options, RUNAPI_MCP_MAX_RUNNING="10000")


async def call(server: Served, number: int, heard: list[int], script: Script) -> None:
    headers, body = served.call("ask_gemini", "p", prompt=f"Call {number} {script}", wait_seconds=300)
    # Bare bytes: the caller shares the processor with the server, and is not what is measured.
    head = [f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in {**headers, "Connection": "close"}.items()]
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


async def _hold(server: Served, calls: int, workers: int) -> Row:
    await probes(server, time.monotonic() + 0.5)
    empty, heard = server.resident(whole=True), [0] * calls
    async with anyio.create_task_group() as tasks:
        for number in range(calls):
            tasks.start_soon(call, server, number, heard, ENDLESS)
            await anyio.sleep(0.004)
        await anyio.sleep(3)
        before, spent, began = sum(heard), server.cpu(), time.monotonic()
        taken = await probes(server, began + _MEASURED)
        seconds = time.monotonic() - began
        memory, processor = server.resident(whole=True), (server.cpu() - spent) / seconds
        notes = (sum(heard) - before) / calls / seconds
        tasks.cancel_scope.cancel()
    bounded = calls == 200
    return Row(
        f"{_name(calls, workers)}: a probe, ms; lines of progress a second, each",
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


async def _answer(server: Served, calls: int, workers: int) -> Row:
    """Ask for answers that are scripted to take four seconds, and count those that take no tenth more."""
    took, heard = [], [0] * calls

    async def one(number: int) -> None:
        began = time.monotonic()
        await call(server, number, heard, SHORT)
        took.append(time.monotonic() - began)

    await one(0)
    took.clear()
    async with anyio.create_task_group() as tasks:
        for number in range(calls):
            tasks.start_soon(one, number)
            await anyio.sleep(0.004)
    scripted = SHORT.chunks * SHORT.pace
    share = sum(each <= 1.1 * scripted for each in took) / calls
    return Row(
        f"{_name(calls, workers)}: answered within 1.1 × the scripted {scripted:.0f} s",
        f"{share:.0%}",
        [("median, s", f"{median(took):.2f}"), ("the longest, s", f"{max(took):.2f}")],
        *(("all", share == 1) if workers > 1 else ()),
    )


def _name(calls: int, workers: int) -> str:
    return f"{calls} calls, {workers} process{'es' if workers > 1 else ''}"
