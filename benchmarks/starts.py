"""Cold starts: from the spawn to the first answers, each server in turn, round after round."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

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
    made.rows.append(_later(base, 2 if quick else 5))
    more = median(ours.resident) - median(sdk.resident)
    bound, holds = f"≤ SDK hello + 3: {more:+.0f}", more <= 3
    made.rows.append(_row("resident after the first call, MiB", found, "resident", bound=bound, holds=holds))
    return made


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
