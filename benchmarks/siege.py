"""What one caller makes a server hold, and what others get meanwhile.

A real server over HTTP with two principals for each figure, the attacker's connections from one address and
the honest caller's from another. A figure is the memory at most: no connection is to be closed without a
word, and the honest caller and the probe of health are to be answered all the while.
"""

import asyncio
import base64
import gzip
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from benchmarks.hostile import ADA, INITIALIZE, MALLORY, SETTINGS
from benchmarks.pings import playing
from benchmarks.served import Served, call, served
from benchmarks.table import Row, Section

ATTACKER, HONEST = "127.0.0.1", "127.0.0.2"
PATIENCE: Final = 60.0


@dataclass
class Told:
    """What came of it."""

    answers: Counter[str] = field(default_factory=Counter)
    honest: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0


class Server:
    """The server under siege."""

    def __init__(self, server: Served) -> None:
        self.port = server.port
        self.resident = server.resident

    async def connect(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    def head(self, length: int, headers: Mapping[str, str], how: str = "POST /mcp") -> bytes:
        told = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(length), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"{how} HTTP/1.1\r\n{lines}\r\n".encode()

    async def ask(self, source: str, body: bytes, headers: Mapping[str, str], how: str = "POST /mcp") -> str:
        """Ask on a connection of its own; return the status, or why there is none."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self.connect(source)
                with suppress(OSError):
                    writer.write(self.head(len(body), headers, how) + body)
                    await writer.drain()
                status = await reader.readline()
                while await reader.read(1 << 20):
                    pass
                writer.close()
                return status[9:12].decode() or "closed without a word"
        except (OSError, TimeoutError) as error:
            return type(error).__name__


def message(token: str, tool: str, /, **arguments: object) -> tuple[bytes, dict[str, str]]:
    """A call's body and headers."""
    headers, body = call(tool, **arguments)
    return body, headers | {"Authorization": f"Bearer {token}", "Connection": "close"}


async def watch(server: Server, told: Told) -> None:
    """Note the memory, and ask honestly and for health, until it is over."""
    asked = message(ADA, "list_models")
    while True:
        told.memory = max(told.memory, server.resident())
        began = time.monotonic()
        health = await server.ask(HONEST, b"", {"Connection": "close"}, "GET /healthz")
        answer = await server.ask(HONEST, *asked)
        told.slowest = max(told.slowest, time.monotonic() - began)
        told.honest += [said for said in (health, answer) if said != "200"]
        await asyncio.sleep(0.2)


async def gather(told: Told, asked: Sequence[Awaitable[str]], at_once: int) -> None:
    """Count what is answered, so many at once."""
    room = asyncio.Semaphore(at_once)

    async def one(ask: Awaitable[str]) -> None:
        async with room:
            told.answers[await ask] += 1

    await asyncio.gather(*map(one, asked))


# ---------------------------------------------------------------- the figures


async def half_sent(server: Server, told: Told) -> None:
    """40 bodies of 63 MiB, of which the last MiB does not come."""

    async def one() -> str:
        reader, writer = await server.connect(ATTACKER)
        writer.write(server.head(63 << 20, {"Authorization": f"Bearer {MALLORY}"}))
        with suppress(OSError):
            for _ in range(62):
                writer.write(b" " * (1 << 20))
                await writer.drain()
        try:
            async with asyncio.timeout(30):
                return (await reader.readline())[9:12].decode() or "closed without a word"
        except (OSError, TimeoutError) as error:
            return type(error).__name__
        finally:
            writer.close()

    await gather(told, [one() for _ in range(40)], 40)


async def slow_bodies(server: Server, told: Told) -> None:
    """4,000 bodies that are begun and do not go on."""

    async def one() -> str:
        try:
            async with asyncio.timeout(30):
                reader, writer = await server.connect(ATTACKER)
                writer.write(server.head(1_000, {}) + b" ")
                said = (await reader.readline())[9:12].decode() or "closed without a word"
                writer.close()
                return said
        except (OSError, TimeoutError) as error:
            return type(error).__name__

    await gather(told, [one() for _ in range(4_000)], 4_000)


async def sessions(server: Server, told: Told) -> None:
    """2,500 sessions of one caller."""
    headers = {
        "Authorization": f"Bearer {MALLORY}",
        "Connection": "close",
        "MCP-Protocol-Version": "2025-11-25",
    }
    headers |= {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    await gather(told, [server.ask(ATTACKER, INITIALIZE, headers) for _ in range(2_500)], 50)
    said = await server.ask(HONEST, INITIALIZE, headers | {"Authorization": f"Bearer {ADA}"})
    told.honest += [said] if said != "200" else []


async def calls_at_once(server: Server, told: Told) -> None:
    """5,000 calls at once."""
    body, headers = message(MALLORY, "list_models")
    await gather(told, [server.ask(ATTACKER, body, headers) for _ in range(5_000)], 5_000)


async def long_answers(server: Server, told: Told) -> None:
    """300 answers of 2 MB."""
    asked = []
    for number in range(300):
        body, headers = message(MALLORY, "ask_gemini", prompt=f"{number} (say prose-2mb)", fresh=True)
        asked.append(server.ask(ATTACKER, body, headers))
    await gather(told, asked, 16)


async def images(server: Server, told: Told) -> None:
    """200 calls with an image of 19 MB."""
    image = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(19_000_000)).decode()
    body, headers = message(MALLORY, "ask_gemini", prompt="(say word)", files=[image], fresh=True)
    await gather(told, [server.ask(ATTACKER, body, headers) for _ in range(200)], 8)


async def open_calls(server: Server, told: Told) -> None:
    """120 calls of 11.7 MB that are answered by nobody."""
    image = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8_780_000)).decode()
    body, headers = message(
        MALLORY, "ask_gemini", prompt="(say nothing)", files=[image], fresh=True, wait_seconds=1
    )
    await gather(told, [server.ask(ATTACKER, body, headers) for _ in range(120)], 120)


async def twice_compressed(server: Server, told: Told) -> None:
    """14 kB that unpack to 4 GB, 50 times."""
    body = gzip.compress(gzip.compress(bytes(64 << 20)))
    headers = {"Authorization": f"Bearer {MALLORY}", "Content-Encoding": "gzip, gzip"}
    headers["Connection"] = "close"
    await gather(told, [server.ask(ATTACKER, body, headers) for _ in range(50)], 50)


FIGURES: Final[Mapping[str, Callable[[Server, Told], Awaitable[None]]]] = {
    "40 half-sent bodies of 63 MiB": half_sent,
    "4,000 slow bodies": slow_bodies,
    "2,500 sessions of one caller": sessions,
    "5,000 calls at once": calls_at_once,
    "300 answers of 2 MB": long_answers,
    "200 calls with an image of 19 MB": images,
    "120 open calls of 11.7 MB": open_calls,
    "gzip of gzip": twice_compressed,
}


def section(*, quick: bool, like: str) -> Section:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    made = Section("What one caller makes a server hold, and what others get meanwhile")
    names = [name for name in FIGURES if like in name][:: 4 if quick else 1]
    with playing() as upstream:
        for name in names:
            with served(upstream, "--auth", "token", **SETTINGS) as server:
                made.rows.append(asyncio.run(besiege(Server(server), name)))
    made.notes.append(
        "Memory of the server, MiB. A body counts once to `RUNAPI_MCP_MEMORY_BYTES`, which is 256 MiB here, "
        "and with its call three times, as much as is there. It holds if no connection was closed without a "
        "word and every honest request was answered."
    )
    return made


async def besiege(server: Server, name: str) -> Row:
    """Attack a server in one way, and return what came of it."""
    told = Told()
    await server.ask(HONEST, *message(ADA, "list_models"))
    before = server.resident()
    watching = asyncio.create_task(watch(server, told))
    await FIGURES[name](server, told)
    await asyncio.sleep(1)
    watching.cancel()
    unanswered = {said: count for said, count in told.answers.items() if not said.isdigit()}
    answers = ", ".join(f"{said} × {count:,}" for said, count in told.answers.most_common())
    return Row(
        f"{name}: at most",
        f"{told.memory >> 20}",
        [
            ("before", f"{before >> 20}"),
            ("after", f"{server.resident() >> 20}"),
            ("answered", answers),
            ("honest requests, the slowest, s", f"{told.slowest:.1f}"),
            ("not answered", f"{len(told.honest)}"),
        ],
        "all answered",
        not unanswered and not told.honest,
    )
