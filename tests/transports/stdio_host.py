"""A host made of raw pipes: it writes any bytes to a real server process, and reads when it wants to."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SERVER = Path(__file__).with_name("echo_server.py")
NON_BLOCKING = (
    "import os, sys; [os.set_blocking(fd, False) for fd in (0, 1)]; os.execv(sys.argv[1], sys.argv[1:])"
)
PATIENCE = 10.0  # seconds; far above anything a passing test needs

Message = dict[str, Any]

INITIALIZE: Message = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}
INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def request(number: int | str, method: str, meta: Message | None = None, **params: Any) -> Message:
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": method,
        "params": params | ({"_meta": meta} if meta else {}),
    }


def call(number: int | str, tool: str, meta: Message | None = None, **arguments: str) -> Message:
    return request(number, "tools/call", meta, name=tool, arguments=arguments)


def text_of(answer: Message) -> str:
    text = answer["result"]["content"][0]["text"]
    assert isinstance(text, str)
    return text


class Host:
    def __init__(self, *, modern: bool = False, non_blocking: bool = False) -> None:
        self.meta = ENVELOPE if modern else None
        prelude = [sys.executable, "-c", NON_BLOCKING] if non_blocking else []
        self.process = subprocess.Popen(
            [*prelude, sys.executable, SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr
        self._rest = b""
        self._lines: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    def open(self) -> Self:
        """Greet the server and wait until it is up."""
        if self.meta:
            self.send(request(0, "server/discover", self.meta))
        else:
            self.send(INITIALIZE, INITIALIZED)
        assert "result" in self.answer(0)
        return self

    def send(self, *messages: Message) -> None:
        self.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.stdin.fileno(), rest) :]

    def receive(self, seconds: float = PATIENCE) -> Message:
        """The next message; every line must be one."""
        message = json.loads(self._line(time.monotonic() + seconds))
        assert isinstance(message, dict)
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, number: int | str | None, seconds: float = PATIENCE) -> Message:
        """The next answer with this id, past any notification; another answer is a failure."""
        while "method" in (message := self.receive(seconds)):
            pass
        assert message["id"] == number, message
        return message

    def ask(self, message: Message) -> Message:
        self.send(message)
        return self.answer(message["id"])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def leaves(self, within: float = 3.0) -> str:
        """Wait for a clean exit in time; returns what was written to stderr.

        The promise is one second (0.25 s where nothing else runs); a machine that runs two tests at once
        is given more.
        """
        status = self.process.wait(timeout=within)
        noise = self.stderr.read().decode()
        assert status == 0, noise
        assert "Traceback" not in noise
        assert "rror" not in noise
        return noise

    def remaining(self) -> list[Message]:
        """What the server wrote before it left."""
        tail = self.stdout.read()
        lines = [*self._lines, *(self._rest + tail).splitlines()]
        return [json.loads(line) for line in lines]

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _line(self, deadline: float) -> bytes:
        pieces = [self._rest]
        while not self._lines:
            ready, _, _ = select.select([self.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the server said nothing in time"
            chunk = os.read(self.stdout.fileno(), 1 << 16)
            assert chunk, "the server closed its stdout"
            pieces.append(chunk)
            if b"\n" in chunk:
                *self._lines, self._rest = b"".join(pieces).split(b"\n")
        return self._lines.pop(0)


def wait_for(path: Path, seconds: float = PATIENCE) -> None:
    """Wait for another process to leave its mark."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not happen"
        time.sleep(0.002)
