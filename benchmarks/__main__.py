"""``python -m benchmarks [--quick] [--only NAME]``: every figure in the same run, into the README's table."""

import argparse
import time
from collections.abc import Callable

from benchmarks import calls, chunks, lists, memory, starts, store, terminal
from benchmarks.table import Section, save, written
from benchmarks.upstream import playing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; the README is left as it is")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        help="only their rows: starts, stages, terminal, lists, calls, bursts, paced, memory or store",
    )
    given = parser.parse_args()
    quick: bool = given.quick
    began = time.monotonic()
    with playing() as base:
        plan: dict[str, Callable[[], Section]] = {
            "starts": lambda: starts.section(base, quick=quick),
            "stages": lambda: starts.stages(base, quick=quick),
            "terminal": lambda: terminal.section(base, quick=quick),
            "lists": lists.section,
            "calls": lambda: calls.section(base, quick=quick),
            "bursts": lambda: chunks.bursts(base, quick=quick),
            "paced": lambda: chunks.paced(base, quick=quick),
            "memory": lambda: memory.section(base, quick=quick),
            "store": lambda: store.section(base, quick=quick),
        }
        sections = []
        for name, measure in plan.items():
            if given.only and name not in given.only:
                continue
            print(f"{name} …", flush=True)
            sections.append(measure())
    print(written(sections))
    print(f"{time.monotonic() - began:.0f} s")
    if not quick:
        save(sections, all_of_them=not given.only)


if __name__ == "__main__":
    main()
