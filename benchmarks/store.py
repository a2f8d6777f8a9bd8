"""What it costs that a handle outlives its server: SQLite beside memory, and a conversation of twenty turns.

``python -m benchmarks.store PLACE BASE STREAMS`` is one of the processes whose CPU is measured.
"""

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from benchmarks.calls import log_of
from benchmarks.stdio import INITIALIZE, KEY, OURS, Host, Message
from benchmarks.table import Row, Section, compare, median
from benchmarks.upstream import Script
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import shared_store
from runapi_mcp.generations.store.memory import MemoryStore
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.sim import simulate
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Call, Text, Turn

TURNS: Final = 20
PACE: Final = 0.05
_KEY: Final = SecretStr("simulated-key")
_PDF: Final = 3_000_000
_PROMPT: Final = "And what does the page after that one say of it? " * 20
"""As long as people's questions are, about 1,000 characters."""


def section(base: str, *, quick: bool) -> Section:
    made = Section("Handles that outlive the server, and conversations: SQLite beside memory")
    made.rows.extend(_conversation())
    for count in (20, 200):
        made.rows.append(_cpu(base, count, 1 if quick else 12))
    made.rows.extend(_first_signs(base, 2 if quick else 8))
    made.rows.append(_leaves(base, 15 if quick else 60))
    made.rows.append(_pages(base))
    return made


# ---------------------------------------------------------------- a conversation


def _conversation() -> list[Row]:
    """Twenty turns about a file, on each dialect, against the simulator, which keeps what it was sent."""
    sent = one = same = turns = whole = 0
    with start_blocking_portal() as portal, tempfile.TemporaryDirectory() as folder:
        for dialect, name in (("native", "report.pdf"), ("chat", "report.txt")):
            file = Path(folder, name)
            filler = b"%PDF-1.7\n" if name.endswith("pdf") else b""
            file.write_bytes(filler + b"A line of the report.\n" * (_PDF // 22))
            env = {"RUNAPI_MCP_DIALECT": dialect, "RUNAPI_MCP_ALLOW_DIR": folder}
            with portal.wrap_async_context_manager(simulate()) as sim:
                with Host(OURS, {**KEY, "RUNAPI_BASE_URL": sim.base_url, **env}) as host:
                    told = host.open().result(host.call("ask_gemini", prompt=_PROMPT, files=[str(file)]))
                    for number in range(2, TURNS + 1):
                        before = host.written
                        on = {"prompt": f"{number} {_PROMPT}", "continue_from": _handle(told)}
                        told = host.result(host.call("ask_gemini", **on))
                        sent = host.written - before
                        one = sent - len(f', "continue_from": "{on["continue_from"]}"')
                bodies: list[Any] = [call.body for call in sim.calls]
            said = [json.dumps(b.get("contents") or b["messages"], ensure_ascii=False)[:-1] for b in bodies]
            assert len(said) == TURNS
            turns += TURNS - 1
            same += sum(later.startswith(earlier) for earlier, later in pairwise(said))
            whole = max(whole, len(said[-1]))
    return [
        Row(
            f"bytes that a host sends for turn {TURNS} of a conversation with a 3 MB PDF",
            f"{sent:,}",
            [("the same prompt of its own", f"{one:,}"), ("all of it again", f"{whole:,}")],
            f"≤ 1.1 × one prompt: {sent / one:.2f}",
            sent <= 1.1 * one,
        ),
        Row(
            "turns whose request begins with the one before, both dialects",
            f"{same} of {turns}",
            (),
            "all",
            same == turns,
        ),
    ]


def _handle(told: Message) -> str:
    meta: Mapping[str, Any] = told["result"]["_meta"]
    return next(str(receipt["handle"]) for key, receipt in meta.items() if key.endswith("receipt"))


# ---------------------------------------------------------------- streams


def _cpu(base: str, count: int, rounds: int) -> Row:
    spent: dict[str, list[float]] = {"sqlite": [], "memory": []}
    late: dict[str, list[float]] = {"sqlite": [], "memory": []}
    for number in range(rounds):
        # In turn which is first: a machine slows down, or gets warm.
        for place in sorted(spent, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory() as folder:
                where = folder if place == "sqlite" else place
                command = [sys.executable, "-m", "benchmarks.store", where, base, str(count)]
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
            cpu, lag = json.loads(done.stdout)
            spent[place].append(cpu)
            late[place].append(lag * 1000)
    bound, holds = compare(spent["sqlite"], spent["memory"], 1.05, "memory's CPU")
    return Row(
        f"{count} streams at 20 chunks/s, 4 s: CPU s; the loop late at most, ms",
        f"{median(spent['sqlite']):.2f}; {median(late['sqlite']):.0f}",
        [("memory", f"{median(spent['memory']):.2f}; {median(late['memory']):.0f}")],
        bound,
        holds,
    )


@asynccontextmanager
async def _generations(place: str, base: str) -> AsyncIterator[Generations]:
    settings = Settings(
        base_url=base, key=SecretStr("simulated-key"), store=SecretStr(place), max_running=500
    )
    shared = shared_store(settings, time.monotonic)
    upstream = Upstream(settings, pacing=shared.pacing if shared else None)
    store = shared or MemoryStore(settings, time.monotonic)
    try:
        async with Generations(upstream, settings, store=store).open() as generations:
            yield generations
    finally:
        await upstream.aclose()


async def _stream(place: str, base: str, count: int) -> tuple[float, float]:
    """Read so many streams; return the CPU seconds they took, and how late the event loop was at most."""
    latest = 0.0

    async def watch() -> None:
        nonlocal latest
        while True:
            began = time.perf_counter()
            await anyio.sleep(0.01)
            latest = max(latest, time.perf_counter() - began - 0.01)

    async with _generations(place, base) as generations:

        async def one(number: int | str, script: Script) -> None:
            call = Call("gemini-2.5-flash", (Turn("user", (Text(f"{number} {script}"),)),))
            job = Job("ask_gemini", {}, call, "chat", f"user {number}")
            begun, _ = await generations.begin(job, key=_KEY, patience=5.0)
            async with begun.follow():
                await generations.hand_over(begun)
                while begun.status == "running":
                    await begun.changed()
            assert begun.status == "complete", begun.view()

        await one("warm", Script(chunks=3))
        await anyio.sleep(1.0)  # what a process does once is no stream's
        gc.collect()
        gc.freeze()  # as the server does: to look through all that was imported takes as long as the store
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            before = time.process_time()
            async with anyio.create_task_group() as streams:
                for number in range(count):
                    streams.start_soon(one, number, Script(chunks=80, pace=PACE))
                    # Not in step, as no streams are: what comes together costs less.
                    await anyio.sleep(PACE / count)
            await anyio.sleep(1.0)  # what is written behind them counts too
            spent = time.process_time() - before
            tasks.cancel_scope.cancel()
    return spent, latest


# ---------------------------------------------------------------- one call


def _first_signs(base: str, rounds: int) -> list[Row]:
    """From the spawn to initialize, and from a call to its first progress, with each store in turn."""
    greeted: dict[str, list[float]] = {"sqlite": [], "memory": []}
    heard: dict[str, list[float]] = {"sqlite": [], "memory": []}
    for number in range(rounds):
        for place in sorted(greeted, reverse=bool(number % 2)):
            with _host(base, place) as host:
                host.ask("initialize", INITIALIZE)
                greeted[place].append(host.since() * 1000)
                host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
                for n in range(5):
                    began = time.perf_counter()
                    asked = host.call("ask_gemini", "p", prompt=f"{n} {Script(chunks=3, wait=0.1)}")
                    while host.receive().get("method") != "notifications/progress":
                        pass
                    heard[place].append((time.perf_counter() - began) * 1000)
                    host.result(asked)
    return [
        _unchanged("initialize, with a store of its own", greeted, 5.0),
        _unchanged("a call → its first progress", heard, 1.0),
    ]


def _unchanged(what: str, found: Mapping[str, Sequence[float]], most: float) -> Row:
    more = statistics.median(one - other for one, other in zip(found["sqlite"], found["memory"], strict=True))
    return Row(
        f"{what}, ms",
        f"{median(found['sqlite']):.1f}",
        [("memory", f"{median(found['memory']):.1f}")],
        f"unchanged, within {most:g}: {more:+.1f}",
        more <= most,
    )


def _host(base: str, place: str) -> Host:
    """A server whose state is kept in a folder of its own, or not at all."""
    more = {"RUNAPI_MCP_STORE": "memory"} if place == "memory" else {}
    return Host(OURS, {**KEY, "RUNAPI_BASE_URL": base, **more})


def _leaves(base: str, rounds: int) -> Row:
    """From the host's call to the request at the upstream: look-up and lease come between."""
    took: dict[str, list[float]] = {"sqlite": [], "memory": []}
    with _host(base, "sqlite") as kept, _host(base, "memory") as bare:
        hosts = {"sqlite": kept, "memory": bare}
        for host in hosts.values():
            host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
        for number in range(rounds):
            for place, host in hosts.items():
                time.sleep(0.02)
                began = time.monotonic()
                host.result(host.call("ask_gemini", prompt=f"{number} [[chunks=1]]"))
                took[place].append((log_of(base)[-1]["asked"] - began) * 1000)
    more = median(took["sqlite"]) - median(took["memory"])
    worst = sorted(took["sqlite"])[int(0.95 * rounds)] - sorted(took["memory"])[int(0.95 * rounds)]
    return Row(
        "a call → its request at the upstream, ms",
        f"{median(took['sqlite']):.1f}",
        [("memory", f"{median(took['memory']):.1f}"), ("later at the 95th percentile", f"{worst:+.1f}")],
        f"≤ 5 later in median: {more:+.1f}",
        more <= 5,
    )


def _pages(base: str) -> Row:
    """A 4 MB answer whose server was killed, read page by page by the next one, which was asked nothing else.

    A model takes longer than two seconds to ask for it; what asks at once after a first call is shown beside.
    """
    script = Script(chunks=1000, size=4000, joined=4)
    took: list[float] = []
    at_once: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        env = {**KEY, "RUNAPI_BASE_URL": base, "XDG_STATE_HOME": folder}
        with Host(OURS, env) as host:
            told = host.open().result(host.call("ask_gemini", prompt=str(script), wait_seconds=60))
            time.sleep(2.0)  # a server that is killed may lose its last second
            host.process.kill()
        for _ in range(3):
            with Host(OURS, env) as host:
                host.open()
                time.sleep(2.0)
                took += [_page(host, _handle(told), at) for at in (*range(0, 4_000_000, 400_000), 3_990_000)]
            with Host(OURS, env) as host:
                host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]", fresh=True))
                at_once.append(_page(host, _handle(told), 0))
    return Row(
        "get_result of a dead server's 4 MB answer, any page, ms",
        f"{median(took):.1f}",
        [("the slowest", f"{max(took):.1f}"), ("the first, at once after a call", f"{median(at_once):.1f}")],
        "≤ 10",
        max(took) <= 10,
    )


def _page(host: Host, handle: str, offset: int) -> float:
    """Milliseconds until a page is there."""
    began = time.perf_counter()
    page = host.result(host.call("get_result", handle=handle, offset=offset))
    assert not page["result"].get("isError"), page
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    print(json.dumps(anyio.run(_stream, sys.argv[1], sys.argv[2], int(sys.argv[3]))))
