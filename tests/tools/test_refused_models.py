"""Whose choice a model was that RunAPI refuses, and which other would do."""

from typing import Any

import pytest

from runapi_mcp.sim import Simulator
from tools.calling import desk

ARGUMENTS: dict[str, dict[str, Any]] = {
    "ask_gemini": {"prompt": "Q"},
    "search_web": {"query": "Q"},
    "extract_json": {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}, "text": "Q"},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "chat": {"model": "gemini-3-flash-preview", "search_model": "gemini-2.5-flash"},
    "native": {"model": "gemini-3-flash-preview", "search_model": "gemini-3.7-flash", "dialect": "native"},
}
OTHERS = {
    "gemini-3-flash-preview": "gemini-3.6-flash",
    "gemini-2.5-flash": "gemini-3.7-flash",
    "gemini-3.7-flash": "gemini-3.1-pro-preview",
}
"""Of the same price class if one of those stays and can do it."""
CODES = {"model-retired": "model_retired", "not-found": "not_found", "no-capability": "model_refused"}


def _default(tool: str, dialect: str) -> str:
    model: str = DEFAULTS[dialect]["search_model" if tool == "search_web" else "model"]
    return model


@pytest.mark.parametrize("cue", CODES)
@pytest.mark.parametrize("dialect", DEFAULTS)
@pytest.mark.parametrize("tool", ARGUMENTS)
async def test_a_model_that_was_set_and_is_refused_is_named_as_the_servers_with_another_and_its_setting(
    sim: Simulator, tool: str, dialect: str, cue: str
) -> None:
    sim.bridge = True
    sim.play(cue)
    async with desk(sim, **DEFAULTS[dialect]) as at:
        reply = await at.call(tool, **ARGUMENTS[tool])
    setting = "RUNAPI_MCP_SEARCH_MODEL" if tool == "search_web" else "RUNAPI_MCP_MODEL"
    assert reply.is_error
    assert reply.code == CODES[cue]
    assert f"The model was {_default(tool, dialect)}, this server's default for {tool}" in reply.text
    other = OTHERS[_default(tool, dialect)]
    assert f"Name another model, such as {other} or " in reply.text
    assert f"or set {setting}={other}." in reply.text
    assert "arguments it names" not in reply.text
    assert "request id" in reply.text
    assert len(sim.calls) == 1


@pytest.mark.parametrize("cue", CODES)
@pytest.mark.parametrize("dialect", DEFAULTS)
@pytest.mark.parametrize("tool", ARGUMENTS)
async def test_a_named_model_that_is_refused_is_called_the_callers_and_no_setting_is_offered(
    sim: Simulator, tool: str, dialect: str, cue: str
) -> None:
    sim.bridge = True
    sim.play(cue)
    model = _default(tool, dialect)
    async with desk(sim, **DEFAULTS[dialect]) as at:
        reply = await at.call(tool, **ARGUMENTS[tool], model=model)
    assert f"The model was {model}, as the call named it." in reply.text
    assert f"Name another model, such as {OTHERS[model]} or " in reply.text
    assert "RUNAPI_MCP_" not in reply.text


async def test_another_model_is_one_that_can_do_all_that_was_asked_for(sim: Simulator) -> None:
    sim.play("model-retired")
    async with desk(sim) as at:
        pdf = "data:application/pdf;base64,JVBERi0xLjcK"
        reply = await at.call("ask_gemini", prompt="Q", files=[pdf], model="gemini-3-flash-preview")
    assert "such as gemini-3.6-flash or gemini-3.5-flash," in reply.text
    assert "pro" not in reply.text.partition("such as")[2]


async def test_a_handle_says_whose_the_model_was_too(sim: Simulator) -> None:
    sim.play("model-retired")
    async with desk(sim) as at:
        reply = await at.call("search_web", query="Q")
        again = await at.call("get_result", handle=reply.handle)
    assert again.text == reply.text
