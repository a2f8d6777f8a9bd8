"""Raw HTTP for what no SDK client does: to close a response, to cancel by POST, to send what is wrong."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from messages import INITIALIZE, Message, tool_call

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def modern_headers(message: Message) -> dict[str, str]:
    """The headers that a 2026-07-28 request must have."""
    headers = ACCEPT | {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"]}
    if name := message["params"].get("name") or message["params"].get("uri"):
        headers["Mcp-Name"] = name
    return headers


class Web:
    """An HTTP client on one server."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.session: dict[str, str] = {}

    async def open_session(self) -> None:
        """Open a 2025-era session."""
        greeted = await self.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert greeted.status_code == 200, greeted.text
        self.session = {
            "Mcp-Session-Id": greeted.headers["mcp-session-id"],
            "MCP-Protocol-Version": "2025-11-25",
        }
        await self.notify("notifications/initialized")

    async def notify(self, method: str, **params: Any) -> None:
        answer = await self.http.post(
            "/mcp",
            json={"jsonrpc": "2.0", "method": method, "params": params},
            headers=ACCEPT | self.session,
        )
        assert answer.status_code == 202

    def headers(self, message: Message) -> dict[str, str]:
        return ACCEPT | self.session if self.session else modern_headers(message)

    @asynccontextmanager
    async def calling(self, number: int, tool: str, **arguments: Any) -> AsyncIterator[httpx.Response]:
        """A call whose response is open; leaving the block closes it."""
        message = tool_call(number, tool, modern=not self.session, **arguments)
        async with self.http.stream("POST", "/mcp", json=message, headers=self.headers(message)) as response:
            yield response

    async def call(self, number: int, tool: str, **arguments: Any) -> httpx.Response:
        """A call, read to its end."""
        async with self.calling(number, tool, **arguments) as response:
            await response.aread()
        return response


@asynccontextmanager
async def web(base_url: str, **headers: str) -> AsyncIterator[Web]:
    async with httpx.AsyncClient(base_url=base_url, timeout=10, headers=headers) as http:
        yield Web(http)


def events(response: httpx.Response) -> list[Message]:
    """The messages of an SSE response that was read."""
    lines = response.text.splitlines()
    return [json.loads(line[5:]) for line in lines if line.startswith("data:") and line[5:].strip()]
