"""Who reads a stream, each in its own process: ``python -m benchmarks.readers NAME BASE_URL SCRIPT COUNT``.

Prints one JSON object: CPU seconds from before the first request to the end of the last stream, wall
seconds of each stream, and the resident memory it grew by.
"""

import asyncio
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.upstream import MODEL

Reader = Callable[[str, str], Awaitable[Callable[[], Awaitable[int]]]]


def body(script: str) -> dict[str, Any]:
    return {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": script}]}


async def floor(base: str, script: str) -> Callable[[], Awaitable[int]]:
    """Bytes read and split by hand, each event through json.loads."""
    url = urlsplit(base)
    content = json.dumps(body(script)).encode()
    request = b"POST /v1beta/openai/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (
        len(content),
        content,
    )

    async def read() -> int:
        loop = asyncio.get_running_loop()
        with socket.create_connection((url.hostname or "", url.port or 80)) as connection:
            connection.settimeout(0)
            await loop.sock_sendall(connection, request)
            rest, characters = b"", 0
            while piece := await loop.sock_recv(connection, 65536):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        chunk = json.loads(line[6:])
                        characters += len(chunk["choices"][0]["delta"]["content"])
        return characters

    return read


async def httpx_sse(base: str, script: str) -> Callable[[], Awaitable[int]]:
    """What a careful program without an SDK does."""
    import httpx
    from httpx_sse import aconnect_sse
    from pydantic_core import from_json

    limits = httpx.Limits(max_connections=None)
    client = httpx.AsyncClient(trust_env=False, verify=False, timeout=60, limits=limits)

    async def read() -> int:
        characters = 0
        url = f"{base}/v1beta/openai/chat/completions"
        async with aconnect_sse(client, "POST", url, json=body(script)) as source:
            async for event in source.aiter_sse():
                if event.data != "[DONE]":
                    characters += len(from_json(event.data)["choices"][0]["delta"]["content"])
        return characters

    return read


async def plain_bytes(base: str, script: str) -> Callable[[], Awaitable[int]]:
    """Bytes read from the socket, and nothing done with them."""
    url = urlsplit(base)
    content = json.dumps(body(script)).encode()
    head = b"POST /v1beta/openai/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"

    async def read() -> int:
        loop = asyncio.get_running_loop()
        with socket.create_connection((url.hostname or "", url.port or 80)) as connection:
            connection.settimeout(0)
            await loop.sock_sendall(connection, head % len(content) + content)
            size = 0
            while piece := await loop.sock_recv(connection, 65536):
                size += len(piece)
        return size

    return read


async def plain_httpx(base: str, script: str) -> Callable[[], Awaitable[int]]:
    """The pieces that httpx gives, and nothing done with them."""
    import httpx

    client = httpx.AsyncClient(trust_env=False, verify=False, timeout=60)

    async def read() -> int:
        size = 0
        url = f"{base}/v1beta/openai/chat/completions"
        async with client.stream("POST", url, json=body(script)) as response:
            async for piece in response.aiter_raw():
                size += len(piece)
        return size

    return read


async def openai(base: str, script: str) -> Callable[[], Awaitable[int]]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    http = DefaultAsyncHttpxClient(trust_env=False, verify=False)
    client = AsyncOpenAI(api_key="k", base_url=f"{base}/v1beta/openai", http_client=http)

    async def read() -> int:
        characters = 0
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": script}], stream=True
        )
        async for chunk in stream:
            characters += len(chunk.choices[0].delta.content or "")
        return characters

    return read


async def google_genai(base: str, script: str) -> Callable[[], Awaitable[int]]:
    from google import genai

    options = genai.types.HttpOptions(
        base_url=base, async_client_args={"trust_env": False, "verify": False, "timeout": 60}
    )
    client = genai.Client(api_key="k", http_options=options)

    async def read() -> int:
        characters = 0
        async for chunk in await client.aio.models.generate_content_stream(model=MODEL, contents=script):
            characters += len(chunk.text or "")
        return characters

    return read


def ours(dialect: str) -> Reader:
    """The upstream client, decoder and fold, as a generation runs them."""

    async def begin(base: str, script: str) -> Callable[[], Awaitable[int]]:
        from pydantic import SecretStr

        from runapi_mcp.settings import Settings
        from runapi_mcp.upstream.client import Upstream
        from runapi_mcp.upstream.http import Trace
        from runapi_mcp.wire.fold import Fold
        from runapi_mcp.wire.types import Call, Text, Turn

        key = SecretStr("simulated-key")
        upstream = Upstream(Settings(key=key, base_url=base, max_running=1024))
        call = Call(model=MODEL, turns=(Turn("user", (Text(script),)),))

        async def read() -> int:
            fold = Fold()
            name: Any = dialect
            async with upstream.stream(
                call, name, key=key, trace=Trace(), patience=0, ending=fold.ending
            ) as events:
                async for several in events:
                    for event in several:
                        fold.feed(event)
            return len(fold.answer().text)

        return read

    return begin


READERS: Final[dict[str, Reader]] = {
    "bytes": plain_bytes,
    "httpx": plain_httpx,
    "floor": floor,
    "httpx + httpx-sse": httpx_sse,
    "openai": openai,
    "google-genai": google_genai,
    "ours, chat": ours("chat"),
    "ours, native": ours("native"),
}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure(name: str, base: str, script: str, count: int) -> dict[str, Any]:
    read = await READERS[name](base, script)
    warm = await READERS[name](base, "[[chunks=3]]")
    await warm()
    gc.collect()
    walls: list[float] = []
    high = before = resident()

    async def one() -> int:
        began = time.perf_counter()
        characters = await read()
        walls.append(time.perf_counter() - began)
        return characters

    cpu = time.process_time()
    tasks = [asyncio.ensure_future(one()) for _ in range(count)]
    if count > 1:
        await asyncio.sleep(1.0)
        high = resident()
    characters = await asyncio.gather(*tasks)
    cpu = time.process_time() - cpu
    return {
        "cpu": cpu,
        "walls": walls,
        "grew": max(high, resident() if count == 1 else 0) - before,
        "characters": sum(characters),
    }


if __name__ == "__main__":
    name, base, script, count = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(name, base, script, int(count)))))
