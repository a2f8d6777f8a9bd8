"""Is what was installed a working server? ``python smoke.py COMMAND …``, with nothing else installed.

Starts COMMAND over stdio on the simulated RunAPI that the package brings, and uses it as a host would.
"""

import importlib.util
import os
import sys
from importlib.metadata import version

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters

from runapi_mcp.sim import simulate
from runapi_mcp.tools import TOOLS

DEPENDENCIES = ("mcp", "httpx", "httpx-sse", "pydantic", "anyio", "jsonschema", "starlette", "uvicorn")


async def used(command: list[str]) -> None:
    async with simulate() as sim:
        env = {**os.environ, "RUNAPI_TOKEN": "sk-canary-smoke", "RUNAPI_BASE_URL": sim.base_url}
        server = StdioServerParameters(command=command[0], args=command[1:], env=env)
        with anyio.fail_after(120):
            async with Client(server) as client:
                await _host(client)


async def _host(client: Client) -> None:
    listed = [tool.name for tool in (await client.list_tools()).tools]
    assert listed == [*TOOLS], listed
    assert len((await client.list_prompts()).prompts) == 4
    asked = await client.call_tool("ask_gemini", {"prompt": "Are you there?"})
    assert not asked.is_error, asked
    assert isinstance(asked.content[0], types.TextContent)
    assert asked.content[0].text.startswith("This is a simulated answer"), asked
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    extracted = await client.call_tool("extract_json", {"schema": schema, "text": "name: Ada"})
    assert not extracted.is_error, extracted


def main() -> None:
    for developers_tool in ("pytest", "hypothesis", "openai"):
        assert importlib.util.find_spec(developers_tool) is None, f"{developers_tool} is installed here"
    anyio.run(used, sys.argv[1:])
    print(f"runapi-mcp {version('runapi-mcp')} works with", *(f"{d} {version(d)}" for d in DEPENDENCIES))


if __name__ == "__main__":
    main()
