"""A host made of raw pipes, for a server whose import it can hold up."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

Message = dict[str, Any]

SERVER: Final = Path(__file__).with_name("gated_server.py")
PATIENCE: Final = 20.0  # seconds; far above anything a passing test needs
META: Final = "io.modelcontextprotocol/"


def initialize(number: int | str = 0, revision: str = "2025-11-25", **client: Any) -> Message:
    hello = {
        "protocolVersion": revision,
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"} | client,
    }
    return request(number, "initialize", hello)


def envelope(revision: str = "2026-07-28", **more: object) -> Message:
    return {"_meta": {f"{META}protocolVersion": revision, f"{META}clientCapabilities": {}} | more}


def request(number: int | str, method: str, params: Message | None = None) -> Message:
    message: Message = {"jsonrpc": "2.0", "id": number, "method": method}
    return message if params is None else message | {"params": params}


def call(number: int | str, tool: str, **arguments: Any) -> Message:
    return request(number, "tools/call", {"name": tool, "arguments": arguments})


INITIALIZED: Final[Message] = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


class BootHost:
    """Starts the server; it cannot import the SDK until `let_in()`."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        gate, self._gate = os.pipe()
        self._reached, reached = os.pipe()
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("RUNAPI_", "GOOGLE_"))
        }
        self.process = subprocess.Popen(
            [sys.executable, SERVER, str(gate), str(reached), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=[gate, reached],
            env={**clean, **(env or {})},
        )
        os.close(gate)
        os.close(reached)
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr
        self._lines: list[bytes] = []
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_in()
        self.process.kill()
        self.process.wait()
        os.close(self._reached)
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    def wait_at_the_gate(self) -> None:
        """Return when the server has come to the import of the SDK."""
        assert select.select([self._reached], [], [], PATIENCE)[0], "the server imports nothing"

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def let_in(self) -> None:
        """Let the import go on."""
        if self._gate >= 0:
            os.close(self._gate)
        self._gate = -1

    def send(self, *messages: object) -> None:
        self.write(b"".join(line(message) for message in messages))

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.stdin.fileno(), rest) :]

    def receive(self) -> Message:
        """The next message."""
        deadline = time.monotonic() + PATIENCE
        while not self._lines:
            assert select.select([self.stdout], [], [], max(0.0, deadline - time.monotonic()))[0], "no answer"
            chunk = os.read(self.stdout.fileno(), 1 << 16)
            assert chunk, f"the server has gone: {self.stderr.read().decode()}"
            *self._lines, self._rest = (self._rest + chunk).split(b"\n")
        return json.loads(self._lines.pop(0))  # type: ignore[no-any-return]  # what JSON holds is the test's to know

    def ids(self, count: int) -> list[int | str | None]:
        """The ids of the next answers, in order."""
        return [self.receive()["id"] for _ in range(count)]

    def leaves(self, within: float = PATIENCE) -> tuple[int, str]:
        """Wait for the exit; return its status and what was written to stderr."""
        status = self.process.wait(timeout=within)
        return status, self.stderr.read().decode()

    def remaining(self) -> list[Message]:
        """What was written before the server left."""
        return [json.loads(each) for each in (*self._lines, *(self._rest + self.stdout.read()).splitlines())]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
