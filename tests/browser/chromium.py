"""A real Chromium without a window, told what to do over its debugging protocol."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import httpx
from anyio.streams.buffered import BufferedByteReceiveStream
from websockets.asyncio.client import ClientConnection, connect

PROGRAM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0")


class Page:
    """One page, and what its console said."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._numbers = count(1)
        self.complaints: list[str] = []
        self.asked: list[str] = []

    async def tell(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._line.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            heard = json.loads(await self._line.recv())
            self._note(heard)
            if heard.get("id") == number:
                assert "error" not in heard, heard
                found: dict[str, Any] = heard["result"]
                return found

    def _note(self, heard: dict[str, Any]) -> None:
        match heard.get("method"):
            case "Log.entryAdded":
                self.complaints.append(heard["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(heard["params"]["exceptionDetails"]))
            case "Network.requestWillBeSent":
                self.asked.append(heard["params"]["request"]["url"])

    async def run(self, script: str) -> Any:
        """Run a script in the page and return what it comes to."""
        found = await self.tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until a script comes to something true."""
        with anyio.fail_after(15):
            while not await self.run(f"new Promise(done => setTimeout(() => done({script}), 30))"):
                pass

    async def text(self, selector: str) -> str:
        return str(await self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def open(self, url: str) -> None:
        await self.tell("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        async with await anyio.open_process(command, stdin=None) as process:
            try:
                assert process.stderr is not None
                lines = BufferedByteReceiveStream(process.stderr)
                with anyio.fail_after(60):
                    said = await lines.receive_until(b"/devtools/browser/", 100_000)
                port = re.findall(rb"ws://127\.0\.0\.1:(\d+)$", said)[0].decode()
                async with httpx.AsyncClient() as http:
                    tabs = (await http.get(f"http://127.0.0.1:{port}/json")).json()
                tab = next(one for one in tabs if one["type"] == "page")
                async with connect(tab["webSocketDebuggerUrl"], max_size=None) as line:
                    page = Page(line)
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.tell(f"{domain}.enable")
                    yield page
            finally:
                process.kill()
