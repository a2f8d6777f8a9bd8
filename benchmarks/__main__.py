"""``python -m benchmarks [--quick] [--hold] [NAME …]``: figures beside their floors, into the README.

Without names all are measured but those that take longer (`LONG`). Each writes its own table; with
``--quick``, or of some rows alone (``--like``), figures are printed only.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks import (
    calls,
    chunks,
    counted,
    held,
    hostile,
    kills,
    large_body,
    links,
    lists,
    memory,
    others,
    parts,
    picture,
    pings,
    replica,
    rolling,
    siege,
    silence,
    soak,
    starts,
    store,
    terminal,
    tls,
)
from benchmarks.evidence import bench as evidence
from benchmarks.schemas import bench as schemas
from benchmarks.table import Section, find_newest, save, write_section
from benchmarks.upstream import playing

LONG: Final = (
    *(
        "evidence",
        "schemas",
        "pings",
        "siege",
        "others",
        "links",
        "held",
        "rolling",
        "soak",
        "hostile",
        "kills",
    ),
)


def plan(base: str, *, quick: bool, like: str) -> Mapping[str, Callable[[], Section]]:
    """Return what can be measured, by name, in the order of the README."""
    return {
        "starts": lambda: starts.section(base, quick=quick),
        "stages": lambda: starts.stages(base, quick=quick),
        "lists": lists.section,
        "calls": lambda: calls.section(base, quick=quick),
        "tls": lambda: tls.section(quick=quick),
        "terminal": lambda: terminal.section(base, quick=quick),
        "silence": silence.section,
        "counted": lambda: counted.section(base),
        "bursts": lambda: chunks.bursts(base, quick=quick),
        "parts": lambda: parts.section(base, quick=quick),
        "paced": lambda: chunks.paced(base, quick=quick),
        "replica": lambda: replica.section(base, quick=quick),
        "memory": lambda: memory.section(base, quick=quick),
        "store": lambda: store.section(base, quick=quick),
        "pings": lambda: pings.section(quick=quick, like=like),
        "large-body": large_body.section,
        "evidence": evidence.section,
        "schemas": schemas.section,
        "siege": lambda: siege.section(quick=quick, like=like),
        "others": lambda: others.section(base),
        "links": lambda: links.section(quick=quick),
        "held": lambda: held.section(base, quick=quick),
        "rolling": lambda: rolling.section(quick=quick),
        "soak": lambda: soak.section(quick=quick),
        "hostile": lambda: hostile.section(quick=quick),
        "kills": lambda: kills.section(quick=quick),
    }


def main() -> int:
    about = (__doc__ or "").replace("``", "")
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure")
    parser.add_argument("--quick", action="store_true", help="a fourth of the time")
    parser.add_argument("--like", default="", metavar="TEXT", help="only rows that have this in their name")
    parser.add_argument("--hold", action="store_true", help="end with status 1 if a bound does not hold")
    given = parser.parse_args()
    began, newest, failed = time.monotonic(), find_newest(), []
    with playing() as base:
        benches = plan(base, quick=given.quick, like=given.like)
        if unknown := set(given.names) - set(benches):
            parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(benches)}")
        for name in given.names or [name for name in benches if name not in LONG]:
            print(f"{name} …", flush=True)
            section = benches[name]()
            text = write_section(section, newest)
            print(text, flush=True)
            failed += [row.what for row in section.rows if row.holds is False]
            if not (given.quick or given.like):
                save(name, text)
                picture.write()
    print(f"{time.monotonic() - began:.0f} s. Does not hold: {'; '.join(failed) or 'nothing'}.")
    return int(given.hold and bool(failed))


if __name__ == "__main__":
    sys.exit(main())
