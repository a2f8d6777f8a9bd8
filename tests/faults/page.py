"""``docs/faults.md``: the texts that people read most often, then the whole matrix."""

from faults.common import COMMON
from faults.matrix import GROUPS, Row
from faults.told import Told, kept
from runapi_mcp.sim import SCENARIOS

_TOP = """\
# What you see when something goes wrong

The texts that people meet most often; `…` stands for what belongs to your call. A test brings each about.

| You read | It means | Do |
|---|---|---|
"""

_NOT_OURS = """
Two are the host's own words:

* *Request timed out* or `-32001`: the host gave up before the call came back. Set `RUNAPI_MCP_HOLD` to some
  seconds less than it waits.
* *Command not found* or `ENOENT`: the host does not know your `PATH`. `runapi-mcp install HOST` writes the
  whole path.

`runapi-mcp doctor` starts the server as each host would, and says what it finds.
"""

_REST = """\
## Every fault

The table that the tests run (`tests/faults/matrix.py`), each row against the simulated RunAPI on a real
socket, on both dialects where it can happen on both; *You read* and *Do* are what those runs said. To see
one for yourself, take the name in `code` from the first column:

    runapi-mcp sim --scenario NAME

That plays it for every request, so a row that says *the first time only* ends there as the one that says
*twice*. Parameters such as `seconds=0.1`, the time-outs and the limits are those of the tests; yours are in
the [settings](settings.md).

* **Result**: *complete*; *partial*, with the text so far, the reason, and a handle; or *error*, when there is
  nothing to give. The code is in the result's `_meta`, for programs. Every partial answer can be continued:
  the model calls `get_result` with its handle and `resume`.
* **Requests**: how many RunAPI sees. More than one only where the first was refused with a wait (429 and 503,
  at most two waits, within the hold window) or where an extraction is asked for once more.
"""
_HEAD = "| RunAPI or the network | Tool | Result | Requests | You read | Do |\n|---|---|---|---|---|---|"


def page() -> str:
    """Return the page."""
    common = "\n".join(f"| {_plain(row.reads)} | {row.means} | {row.do} |" for row in COMMON.values())
    parts = [f"{_TOP}{common}\n{_NOT_OURS}", _REST]
    texts = kept()
    for title, rows in GROUPS.items():
        lines = "\n".join(_line(row, texts) for row in rows)
        parts.append(f"### {title}\n\n{_HEAD}\n{lines}\n")
    return "\n".join(parts)


def _line(row: Row, texts: dict[str, Told]) -> str:
    about = SCENARIOS[row.scenario]
    where = "" if len(about.dialects) == 2 else f" ({about.dialects[0]} only)"
    happens = about.summary.rstrip(".") + where
    happens += ", twice" * row.again + ", the first time only" * row.first_only
    result = f"error `{row.code}`" if row.code else "error" if row.error else row.status
    first, *others = [texts.get(f"{dialect}-{row.name}", Told()) for dialect in row.dialects]
    do = [
        _plain(first.advice),
        *(f"on native: {_plain(o.advice)}" for o in others if o.advice != first.advice),
    ]
    cells = [
        f"{_plain(happens)} · `{row.cue}`",
        f"`{row.tool}`",
        result,
        str(row.requests),
        "; ".join(_read(row, first, others)),
        _plain(" ".join(part for part in do if part)) or "—",
    ]
    return "| " + " | ".join(cells) + " |"


def _read(row: Row, first: Told, others: list[Told]) -> list[str]:
    whole = "the answer" if row.kept == "whole" and not row.error else ""
    parts = [whole or ("what had come" if row.kept == "part" else "")]
    if row.sees not in first.what and row.sees not in first.advice and not row.error:
        parts.append(_cell(row.sees))
    parts.append(_cell(first.what))
    parts += [f"on native {_cell(other.what)}" for other in others if other.what != first.what]
    return [part for part in parts if part]


def _cell(text: str) -> str:
    if not text:
        return ""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"*{_plain(folded)}*"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
