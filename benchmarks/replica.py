"""How many calls a replica holds, at what cost: ``python -m benchmarks.replica [--workers N] [CALLS …]``.

A real server process over Streamable HTTP; callers that ask for progress, each on a connection of
its own; an upstream that writes 20 pieces a second to each. While all of them run, the server's
memory, its processor time and how fast it answers a probe are measured.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from benchmarks.upstream import Script, playing

SCRIPT = Script(chunks=2_000, pace=0.05)
"""What every call gets: 20 pieces a second, for longer than a measurement takes."""
_MEASURED = 8.0
_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "ask_gemini",
}
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True)
class Replica:
    """A server process and where it listens."""

    pid: int
    url: str

    @property
    def pids(self) -> list[int]:
        """Its processes: it, and its workers if it has some."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    @property
    def memory(self) -> float:
        """Memory in MiB; what processes share counts once."""
        found = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids]
        return (
            sum(int(number) for text in found for number in re.findall(r"^Pss: +(\d+) kB", text, re.M)) / 1024
        )

    @property
    def processor(self) -> float:
        """Seconds of processor time so far."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """What was measured with so many calls in flight."""

    calls: int
    memory: float
    per_call: float
    processor: float
    probe_median: float
    probe_worst: float
    notes: float

    def __str__(self) -> str:
        return (
            f"| {self.calls:5} | {self.memory:7.0f} MiB | {self.per_call:6.0f} KiB | {self.processor:5.0%} "
            f"| {self.probe_median * 1000:5.1f} ms | {self.probe_worst * 1000:6.1f} ms | {self.notes:5.2f} |"
        )


@contextmanager
def replica(upstream: str, *more: str) -> Iterator[Replica]:
    env = os.environ | {
        "RUNAPI_TOKEN": "benchmark-key",
        "RUNAPI_BASE_URL": upstream,
        "RUNAPI_MCP_MAX_RUNNING": "10000",
    }
    command = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0", *more]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr
        try:
            found = re.search(rb"http://\S+?(?=/mcp)", process.stderr.readline())
            assert found
            yield Replica(process.pid, found[0].decode())
        finally:
            process.kill()


async def ask(server: Replica, prompt: str) -> AsyncGenerator[bytes]:
    """Call over a connection of its own, and yield what comes."""
    params = {
        "name": "ask_gemini",
        "arguments": {"prompt": prompt, "wait_seconds": 300},
        "_meta": {"progressToken": "p", **_ENVELOPE},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    host, _, port = server.url.removeprefix("http://").partition(":")
    # Bare bytes: the caller shares the processor with the server, and is not what is measured.
    head = [f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in _HEADERS.items()]
    async with await anyio.connect_tcp(host, int(port)) as line:
        await line.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        first = await line.receive()
        assert b" 200 OK" in first[:20], first
        yield first
        async for piece in line:
            yield piece


async def call(server: Replica, number: int, heard: list[int]) -> None:
    async for piece in ask(server, f"Call {number} {SCRIPT}"):
        heard[number] += piece.count(b"notifications/progress")


async def probes(server: Replica, until: float) -> list[float]:
    taken = []
    async with httpx.AsyncClient(timeout=10) as http:
        while (began := time.monotonic()) < until:
            await http.get(f"{server.url}/healthz")
            taken.append(time.monotonic() - began)
            await anyio.sleep(0.1)
    return sorted(taken)


async def measured(server: Replica, calls: int, empty: float) -> Row:
    heard = [0] * calls
    async with anyio.create_task_group() as tasks:
        for number in range(calls):
            tasks.start_soon(call, server, number, heard)
            await anyio.sleep(0.004)
        await anyio.sleep(3)
        before, spent, began = sum(heard), server.processor, time.monotonic()
        taken = await probes(server, began + _MEASURED)
        seconds = time.monotonic() - began
        memory, processor = server.memory, (server.processor - spent) / seconds
        notes = (sum(heard) - before) / calls / seconds
        tasks.cancel_scope.cancel()
    per_call = (memory - empty) * 1024 / calls
    return Row(calls, memory, per_call, processor, taken[len(taken) // 2], taken[-1], notes)


async def main(numbers: list[int], workers: str) -> None:
    print("| calls | memory | each | processor | probe | worst | notes/s each |")
    print("|---|---|---|---|---|---|---|")
    for calls in numbers:
        with playing() as upstream, replica(upstream, "--workers", workers) as server:
            await probes(server, time.monotonic() + 1.0)
            print(await measured(server, calls, server.memory), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replica")
    parser.add_argument("--workers", default="1")
    parser.add_argument("calls", nargs="*", type=int, default=[1, 50, 100, 200, 400])
    given = parser.parse_args()
    anyio.run(main, given.calls, given.workers)
