"""A real Redis (or Valkey), started on a free loopback port, that can be stopped and started again."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
HOW = "no redis-server or valkey-server on this machine: apt-get install redis-server"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One server; what it holds is gone when it stops, as with a Redis without a disk."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        assert PROGRAM is not None
        if self._process is not None:
            return
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [PROGRAM, *options], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait()

    def stop(self) -> None:
        """Kill it: connections break, and new ones are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        assert self._process is not None
        if sys.platform == "win32":
            pytest.skip("a process can be stopped on POSIX only")
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        if sys.platform == "win32":
            pytest.skip("a process can be stopped on POSIX only")
        self._process.send_signal(signal.SIGCONT)

    def _wait(self) -> None:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2) as line:
                line.sendall(b"PING\r\n")
                if line.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.01)
        raise AssertionError("redis-server does not answer")


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server; the test is skipped where there is none to be had."""
    if PROGRAM is None:
        pytest.skip(HOW)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(port, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
