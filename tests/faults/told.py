"""What the caller of a tool is told beside the answer, as it was read in a run and is kept for the page."""

import json
import os
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass

from server.hosting import Called
from server.snapshots import SNAPSHOTS

from runapi_mcp.errors import RunapiError

KEPT = SNAPSHOTS / "faults.json"


@dataclass(frozen=True)
class Told:
    """What happened, and what to do about it; empty where nothing is said."""

    what: str = ""
    advice: str = ""


def told(called: Called, error: RunapiError | None) -> Told:
    """Return what a result says; that it says all of it is asserted."""
    if error is not None:
        assert f"{error.what} {error.advice}".strip() in called.text
        return Told(_settled(error.what), _settled(error.advice))
    if called.failed:
        own = getattr(called.result.content[-1], "text", "")
        head, *rest = own.splitlines()
        what, _, advice = head.partition(". ")
        wrong = [line for line in rest if line.startswith("- ")]
        return Told(_settled(" ".join([what + ":", *wrong])), _settled(advice))
    text = re.sub(r"\n+\[To ask on: [^\n]+\]\s*$", "", called.text)  # as every answer says
    notice = re.search(r"\n\n\[([^\n]+)\]\s*$", text)
    what, call, rest = (notice[1] if notice else "").partition("Call get_result")
    return Told(_settled(what.strip()), _settled(call + rest))


def _settled(text: str) -> str:
    """Replace what differs between two runs."""
    text = re.sub(r" \(g_[A-Za-z0-9_-]{6}\)", "", text)
    text = re.sub(r"g_[A-Za-z0-9_-]{20,}", "g_…", text)
    text = re.sub(r" (starting at )?at line \d+ column \d+", "", text)  # a parser's own words
    return re.sub(r"\b(8\d|9\d) s\b", "90 s", text)


def kept() -> dict[str, Told]:
    """Return what the runs were told when the page was last written."""
    found: dict[str, dict[str, str]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return {name: Told(**texts) for name, texts in found.items()}


def assert_kept(name: str, now: Told) -> None:
    """Fail unless a run was told what is kept; `UPDATE_SNAPSHOTS=1` keeps it."""
    before = kept()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        before[name] = now
        write(before)
    assert before.get(name) == now, f"run with UPDATE_SNAPSHOTS=1 and review {KEPT.name} and docs/faults.md"


def assert_only(names: Collection[str]) -> None:
    """Fail if texts of runs are kept that there are no more; `UPDATE_SNAPSHOTS=1` drops them."""
    before = kept()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        before = {name: texts for name, texts in before.items() if name in names}
        write(before)
    assert before.keys() == set(names)


def write(texts: dict[str, Told]) -> None:
    plain = {name: asdict(texts[name]) for name in sorted(texts)}
    KEPT.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
