"""What is wrong with a request outside of a tool's arguments is named, and what is meant is taken."""

import os
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from forked import forked
from messages import INITIALIZE, Message, request

from runapi_mcp.sim import Simulator
from server.hosting import RawHost, raw_host, server_env


@pytest.fixture(scope="module", params=[False, True], ids=["handshake", "modern"])
async def host(request: pytest.FixtureRequest, shared_sim: Simulator) -> AsyncIterator[RawHost]:
    async with raw_host(shared_sim.base_url, modern=request.param) as host:
        yield host


async def refused(host: RawHost, asked: Message) -> str:
    await host.send(asked)
    error = (await host.answer(asked["id"]))["error"]
    assert error["code"] == -32602
    said: str = error["message"]
    return said


def of(host: RawHost, method: str, /, meta: Message | None = None, **params: Any) -> Message:
    asked = host.request(7, method, **params)
    asked["params"]["_meta"] = asked["params"].get("_meta", {}) | (meta or {})
    return asked


@pytest.mark.parametrize(
    ("method", "params", "named"),
    [
        ("tools/call", {"arguments": {}}, "params.name: required"),
        ("resources/read", {}, "params.uri: required"),
        ("prompts/get", {"name": "research", "arguments": {"topic": ["x"]}}, "params.arguments.topic: "),
        ("tools/list", {"cursor": 5}, "params.cursor: "),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(
    host: RawHost, method: str, params: Message, named: str
) -> None:
    assert named in await refused(host, of(host, method, **params))


async def test_a_progress_token_that_is_neither_text_nor_whole_is_named_without_its_value(
    host: RawHost,
) -> None:
    said = await refused(host, of(host, "tools/list", {"progressToken": 1.5}))
    assert "params._meta.progressToken: " in said
    assert "string" in said
    assert "integer" in said
    assert "1.5" not in said


async def test_null_for_a_progress_token_is_none(host: RawHost) -> None:
    call = {"name": "list_models", "arguments": {}}
    await host.send(of(host, "tools/call", {"progressToken": None}, **call))
    message = await host.receive()
    assert "Default: " in message["result"]["content"][0]["text"]


async def test_a_number_for_a_text_of_a_prompt_is_that_text(host: RawHost) -> None:
    given = {"topic": 2027, "recency": None, "depth": "quick"}
    await host.send(of(host, "prompts/get", name="research", arguments=given))
    assert "2027" in (await host.answer(7))["result"]["messages"][0]["content"]["text"]


@pytest.mark.parametrize("missing", ["protocolVersion", "capabilities", "clientInfo"])
async def test_a_greeting_that_lacks_something_is_told_what_and_the_next_one_counts(
    sim: Simulator, missing: str
) -> None:
    """So is what comes before any: some clients leave the greeting out."""
    kept = {name: value for name, value in INITIALIZE["params"].items() if name != missing}
    process = await anyio.open_process(forked(), env=os.environ | server_env(sim.base_url, {}))
    async with RawHost(process, modern=False) as host:
        assert f"params.{missing}: required" in await refused(host, request(1, "initialize", kept))
        assert "initialize" in await refused(host, request(2, "tools/list", {}))
        await host.send(INITIALIZE)
        assert "result" in await host.answer(INITIALIZE["id"])
