"""Where a host makes every argument required, a model that means nothing by most of them can still call.

The conversions are the hosts' own. A value is neutral that a model finds in the list of tools: "any" of a
choice, what a description calls best or the default, and what is empty.

Hosts are imported where they are used: every process that runs tests reads all files.
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from forked import forked
from mcp.types import Tool as Listed

from runapi_mcp.server.app import list_tools
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from tools.calling import Desk, desk

MEANT: Final[dict[str, dict[str, Any]]] = {
    name: tool.example if name != "get_result" else {} for name, tool in TOOLS.items()
}
NUMBERS: Final = re.compile(r"(?:best|default) (-?\d+)")


@pytest.fixture
async def at(sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim) as at:
        yield at


def neutral(name: str, schema: dict[str, Any]) -> Any:
    """What a model writes for an argument that it means nothing by."""
    match schema:
        case {"enum": [*words]}:
            return next(word for word in words if word == "any")
        case {"type": "integer" | "number", "description": str(about)}:
            found = NUMBERS.search(about)
            return int(found[1]) if found else 0
        case {"type": "string"}:
            return ""
        case {"type": "boolean"}:
            return "default true" in schema.get("description", "")
        case {"type": "object"} if name == "schema":
            return {}
        case {"type": "array"}:
            return []
        case _:
            raise AssertionError(f"{name} has no neutral value: {schema}")


def full(tool: str, schema: dict[str, Any], **own: Any) -> dict[str, Any]:
    """A call with every argument that a schema requires."""
    given = MEANT[tool] | own
    return {name: given[name] if name in given else neutral(name, schema["properties"][name])
            for name in schema.get("required", ())}  # fmt: skip


def strict(tool: Listed) -> dict[str, Any]:
    """The schema that openai-agents gives a model, or gave one before it left open objects alone."""
    from agents.strict_schema import ensure_strict_json_schema

    return ensure_strict_json_schema(json.loads(json.dumps(tool.input_schema)))


def every_one_required(tool: Listed) -> dict[str, Any]:
    return tool.input_schema | {"required": [*tool.input_schema["properties"]]}


@pytest.mark.parametrize("tool", list_tools(), ids=lambda tool: tool.name)
async def test_each_tool_is_called_with_all_its_arguments(at: Desk, tool: Listed) -> None:
    handle = (await at.call("ask_gemini", prompt="First.")).handle
    own = {"handle": handle} if tool.name == "get_result" else {}
    called = full(tool.name, every_one_required(tool), **own)
    args, said = TOOLS[tool.name].args.read(called)
    reply = await TOOLS[tool.name].perform(args, at.run())
    assert not reply.is_error, reply.text
    assert not said


@pytest.mark.parametrize("tool", list_tools(), ids=lambda tool: tool.name)
def test_a_neutral_value_is_the_same_as_none(tool: Listed) -> None:
    own = {"handle": "g_x"} if tool.name == "get_result" else {}
    called, _ = TOOLS[tool.name].args.read(full(tool.name, every_one_required(tool), **own))
    bare, _ = TOOLS[tool.name].args.read(MEANT[tool.name] | own)
    ignoring = {"seed", "temperature"}  # of these a neutral value is one that models have anyway
    assert called.model_dump(exclude=ignoring) == bare.model_dump(exclude=ignoring)


@pytest.mark.parametrize("tool", list_tools(), ids=lambda tool: tool.name)
def test_a_free_form_object_is_not_emptied_by_strict_mode(tool: Listed) -> None:
    if '"additionalProperties": true' in json.dumps(tool.input_schema["properties"]):
        # Its own fall-back: the tool is offered as it is.
        with pytest.raises(Exception, match="additionalProperties"):
            strict(tool)
    else:
        assert strict(tool)["required"] == [*tool.input_schema.get("properties", {})]


async def test_openai_agents_calls_every_tool_as_it_converts_them(sim: Simulator) -> None:
    from agents import FunctionTool
    from agents.mcp import MCPServerStdio, MCPUtil
    from agents.tool_context import ToolContext

    program, *words = forked()
    params: Any = {
        "command": program,
        "args": words,
        "env": {"RUNAPI_TOKEN": "sk-canary-0", "RUNAPI_BASE_URL": sim.base_url},
    }
    async with MCPServerStdio(params, client_session_timeout_seconds=60) as server:
        listed = {tool.name: tool for tool in await server.list_tools()}
        handle = ""
        for name in TOOLS:
            tool = MCPUtil.to_function_tool(listed[name], server, convert_schemas_to_strict=True)
            assert isinstance(tool, FunctionTool)
            own = {"handle": handle} if name == "get_result" else {}
            schema = tool.params_json_schema
            wanted = full(name, schema, **own) if tool.strict_json_schema else MEANT[name] | own
            given = json.dumps(wanted)
            context: Any = ToolContext(None, tool_name=name, tool_call_id="c1", tool_arguments=given)
            result = str(await tool.on_invoke_tool(context, given))
            assert "unknown argument" not in result
            assert " must be" not in result
            assert "rror" not in result, result
            if name == "ask_gemini":
                found = await server.call_tool(name, {"prompt": "Go on", "wait_seconds": 0})
                handle = found.meta["ai.runapi/receipt"]["handle"] if found.meta else ""
    assert handle


async def test_every_tool_is_called_as_langchain_converts_it(at: Desk) -> None:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    handle = (await at.call("ask_gemini", prompt="First.")).handle
    for tool in list_tools():
        as_function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
        made = convert_to_openai_tool(json.loads(json.dumps(as_function)), strict=True)["function"]
        schema = made["parameters"]
        assert schema.get("required", []) == [*schema.get("properties", {})]
        own = {"handle": handle} if tool.name == "get_result" else {}
        args, said = TOOLS[tool.name].args.read(full(tool.name, schema, **own))
        reply = await TOOLS[tool.name].perform(args, at.run())
        assert not reply.is_error, reply.text
        assert not said
