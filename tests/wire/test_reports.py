"""Reports about other clients, relays and Google's layers, played on our decoders: ``reports.json``.

Each has where it was reported, what was played, what is right, and what was made of it here before.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from streams import fold

from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.fold import is_whole
from runapi_mcp.wire.function_calls import find_signature
from runapi_mcp.wire.types import Event, Frame

REPORTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("reports.json").read_text("utf-8"))


@pytest.mark.parametrize("report", REPORTS, ids=[report["what"] for report in REPORTS])
def test_what_was_reported_elsewhere_is_right_here(report: dict[str, Any]) -> None:
    decoder = dialects("/v1")[report["dialect"]].decoder()
    # A text is an event's data as it stands.
    frames = [Frame(chunk if isinstance(chunk, str) else json.dumps(chunk)) for chunk in report["chunks"]]
    events: list[Event] = [event for frame in frames for event in decoder.decode(frame)]
    answer = fold([*events, *decoder.end()]).partial()
    usage, finish = answer.usage, answer.finish
    seen = {
        "text": answer.text,
        "thoughts": answer.thoughts,
        "calls": [[call.id, call.name, call.arguments] for call in answer.function_calls],
        "found": [find_signature(call) for call in answer.function_calls],
        "signatures": [call.signature for call in answer.function_calls],
        "usage": [usage.input, usage.output, usage.thinking] if usage else None,
        "sources": [source.url for source in answer.grounding.sources],
        "raw": finish.raw if finish else None,
        "finish": finish.reason if finish else None,
        "message": finish.message if finish else None,
        "whole": is_whole(answer),
    }
    assert {name: seen[name] for name in report["right"]} == report["right"]
