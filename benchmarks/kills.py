"""Kill a process at any moment, again and again: what it was told and what it told is found by the next.

Each victim is a process that runs 1 to 8 generations against the
simulator and is killed with SIGKILL; what its callers had been told by then is looked up from this process,
which shares nothing with it but the file.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from anyio import to_thread
from pydantic import SecretStr

from benchmarks.table import Section, at_most
from runapi_mcp.errors import HandleError
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import Followable, shared_store
from runapi_mcp.generations.store.sqlite import SqliteEngine
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator, simulate
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Call, Text, Turn

KILLS: Final = 1_000
MOST_CALLS: Final = 8
OLDEST: Final = 1.0
"""Seconds that the text which survives may lag behind what was received."""
_KEY: Final = SecretStr("simulated-key")
_TICK: Final = 0.05
_SCENARIOS: Final = ("", "[[sim:slow seconds=1]]", "[[sim:slow seconds=20]]", "[[sim:cut-clean]]")


def job(prompt: str) -> Job:
    call = Call("gemini-2.5-flash", (Turn("user", (Text(prompt),)),))
    return Job("ask_gemini", {"prompt": prompt}, call, "chat", "local")


@asynccontextmanager
async def server(base_url: str, folder: str) -> AsyncIterator[Generations]:
    settings = Settings(base_url=base_url, key=_KEY, store=SecretStr(folder))
    shared = shared_store(settings, time.monotonic)
    assert shared is not None
    upstream = Upstream(settings, pacing=shared.pacing)
    try:
        async with Generations(upstream, settings, store=shared).open() as generations:
            yield generations
    finally:
        await upstream.aclose()


# ---------------------------------------------------------------- the victim


def fork_victims() -> None:
    """Fork a victim for each line of stdin and say its id: all is imported, so that it starts at once."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        base_url, folder, prompts, pipe = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                anyio.run(_live, base_url, folder, prompts, os.open(pipe, os.O_WRONLY))
            finally:
                os._exit(0)
        print(child, flush=True)


async def _live(base_url: str, folder: str, prompts: list[str], out: int) -> None:
    def say(**facts: str | float) -> None:
        os.write(out, json.dumps(facts).encode() + b"\n")

    async with server(base_url, folder) as generations, anyio.create_task_group() as tasks:

        async def one(prompt: str) -> None:
            generation, _ = await generations.begin(job(prompt), key=_KEY, patience=5.0)
            async with generation.follow():
                await generations.hand_over(generation)
                say(prompt=prompt, handle=generation.handle)
                while generation.status == "running":
                    received = generation.evidence().characters
                    say(prompt=prompt, received=received, at=time.monotonic())
                    with anyio.move_on_after(_TICK):
                        await generation.changed()
                await generations.hand_over(generation)
            say(prompt=prompt, status=generation.status, text=generation.view().answer.text)

        for prompt in prompts:
            tasks.start_soon(one, prompt)


class Victims:
    """Where victims come from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipe = folder / "said"
        os.mkfifo(self._pipe)
        self._source = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kills"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill_one(
        self, base_url: str, prompts: list[str], after: int | None, seconds: float
    ) -> tuple[list[dict[str, Any]], float]:
        """Start one, kill it after so many lines that it said, or seconds; return all it said, and when."""
        assert self._source.stdin is not None
        assert self._source.stdout is not None
        self._source.stdin.write(json.dumps([base_url, str(self._folder), prompts, str(self._pipe)]) + "\n")
        self._source.stdin.flush()
        child = int(self._source.stdout.readline())
        found: list[dict[str, Any]] = []
        with self._pipe.open("rb", buffering=0) as said:
            until, rest = time.monotonic() + seconds, b""
            while after is not None or time.monotonic() < until:
                if after is not None and len(found) >= after:
                    break
                if after is None and not select.select([said], [], [], 0.01)[0]:
                    continue
                piece = said.read(1 if after is not None else 65_536)
                if not piece:
                    break  # it has done all it had to do
                *whole, rest = (rest + piece).split(b"\n")
                found += [json.loads(line) for line in whole]
            killed_at = time.monotonic()
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            # What it had said by then, its host may have read.
            while piece := said.read(65_536):
                rest += piece
            found += [json.loads(line) for line in rest.split(b"\n")[:-1]]
        return found, killed_at

    def close(self) -> None:
        """Have no more."""
        self._source.kill()
        self._source.wait()
        for pipe in (self._source.stdin, self._source.stdout):
            if pipe is not None:
                pipe.close()


# ---------------------------------------------------------------- what is left of it


@dataclass
class Count:
    """What came of all kills."""

    kills: int = 0
    calls: int = 0
    finished: int = 0
    lost: list[str] = field(default_factory=list)
    asked_again: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


async def look_for(
    count: Count, found: list[dict[str, Any]], killed_at: float, at: Generations, sim: Simulator
) -> None:
    """Look for all that a victim's callers were told."""
    handles = {fact["prompt"]: fact["handle"] for fact in found if "handle" in fact}
    ended = {fact["prompt"]: fact for fact in found if "status" in fact}
    count.kills += 1
    count.calls += len(handles)
    for prompt, handle in handles.items():
        try:
            generation: Followable = await at.find(handle, "local")
        except HandleError:
            count.lost.append(f"{prompt}: gone")
            continue
        text = generation.view().answer.text
        told = ended.get(prompt)
        if told is not None:
            count.finished += 1
            if (generation.status, text) != (told["status"], told["text"]):
                count.lost.append(f"{prompt}: {generation.status} with {len(text)} of {len(told['text'])}")
        elif generation.status == "running":
            count.lost.append(f"{prompt}: taken for alive")
        else:
            old = [f for f in found if f["prompt"] == prompt and f.get("received", 0) > len(text)]
            count.late.append(max((killed_at - f["at"] for f in old), default=0.0))
        if generation.status == "complete":
            before = len(sim.calls)
            again, joined = await at.begin(job(prompt), key=_KEY, patience=5.0)
            if not joined or again.handle != handle or len(sim.calls) != before:
                count.asked_again.append(prompt)
            await again.deliver()


async def kill_often(kills: int, folder: Path, *, seed: int, lines: bool, finished: int = 0) -> Count:
    """Kill so many victims, and more until so many answers were finished; return what was lost.

    With `lines` each dies after a number of lines that it said, which chance draws from `seed`: what came
    before what is then the same whatever the machine does meanwhile. Else it dies at a random time.
    """
    count, dice, victims = Count(), random.Random(seed), Victims(folder)
    try:
        async with simulate() as sim, server(sim.base_url, str(folder)) as at:
            sim.pace = 0.005
            while (number := count.kills) < kills or count.finished < finished:
                asked = range(dice.randint(1, MOST_CALLS))
                prompts = [f"{seed}-{number}-{n} {dice.choice(_SCENARIOS)}" for n in asked]
                after, seconds = dice.randint(1, 12 * len(prompts)), dice.uniform(0.05, 2.5)
                found, killed_at = await to_thread.run_sync(
                    victims.kill_one, sim.base_url, prompts, after if lines else None, seconds
                )
                await look_for(count, found, killed_at, at, sim)
    finally:
        victims.close()
    return count


def section(*, quick: bool) -> Section:
    SqliteEngine.patience = 10.0  # this process looks everything up: it may wait
    kills = KILLS // 4 if quick else KILLS
    with tempfile.TemporaryDirectory() as folder:
        seed = random.randrange(10**6)
        count = anyio.run(partial(kill_often, kills, Path(folder), seed=seed, lines=False))
    for problem in (*count.lost, *count.asked_again):
        print(f"  {problem}")
    oldest = max(count.late, default=0.0)
    asked = [("calls", f"{count.calls:,}"), ("finished", f"{count.finished:,}")]
    return Section(
        f"A process is killed {kills:,} times, at any moment of 1 to {MOST_CALLS} running calls",
        [
            at_most("finished answers that are lost", len(count.lost), 0, asked),
            at_most("questions asked upstream again, though they were answered", len(count.asked_again), 0),
            at_most("partial text is older than what was received, s at most", oldest, OLDEST, form=".2f"),
        ],
    )


if __name__ == "__main__":
    fork_victims()
