"""One server for a team: two users with tokens of their own, who cannot see each other's work.

Run it with RUNAPI_TOKEN set, or against `runapi-mcp sim` as that command prints. The server's RunAPI
key stays with the server; what the users hold are tokens that the team hands out.
"""

import json
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

COMMAND = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0", "--auth", "token"]


@asynccontextmanager
async def team_server(tokens: dict[str, str]) -> AsyncIterator[str]:
    """Start the server and give the URL of its MCP endpoint."""
    env = {**os.environ, "RUNAPI_MCP_TOKENS": "\n".join(f"{name}:{token}" for name, token in tokens.items())}
    async with await anyio.open_process(COMMAND, env=env, stdout=None) as process:
        assert process.stderr is not None
        said = await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", 10_000)
        url = re.search(r"http://\S+/mcp", said.decode())
        assert url, said
        try:
            yield url[0]
        finally:
            process.terminate()


@asynccontextmanager
async def user(url: str, token: str) -> AsyncIterator[Client]:
    """Connect as whoever holds the token."""
    # The SDK's own HTTP client; a call may be silent for as long as the server holds it.
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=120)
    async with http, Client(streamable_http_client(url, http_client=http)) as client:
        yield client


async def ask(client: Client, prompt: str) -> str:
    """Ask, and return the handle of the answer."""
    result = await client.call_tool("ask_gemini", {"prompt": prompt})
    assert not result.is_error, result.content
    handle: str = (result.meta or {})["ai.runapi/receipt"]["handle"]
    return handle


async def spent(client: Client) -> int:
    """Return how many generations the caller had."""
    (usage,) = (await client.read_resource("usage://me")).contents
    return sum(row["generations"] for row in json.loads(getattr(usage, "text", "{}"))["today"])


async def main() -> None:
    if not os.environ.get("RUNAPI_TOKEN"):
        sys.exit("Set RUNAPI_TOKEN, or start `runapi-mcp sim` and set what it prints.")
    tokens = {name: secrets.token_urlsafe(32) for name in ("ada", "bob")}
    async with team_server(tokens) as url:
        async with user(url, tokens["ada"]) as ada, user(url, tokens["bob"]) as bob:
            handle = await ask(ada, "What did we decide about the cache?")
            await ask(bob, "And about the queue?")
            await ask(bob, "And the log?")
            pried = await bob.call_tool("get_result", {"handle": handle})
            print(f"Ada: {await spent(ada)} generation, Bob: {await spent(bob)}.")
            print(f"Bob asks for Ada's answer: {getattr(pried.content[0], 'text', '')}")
            assert pried.is_error
            assert (await spent(ada), await spent(bob)) == (1, 2)
        async with httpx2.AsyncClient() as stranger:
            refused = await stranger.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        print(f"A stranger: {refused.status_code}.")
        assert refused.status_code == 401


if __name__ == "__main__":
    anyio.run(main)
