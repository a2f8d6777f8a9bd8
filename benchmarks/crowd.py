"""Many calls at once over one server, with and without workers: ``python -m benchmarks.crowd [CALLS …]``.

Each caller asks over a connection of its own, with progress; the upstream writes 20 pieces of text a second
to each for four seconds. Told are how many calls ended within 1.1 × that, the worst, lines of progress a
second, how long a probe took meanwhile, and the processor time of the server and of the callers, which share
the machine with the upstream. The floor is the same streams read without any server (``benchmarks.readers``),
by as many processes.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import anyio

from benchmarks.replica import Replica, ask, probes, replica
from benchmarks.upstream import Script, playing

SCRIPT = Script(chunks=80, pace=0.05)
_SECONDS = SCRIPT.chunks * SCRIPT.pace
_IN_TIME = 1.1 * _SECONDS
_SPREAD = 1.0
"""Seconds over which the calls are begun: what is measured is many calls, not many greetings at once."""


@dataclass
class Heard:
    """What one caller was told, and when."""

    first: float = 0.0
    last: float = 0.0
    lines: int = 0

    @property
    def seconds(self) -> float:
        return self.last - self.first


async def listen(server: Replica, number: int, after: float, heard: Heard) -> None:
    await anyio.sleep(after)
    heard.first = time.monotonic()
    async for piece in ask(server, f"Call {number} {SCRIPT}"):
        heard.lines += piece.count(b"notifications/progress")
        if b'"result"' in piece:
            break
    heard.last = time.monotonic()


async def crowd(server: Replica, calls: int) -> str:
    heard = [Heard() for _ in range(calls)]
    before, own, began = server.processor, time.process_time(), time.monotonic()
    async with anyio.create_task_group() as tasks:
        for number, one in enumerate(heard):
            tasks.start_soon(listen, server, number, _SPREAD * number / calls, one)
        await anyio.sleep(_SPREAD)
        taken = await probes(server, time.monotonic() + _SECONDS - _SPREAD)
    wall = time.monotonic() - began
    processor, own = (server.processor - before) / wall, (time.process_time() - own) / wall
    walls = sorted(one.seconds for one in heard)
    lines = sorted(one.lines / one.seconds for one in heard)
    in_time, probe = sum(seconds <= _IN_TIME for seconds in walls) / calls, taken[len(taken) // 2] * 1000
    return (
        f"{in_time:5.0%} in time, worst {walls[-1] / _SECONDS:.2f} × "
        f"| {lines[calls // 2]:.2f} lines/s (least {lines[0]:.2f}) | probe {probe:.1f} ms "
        f"| server {server.memory:.0f} MiB, {processor:.0%} | callers {own:.0%}"
    )


def floor(base: str, calls: int, processes: int) -> str:
    """Read the same streams as a careful program does, without a server."""
    command = [sys.executable, "-m", "benchmarks.readers", "httpx + httpx-sse", base, str(SCRIPT)]
    readers = [
        subprocess.Popen([*command, str(calls // processes)], stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    said = [json.loads(reader.communicate()[0]) for reader in readers]
    walls = sorted(wall for one in said for wall in one["walls"])
    in_time = sum(wall <= _IN_TIME for wall in walls)
    return f"{in_time / len(walls):5.0%} in time, worst {walls[-1] / _SECONDS:.2f} ×"


async def main(numbers: list[int]) -> None:
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for calls in numbers:
        for workers in (1, 2):
            with playing() as upstream:
                print(f"{calls:4} calls | httpx in {workers} | {floor(upstream, calls, workers)}", flush=True)
            with playing() as upstream, replica(upstream, "--workers", str(workers)) as server:
                await probes(server, time.monotonic() + 1.0)
                print(f"{calls:4} calls | workers {workers} | {await crowd(server, calls)}", flush=True)


if __name__ == "__main__":
    anyio.run(main, [int(number) for number in sys.argv[1:]] or [100, 200, 500])
