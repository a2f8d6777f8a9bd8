"""What the tools cost every host in every conversation."""

import json

from anyio.from_thread import start_blocking_portal

from benchmarks.served import META
from benchmarks.stdio import INITIALIZE, KEY, OURS, Host
from benchmarks.table import Row, Section, at_most
from runapi_mcp.sim import simulate

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
    made.rows.append(_result())
    return made


def _result() -> Row:
    """What a host reads that shows the structured half of a search."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulate()) as sim,
        Host(OURS, {**KEY, "RUNAPI_BASE_URL": sim.base_url}) as host,
    ):
        query = "Where was the first weather observatory of the Northern Isles?"
        told = host.open().result(host.call("search_web", query=query))["result"]
    structured, texts = told["structuredContent"], sum(len(block["text"]) for block in told["content"])
    size, sources = _size(structured), len(structured["sources"])
    about = [("characters of its text", f"{texts:,}"), ("sources", f"{sources}")]
    return Row("bytes of a search's structured result", f"{size:,}", about)


def _size(result: object) -> int:
    return len(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode())
