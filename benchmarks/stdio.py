"""A host made of raw pipes, as cheap as one can be: what it measures is the server."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

Message = dict[str, Any]

INITIALIZE: Final[Message] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}
INITIALIZED: Final[Message] = {"jsonrpc": "2.0", "method": "notifications/initialized"}
OURS: Final = (str(Path(sys.executable).with_name("runapi-mcp")),)
KEY: Final = {"RUNAPI_TOKEN": "simulated-key"}


class Host:
    """A server process and the host's end of its pipes.

    Attributes:
        written: Bytes that the host has sent.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, log: IO[bytes] | None = None
    ) -> None:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("RUNAPI_", "GOOGLE_"))
        }
        # Each its own, as on a machine of its own: what one was asked, another would join.
        self._state = tempfile.TemporaryDirectory()
        clean["XDG_STATE_HOME"] = self._state.name
        self.written = 0
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL,
            env={**clean, **(env or {})},
        )
        assert self.process.stdin
        assert self.process.stdout
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._stdout.close()
        self._state.cleanup()

    def leave(self) -> None:
        """Close the host's end, as a host does that has had enough."""
        with suppress(BrokenPipeError):
            self._stdin.close()

    def send(self, message: Message) -> None:
        line = json.dumps(message).encode() + b"\n"
        self.written += len(line)
        self._stdin.write(line)
        self._stdin.flush()

    def receive(self) -> Message:
        line = self._stdout.readline()
        assert line, "the server has gone"
        message: Message = json.loads(line)
        return message

    def request(self, method: str, params: Message | None = None) -> int:
        self._number += 1
        self.send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}})
        return self._number

    def ask(self, method: str, params: Message | None = None) -> Message:
        """Return the answer, past any notification."""
        number = self.request(method, params)
        while (message := self.receive()).get("id") != number:
            pass
        return message

    def open(self) -> Self:
        self.ask("initialize", INITIALIZE)
        self.send(INITIALIZED)
        return self

    def call(self, tool: str, token: str | None = None, **arguments: object) -> int:
        meta = {"_meta": {"progressToken": token}} if token else {}
        return self.request("tools/call", {"name": tool, "arguments": arguments} | meta)

    def cancel(self, number: int) -> None:
        self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})

    def result(self, number: int) -> Message:
        while (message := self.receive()).get("id") != number:
            pass
        return message

    def since(self) -> float:
        """Seconds since the process was spawned."""
        return time.perf_counter() - self.began

    def cpu(self) -> float:
        """CPU seconds of every thread so far."""
        spent = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return spent / 1e9

    def resident(self, name: str = "VmRSS") -> float:
        """MiB in memory now; `VmHWM` is the most there was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024
