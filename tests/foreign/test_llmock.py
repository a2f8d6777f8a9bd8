"""An upstream that nobody here wrote: llmock, which breaks streams on demand and judges its client.

It has an environment of its own, since it brings a web framework and a plug-in for pytest. `make test-outer`
makes that. Its verdict is that of a client which asks again by itself; this one does not where an answer may
have been paid for, so what it finds then is named beside each fault, and nothing else may be found.
"""

import re
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from server.hosting import Called, Host, in_process

from runapi_mcp.wire.types import DialectName

ROOT = Path(__file__).parents[2]
LLMOCK = shutil.which(
    "llmock", path=ROOT / "build" / "llmock" / ("Scripts" if sys.platform == "win32" else "bin")
)
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(
    LLMOCK is None,
    reason="llmock is not in build/llmock, where `make test-outer` installs it from the package index",
)

FUNCTIONS = [
    {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "nick": {"type": ["string", "null"]}},
    "required": ["name"],
    "additionalProperties": False,
}
BOTH: tuple[DialectName, ...] = ("chat", "native")


@dataclass(frozen=True)
class Fault:
    """What llmock is told to do, what the caller reads, and what llmock finds fault with."""

    does: dict[str, Any]
    reads: str
    status: Literal["complete", "partial", "failed"] = "complete"
    requests: int = 1
    finds: str = ""

    @property
    def name(self) -> str:
        return "-".join(str(value) for value in self.does.values() if value != "stream_fault")


def _stream(kind: str, after: int, reads: str, status: Any = "partial", **more: Any) -> Fault:
    does = {
        "type": "stream_fault",
        "kind": kind,
        "after_chunks": after,
        "stall_seconds": more.pop("seconds", 5),
    }
    return Fault(does, reads, status, **more)


def _fail(error: int, reads: str, *, times: int = 9, **more: Any) -> Fault:
    wait = {"retry_after": 0.2} if error in (429, 503) else {}
    more = {"status": "failed"} | more
    return Fault({"type": "fail", "status": error, "times": times, **wait}, reads, **more)


def _reply(finish: str, reads: str) -> Fault:
    return Fault({"type": "reply", "text": "Half an answer that", "finish_reason": finish}, reads, "partial")


FAULTS = [
    _stream("disconnect", 3, "The connection broke in the middle of the answer.", finds="gave_up"),
    _stream("truncate", 3, "the stream ended without a finish", finds="truncated_stream_accepted"),
    _stream("truncate", 0, "RunAPI's answer was empty.", "failed", finds="truncated_stream_accepted"),
    _stream("malformed", 3, "a chunk that could not be read", finds="malformed_chunk_ignored"),
    _stream("malformed", 0, "a chunk that could not be read", "failed", finds="malformed_chunk_ignored"),
    _stream("stall", 3, "RunAPI sent nothing for 2 s."),
    _stream("stall", 3, "gemini-3-flash-preview", "complete", seconds=0.5),
    Fault({"type": "slow_first_token", "seconds": 0.5}, "gemini-3-flash-preview"),
    _fail(429, "gemini-3-flash-preview", times=1, status="complete", requests=2),
    _fail(429, "RunAPI refused the call (429)", requests=3),
    _fail(503, "RunAPI failed (503)", requests=3),
    _fail(500, "RunAPI failed (500)", finds="gave_up"),
    _fail(502, "RunAPI failed (502)", finds="gave_up"),
    _fail(400, "RunAPI refused the call (400)"),
    _fail(401, "RunAPI refused the key (401)"),
    _fail(402, "Top up the RunAPI account"),
    _fail(403, "RunAPI refused the call (403)"),
    _fail(413, "RunAPI refused the call (413)"),
    _fail(422, "RunAPI refused the call (422)"),
    _reply("length", "the output limit was reached"),
    _reply("content_filter", "a safety rule stopped the answer"),
]


@dataclass
class Llmock:
    """A running llmock."""

    url: str
    client: httpx.AsyncClient

    async def play(self, *behaviours: dict[str, Any]) -> None:
        """Forget what was, and do this next."""
        (await self.client.post("/_llmock/reset")).raise_for_status()
        if behaviours:
            (await self.client.post("/_llmock/scenario", json={"behaviors": behaviours})).raise_for_status()

    async def findings(self) -> list[str]:
        """What it finds fault with in how its client took all that."""
        verdict = (await self.client.get("/_llmock/verdict")).json()
        return [finding["code"] for finding in verdict["findings"]]


@pytest.fixture(scope="module")
async def llmock() -> AsyncIterator[Llmock]:
    command = [LLMOCK or "", "serve", "--port", "0"]
    async with await anyio.open_process(command, stderr=-2) as process:
        try:
            with anyio.fail_after(PATIENCE):
                url = await _address(process)
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
                yield Llmock(url, client)
        finally:
            process.terminate()


async def _address(process: anyio.abc.Process) -> str:
    assert process.stdout is not None
    said = ""
    async for piece in process.stdout:
        said += piece.decode(errors="replace")
        if found := re.search(r"running on (http://[\d.]+:\d+)", said):
            return found[1]
    raise AssertionError(f"llmock did not start: {said}")


@asynccontextmanager
async def host_on(llmock: Llmock, dialect: DialectName) -> AsyncIterator[Host]:
    root = llmock.url + ("/gemini" if dialect == "native" else "")
    limits = {"RUNAPI_CHAT_PATH": "/v1", "RUNAPI_MCP_DIALECT": dialect, "RUNAPI_MCP_IDLE_TIMEOUT": "2"}
    async with in_process(root, limits) as host:
        yield host


def assert_told(called: Called, fault: Fault) -> None:
    assert fault.reads in called.text
    assert called.receipt["status"] == fault.status
    assert called.receipt["requests"] == fault.requests
    assert called.failed is (fault.status == "failed")


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_what_it_breaks_is_told_and_not_asked_again_where_it_may_be_paid_for(
    llmock: Llmock, fault: Fault, dialect: DialectName
) -> None:
    await llmock.play(fault.does)
    async with host_on(llmock, dialect) as host:
        called = await host.call("ask_gemini", prompt="Why is the sky blue?")
    assert_told(called, fault)
    assert await llmock.findings() == ([fault.finds] if fault.finds else [])


@pytest.mark.parametrize("dialect", BOTH)
async def test_its_answers_are_whole_and_counted(llmock: Llmock, dialect: DialectName) -> None:
    await llmock.play()
    async with host_on(llmock, dialect) as host:
        asked = await host.call("ask_gemini", prompt="Why is the sky blue?")
        extracted = await host.call("extract_json", schema=SCHEMA, text="name: Ada")
    assert asked.receipt["complete"]
    assert asked.receipt["tokens"]["input"] > 0
    assert asked.receipt["tokens"]["output"] > 0
    assert extracted.facts["data"]["name"] == "mock-name"
    assert await llmock.findings() == []


@pytest.mark.parametrize("dialect", BOTH)
async def test_functions_that_it_asks_for_are_told_apart_and_answered(
    llmock: Llmock, dialect: DialectName
) -> None:
    cities = [{"name": "get_weather", "arguments": {"city": city}} for city in ("Paris", "Rome")]
    await llmock.play({"type": "reply", "tool_calls": cities})
    async with host_on(llmock, dialect) as host:
        asked = await host.call("ask_gemini", prompt="Where is it warmer?", functions=FUNCTIONS)
        calls = asked.facts["calls"]
        assert [call["arguments"]["city"] for call in calls] == ["Paris", "Rome"]
        assert len({call["id"] for call in calls}) == 2
        results: Sequence[dict[str, Any]] = [
            {"role": "function", "name": call["name"], "id": call["id"], "content": "20"} for call in calls
        ]
        turns = [
            {"role": "user", "content": "Where is it warmer?"},
            {"role": "assistant", "content": "", "function_calls": calls},
            *results,
        ]
        answered = await host.call("ask_gemini", messages=turns, functions=FUNCTIONS)
    assert answered.receipt["complete"], answered.text
    assert answered.result.structured_content is None, "there is no further call"


@pytest.mark.parametrize(
    ("kind", "dialect", "said"),
    [
        ("malformed_arguments", "chat", "The arguments of get_weather are no JSON object"),
        ("unknown_tool", "chat", "llmock_unknown_tool is none of the functions that were offered"),
        ("unknown_tool", "native", "llmock_unknown_tool is none of the functions that were offered"),
    ],
)
async def test_a_call_that_cannot_be_run_is_said_to_be_one(
    llmock: Llmock, kind: str, dialect: DialectName, said: str
) -> None:
    await llmock.play({"type": "tool_fault", "kind": kind})
    async with host_on(llmock, dialect) as host:
        called = await host.call("ask_gemini", prompt="Is it warm in Paris?", functions=FUNCTIONS)
    assert said in called.text
