"""Commands as they are typed: real processes, in pipes or in a terminal."""

import argparse
import os
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked import forked, forked_script

from runapi_mcp.cli.main import _parser
from runapi_mcp.cli.parser import Parser
from runapi_mcp.sim import Simulator

KEY = "sk-canary-0123456789"
PATIENCE = 30.0

Run = Callable[..., "Done"]
"""Runs a command in this process, as the command line does."""


def environment(sim: Simulator, tmp_path: Path, **env: str) -> dict[str, str]:
    ours = {"RUNAPI_TOKEN": KEY, "RUNAPI_BASE_URL": sim.base_url, "HOME": str(tmp_path), "TERM": "xterm"}
    return os.environ | ours | env


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def commands() -> dict[str, Parser]:
    """Return the parser of each command."""
    found = next(a for a in _parser([]).operands if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def typed(words: Sequence[str], env: dict[str, str], *, stdin: bytes | None = None, code: int = 0) -> Done:
    """Run a command in a process of its own, with `stdin` piped in, and see that it ends with `code`."""
    piped = subprocess.DEVNULL if stdin is None else None
    done = subprocess.run(
        [*forked(), *words],
        env=env,
        stdin=piped,
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    told = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert KEY not in told.stdout + told.stderr
    assert "Traceback" not in told.stderr, told.stderr
    assert told.returncode == code, told.stderr
    return told


def shell(line: str, env: dict[str, str]) -> Done:
    """Run a line of bash in which R is the program; it fails if any command in it does."""
    if sys.platform == "win32":
        pytest.skip("what a shell of POSIX does with a command")
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("no file on this machine that is always full")
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", re.sub(r"\bR ", f"{shlex.join(forked())} ", line)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return Done(ended.returncode, ended.stdout, ended.stderr)


def open_terminal() -> tuple[int, int]:
    """Open a terminal; return the end that a test types into, and the one for the command."""
    if sys.platform == "win32":
        pytest.skip("a terminal that a test can type into is a thing of POSIX")
    import pty

    return pty.openpty()


class Screen:
    """A terminal with a command in it."""

    def __init__(self, words: list[str], env: dict[str, str], *, patient: bool = False) -> None:
        self._terminal, inner = open_terminal()
        start = forked_script(str(Path(__file__).with_name("patient.py"))) if patient else forked()
        self.process = subprocess.Popen([*start, *words], env=env, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        self.seen = ""

    def until(self, pattern: str) -> None:
        """Read until the screen has shown something."""
        ends = time.monotonic() + PATIENCE
        while not re.search(pattern, self.seen):
            assert time.monotonic() < ends, self.seen
            assert self._read(), self.seen

    def types(self, keys: str) -> None:
        """Type."""
        os.write(self._terminal, keys.encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        os.close(self._terminal)
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], PATIENCE)[0]:
            return False
        try:
            piece = os.read(self._terminal, 65_536)
        except OSError:
            return False
        self.seen += piece.decode(errors="replace")
        return bool(piece)
