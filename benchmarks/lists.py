"""What the tools cost every host in every conversation."""

import json

from benchmarks.served import META
from benchmarks.stdio import INITIALIZE, KEY, OURS, Host
from benchmarks.table import Section, at_most

MOST_BYTES = 1_600
"""Of a tool, in each revision."""
MOST_CHARACTERS = 950


def section() -> Section:
    made = Section("What a host reads in every conversation")
    with Host(OURS, KEY) as host:
        said = host.ask("initialize", INITIALIZE)["result"]["instructions"]
        listed = {"2025-11-25": host.open().ask("tools/list")["result"]}
    with Host(OURS, KEY) as host:
        listed["2026-07-28"] = host.ask("tools/list", {"_meta": META})["result"]
    for revision, result in listed.items():
        size, tools = _size(result), len(result["tools"])
        what = f"bytes of {tools} tools ({revision})"
        about = [("about tokens", f"{size // 4:,}")]
        made.rows.append(at_most(what, size, MOST_BYTES * tools, about, form=","))
    about = [("about tokens", f"{len(said) // 4:,}")]
    made.rows.append(at_most("characters of the instructions", len(said), MOST_CHARACTERS, about, form=","))
    return made


def _size(result: object) -> int:
    return len(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode())
