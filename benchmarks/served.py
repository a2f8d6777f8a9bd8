"""A real server over HTTP, seen from outside, and what its callers send."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

HEADERS: Final = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
}
META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Served:
    """The server's process, and where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._root = Path(f"/proc/{process.pid}")

    def _read(self, name: str) -> list[str]:
        """Return what the system tells of the process and of those that it started."""
        children = (self._root / f"task/{self.process.pid}/children").read_text("ascii").split()
        told = []
        for root in [self._root, *(Path(f"/proc/{child}") for child in children)]:
            with suppress(FileNotFoundError, ProcessLookupError):  # helpers come and go
                told.append((root / name).read_text("ascii"))
        return told

    def resident(self) -> int:
        """Bytes that the process has in memory."""
        return int((self._root / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def memory(self) -> int:
        """Bytes in memory of it and all that it started; what they share counts once."""
        told = [re.search(r"(?m)^Pss: +(\d+) kB", each) for each in self._read("smaps_rollup")]
        return sum(int(found[1]) << 10 for found in told if found)

    def cpu(self) -> float:
        """Seconds of processor time so far, of it and all that it started."""
        told = [each.rpartition(")")[2].split() for each in self._read("stat")]
        return sum(int(fields[11]) + int(fields[12]) for fields in told) / os.sysconf("SC_CLK_TCK")

    def left(self) -> dict[str, int]:
        """What it holds that should be given back."""
        return {
            "descriptors": len(list((self._root / "fd").iterdir())),
            "threads": len(list((self._root / "task").iterdir())),
            "helpers": len(self._read("stat")) - 1,
        }


@contextmanager
def served(upstream: str, *options: str, **settings: str) -> Iterator[Served]:
    """Run a server process with these options and settings until the block is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNAPI", "GOOGLE"))}
    env = kept | {"RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": upstream} | settings
    command = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0", *options]
    # A file, since a pipe that nobody reads fills, and a server that cannot say anything stops.
    with tempfile.NamedTemporaryFile() as noise, subprocess.Popen(command, env=env, stderr=noise) as process:
        try:
            yield Served(process, _port(Path(noise.name)))
        finally:
            process.terminate()


def _port(noise: Path) -> int:
    """Return where a server that says so listens."""
    for _ in range(600):
        if found := re.search(r"http://[\d.]+:(\d+)/mcp", noise.read_text("utf-8")):
            return int(found[1])
        time.sleep(0.05)
    raise TimeoutError(f"the server did not start: {noise.read_text('utf-8')}")


def call(tool: str, token: str = "", /, **arguments: object) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a call, which asks for progress if it has a token for that."""
    meta = META | ({"progressToken": token} if token else {})
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return HEADERS | {"Mcp-Method": "tools/call", "Mcp-Name": tool}, json.dumps(message).encode()


@contextmanager
def playing(*module: str) -> Iterator[str]:
    """Run a module of ours that plays an upstream, with its words, in a process; gives its base URL."""
    with subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()
