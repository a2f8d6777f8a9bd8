"""Answers and schemas from public reports about other clients, played here: each with what is right."""

import json
from pathlib import Path
from typing import Any

import pytest

from runapi_mcp.extraction.answers import judge_answers
from runapi_mcp.extraction.check import Judge, check_schema

REPORTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("reports.json").read_text("utf-8"))


@pytest.mark.parametrize("row", REPORTS, ids=[row["right"] for row in REPORTS])
def test_what_was_reported_elsewhere_is_right_here(row: dict[str, Any]) -> None:
    check_schema(row["schema"])
    verdict = judge_answers(Judge(row["schema"]), [row["answer"]], "", many=row.get("many", False))
    if "data" in row:
        assert verdict.violations == ()
        assert json.loads(verdict.document) == row["data"]
    else:
        assert any(row["violation"] in line for line in verdict.violations)
    if "part" in row:
        assert json.loads(verdict.document) == row["part"]
    assert row.get("said", "") in verdict.unwrapped
    assert bool(verdict.unwrapped) == ("said" in row)
    assert verdict.exact == row.get("exact", {})


def test_every_row_says_where_it_was_reported() -> None:
    assert all(row["report"].startswith("https://github.com/") and row["right"] for row in REPORTS)
