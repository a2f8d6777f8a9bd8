"""What one caller makes a server hold, and what others get meanwhile.

A real server over HTTP with two principals for each figure, the attacker's connections from one address and
the honest caller's from another, in a process of its own. A figure is the memory at most: no connection is
to be closed without a word, and the honest caller and the probe of health are to be answered all the while.
"""

import asyncio
import base64
import gzip
import json
import resource
import sys
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from benchmarks.hostile import ADA, INITIALIZE, MALLORY, SETTINGS
from benchmarks.served import Served, call, playing, served
from benchmarks.table import Row, Section

ATTACKER, HONEST = "127.0.0.1", "127.0.0.2"
PATIENCE: Final = 150.0


@dataclass
class Honest:
    """What the honest caller saw: what was not answered, the slowest in seconds, the server's memory."""

    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0


@dataclass
class Told:
    """What came of it for the attacker, and what the honest caller is told on the way."""

    answers: Counter[str] = field(default_factory=Counter)
    honest: list[str] = field(default_factory=list)


class Server:
    """The server under siege."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    def head(self, length: int, headers: Mapping[str, str], how: str = "POST /mcp") -> bytes:
        kind = {"Content-Type": "application/json", "Content-Length": str(length)}
        told = {"Host": f"127.0.0.1:{self.port}", **kind, **headers}
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


def resident(pid: int) -> int:
    """Return the bytes that a process has in memory."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


async def watch(port: int, pid: int) -> int:
    """Ask honestly and for health, and note the server's memory, until the input ends; print it."""
    server, seen = Server(port), Honest()
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    asked = message(ADA, "list_models")
    while not over.done():
        began = time.monotonic()
        health = await server.ask(HONEST, b"", {"Connection": "close"}, "GET /healthz")
        answer = await server.ask(HONEST, *asked)
        seen.slowest = max(seen.slowest, time.monotonic() - began)
        seen.memory = max(seen.memory, resident(pid))
        seen.wrong += [said for said in (health, answer) if said != "200"]
        await asyncio.wait([over], timeout=0.1)
    print(json.dumps(asdict(seen)))
    return 0


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
    await half_send(server, told, [MALLORY] * 40)


async def half_sent_by_keys(server: Server, told: Told) -> None:
    """The same, each by a key that somebody made up."""
    await half_send(server, told, [f"made-up-key-{number:020}" for number in range(40)])


async def half_send(server: Server, told: Told, tokens: Sequence[str]) -> None:
    async def one(token: str) -> str:
        reader, writer = await server.connect(ATTACKER)
        writer.write(server.head(63 << 20, {"Authorization": f"Bearer {token}"}))
        with suppress(OSError):
            for _ in range(62):
                writer.write(b" " * (1 << 20))
                await writer.drain()
        try:
            async with asyncio.timeout(PATIENCE):
                return (await reader.readline())[9:12].decode() or "closed without a word"
        except (OSError, TimeoutError) as error:
            return type(error).__name__
        finally:
            writer.close()

    await gather(told, [one(token) for token in tokens], 40)


async def slow_bodies(server: Server, told: Told) -> None:
    """4,000 bodies that are begun and do not go on, every second of somebody who may call."""

    async def one(headers: Mapping[str, str]) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await server.connect(ATTACKER)
                writer.write(server.head(1_000, headers) + b" ")
                said = (await reader.readline())[9:12].decode() or "closed without a word"
                writer.close()
                return said
        except (OSError, TimeoutError) as error:
            return type(error).__name__

    let_in = {"Authorization": f"Bearer {MALLORY}"}
    await gather(told, [one(let_in if number % 2 else {}) for number in range(4_000)], 4_000)


SESSION: Final = {
    "Connection": "close",
    "MCP-Protocol-Version": "2025-11-25",
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}


async def sessions(server: Server, told: Told) -> None:
    """2,500 sessions of one caller."""
    await open_sessions(server, told, [MALLORY] * 2_500)


async def sessions_by_keys(server: Server, told: Told) -> None:
    """2,500 sessions, each by a key that somebody made up."""
    await open_sessions(server, told, [f"made-up-key-{number:020}" for number in range(2_500)])


async def open_sessions(server: Server, told: Told, tokens: Sequence[str]) -> None:
    asked = [
        server.ask(ATTACKER, INITIALIZE, SESSION | {"Authorization": f"Bearer {token}"}) for token in tokens
    ]
    await gather(told, asked, 50)
    said = await server.ask(HONEST, INITIALIZE, SESSION | {"Authorization": f"Bearer {ADA}"})
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
    """Bodies of 14 kB that unpack to 4 GB, 50 times."""
    headers = {"Authorization": f"Bearer {MALLORY}", "Content-Encoding": "gzip, gzip", "Connection": "close"}
    await gather(told, [server.ask(ATTACKER, bomb(), headers) for _ in range(50)], 50)


async def twice_compressed_answers(server: Server, told: Told) -> None:
    """Answers of RunAPI's of that kind, 20 times."""
    asked = [
        server.ask(ATTACKER, *message(MALLORY, "ask_gemini", prompt=f"{n}", fresh=True)) for n in range(20)
    ]
    await gather(told, asked, 20)


def bomb() -> bytes:
    """Return some 14 kB that are a gzip of a gzip of 4 GB of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"\x1f\x8b\x08" + bytes(7) + block * 256)


class Bomber(BaseHTTPRequestHandler):
    """Answers whatever is posted with a bomb."""

    packed = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Encoding", "gzip, gzip")
        self.send_header("Content-Length", str(len(self.packed)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(self.packed)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Figure:
    """A way to attack.

    Attributes:
        attack: Does it.
        first: What it came to before there were limits.
        auth: How callers are told apart.
        upstream: What plays RunAPI: a module of ours, and its words.
    """

    attack: Callable[[Server, Told], Awaitable[None]]
    first: str
    auth: str = "token"
    upstream: tuple[str, ...] = ("benchmarks.pings",)


FIGURES: Final[Mapping[str, Figure]] = {
    "40 half-sent bodies of 63 MiB": Figure(half_sent, "1.5 GB"),
    "40 of them by made-up keys": Figure(half_sent_by_keys, "1.5 GB", auth="key"),
    "4,000 slow bodies": Figure(slow_bodies, "everybody reset, /healthz too"),
    "2,500 sessions of one caller": Figure(sessions, "503 for everybody else, for 30 min"),
    "2,500 sessions by made-up keys": Figure(sessions_by_keys, "the same", auth="key"),
    "5,000 calls at once": Figure(calls_at_once, "1,000 closed without a word"),
    "300 answers of 2 MB": Figure(long_answers, "551 MB"),
    "200 calls with an image of 19 MB": Figure(images, "1.6 GB"),
    "120 open calls of 11.7 MB": Figure(open_calls, "2.55 GB"),
    "gzip of gzip, 14 kB of 4 GB, 50 bodies": Figure(twice_compressed, "4 GB"),
    "gzip of gzip, 20 answers of RunAPI's": Figure(
        twice_compressed_answers, "4 GB", upstream=("benchmarks.siege", "bomb")
    ),
}


def section(*, quick: bool, like: str) -> Section:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    made = Section("What one caller makes a server hold, and what others get meanwhile")
    for name in [name for name in FIGURES if like in name][:: 4 if quick else 1]:
        figure = FIGURES[name]
        with (
            playing(*figure.upstream) as upstream,
            served(upstream, "--auth", figure.auth, **SETTINGS) as server,
        ):
            made.rows.append(asyncio.run(besiege(server, name, figure)))
    made.notes.append(
        "Memory of the server, MiB; first is what it was before there were limits. A body counts once to "
        "`RUNAPI_MCP_MEMORY_BYTES`, which is 256 MiB here, and with its call three times, as much as is "
        "there. It holds if no connection was closed without a word and every honest request was answered."
    )
    return made


async def besiege(served: Served, name: str, figure: Figure) -> Row:
    """Attack a server in one way, and return what came of it."""
    server, told = Server(served.port), Told()
    await server.ask(HONEST, *message(ADA, "list_models"))
    before = served.resident()
    command = [sys.executable, "-m", "benchmarks.siege", str(served.port), str(served.process.pid)]
    pipe = asyncio.subprocess.PIPE
    watcher = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    await figure.attack(server, told)
    await asyncio.sleep(1)
    seen = Honest(**json.loads((await watcher.communicate(b""))[0]))
    wrong = told.honest + seen.wrong
    unanswered = {said: count for said, count in told.answers.items() if not said.isdigit()}
    answers = ", ".join(f"{said} × {count:,}" for said, count in told.answers.most_common())
    return Row(
        f"{name}: at most",
        f"{seen.memory >> 20}",
        [
            ("first", figure.first),
            ("before", f"{before >> 20}"),
            ("after", f"{served.resident() >> 20}"),
            ("answered", answers),
            ("honest requests, the slowest, s", f"{seen.slowest:.1f}"),
            ("not answered", f"{len(wrong)}"),
        ],
        "all answered",
        not unanswered and not wrong,
    )


def main() -> int:
    if sys.argv[1] == "bomb":
        Bomber.packed = bomb()
        player = ThreadingHTTPServer(("127.0.0.1", 0), Bomber)
        print(f"http://127.0.0.1:{player.server_address[1]}", flush=True)
        player.serve_forever()
    return asyncio.run(watch(int(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    sys.exit(main())
