"""First text in the terminal: from the spawn of a command to the answer's first word, beside llm in turn."""

import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.stdio import KEY, OURS
from benchmarks.table import Row, Section, median, ratio

_PROMPT: Final = "[[chunks=40 pace=0.02]]"
_WORD: Final = b"word"
_LLM: Final = Path(sys.executable).with_name("llm")


@dataclass(frozen=True)
class Command:
    words: Sequence[str]
    env: Mapping[str, str]

    def start(self, stdout: int) -> subprocess.Popen[bytes]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("RUNAPI_", "GOOGLE_"))
        }
        return subprocess.Popen(
            self.words,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stdout,
            env={**clean, "TERM": "xterm-256color", **self.env},
        )


def in_a_pipe() -> tuple[int, int]:
    return os.pipe()


def in_a_terminal() -> tuple[int, int]:
    return pty.openpty()


def first_text(command: Command, open_ends: Callable[[], tuple[int, int]]) -> float:
    """Return the seconds from the spawn to the first word of the answer."""
    ours, its = open_ends()
    began = time.perf_counter()
    process = command.start(its)
    os.close(its)
    seen = b""
    try:
        while _WORD not in seen:
            piece = os.read(ours, 65_536)
            assert piece, seen
            seen += piece
        return time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@contextmanager
def commands(base: str) -> Iterator[dict[str, Command]]:
    with tempfile.TemporaryDirectory() as home:
        found = {
            "ours": Command((*OURS, "ask", _PROMPT), {**KEY, "RUNAPI_BASE_URL": base, "XDG_STATE_HOME": home})
        }
        if _LLM.exists():
            models = f"- model_id: bench\n  model_name: bench\n  api_base: {base}/v1beta/openai\n"
            (Path(home) / "extra-openai-models.yaml").write_text(models, encoding="utf-8")
            found["llm"] = Command(
                (str(_LLM), "-m", "bench", _PROMPT),
                {"LLM_USER_PATH": home, "OPENAI_API_KEY": "simulated-key"},
            )
        yield found


def section(base: str, *, quick: bool) -> Section:
    made = Section("First text in the terminal: spawn to the answer's first word")
    with commands(base) as known:
        for where, open_ends in (("a pipe", in_a_pipe), ("a terminal", in_a_terminal)):
            taken: dict[str, list[float]] = {name: [] for name in known}
            for command in known.values():  # bytecode and disk caches, not counted
                first_text(command, open_ends)
            for _ in range(5 if quick else 20):
                for name, command in known.items():
                    taken[name].append(first_text(command, open_ends))
            made.rows.append(_row(where, taken))
    return made


def _row(where: str, taken: dict[str, list[float]]) -> Row:
    figures = {name: f"{median(times) * 1000:.0f}" for name, times in taken.items()}
    beside = [(name, figure) for name, figure in figures.items() if name != "ours"]
    if "llm" not in taken:
        return Row(f"runapi-mcp ask in {where}, ms", figures["ours"])
    times = ratio(taken["ours"], taken["llm"])
    return Row(
        f"runapi-mcp ask in {where}, ms", figures["ours"], beside, f"≤ 1.0 × llm: {times:.2f}", times <= 1
    )
