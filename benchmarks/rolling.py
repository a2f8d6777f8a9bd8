"""Replace every replica of a fleet while calls run.

Three real servers on one Redis behind nginx, as packaging/nginx.conf has it. Callers ask without a pause;
every fourth takes a handle and comes back for the answer, to whichever replica. One replica after the other
is replaced as Kubernetes does it: its successor is ready, the proxy learns of that, the old one is told to
stop. Then again with the proxy not told before. Needs nginx and redis-server.
"""

import itertools
import json
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from benchmarks.served import Served, call, served
from benchmarks.table import Row, Section
from runapi_mcp.sim import simulate

CALLERS: Final = 48
REPLICAS: Final = 3
_DRAIN: Final = 20
_PRE_STOP: Final = 1.0
"""Seconds between the proxy's new list and the signal, as a preStop hook waits."""
_CONF: Final = Path(__file__).parent.parent / "packaging" / "nginx.conf"


@dataclass
class Tally:
    """What became of the calls."""

    ended: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    lost: list[str] = field(default_factory=list)


class Fleet:
    """The replicas that were started, each until it is told to leave."""

    def __init__(self, upstream: str, **settings: str) -> None:
        self._begin = partial(served, upstream, "--drain", str(_DRAIN), RUNAPI_MCP_LOG="off", **settings)
        self._stacks: dict[Served, ExitStack] = {}

    def start(self) -> Served:
        """Start one, and wait until it is ready."""
        stack = ExitStack()
        server = stack.enter_context(self._begin())
        while httpx.get(f"{server.url}/readyz").status_code != 200:
            time.sleep(0.05)
        self._stacks[server] = stack
        return server

    def stop(self, server: Served) -> float:
        """Have one leave, and return how many seconds that took."""
        began = time.monotonic()
        self._stacks.pop(server).close()
        return time.monotonic() - began

    def close(self) -> None:
        for server in [*self._stacks]:
            self.stop(server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Proxy:
    """nginx with the packaged configuration, whose list of replicas can change."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def serve(self, servers: list[Served]) -> None:
        """Send new calls to these from now on; those under way go on."""
        rows = "".join(f"server 127.0.0.1:{one.port} max_fails=2 fail_timeout=5s;\n" for one in servers)
        text = (
            _CONF.read_text()
            .replace("/tmp/", f"{self._folder}/")
            .replace("listen 8080", f"listen {self.port}")
        )
        text = re.sub(r"server runapi-mcp:8080 .*\n", rows, text)
        conf = self._folder / "nginx.conf"
        conf.write_text(text)
        command = ["nginx", "-p", str(self._folder), "-c", str(conf)]
        if self._process is None:
            self._process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
            while True:
                try:
                    httpx.get(f"http://127.0.0.1:{self.port}/healthz")
                    return
                except httpx.TransportError:
                    time.sleep(0.05)
        subprocess.run([*command, "-s", "reload"], stderr=subprocess.DEVNULL, check=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@contextmanager
def redis(program: str) -> Iterator[str]:
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


async def send(http: httpx.AsyncClient, url: str, tool: str, **arguments: str | float) -> dict[str, Any]:
    """Call a tool and return its result, or how it was refused."""
    headers, body = call(tool, "p", **arguments)
    # nginx closes idle ones when its list changes; a POST that meets that is its client's to repeat.
    answer = await http.post(url, content=body, headers=headers | {"Connection": "close"})
    if answer.status_code != 200:
        return {"status": answer.status_code, "retry": answer.headers.get("Retry-After")}
    lines = [line[5:] for line in answer.text.splitlines() if line.startswith("data:")] or [answer.text]
    last = json.loads(lines[-1])
    result: dict[str, Any] = last.get("result") or {
        "isError": True,
        "content": [{"text": str(last.get("error"))}],
    }
    return result


def status_of(result: dict[str, Any]) -> str:
    if "content" not in result:
        return f"{result['status']} with Retry-After" if result["retry"] else str(result["status"])
    if result.get("isError"):
        return f"error: {result['content'][0]['text'][:80]}"
    return str(result["_meta"]["ai.runapi/receipt"]["status"])


async def caller(number: int, url: str, tally: Tally, going: list[bool]) -> None:
    """Ask one question after the other; every fourth caller takes a handle, and comes back with it."""
    chance, returns = random.Random(number), number % 4 == 0
    async with httpx.AsyncClient(timeout=60) as http:
        for turn in itertools.count():
            if not going:
                return
            began = time.monotonic()
            prompt = f"{number}.{turn} [[sim:slow seconds={chance.uniform(0.5, 4):.1f}]]"
            try:
                wait = 0.5 if returns else 50
                result = await send(http, url, "ask_gemini", prompt=prompt, wait_seconds=wait)
                while status_of(result) == "running":
                    handle = result["_meta"]["ai.runapi/receipt"]["handle"]
                    result = await send(http, url, "get_result", handle=handle, wait_seconds=2)
                ended = status_of(result)
            except httpx.TransportError as error:
                ended = type(error).__name__
            tally.ended[ended] += 1
            tally.slowest = max(tally.slowest, time.monotonic() - began)
            if ended != "complete":
                tally.lost.append(f"{prompt}: {ended}")
                await anyio.sleep(1)


async def replace(proxy: Proxy, fleet: Fleet, callers: int, *, told: bool) -> tuple[Tally, list[float]]:
    """Replace all replicas under load; return what became of the calls, and how long each took to leave."""
    servers = [fleet.start() for _ in range(REPLICAS)]
    proxy.serve(servers)
    tally, going, took = Tally(), [True], []
    async with anyio.create_task_group() as tasks:
        for number in range(callers):
            tasks.start_soon(caller, number, proxy.url, tally, going)
        await anyio.sleep(5)
        for place, old in enumerate([*servers]):
            servers[place] = await anyio.to_thread.run_sync(fleet.start)
            if told:
                await anyio.to_thread.run_sync(proxy.serve, servers)
                await anyio.sleep(_PRE_STOP)
            took.append(await anyio.to_thread.run_sync(fleet.stop, old))
            if not told:
                await anyio.to_thread.run_sync(proxy.serve, servers)
            await anyio.sleep(2)
        going.clear()
    fleet.close()
    return tally, took


def section(*, quick: bool) -> Section:
    callers = CALLERS // 4 if quick else CALLERS
    made = Section(
        f"{REPLICAS} replicas are replaced behind nginx while {callers} callers ask", peers=["redis"]
    )
    redis_server = shutil.which("redis-server") or shutil.which("valkey-server")
    if redis_server and shutil.which("nginx") and find_spec("redis"):
        made.rows.extend(anyio.run(measure, redis_server, callers))
    else:
        made.notes.append("Not measured: nginx, redis-server and the redis package are needed.")
    return made


async def measure(redis_server: str, callers: int) -> list[Row]:
    rows = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(redis(redis_server))
        sim = await stack.enter_async_context(simulate())
        proxy, fleet = Proxy(folder), Fleet(sim.base_url, RUNAPI_MCP_STORE=store)
        stack.callback(proxy.close)
        stack.callback(fleet.close)
        for told in (True, False):
            tally, took = await replace(proxy, fleet, callers, told=told)
            for line in tally.lost[:10]:
                print(f"  {line}")
            ended = ", ".join(f"{how} × {count}" for how, count in tally.ended.most_common())
            row = Row(
                f"calls lost, the proxy {'told first' if told else 'not told'}",
                f"{len(tally.lost)} of {tally.ended.total()}",
                [
                    ("ended", ended),
                    ("the slowest call, s", f"{tally.slowest:.1f}"),
                    ("the slowest replica to leave, s", f"{max(took):.1f}"),
                ],
                "0" if told else "",
                not tally.lost if told else None,
            )
            rows.append(row)
    return rows
