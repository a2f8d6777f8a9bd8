"""An agent of the OpenAI Agents SDK with our tools. Its own model is scripted: no OpenAI key is needed.

This host gives every call 5 seconds, sends nothing when they are over, and asks for no progress; its name
is "mcp", as of every program on the SDK. So the server is told to answer within 4, or the first long call
would be lost: a call that takes longer comes back with a handle, and the agent's model, like this scripted
one, fetches the rest with get_result. The other way is a longer client_session_timeout_seconds.

It needs the SDK: `pip install openai-agents`. Run it with RUNAPI_TOKEN set, or against `runapi-mcp sim` as
that command prints.
"""

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.items import TResponseInputItem, TResponseOutputItem, TResponseStreamEvent
from agents.mcp import MCPServerStdio, MCPServerStdioParams
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

SERVER = MCPServerStdioParams(
    command=sys.executable, args=["-m", "runapi_mcp"], env={**os.environ, "RUNAPI_MCP_HOLD": "4"}
)


class ScriptedModel(Model):
    """Does what a model would: asks, sees a handle, fetches the rest, answers."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def get_response(self, *args: Any, **more: Any) -> ModelResponse:  # noqa: ANN401  # as its base
        """Return the next step; what was said so far is the second argument."""
        given: str | list[TResponseInputItem] = args[1] if len(args) > 1 else more["input"]
        return ModelResponse(output=[self._next(given)], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **more: Any) -> AsyncIterator[TResponseStreamEvent]:  # noqa: ANN401
        """Refuse: this script is run, not streamed."""
        raise NotImplementedError

    def _next(self, given: str | list[TResponseInputItem]) -> TResponseOutputItem:
        result = _last_result(given)
        if result is None:
            # No time at all, to have the example show the handle; leave wait_seconds out in earnest.
            return self._call("ask_gemini", prompt="Why do streams beat long polls?", wait_seconds=0)
        if "Still running" in result and (handle := re.search(r"g_[\w-]+", result)):
            return self._call("get_result", handle=handle[0])
        return _answer(result)

    def _call(self, tool: str, **arguments: object) -> ResponseFunctionToolCall:
        self.calls.append(tool)
        return ResponseFunctionToolCall(
            type="function_call",
            name=tool,
            arguments=json.dumps(arguments),
            call_id=f"call-{len(self.calls)}",
        )


def _last_result(given: str | list[TResponseInputItem]) -> str | None:
    items = [] if isinstance(given, str) else given
    results = [item for item in items if item.get("type") == "function_call_output"]
    return str(results[-1].get("output")) if results else None


def _answer(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(type="output_text", text=f"Gemini says: {text}", annotations=[])
    return ResponseOutputMessage(
        id="answer", type="message", role="assistant", status="completed", content=[content]
    )


async def main() -> None:
    set_tracing_disabled(disabled=True)
    model = ScriptedModel()
    async with MCPServerStdio(SERVER) as server:
        agent = Agent(name="Assistant", model=model, mcp_servers=[server])
        result = await Runner.run(agent, "Ask Gemini about streams.")
    print(result.final_output)
    assert model.calls == ["ask_gemini", *["get_result"] * (len(model.calls) - 1)]
    assert len(model.calls) > 1
    assert "Still running" not in str(result.final_output)


if __name__ == "__main__":
    if not os.environ.get("RUNAPI_TOKEN"):
        sys.exit("Set RUNAPI_TOKEN, or start `runapi-mcp sim` and set what it prints.")
    anyio.run(main)
