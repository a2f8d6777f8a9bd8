"""Reviewed files that tests compare with; `UPDATE_SNAPSHOTS=1` writes them anew."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAPSHOTS = ROOT / "tests" / "snapshots"


def assert_same(path: Path, text: str) -> None:
    """Fail unless the file holds exactly this text."""
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    name = path.relative_to(ROOT)
    assert path.exists(), f"{name} is missing: run with UPDATE_SNAPSHOTS=1 and review it"
    kept = path.read_text(encoding="utf-8")
    assert text == kept, f"{name} is not current: run with UPDATE_SNAPSHOTS=1 and review the difference"
