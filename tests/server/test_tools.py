"""Every tool through a real server process on a real socket, on both dialects."""

import json
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from sockets import refused_url

from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from server.hosting import Host, hosted, in_process

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "total": {"type": "number"}},
    "required": ["name", "total"],
    "additionalProperties": False,
}
INVOICE = "Invoice of Northwind Ltd, name: Ada, total: 129.50."
NATIVE_SEARCH = "gemini-3.7-flash"


@pytest.fixture(scope="module", params=["chat", "native"])
async def dialect_host(
    request: pytest.FixtureRequest, shared_sim: Simulator
) -> AsyncIterator[tuple[str, Host]]:
    model = NATIVE_SEARCH if request.param == "native" else "gemini-2.5-flash"
    async with hosted(
        shared_sim.base_url, RUNAPI_MCP_DIALECT=request.param, RUNAPI_MCP_SEARCH_MODEL=model
    ) as host:
        yield request.param, host


async def test_an_answer_comes_as_text_alone_with_its_receipt_for_programs(
    dialect_host: tuple[str, Host], sim: Simulator
) -> None:
    dialect, host = dialect_host
    called = await host.call("ask_gemini", prompt="Why is the sky blue?")
    assert called.text.startswith("This is a simulated answer")
    assert not called.failed
    assert called.result.structured_content is None
    assert called.receipt | {"tokens": None} == {
        "model": "gemini-3-flash-preview",
        "dialect": dialect,
        "status": "complete",
        "complete": True,
        "finish_reason": "stop",
        "finish_reason_raw": "stop" if dialect == "chat" else "STOP",
        "tokens": None,
        "seconds_to_first_byte": pytest.approx(0.5, abs=0.5),
        "seconds": pytest.approx(0.5, abs=0.5),
        "seconds_waited": 0,
        "requests": 1,
        "rounds": 1,
        "client_request_id": sim.calls[0].headers["x-client-request-id"],
        "searches": 0,
        "cost": None,
        "currency": None,
        "model_asked": "gemini-3-flash-preview",
        "model_served": "gemini-3-flash-preview",
        "handle": called.handle,
    }
    assert called.receipt["tokens"]["output"] > 0
    assert len(called.handle) >= 2 + 22  # 128 random bits take 22 characters


async def test_every_tool_asks_for_a_stream_and_shows_the_key_in_one_header_only(
    dialect_host: tuple[str, Host], sim: Simulator
) -> None:
    dialect, host = dialect_host
    await host.call("ask_gemini", prompt="One")
    await host.call("search_web", query="Two")
    await host.call("extract_json", schema=SCHEMA, text=INVOICE)
    assert len(sim.calls) == 3
    for seen in sim.calls:
        if dialect == "chat":
            assert (seen.path, seen.auth) == ("/v1beta/openai/chat/completions", "bearer")
            body: Any = seen.body
            assert body["stream"] is True
            assert body["stream_options"] == {"include_usage": True}
        else:
            assert seen.path.endswith(":streamGenerateContent")
            assert (seen.query, seen.auth) == ("alt=sse", "x-goog-api-key")


async def test_thoughts_are_shown_only_when_asked_for(dialect_host: tuple[str, Host], sim: Simulator) -> None:
    _, host = dialect_host
    shown = await host.call("ask_gemini", prompt="Think aloud.", include_thoughts=True)
    hidden = await host.call("ask_gemini", prompt="Think aloud.")
    assert shown.text.startswith("Thinking:\n")
    assert "Answer:\nThis is a simulated answer" in shown.text
    assert hidden.text.startswith("This is a simulated answer")
    assert len(sim.calls) == 2


async def test_a_search_gives_the_same_sources_in_both_halves(
    dialect_host: tuple[str, Host], sim: Simulator
) -> None:
    _, host = dialect_host
    called = await host.call("search_web", query="When was the Example Observatory opened?")
    facts = called.facts
    assert facts["status"] == "complete"
    assert facts["answer_grounded"] in (True, "partly")
    assert facts["answer"] in called.text
    assert facts["sources"]
    for source in facts["sources"]:
        assert f"[{source['number']}]" in facts["answer"]
        assert source["url"] in called.text
    assert len(sim.calls) == 1


async def test_a_search_without_sources_says_so_in_both_halves(
    dialect_host: tuple[str, Host], sim: Simulator
) -> None:
    del sim
    _, host = dialect_host
    called = await host.call("search_web", query="Anything? [[sim:no-sources]]")
    assert called.facts["answer_grounded"] is False
    assert "sources" not in called.facts
    assert "No sources came back" in called.text
    assert any("No sources came back" in note for note in called.facts["notes"])


@pytest.mark.parametrize("as_text", [False, True])
async def test_extracted_json_conforms_and_is_whole_in_both_halves(
    dialect_host: tuple[str, Host], sim: Simulator, *, as_text: bool
) -> None:
    del sim
    _, host = dialect_host
    schema = json.dumps(SCHEMA) if as_text else SCHEMA
    called = await host.call("extract_json", schema=schema, text=INVOICE)
    jsonschema.validate(called.facts["data"], SCHEMA)
    assert json.loads(called.text) == called.facts["data"]


async def test_json_that_does_not_conform_is_an_error_with_violations_and_the_raw_text(
    dialect_host: tuple[str, Host], sim: Simulator
) -> None:
    _, host = dialect_host
    sim.play("wrong-json", "wrong-json")
    called = await host.call("extract_json", schema=SCHEMA, text=INVOICE)
    assert called.failed
    assert called.facts["violations"]
    assert called.facts["raw"]
    for violation in called.facts["violations"]:
        assert violation in called.text
    assert called.facts["raw"] in called.text
    assert called.receipt["handle"] == called.handle


async def test_every_structured_result_conforms_to_the_schema_its_tool_publishes(
    dialect_host: tuple[str, Host], sim: Simulator
) -> None:
    del sim
    _, host = dialect_host
    outputs = {tool.name: tool.output_schema for tool in (await host.client.list_tools()).tools}
    for tool, arguments in (
        ("search_web", {"query": "One"}),
        ("search_web", {"query": "One [[sim:no-sources]]"}),
        ("search_web", {"query": "One [[sim:cut-clean]]"}),
        ("search_web", {"query": "Two [[sim:slow seconds=5]]", "wait_seconds": 0}),
        ("extract_json", {"schema": {"type": "array"}, "text": "Nothing [[sim:default text=[]]]"}),
        ("extract_json", {"schema": SCHEMA, "text": "Three [[sim:cut-clean]]"}),
        ("extract_json", {"schema": SCHEMA, "text": "Five [[sim:slow seconds=5]]", "wait_seconds": 0}),
        ("extract_json", {"schema": SCHEMA, "text": "Four [[sim:wrong-json]]"}),
        ("list_models", {}),
    ):
        called = await host.call(tool, **arguments)
        schema = outputs[tool]
        assert schema is not None
        jsonschema.validate(called.facts, schema)
        assert not [name for name, value in called.facts.items() if value in ("", None, {})]


async def test_the_live_list_is_joined_with_what_each_model_can_do(host: Host, sim: Simulator) -> None:
    called = await host.call("list_models")
    assert called.facts["source"] == "live"
    rows = {row["id"]: row for row in called.facts["models"]}
    assert rows["gemini-3-flash-preview"]["dialects"] == ["chat", "native"]
    assert rows["gemini-2.5-pro"]["known"] is True  # listed as models/gemini-2.5-pro
    assert rows["gemini-flash-latest"]["stands_for"] == "gemini-3-flash-preview"
    assert rows["gemini-4-argon"] == {"id": "gemini-4-argon", "known": False}
    assert not [model for model in rows if not model.startswith("gemini")]
    assert all(model in called.text for model in rows)
    assert not sim.calls


async def test_without_a_network_the_list_is_the_tables_and_says_why() -> None:
    async with in_process(refused_url()) as host:
        called = await host.call("list_models")
        asked = await host.call("ask_gemini", prompt="Hello?")
    assert called.facts["source"] == "static"
    assert "could not be reached" in called.facts["note"]
    assert called.facts["note"] in called.text
    assert not called.failed
    assert asked.failed
    assert "could not be reached" in asked.text
    assert "nothing was sent" in asked.text


async def test_without_a_key_it_starts_and_lists_and_the_first_call_says_how_to_set_one(
    sim: Simulator,
) -> None:
    async with hosted(sim.base_url, RUNAPI_TOKEN="") as host:
        names = [tool.name for tool in (await host.client.list_tools()).tools]
        asked = await host.call("ask_gemini", prompt="Hello?")
        listed = await host.call("list_models")
    assert names == [*TOOLS]
    assert asked.failed
    assert asked.code == "key_missing"
    assert "RUNAPI_TOKEN" in asked.text
    assert "https://runapi.ai" in asked.text
    assert listed.facts["source"] == "static"
    assert not sim.calls
    assert not sim.lists


async def test_a_key_with_a_space_is_refused_without_showing_it(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_TOKEN="sk-left sk-right") as host:
        asked = await host.call("ask_gemini", prompt="Hello?")
    assert asked.failed
    assert "RUNAPI_TOKEN holds a space" in asked.text
    assert "sk-left" not in asked.text
    assert "sk-right" not in asked.text
    assert not sim.calls


async def test_an_unknown_tool_is_a_protocol_error_that_names_the_known_ones(host: Host) -> None:
    with pytest.raises(MCPError) as refused:
        await host.call("ask_gemnii", prompt="Hello?")
    assert refused.value.error.code == -32602
    assert "ask_gemini" in refused.value.error.message


ASKED = {"prompt": "Hello?"}
BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("ask_gemini", {"prompt": ""}, ["prompt"]),
    ("ask_gemini", {"prompt": " \n\t "}, ["prompt"]),
    ("ask_gemini", {}, ["prompt"]),
    ("ask_gemini", {"prompt": None}, ["prompt"]),
    ("ask_gemini", ASKED | {"promt": "x"}, ["promt"]),
    ("ask_gemini", ASKED | {"model": "other/gemini"}, ["model"]),
    ("ask_gemini", ASKED | {"model": "gemini\nx"}, ["model"]),
    ("ask_gemini", ASKED | {"reasoning_effort": "extreme"}, ["reasoning_effort"]),
    (
        "ask_gemini",
        ASKED | {"model": "gemini-3.7-flash", "reasoning_effort": "medium"},
        ["reasoning_effort"],
    ),
    ("ask_gemini", ASKED | {"temperature": 3}, ["temperature"]),
    ("ask_gemini", ASKED | {"max_output_tokens": -2}, ["max_output_tokens"]),
    ("ask_gemini", ASKED | {"wait_seconds": -2}, ["wait_seconds"]),
    ("ask_gemini", ASKED | {"files": ["/nowhere/at/all.png"]}, ["files[0]"]),
    ("ask_gemini", ASKED | {"files": ["missing.txt"]}, ["files[0]"]),
    ("ask_gemini", ASKED | {"files": ["ftp://example.org/a.png"]}, ["files[0]"]),
    ("ask_gemini", {"prompt": "", "temperature": 9, "extra": 1}, ["temperature", "extra"]),
    ("search_web", {"query": ""}, ["query"]),
    ("search_web", {"query": "x", "model": "gemini-3-flash-preview"}, ["model"]),
    ("search_web", {"query": "x", "max_sources": -1}, ["max_sources"]),
    ("extract_json", {"schema": SCHEMA}, ["text"]),
    ("extract_json", {"schema": SCHEMA, "text": "x", "files": ["data:,"]}, ["text"]),
    ("extract_json", {"text": "x"}, ["schema"]),
    ("extract_json", {"schema": {"type": "strng"}, "text": "x"}, ["schema"]),
    ("extract_json", {"schema": "{not json", "text": "x"}, ["schema"]),
    ("extract_json", {"schema": "[1]", "text": "x"}, ["schema"]),
    ("extract_json", {"schema": {"$ref": "https://example.org/s"}, "text": "x"}, ["schema"]),
    ("get_result", {}, ["handle"]),
    ("get_result", {"handle": "g_x", "offset": -1}, ["offset"]),
    ("get_result", {"handle": "g_x", "wait_seconds": -2}, ["wait_seconds"]),
    ("get_result", {"handle": "g_x", "cancel": True, "resume": True}, ["cancel"]),
    ("get_result", {"handle": "g_x"}, ["handle"]),
]


@pytest.mark.parametrize(("tool", "arguments", "fields"), BAD, ids=[f"{t}-{a}"[:70] for t, a, _ in BAD])
async def test_bad_input_is_one_line_for_each_problem_and_nothing_is_sent(
    host: Host, sim: Simulator, tool: str, arguments: dict[str, Any], fields: list[str]
) -> None:
    called = await host.call(tool, **arguments)
    assert called.failed
    assert [line.partition(":")[0] for line in called.text.splitlines()] == fields
    assert "pydantic" not in called.text
    assert "bug" not in called.text
    assert not sim.calls
    assert not sim.lists


@pytest.mark.parametrize("prefix", ["mcp__runapi__", "runapi__", "mcp_runapi_", "runapi.", "runapi/", "a:"])
async def test_a_tool_is_found_behind_the_prefix_that_a_host_shows_its_model(host: Host, prefix: str) -> None:
    assert not (await host.call(f"{prefix}ask_gemini", prompt="Hello?")).failed


@pytest.mark.parametrize("name", ["xask_gemini", "ask_gemini2", "ask", "", "gemini", "runapi__"])
async def test_a_tool_of_another_name_is_unknown(host: Host, name: str) -> None:
    with pytest.raises(MCPError, match="Unknown tool") as refused:
        await host.call(name, prompt="Hello?")
    assert refused.value.error.code == types.INVALID_PARAMS


async def test_an_unknown_argument_close_to_a_known_one_is_answered_with_it(host: Host) -> None:
    called = await host.call("ask_gemini", prompt="Hello?", promt="x")
    assert "did you mean prompt?" in called.text


async def test_a_model_without_search_is_answered_with_those_that_have_it(host: Host) -> None:
    called = await host.call("search_web", query="x", model="gemini-3-flash-preview")
    assert "gemini-2.5-flash" in called.text


async def test_a_model_nobody_has_heard_of_is_passed_through_on_chat(host: Host, sim: Simulator) -> None:
    called = await host.call("ask_gemini", prompt="Hello?", model="gemini-4-argon")
    assert not called.failed
    assert sim.calls[0].path.endswith("/chat/completions")


async def test_every_optional_argument_reaches_runapi(host: Host, sim: Simulator) -> None:
    await host.call(
        "ask_gemini",
        prompt="Hello?",
        system="Be brief.",
        temperature=0.5,
        max_output_tokens=500,
        reasoning_effort="low",
        files=["data:image/png;base64,iVBORw0KGgo="],
    )
    body: Any = sim.calls[0].body
    assert body["temperature"] == 0.5
    assert 500 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert "low" in json.dumps(body)
    assert "Be brief." in json.dumps(body)
    assert "iVBORw0KGgo=" in json.dumps(body)


async def test_the_remark_about_what_was_ignored_is_in_each_half(host: Host) -> None:
    asked = await host.call("ask_gemini", prompt="Why?", toolCallId="call_1")
    assert "[Ignored, as added by the host: toolCallId. (g_" in asked.text
    found = await host.call("search_web", query="Why?", sessionId="s", _meta={})
    assert found.facts["notes"][-1] == "Ignored, as added by the host: sessionId, _meta."
    assert "sessionId, _meta" in found.text
    again = await host.call("get_result", handle=found.handle, userId="u")
    assert again.facts["notes"] == [*found.facts["notes"], "Ignored, as added by the host: userId."]
