"""From the command to the first text of an answer, beside `llm`, on the same upstream."""

import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks.stdio import KEY, OURS
from benchmarks.table import Row, Section, compare, median
from benchmarks.upstream import MODEL, Script

_LLM: Final = Path(sys.executable).with_name("llm")
_SCRIPT: Final = Script(chunks=3, pace=0.05)
_TEXT: Final = b"word"
"""What the upstream writes."""


def section(base: str, *, quick: bool) -> Section:
    made = Section("A question in the terminal", peers=["llm", "openai"])
    with tempfile.TemporaryDirectory() as folder:
        for where in ("pipe", "terminal"):
            made.rows.append(_first_text(base, Path(folder), where, 3 if quick else 10))
    return made


def _first_text(base: str, folder: Path, where: str, rounds: int) -> Row:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNAPI_", "GOOGLE_", "LLM_"))
    }
    own = {**kept, **KEY, "RUNAPI_BASE_URL": base, "XDG_STATE_HOME": str(folder), "TERM": "xterm-256color"}
    known = {"ours": ([*OURS, "ask"], own)}
    if _LLM.exists():
        model = f"- model_id: bench\n  model_name: {MODEL}\n  api_base: {base}/v1beta/openai\n"
        (folder / "extra-openai-models.yaml").write_text(model)
        theirs = {
            **kept,
            "LLM_USER_PATH": str(folder),
            "OPENAI_API_KEY": "simulated-key",
            "TERM": own["TERM"],
        }
        known["llm"] = ([str(_LLM), "-m", "bench"], theirs)
    took: dict[str, list[float]] = {name: [] for name in known}
    for number in range(rounds + 1):
        for name, (command, env) in known.items():
            wait = _wait(where, [*command, f"{number} {_SCRIPT}"], env)
            if number:  # bytecode and disk caches, not counted
                took[name].append(wait * 1000)
    return Row(
        f"first text in a {where}, ms",
        f"{median(took['ours']):.0f}",
        [(name, f"{median(each):.0f}") for name, each in took.items() if name != "ours"],
        *compare(took["ours"], took.get("llm"), 1.0, "llm"),
    )


def _wait(where: str, command: Sequence[str], env: Mapping[str, str]) -> float:
    """Return the seconds until the first text is there."""
    near, far = os.pipe() if where == "pipe" else pty.openpty()
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=far, stderr=far, env=env) as process:
        os.close(far)
        seen, wait = b"", 0.0
        with suppress(OSError):  # so a terminal says that nobody writes to it any more
            while piece := os.read(near, 65_536):
                seen += piece
                wait = wait or (time.perf_counter() - began if _TEXT in seen else 0.0)
        assert process.wait() == 0, seen
        assert wait, seen
    os.close(near)
    return wait
