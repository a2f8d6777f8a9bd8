"""Replace every replica of a fleet while calls run: ``python -m benchmarks.rolling [CALLERS]``.

Three real servers on one Redis behind nginx, as packaging/nginx.conf has it. Callers ask without a pause;
every fourth takes a handle and comes back for the answer, to whichever replica. One replica after the other
is replaced as Kubernetes does it: its successor is ready, the proxy learns of that, the old one is told to
stop. Then again with the proxy not told before. Ends with status 1 if the first lost a call. Needs nginx and
redis-server.
"""

import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from runapi_mcp.sim import simulate

CALLERS: Final = 48
REPLICAS: Final = 3
_DRAIN: Final = 20
_PRE_STOP: Final = 1.0
"""Seconds between the proxy's new list and the signal, as a preStop hook waits."""
_CONF: Final = Path(__file__).parent.parent / "packaging" / "nginx.conf"
_ENVELOPE: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class Server:
    """One replica; its log is read all along, for a full pipe would stop it."""

    process: subprocess.Popen[bytes]
    port: int

    def leave(self) -> float:
        """Have it stop, and return how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(_DRAIN + 10)
        return time.monotonic() - began


@dataclass
class Tally:
    """What became of the calls."""

    ended: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    lost: list[str] = field(default_factory=list)


def start(env: dict[str, str]) -> Server:
    command = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0", "--drain", str(_DRAIN)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
    assert process.stderr is not None
    found = re.search(rb"http://\S+?:(\d+)/mcp", process.stderr.readline())
    assert found
    threading.Thread(target=process.stderr.read, daemon=True).start()
    server = Server(process, int(found[1]))
    while httpx.get(f"http://127.0.0.1:{server.port}/readyz").status_code != 200:
        time.sleep(0.05)
    return server


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

    def serve(self, servers: list[Server]) -> None:
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
            self._process = subprocess.Popen([*command, "-g", "daemon off;"])
            while True:
                try:
                    httpx.get(f"http://127.0.0.1:{self.port}/healthz")
                    return
                except httpx.TransportError:
                    time.sleep(0.05)
        subprocess.run([*command, "-s", "reload"], check=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@contextmanager
def redis() -> Iterator[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    assert program, "redis-server is needed"
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


async def send(http: httpx.AsyncClient, url: str, tool: str, **arguments: str | float) -> dict[str, Any]:
    """Call a tool and return its result, or how it was refused."""
    params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "p", **_ENVELOPE}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
        # nginx closes idle ones when its list changes; a POST that meets that is its client's to repeat.
        "Connection": "close",
    }
    answer = await http.post(url, json=message, headers=headers)
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


async def replaced(
    proxy: Proxy, env: dict[str, str], callers: int, *, told: bool
) -> tuple[Tally, list[float]]:
    """Replace all replicas under load; return what became of the calls, and how long each took to leave."""
    servers = [start(env) for _ in range(REPLICAS)]
    proxy.serve(servers)
    tally, going, took = Tally(), [True], []
    async with anyio.create_task_group() as tasks:
        for number in range(callers):
            tasks.start_soon(caller, number, proxy.url, tally, going)
        await anyio.sleep(5)
        for place, old in enumerate([*servers]):
            servers[place] = await anyio.to_thread.run_sync(start, env)
            if told:
                await anyio.to_thread.run_sync(proxy.serve, servers)
                await anyio.sleep(_PRE_STOP)
            took.append(await anyio.to_thread.run_sync(old.leave))
            if not told:
                await anyio.to_thread.run_sync(proxy.serve, servers)
            await anyio.sleep(2)
        going.clear()
    for server in servers:
        server.leave()
    return tally, took


async def main() -> int:
    callers = int(sys.argv[1]) if len(sys.argv) > 1 else CALLERS
    lost = 0
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store, sim = stack.enter_context(redis()), await stack.enter_async_context(simulate())
        env = os.environ | {
            "RUNAPI_TOKEN": "simulated-key",
            "RUNAPI_BASE_URL": sim.base_url,
            "RUNAPI_MCP_STORE": store,
            "RUNAPI_MCP_LOG": "off",
        }
        proxy = Proxy(folder)
        stack.callback(proxy.close)
        for told in (True, False):
            tally, took = await replaced(proxy, env, callers, told=told)
            how = "the proxy told first" if told else "the proxy not told"
            print(
                f"{how}: {tally.ended.total()} calls of {callers} callers, {REPLICAS} replicas replaced,",
                end=" ",
            )
            print(f"{len(tally.lost)} lost; {dict(tally.ended)}; slowest {tally.slowest:.1f} s;", end=" ")
            print(f"a replica took {max(took):.1f} s at most to leave")
            for line in tally.lost[:10]:
                print(f"  {line}")
            lost += len(tally.lost) if told else 0
    return bool(lost)


if __name__ == "__main__":
    sys.exit(anyio.run(main))
