"""A server process on raw pipes: its host writes any bytes, and reads when it wants to."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from messages import Message, lines

PATIENCE: Final = 30.0  # seconds; far above anything a passing test needs


class PipedHost:
    """Starts a server; at the end of the block it is killed."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Collection[int] = (),
        start_new_session: bool = False,
    ) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=env,
            pass_fds=pass_fds,
            start_new_session=start_new_session,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr
        self._lines: list[bytes] = []
        self._rest = b""

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

    def send(self, *messages: object) -> None:
        self.write(lines(*messages))

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

    def remaining(self) -> list[Any]:
        """What the server wrote before it left."""
        tail = self.stdout.read()
        return [json.loads(line) for line in (*self._lines, *(self._rest + tail).splitlines())]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def left(self, within: float) -> tuple[int, str]:
        """Wait for the exit; return its status and what was written to stderr."""
        status = self.process.wait(timeout=within)
        return status, self.stderr.read().decode()

    def _line(self, deadline: float) -> bytes:
        pieces = [self._rest]
        while not self._lines:
            ready, _, _ = select.select([self.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the server said nothing in time"
            chunk = os.read(self.stdout.fileno(), 1 << 16)
            assert chunk, f"the server closed its stdout: {self.left(5.0)}"
            pieces.append(chunk)
            if b"\n" in chunk:
                *self._lines, self._rest = b"".join(pieces).split(b"\n")
        return self._lines.pop(0)
