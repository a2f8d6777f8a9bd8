"""How many calls of ours a chunk costs; ``python -m benchmarks.counted`` tells of which functions.

The whole server answers one call in this process under a profiler, between the host's line and its answer,
of 200 chunks and of 1,200; what is printed is the difference, for each chunk. A generator that is gone on
with counts as a call, as the profiler has it. The figures depend on no clock, so they need no quiet machine.
"""

import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import anyio
from mcp import Client

import runapi_mcp
from benchmarks.table import Row, Section
from benchmarks.upstream import Script, playing
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import from_env

FEW: Final = 200
MANY: Final = 1_200
_ROOT: Final = str(Path(runapi_mcp.__file__).parent)
_ALONE: Final = 0.004
"""Seconds between chunks that are to come alone."""


class Counting:
    """Counts the calls of this package's functions while it is watched."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()

    def __enter__(self) -> "Counting":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_ROOT):
            self.calls[frame.f_code] += 1


async def count(base: str, dialect: str, script: Script) -> Counter[CodeType]:
    """Return the calls that a whole answer costs."""
    settings = from_env({"RUNAPI_TOKEN": "k" * 20, "RUNAPI_BASE_URL": base, "RUNAPI_MCP_DIALECT": dialect})
    async with open_app(settings) as app, Client(build_server(app)) as client:
        await client.call_tool("ask_gemini", {"prompt": "[[chunks=3]]"})
        with Counting() as counting:
            await client.call_tool("ask_gemini", {"prompt": str(script)})
    return counting.calls


def per_chunk(base: str, dialect: str, pace: float) -> Counter[CodeType]:
    """Return the calls that a thousand chunks add."""
    few, many = (anyio.run(count, base, dialect, Script(chunks=chunks, pace=pace)) for chunks in (FEW, MANY))
    many.subtract(few)
    return many


def section(base: str) -> Section:
    made = Section("Calls of ours for each chunk")
    for dialect in ("chat", "native"):
        for name, pace, most in (("alone", _ALONE, 25), ("in a burst", 0.0, 15)):
            calls = per_chunk(base, dialect, pace).total() / (MANY - FEW)
            made.rows.append(
                Row(f"{dialect}, a chunk that comes {name}", f"{calls:.1f}", (), f"≤ {most}", calls <= most)
            )
    return made


def main() -> None:
    with playing() as base:
        for dialect in ("chat", "native"):
            for pace in (_ALONE, 0.0):
                print(f"\n{dialect}, pace {pace:g}")
                for code, calls in per_chunk(base, dialect, pace).most_common():
                    if calls > MANY / 100:
                        where = code.co_filename.removeprefix(_ROOT)
                        print(f"{calls / (MANY - FEW):8.2f} {where}:{code.co_qualname}")


if __name__ == "__main__":
    main()
