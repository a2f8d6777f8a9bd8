"""One call through the whole server: what it adds, when the host first hears, when upstream is let go."""

import json
import time
import urllib.request
from contextlib import ExitStack
from typing import Any

from benchmarks import starts
from benchmarks.chunks import read
from benchmarks.starts import WITH_OPENAI
from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section, at_most, compare, median
from benchmarks.upstream import Script


def section(base: str, *, quick: bool) -> Section:
    made = Section("One call", peers=["httpx", "httpx-sse"])
    rounds = 1 if quick else 3
    with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base}) as host:
        host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
        made.rows.append(_wall(base, host, rounds))
        made.rows.append(_first_progress(base, host, 3 if quick else 9))
        made.rows.append(_cancel(base, host, 4 if quick else 12))
        made.rows.append(_return(host, 1 if quick else 4))
    for how in ("stdin ends", "SIGTERM comes"):
        made.rows.append(_leave(base, how, 2 if quick else 6))
    return made


def log_of(base: str) -> list[dict[str, float]]:
    """Return what happened to each connection, and when."""
    with urllib.request.urlopen(base) as answer:
        found: list[dict[str, float]] = json.load(answer)
    return found


def _wall(base: str, host: Host, rounds: int) -> Row:
    script = Script(chunks=80, pace=0.05)
    ours, raw = [], []
    for number in range(rounds):
        raw += read("httpx + httpx-sse", base, script).walls
        began = time.perf_counter()
        host.result(host.call("ask_gemini", "t", prompt=f"{number} {script}"))
        ours.append(time.perf_counter() - began)
    others = [("httpx + httpx-sse", f"{median(raw):.3f}")]
    return Row("wall of a 4 s stream, s", f"{median(ours):.3f}", others, *compare(ours, raw, 1.02, "httpx"))


def _first_progress(base: str, host: Host, rounds: int) -> Row:
    """From the first byte upstream writes to the first progress that tells of it, whenever it comes."""
    waits = []
    for number in range(rounds):
        wait = (0.3, 0.7, 1.3)[number % 3]
        asked = host.call(
            "ask_gemini", f"p{number}", prompt=f"{number} {Script(chunks=3, pace=0.3, wait=wait)}"
        )
        heard = _told(host, "writing")
        host.result(asked)
        waits.append((heard - log_of(base)[-1]["first"]) * 1000)
    return at_most("first upstream byte → progress at the host, ms", median(waits), 20, form=".1f")


def _told(host: Host, word: str) -> float:
    while True:
        message: dict[str, Any] = host.receive()
        now = time.monotonic()
        if word in str(message.get("params", {}).get("message", "")):
            return now
        assert "method" in message, "the call ended without saying so"


def _cancel(base: str, host: Host, rounds: int) -> Row:
    """From the host's word to the upstream's closed connection, once text flows."""
    waits: dict[str, list[float]] = {"ours": [], WITH_OPENAI: []}
    known = starts.servers(base)
    with ExitStack() as stack:
        asks = {"ours": (host, "ask_gemini")}
        if peer := known.get(WITH_OPENAI):
            other = stack.enter_context(Host(peer.command, peer.env)).open()
            other.result(other.call(peer.tool, prompt="[[chunks=1]]"))
            asks[WITH_OPENAI] = (other, peer.tool)
        for number in range(rounds):
            for name, (asking, tool) in asks.items():
                before = log_of(base)
                asked = asking.call(tool, prompt=f"{number} {Script(chunks=200, pace=0.05)}")
                while (log := log_of(base)) == before or "first" not in log[-1]:
                    time.sleep(0.005)
                began = time.monotonic()
                asking.cancel(asked)
                while not (lost := log_of(base)[-1].get("lost", 0.0)):
                    time.sleep(0.002)
                waits[name].append((lost - began) * 1000)
    ours = median(waits.pop("ours"))
    others = [(name, f"{median(each):.1f}") for name, each in waits.items() if each]
    return at_most("cancel → upstream closed, ms", ours, 10, others, form=".1f")


def _return(host: Host, rounds: int) -> Row:
    """How long a call is held that may wait for two seconds, of a model that is silent for longer."""
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        asked = host.call("ask_gemini", prompt=f"{number} {Script(chunks=3, wait=4)}", wait_seconds=2)
        assert "handle" in str(host.result(asked))
        took.append(time.perf_counter() - began)
    others = [("median", f"{median(took):.3f}")]
    return at_most("a call with `wait_seconds: 2` comes back, s at most", max(took), 2.05, others, form=".3f")


def _leave(base: str, how: str, rounds: int) -> Row:
    """From the host's leaving, in the middle of a call, to the process's end."""
    waits = []
    for number in range(rounds):
        with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base}) as host:
            host.open().call("ask_gemini", "l", prompt=f"{number} {Script(chunks=200, pace=0.05)}")
            _told(host, "writing")
            began = time.monotonic()
            if how == "SIGTERM comes":
                host.process.terminate()
            else:
                host.leave()
            host.process.wait(10)
            waits.append((time.monotonic() - began) * 1000)
    others = [("median", f"{median(waits):.0f}")]
    return at_most(f"{how} in the middle of a call → process gone, ms at most", max(waits), 1000, others)
