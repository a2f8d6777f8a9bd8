"""What hosts see before they call anything: the tools as listed, in every era of the protocol."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from messages import ENVELOPE, INITIALIZE, Message

from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from server.hosting import RawHost, raw_host, server_env
from server.snapshots import SNAPSHOTS, assert_same

ORDER = [*TOOLS]


@pytest.fixture(scope="module")
async def listed(shared_sim: Simulator) -> dict[str, Message]:
    """The raw result of tools/list in both eras."""
    results: dict[str, Message] = {}
    for modern in (False, True):
        async with raw_host(shared_sim.base_url, modern=modern) as host:
            await host.send(host.request(1, "tools/list"))
            results["modern" if modern else "handshake"] = (await host.answer(1))["result"]
    return results


@pytest.fixture(params=ORDER)
def tool(request: pytest.FixtureRequest, listed: dict[str, Message]) -> Message:
    return next(tool for tool in listed["handshake"]["tools"] if tool["name"] == request.param)


def _schemas(value: Any) -> Iterator[Message]:
    """Every object schema inside a schema."""
    if isinstance(value, dict):
        if value.get("type") == "object":
            yield value
        for member in value.values():
            yield from _schemas(member)
    elif isinstance(value, list):
        for member in value:
            yield from _schemas(member)


async def test_a_call_over_http_finds_its_tool_as_it_is_listed_without_listing_all(
    shared_sim: Simulator, listed: dict[str, Message]
) -> None:
    async with open_app(from_env(server_env(shared_sim.base_url, {}))) as app:
        find = build_server(app).get_tool_input_schema
        assert find is not None, "the SDK would list all tools for each call"
        found = {name: find(name) for name in ORDER}
        assert find("no_such_tool") is None
    assert found == {tool["name"]: tool["inputSchema"] for tool in listed["modern"]["tools"]}


def test_the_tools_are_as_they_were_reviewed(listed: dict[str, Message]) -> None:
    shown = json.dumps(listed["handshake"]["tools"], indent=2, ensure_ascii=False) + "\n"
    assert_same(SNAPSHOTS / "tools.json", shown)


def test_both_eras_list_the_same_tools_in_the_same_order(listed: dict[str, Message]) -> None:
    assert [tool["name"] for tool in listed["handshake"]["tools"]] == ORDER
    assert listed["handshake"]["tools"] == listed["modern"]["tools"]


def test_the_modern_list_may_be_cached(listed: dict[str, Message]) -> None:
    assert listed["modern"]["ttlMs"] > 0
    assert listed["modern"]["cacheScope"] == "public"


def test_arguments_that_are_not_declared_are_forbidden(tool: Message) -> None:
    assert tool["inputSchema"]["type"] == "object"
    declared = [schema for schema in _schemas(tool["inputSchema"]) if "properties" in schema]
    assert all(schema["additionalProperties"] is False for schema in declared)


def test_every_parameter_is_described_where_its_name_does_not_say_it_all(tool: Message) -> None:
    for name, parameter in tool["inputSchema"].get("properties", {}).items():
        assert parameter.get("description"), f"{tool['name']}.{name} has no description"


def test_the_schemas_are_valid(tool: Message) -> None:
    for schema in (tool["inputSchema"], tool.get("outputSchema", {})):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_hints_are_honest(tool: Message) -> None:
    hints = tool["annotations"]
    assert hints["readOnlyHint"] is TOOLS[tool["name"]].read_only
    assert hints["openWorldHint"] is True
    assert hints["idempotentHint"] is TOOLS[tool["name"]].idempotent


def test_only_tools_with_facts_publish_an_output_schema(tool: Message) -> None:
    assert tool.get("outputSchema") == TOOLS[tool["name"]].output


def test_names_and_descriptions_are_short_enough_for_hosts(listed: dict[str, Message]) -> None:
    tools = listed["handshake"]["tools"]
    assert all(len(tool["name"]) <= 30 for tool in tools)


@pytest.mark.parametrize("version", ["2024-11-05"])
async def test_an_older_handshake_is_answered_in_its_own_version(shared_sim: Simulator, version: str) -> None:
    async with raw_host(shared_sim.base_url) as host:
        greeting = {**INITIALIZE, "id": 1, "params": {**INITIALIZE["params"], "protocolVersion": version}}
        await host.send(greeting)
        result = (await host.answer(1))["result"]
    assert result["protocolVersion"] == version
    _assert_introduced(result)


async def test_a_modern_host_discovers_the_server_without_a_handshake(shared_sim: Simulator) -> None:
    async with raw_host(shared_sim.base_url, modern=True) as host:
        await host.send(host.request(1, "server/discover"))
        result = (await host.answer(1))["result"]
        answer = await _asked(host)
    assert "2026-07-28" in result["supportedVersions"]
    _assert_introduced(result)
    assert answer["resultType"] == "complete"


async def _asked(host: RawHost) -> Message:
    await host.call(2, "ask_gemini", prompt="Hello?")
    result: Message = (await host.answer(2))["result"]
    return result


def _assert_introduced(result: Message) -> None:
    server = result.get("serverInfo") or result["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert server["name"] == "runapi-mcp"
    # All that Claude Code gives a model of a server, beside its tools' names, until it looks them up.
    assert len(result["instructions"]) < 1_000
    assert all(name in result["instructions"] for name in TOOLS)
    assert "tools" in result["capabilities"]
    assert ENVELOPE.keys().isdisjoint(result)


async def test_tools_that_are_always_loaded_say_so_to_claude_code_and_others_how_to_find_them(
    shared_sim: Simulator,
) -> None:
    tools = {}
    for setting in ("0", "1"):
        async with raw_host(shared_sim.base_url, RUNAPI_MCP_ALWAYS_LOAD=setting) as host:
            await host.send(host.request(1, "tools/list"))
            tools[setting] = (await host.answer(1))["result"]["tools"]
    assert all([*tool["_meta"]] == ["anthropic/searchHint"] for tool in tools["0"])
    assert all(tool["_meta"]["anthropic/alwaysLoad"] is True for tool in tools["1"])
    assert all(tool["_meta"]["anthropic/maxResultSizeChars"] > 40_000 for tool in tools["1"])


@pytest.mark.parametrize("arguments", [None, [], "", "null", "{}"])
async def test_no_arguments_are_understood_however_a_client_writes_none(
    shared_sim: Simulator, arguments: object
) -> None:
    async with raw_host(shared_sim.base_url) as host:
        await host.send(host.request(1, "tools/call", name="list_models", arguments=arguments))
        result = (await host.answer(1))["result"]
    assert not result.get("isError")


async def test_arguments_as_json_text_are_read(shared_sim: Simulator) -> None:
    async with raw_host(shared_sim.base_url) as host:
        text = '{"prompt": "Why?", "colour": 1}'
        await host.send(host.request(1, "tools/call", name="ask_gemini", arguments=text))
        result = (await host.answer(1))["result"]
    assert "colour: unknown argument" in result["content"][0]["text"]
