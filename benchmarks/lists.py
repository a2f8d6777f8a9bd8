"""What the tools cost every host in every conversation."""

import json

from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section

MOST_BYTES = 6_000


def section() -> Section:
    with Host(OURS, KEY) as host:
        result = host.open().ask("tools/list")["result"]
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    made = Section("tools/list")
    tools = len(result["tools"])
    made.rows.append(
        Row(
            f"bytes of {tools} tools (2025-11-25)",
            f"{size:,}",
            [("about tokens", f"{size // 4:,}")],
            "≤ 6,000",
            size <= MOST_BYTES,
        )
    )
    return made
