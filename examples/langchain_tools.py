"""Our tools in LangChain, called as an agent's model would: a long answer comes back with a handle.

LangChain's adapters start a server for each call and end it within 2 seconds of the answer, unless a session
is kept open, as here: then a generation goes on between the calls. Without one, set RUNAPI_MCP_HOLD to the
longest wait you accept: what was written when the server ended is found by the next one, and goes on with
`resume`, but nothing is written in between.

The adapters want the Python SDK 1.x, so the server has an environment of its own: `uv tool install
runapi-mcp`, and `pip install langchain-mcp-adapters` here. Run it with RUNAPI_TOKEN set, or against
`runapi-mcp sim` as that command prints.
"""

import asyncio
import os
import re
import sys

from langchain_mcp_adapters.client import (  # type: ignore[import-not-found]  # it wants another SDK
    MultiServerMCPClient,
)
from langchain_mcp_adapters.tools import load_mcp_tools  # type: ignore[import-not-found]  # the same

COMMAND, *ARGS = os.environ.get("RUNAPI_MCP_COMMAND", "runapi-mcp").split()


async def main() -> None:
    client = MultiServerMCPClient(
        {"runapi": {"transport": "stdio", "command": COMMAND, "args": ARGS, "env": {**os.environ}}}
    )
    async with client.session("runapi") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}
        # No time at all, to have the example show the handle; leave wait_seconds out in earnest.
        asked = {"prompt": "Why do streams beat long polls?", "wait_seconds": 0}
        said = str(await tools["ask_gemini"].ainvoke(asked))
        while "Still running" in said and (handle := re.search(r"g_[\w-]+", said)):
            said = str(await tools["get_result"].ainvoke({"handle": handle[0]}))
        print(f"Gemini says: {said}")
    assert "Still running" not in said


if __name__ == "__main__":
    if not os.environ.get("RUNAPI_TOKEN"):
        sys.exit("Set RUNAPI_TOKEN, or start `runapi-mcp sim` and set what it prints.")
    asyncio.run(main())
