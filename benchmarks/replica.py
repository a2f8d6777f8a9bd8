"""How many calls a server over HTTP holds, and what a call costs.

A real server of one or more processes; callers that ask for progress, each on a connection of its own; an
upstream that writes 20 pieces a second to each, for four seconds. Beside it the same streams are read without
any server, by as many processes.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import anyio
import httpx

from benchmarks import served
from benchmarks.chunks import PEERS, read
from benchmarks.served import Served
from benchmarks.table import Row, Section, median
from benchmarks.upstream import Script

SCRIPT: Final = Script(chunks=80, pace=0.05)
SECONDS: Final = SCRIPT.chunks * SCRIPT.pace
_SPREAD: Final = 1.0
"""Seconds over which calls are begun: what is measured is many calls, not many greetings at once."""
_BARE: Final = "httpx + httpx-sse"
CALLS: Final = ((1, 1), (100, 1), (200, 1), (200, 2), (500, 2))
"""How many calls, and in how many processes."""


@dataclass
class Heard:
    """What one caller was told, and how long that took."""

    lines: int = 0
    seconds: float = 0.0


def section(base: str, *, quick: bool) -> Section:
    made = Section("How many calls a server holds, at 20 chunks/s each for 4 s", peers=PEERS[:2])
    for calls, processes in CALLS[1::2] if quick else CALLS:
        bare = _read_bare(base, calls, processes)
        options = ["--workers", str(processes)] if processes > 1 else []
        with served.served(base, *options, RUNAPI_MCP_MAX_RUNNING="10000") as server:
            made.rows.extend(anyio.run(measure, server, calls, processes, bare))
    made.notes.append(
        "The callers and the upstream share the machine with the server: on one of its own it holds more. "
        "A probe is `/healthz`; a process is one of `--workers`."
    )
    return made


async def measure(server: Served, calls: int, processes: int, bare: float) -> list[Row]:
    await call(server, -1, 0.0, Heard())
    await probe(server, 0.5)
    empty, spent, began = server.memory(), server.cpu(), time.monotonic()
    heard = [Heard() for _ in range(calls)]
    async with anyio.create_task_group() as tasks:
        for number, one in enumerate(heard):
            tasks.start_soon(call, server, number, _SPREAD * number / calls, one)
        await anyio.sleep(_SPREAD)
        probes = await probe(server, SECONDS - _SPREAD)
        memory = server.memory()
    processor = (server.cpu() - spent) / (time.monotonic() - began)
    lines = median(one.lines / one.seconds for one in heard)
    share = _in_time([one.seconds for one in heard])
    what = f"{calls} calls, {processes} process{'es' if processes > 1 else ''}"
    return [
        Row(
            f"{what}: done within 1.1 × the scripted time",
            f"{share:.0%}",
            [(_BARE, f"{bare:.0%}"), ("the longest, s", f"{max(one.seconds for one in heard):.2f}")],
            *(("all", share == 1) if processes > 1 else ()),
        ),
        Row(
            f"{what}: a probe, ms; lines of progress a second, each",
            f"{median(probes):.1f}; {lines:.2f}",
            [
                ("the longest probe, ms", f"{max(probes):.0f}"),
                ("processor", f"{processor:.0%}"),
                ("memory, MiB", f"{memory / 2**20:.0f}"),
                ("KiB each", f"{(memory - empty) / 1024 / calls:.0f}"),
            ],
            *(("≤ 20; 2", median(probes) <= 20 and lines >= 1.95) if calls == 200 else ()),
        ),
    ]


async def call(server: Served, number: int, after: float, heard: Heard) -> None:
    await anyio.sleep(after)
    headers, body = served.call("ask_gemini", "p", prompt=f"Call {number} {SCRIPT}", wait_seconds=300)
    # Bare bytes: the caller shares the processor with the server, and is not what is measured.
    head = [f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in {**headers, "Connection": "close"}.items()]
    began = time.monotonic()
    async with await anyio.connect_tcp("127.0.0.1", server.port) as line:
        await line.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        first = await line.receive()
        assert b" 200 OK" in first[:20], first
        heard.lines += first.count(b"notifications/progress")
        async for piece in line:
            heard.lines += piece.count(b"notifications/progress")
    heard.seconds = time.monotonic() - began


async def probe(server: Served, seconds: float) -> list[float]:
    """Ask for health again and again; return how many milliseconds each answer took."""
    taken, until = [], time.monotonic() + seconds
    async with httpx.AsyncClient(timeout=10) as http:
        while (began := time.monotonic()) < until:
            await http.get(f"{server.url}/healthz")
            taken.append((time.monotonic() - began) * 1000)
            await anyio.sleep(0.1)
    return taken


def _read_bare(base: str, calls: int, processes: int) -> float:
    """Return which share of the same streams is read in time without a server."""
    with ThreadPoolExecutor(processes) as pool:
        readings = pool.map(lambda _: read(_BARE, base, SCRIPT, calls // processes), range(processes))
        return _in_time([wall for reading in readings for wall in reading.walls])


def _in_time(seconds: list[float]) -> float:
    return sum(each <= 1.1 * SECONDS for each in seconds) / len(seconds)
