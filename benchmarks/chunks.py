"""What a streamed chunk costs: CPU alone in a burst, and paced as models write, many streams at once."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section, compare, median
from benchmarks.upstream import Script

PEERS: Final = ("httpx", "httpx-sse", "openai", "google-genai")
_SDKS: Final = {"openai": "openai", "google-genai": "google.genai"}


@dataclass(frozen=True)
class Reading:
    cpu: float
    walls: list[float]
    grew: int


def read(name: str, base: str, script: Script, count: int = 1) -> Reading:
    """Let a reader read `count` streams of `script`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.readers", name, base, str(script), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    told = json.loads(done.stdout)
    return Reading(told["cpu"], told["walls"], told["grew"])


def available() -> list[str]:
    return [name for name, module in _SDKS.items() if find_spec(module.partition(".")[0])]


def whole_server(base: str, script: Script, dialect: str) -> float:
    """CPU seconds of our whole server for one call of this script, MCP and stdio included."""
    with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base, "RUNAPI_MCP_DIALECT": dialect}) as host:
        host.open().result(host.call("ask_gemini", prompt="[[chunks=3]]"))
        before = host.cpu()
        host.result(host.call("ask_gemini", "t", prompt=str(script), wait_seconds=120))
        return host.cpu() - before


def bursts(base: str, *, quick: bool) -> Section:
    made = Section("CPU per chunk, one stream as fast as it goes, µs", peers=PEERS)
    plans = [(20_000, 64, 1 if quick else 3)]
    plans += [] if quick else [(20_000, 1, 1)]
    for chunks, joined, rounds in plans:
        made.rows.extend(_burst(base, Script(chunks=chunks, joined=joined), rounds))
    made.notes.append(
        "“Joined” is how many events share a chunk of the HTTP transfer encoding: 64 is what a reader finds "
        "that is behind; 1 is an upstream that flushes each event, where h11 is most of the figure of httpx "
        "and of ours. “Whole server” is the real process: stdio, MCP, the generation, progress."
    )
    return made


def _burst(base: str, script: Script, rounds: int) -> list[Row]:
    names = ["floor", "httpx + httpx-sse", *available(), "ours, chat", "ours, native"]
    figures: dict[str, list[float]] = {name: [] for name in names}
    whole: dict[str, list[float]] = {"chat": [], "native": []}
    for _ in range(rounds):
        for name in names:
            figures[name].append(read(name, base, script).cpu / script.chunks * 1e6)
        for dialect, spent in whole.items():
            spent.append(whole_server(base, script, dialect) / script.chunks * 1e6)
    rows = []
    for dialect, rival in (("chat", "openai"), ("native", "google-genai")):
        others = [(name, f"{median(figures[name]):.0f}") for name in names if not name.startswith("ours")]
        judged = script.joined > 1 and script.chunks == 20_000
        bound = compare(figures[f"ours, {dialect}"], figures.get(rival), 0.12, rival) if judged else ()
        rows.append(
            Row(
                f"{dialect}, {script.chunks:,} chunks, joined {script.joined}",
                f"{median(figures[f'ours, {dialect}']):.0f} (whole server {median(whole[dialect]):.0f})",
                others,
                *bound,
            )
        )
    return rows


def paced(base: str, *, quick: bool) -> Section:
    made = Section("Concurrent streams at 20 chunks/s each, 4 s", peers=PEERS)
    script = Script(chunks=80, pace=0.05)
    for count in (20, 100) if quick else (20, 100, 500):
        made.rows.extend(_paced(base, script, count, 1 if quick else 2))
    return made


def _paced(base: str, script: Script, count: int, rounds: int) -> list[Row]:
    names = ["floor", "httpx + httpx-sse", "ours, chat"] + (available()[:1] if count <= 20 else [])
    found: dict[str, list[Reading]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(read(name, base, script, count))
    cpu = {
        name: [each.cpu / script.chunks / count * 1e6 for each in readings]
        for name, readings in found.items()
    }
    bare = "httpx + httpx-sse"
    row = Row(
        f"{count}: CPU per chunk, µs",
        f"{median(cpu['ours, chat']):.0f}",
        [(name, f"{median(cpu[name]):.0f}") for name in names if name != "ours, chat"],
        *(compare(cpu["ours, chat"], cpu[bare], 1.03, bare) if count in (20, 100, 500) else ()),
    )
    scripted = script.chunks * script.pace
    in_time = {
        name: sum(w <= 1.1 * scripted for r in each for w in r.walls) / sum(len(r.walls) for r in each)
        for name, each in found.items()
    }
    grew = {name: median(r.grew for r in each) / count / 1024 for name, each in found.items()}
    share = Row(
        f"{count}: done within 1.1 × scripted; KiB each",
        f"{in_time['ours, chat']:.0%}; {grew['ours, chat']:.0f}",
        [(name, f"{in_time[name]:.0%}; {grew[name]:.0f}") for name in names if name != "ours, chat"],
        *(("≤ 40 KiB", grew["ours, chat"] <= 40) if count == 500 else ()),
    )
    return [row, share]
