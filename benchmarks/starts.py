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
from typing import Final

from benchmarks.stdio import INITIALIZE, INITIALIZED, KEY, OURS, Host
from benchmarks.table import Row, Section, median, ratio

_SERVERS = Path(__file__).with_name("servers")
_TYPESCRIPT = _SERVERS / "typescript"


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
    if find_spec("fastmcp"):
        found["fastmcp"] = Server((python, str(_SERVERS / "hello_fastmcp.py")))
    if node := _typescript():
        found["TypeScript SDK"] = Server((node, str(_TYPESCRIPT / "hello.mjs")))
    return found


def _typescript() -> str | None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        print("No npm here: the TypeScript SDK server is left out.")
        return None
    if not (_TYPESCRIPT / "node_modules").exists():
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=_TYPESCRIPT, check=False, timeout=180
        )
        if done.returncode:
            print("npm could not install the TypeScript SDK: its server is left out.")
            return None
    return node


def first_call(server: Server, pause: float = 0.0) -> float:
    """Return the seconds from the spawn to a first call's answer; after a pause, those of the call alone."""
    with Host(server.command, server.env) as host:
        host.ask("initialize", INITIALIZE)
        host.send(INITIALIZED)
        time.sleep(pause)
        asked = host.since() if pause else 0.0
        answer = host.ask("tools/call", {"name": server.tool, "arguments": dict(server.arguments)})
        assert "result" in answer, answer
        return host.since() - asked


def pair(base: str, rounds: int, pause: float = 0.0) -> tuple[list[float], list[float]]:
    """Return what a first call took of ours and of the SDK's hello world, each right after the other."""
    known = servers(base)
    ours, sdk = known["ours"], known["SDK hello"]
    for server in (ours, sdk):  # bytecode and disk caches, not counted
        first_call(server)
    both = [(first_call(ours, pause), first_call(sdk, pause)) for _ in range(rounds)]
    return [one for one, _ in both], [other for _, other in both]


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
    found = measured(base, 4 if quick else 8)
    at_once, hello = pair(base, 10 if quick else 40)
    later, hello_later = pair(base, 3 if quick else 10, pause=2.0)
    ours, usual, sdk = found["ours"], found.pop("ours, only a key set"), found["SDK hello"]
    made = Section("Start: spawn to answer")
    made.rows.append(_greeting(usual, found))
    made.rows.append(_row("initialize, with settings besides the key, ms", found, "initialize"))
    made.rows.append(_row("tools/list, ms", found, "tools"))
    made.rows.append(_row("first call answered (instant upstream), ms", found, "call"))
    first, least = ratio(at_once, hello), min(one / other for one, other in zip(at_once, hello, strict=True))
    made.rows.append(
        Row(
            f"the same in {len(at_once)} pairs, ms",
            f"{median(at_once) * 1000:.0f} (least {min(at_once) * 1000:.0f})",
            [("SDK hello", f"{median(hello) * 1000:.0f} (least {min(hello) * 1000:.0f})")],
            f"≤ 1.0 × SDK hello: {first:.2f} (least of a pair {least:.2f})",
            first <= 1,
        )
    )
    mine = median(later) * 1000
    made.rows.append(
        Row(
            "a first call that comes 2 s after initialize, ms",
            f"{mine:.0f}",
            [("SDK hello", f"{median(hello_later) * 1000:.0f}")],
            f"≤ 50: {mine:.0f}",
            mine <= 50,
        )
    )
    more = median(ours.resident) - median(sdk.resident)
    made.rows.append(
        Row(
            "resident after the first call, MiB",
            f"{median(ours.resident):.0f}",
            [(name, f"{median(each.resident):.0f}") for name, each in found.items() if name != "ours"],
            f"≤ SDK hello + 8: {more:+.0f}",
            more <= 8,
        )
    )
    return made


def stages(base: str, *, quick: bool) -> Section:
    """What a first call that comes at once waits for, as the server's own log tells it."""
    ours = servers(base)["ours"]
    logging = replace(ours, env={**ours.env, "RUNAPI_MCP_LOG": "debug"})
    first_call(logging)
    rounds = [_stages(logging) for _ in range(4 if quick else 12)]
    made = Section("What a first call waits for, stage by stage, ms")
    for stage in rounds[0]:
        made.rows.append(Row(stage, f"{median(each[stage] for each in rounds):.1f}"))
    made.rows.append(Row("together", f"{median(sum(each.values()) for each in rounds):.0f}"))
    return made


def _stages(server: Server) -> dict[str, float]:
    """Return the milliseconds of each stage of one start, in their order."""
    with TemporaryFile() as log:
        with Host(server.command, server.env, log) as host:
            host.ask("initialize", INITIALIZE)
            host.send(INITIALIZED)
            host.ask("tools/call", {"name": server.tool, "arguments": dict(server.arguments)})
            answered, spawned = time.time(), host.spawned
        log.seek(0)
        lines = [json.loads(line) for line in log]
    times: dict[str, float] = {}
    for line in lines:
        event = line.get("phase") or line["event"]
        times.setdefault(event, datetime.fromisoformat(line["time"]).timestamp())
    known = {
        name.removeprefix("seconds_"): lines[0][name] for name in lines[0] if name.startswith("seconds_")
    }
    known["interpreter"] = times["imported"] - spawned - sum(known.values()) + known["interpreter"]
    moments = {
        "the store and the HTTP client opened": times["opened"],
        "the server built": times["serving"],
        "the handshake served again, the call read": times["call begun"],
        "its arguments, the generation begun": times["connecting"],
        "connected, asked, answered by the upstream": times["open"],
        "the answer read": times["generation"],
        "the reply made": times["call"],
        "written, and read by the host": answered,
    }
    taken = {_IMPORTS[name]: seconds for name, seconds in known.items()}
    for (_, before), (stage, after) in pairwise([("", times["imported"]), *moments.items()]):
        taken[stage] = after - before
    return {stage: seconds * 1000 for stage, seconds in taken.items()}


_IMPORTS: Final = {
    "interpreter": "the process, Python and the command line",
    "prologue": "the prologue, which answers from then on",
    "settings": "pydantic, and the settings",
    "sdk": "import of the SDK",
    "ours": "import of ours",
}


def _greeting(usual: Starts, found: dict[str, Starts]) -> Row:
    bare, typescript = found["bare Python"], found.get("TypeScript SDK")
    times = ratio(usual.initialize, bare.initialize)
    hello = ratio(usual.initialize, typescript.initialize) if typescript else 0.0
    others = {name: f"{median(each.initialize) * 1000:.0f}" for name, each in found.items() if name != "ours"}
    return Row(
        "initialize, only a key set, ms",
        f"{median(usual.initialize) * 1000:.0f}",
        list(others.items()),
        f"≤ 2 × bare Python: {times:.2f}; ≤ 0.4 × TypeScript: {hello:.2f}",
        times <= 2 and hello <= 0.4,
    )


def _row(
    what: str, found: dict[str, Starts], field: str, *, bound: str = "", holds: bool | None = None
) -> Row:
    figures = {name: f"{median(getattr(each, field)) * 1000:.0f}" for name, each in found.items()}
    return Row(what, figures.pop("ours"), list(figures.items()), bound, holds)
