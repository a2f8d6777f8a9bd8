"""What was reported of other clients and relays, played on ours; the reports are data."""

import json
from pathlib import Path
from typing import Any

import pytest
from sockets import Peer, raw_server

from runapi_mcp.errors import UpstreamError
from runapi_mcp.generations.policy import find_loop, shorten_loops
from upstream.asking import ask, upstream_at

REPORTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reports.json").read_text(encoding="utf-8")
)


def names(report: dict[str, Any]) -> str:
    return str(report["link"].removeprefix("https://github.com/"))


@pytest.mark.parametrize("report", [report for report in REPORTS if "body" in report], ids=names)
async def test_a_refusal_that_was_reported_says_its_cause_and_its_wait(report: dict[str, Any]) -> None:
    body = json.dumps(report["body"]).encode()

    async def answer(peer: Peer, _: bytes) -> None:
        head = f"HTTP/1.1 {report['status']} X\r\ncontent-type: application/json\r\n"
        await peer.say(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        error = (await ask(upstream)).error
    right = report["right"]
    assert isinstance(error, UpstreamError)
    assert (error.code, error.retry_after) == (right["code"], right["retry_after"])
    assert [text for text in right["says"] if text not in str(error)] == []
    assert [text for text in right.get("lacks", []) if text in str(error)] == []


@pytest.mark.parametrize("report", [report for report in REPORTS if "loop" in report], ids=names)
def test_a_loop_that_was_reported_is_noticed_and_told_once(report: dict[str, Any]) -> None:
    begun, unit, times = report["loop"]
    assert find_loop(begun + unit * times).startswith(report["right"]["reason"])
    assert len(shorten_loops(begun + unit * times)) < len(begun) + len(unit) + 60
