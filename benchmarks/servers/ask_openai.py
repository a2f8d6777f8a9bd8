"""A tool that asks through the openai SDK, on the Python SDK: what one would write oneself."""

import os

from mcp.server.mcpserver import MCPServer
from openai import AsyncOpenAI

server = MCPServer("ask")
client = AsyncOpenAI(api_key="simulated-key", base_url=f"{os.environ['UPSTREAM']}/v1beta/openai")


@server.tool()
async def ask(prompt: str) -> str:
    """Ask, and return the answer once all of it is there."""
    stream = await client.chat.completions.create(
        model="gemini-3-flash-preview", messages=[{"role": "user", "content": prompt}], stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


server.run("stdio")
