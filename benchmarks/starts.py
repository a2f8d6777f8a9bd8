"""Cold starts: from the spawn to the first answers, each server in turn, round after round."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from benchmarks.stdio import INITIALIZE, INITIALIZED, KEY, OURS, Host
from benchmarks.table import TYPESCRIPT, TYPESCRIPT_SDK, Row, Section, at_most, compare, median

WITH_OPENAI = "SDK with openai"
_SERVERS = Path(__file__).with_name("servers")


@dataclass(frozen=True)
class Server:
    """A server to start, and the call to make."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    tool: str = "hello"
    arguments: Mapping[str, str] = field(default_factory=lambda: {"name": "world"})


@dataclass
class Starts:
    """What one server took, a value a round."""

    initialize: list[float] = field(default_factory=list)
    tools: list[float] = field(default_factory=list)
    call: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    listed: int = 0


def servers(base: str) -> dict[str, Server]:
    python = sys.executable
    ask = {"prompt": "[[chunks=1]]"}
    env = {**KEY, "RUNAPI_BASE_URL": base}
    found = {
        "ours": Server(OURS, env, "ask_gemini", ask),
        "ours, only a key set": Server(OURS, KEY, "ask_gemini", {}),
        "ours, no fast boot": Server(OURS, env | {"RUNAPI_MCP_FAST_BOOT": "0"}, "ask_gemini", ask),
        "bare Python": Server((python, str(_SERVERS / "bare.py"))),
        "SDK hello": Server((python, str(_SERVERS / "hello_sdk.py"))),
    }
    if find_spec("openai"):
        command = (python, str(_SERVERS / "ask_openai.py"))
        found[WITH_OPENAI] = Server(command, {"UPSTREAM": base}, "ask", ask)
    if find_spec("fastmcp"):
        found["fastmcp"] = Server((python, str(_SERVERS / "hello_fastmcp.py")))
    if node := _typescript():
        found["TypeScript SDK"] = Server((node, str(TYPESCRIPT / "hello.mjs")))
    return found


def _typescript() -> str | None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        print("No npm here: the TypeScript SDK server is left out.")
        return None
    if not (TYPESCRIPT / "node_modules").exists():
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=TYPESCRIPT, check=False, timeout=180
        )
        if done.returncode:
            print("npm could not install the TypeScript SDK: its server is left out.")
            return None
    return node


def start(server: Server, into: Starts) -> None:
    with Host(server.command, server.env) as host:
        host.ask("initialize", INITIALIZE)
        into.initialize.append(host.since())
        host.send(INITIALIZED)
        into.listed = len(str(host.ask("tools/list")))
        into.tools.append(host.since())
        answer = host.ask("tools/call", {"name": server.tool, "arguments": dict(server.arguments)})
        assert "result" in answer, answer
        into.call.append(host.since())
        into.resident.append(host.resident())


def measured(base: str, rounds: int) -> dict[str, Starts]:
    known = servers(base)
    found = {name: Starts() for name in known}
    for name, server in known.items():  # bytecode and disk caches, not counted
        start(server, Starts())
        del name
    for _ in range(rounds):
        for name, server in known.items():
            start(server, found[name])
    return found


def section(base: str, *, quick: bool) -> Section:
    found = measured(base, 2 if quick else 6)
    ours, usual, sdk = found["ours"], found.pop("ours, only a key set"), found["SDK hello"]
    made = Section("Start: spawn to answer", peers=["mcp", "openai", "fastmcp", TYPESCRIPT_SDK])
    made.rows.append(_greeting(usual, found))
    made.rows.append(_row("initialize, with settings besides the key, ms", found, "initialize"))
    made.rows.append(_row("tools/list, ms", found, "tools"))
    bound, holds = compare(ours.call, sdk.call, 1.0, "SDK hello")
    what = "first call answered (instant upstream), ms"
    made.rows.append(_row(what, found, "call", bound=bound, holds=holds))
    made.rows.append(_pairs(base, 10 if quick else 40))
    made.rows.append(_later(base, 2 if quick else 5))
    more = median(ours.resident) - median(sdk.resident)
    bound, holds = f"≤ SDK hello + 3: {more:+.0f}", more <= 3
    made.rows.append(_row("resident after the first call, MiB", found, "resident", bound=bound, holds=holds))
    return made


def _pairs(base: str, rounds: int) -> Row:
    """What a first call takes that comes at once, the SDK's right after ours."""
    known = servers(base)
    both = [(_first_call(known["ours"]), _first_call(known["SDK hello"])) for _ in range(rounds)]
    ours, sdk = [one for one, _ in both], [other for _, other in both]
    bound, holds = compare(ours, sdk, 1.0, "SDK hello")
    least = min(one / other for one, other in both)
    return Row(
        f"first call that comes at once, {rounds} pairs, ms",
        f"{median(ours):.0f} (least {min(ours):.0f})",
        [("SDK hello", f"{median(sdk):.0f} (least {min(sdk):.0f})")],
        f"{bound} (least of a pair {least:.2f})",
        holds,
    )


def _first_call(server: Server, log: IO[bytes] | None = None) -> float:
    """Return the milliseconds from the spawn to the answer of a call that comes at once."""
    with Host(server.command, server.env, log) as host:
        host.open()
        host.result(host.call(server.tool, **server.arguments))
        return host.since() * 1000


def stages(base: str, *, quick: bool) -> Section:
    """What a first call that comes at once waits for, as the server's own log tells it."""
    ours = servers(base)["ours"]
    logging = replace(ours, env={**ours.env, "RUNAPI_MCP_LOG": "debug"})
    _first_call(logging)  # bytecode and disk caches, not counted
    rounds = [_stages_of(logging) for _ in range(4 if quick else 12)]
    made = Section("What a first call that comes at once waits for, stage by stage, ms", peers=["mcp"])
    for stage in rounds[0]:
        made.rows.append(Row(stage, f"{median(each[stage] for each in rounds):.1f}"))
    made.rows.append(Row("together", f"{median(sum(each.values()) for each in rounds):.0f}"))
    return made


_STAGES: Final = {
    "interpreter": "the process, Python and the command line",
    "prologue": "the prologue, which answers from then on",
    "settings": "pydantic, and the settings",
    "sdk": "import of the SDK",
    "ours": "import of ours",
    "opened": "the store and the HTTP client opened",
    "serving": "the server built",
    "call begun": "the handshake served again, the call read",
    "connecting": "its arguments; the generation begun",
    "open": "connected, asked, answered by the upstream",
    "generation": "the answer read",
    "call": "the reply made",
}
"""The stages by their names in the log: the first in one line, the others each by the time of its own."""


def _stages_of(server: Server) -> dict[str, float]:
    """Return the milliseconds of each stage of one start, in their order."""
    with TemporaryFile() as log:
        spawned = time.time()
        whole = _first_call(server, log)
        log.seek(0)
        imported, *later = (json.loads(line) for line in log)
    moments = {imported["event"]: _moment(imported)}
    for line in later:
        moments.setdefault(line.get("phase", line["event"]), _moment(line))
    names = list(moments)
    taken = {name: imported.get(f"seconds_{name}", 0.0) for name in _STAGES}
    taken |= {
        after: moments[after] - moments[before] for before, after in pairwise(names) if after in _STAGES
    }
    # What its log does not know: how long the process took to be made.
    taken["interpreter"] += (
        moments["imported"] - spawned - sum(imported[n] for n in imported if n[:8] == "seconds_")
    )
    told = {said: taken[name] * 1000 for name, said in _STAGES.items()}
    return told | {"written, and read by the host": whole - sum(told.values())}


def _moment(line: Mapping[str, str]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def _later(base: str, rounds: int) -> Row:
    """What a first call takes of a host that had something else to do before it."""
    took = []
    for number in range(rounds):
        with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base}) as host:
            host.open()
            time.sleep(2)
            began = time.perf_counter()
            host.result(host.call("ask_gemini", prompt=f"{number} [[chunks=1]]"))
            took.append((time.perf_counter() - began) * 1000)
    return at_most("first call, 2 s after initialize, ms", median(took), 50)


def _greeting(usual: Starts, found: dict[str, Starts]) -> Row:
    typescript = found.get("TypeScript SDK", Starts())
    bounds = (
        compare(usual.initialize, found["bare Python"].initialize, 2, "bare Python"),
        compare(usual.initialize, typescript.initialize, 0.4, "TypeScript SDK"),
    )
    held = [holds for _, holds in bounds]
    return _row(
        "initialize, only a key set, ms",
        {**found, "ours": usual},
        "initialize",
        bound="; ".join(bound for bound, _ in bounds),
        holds=None if None in held else all(held),
    )


def _row(
    what: str, found: dict[str, Starts], field: str, *, bound: str = "", holds: bool | None = None
) -> Row:
    scale = 1 if field == "resident" else 1000
    figures = {name: f"{median(getattr(each, field)) * scale:.0f}" for name, each in found.items()}
    return Row(what, figures.pop("ours"), list(figures.items()), bound, holds)
