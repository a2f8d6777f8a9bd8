"""A server that waits for the whole answer, for ``timeline.py`` to measure: one tool on the Python SDK."""

import os

import httpx
from mcp.server.mcpserver import MCPServer

server = MCPServer("waits")


@server.tool()
def ask(prompt: str) -> str:
    """Ask, and return the answer once all of it is there."""
    base, key = os.environ["RUNAPI_BASE_URL"], os.environ["RUNAPI_TOKEN"]
    response = httpx.post(
        f"{base}/v1beta/openai/chat/completions",
        headers={"Authorization": f"Bearer {key}"},
        json={"model": "gemini-3-flash-preview", "messages": [{"role": "user", "content": prompt}]},
        timeout=None,  # noqa: S113  # this is what it shows
    )
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


if __name__ == "__main__":
    server.run("stdio")
