"""A scripted upstream that costs next to nothing, in a process of its own: ``python -m benchmarks.upstream``.

What to play stands in the request's body: ``[[chunks=20000 pace=0.05 wait=0 size=6]]``. The same
bytes are sent to every reader, so what differs is the reader. Every response is an event stream of
either dialect; a GET is answered with the times at which the last hundred were asked, written to and lost.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_SCRIPT: Final = re.compile(rb"\[\[(.*?)\]\]")
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)
MODEL: Final = "gemini-3-flash-preview"


@dataclass(frozen=True)
class Script:
    chunks: int = 20
    pace: float = 0.0
    wait: float = 0.0
    size: int = 6
    joined: int = 64
    """How many events share one chunk of the transfer encoding, when there is no pace."""

    def __str__(self) -> str:
        pairs = " ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"[[{pairs}]]"


def read_script(body: bytes) -> Script:
    found = _SCRIPT.search(body)
    pairs = dict(word.split("=") for word in found[1].decode().split()) if found else {}
    return Script(**{name: type(getattr(Script, name))(value) for name, value in pairs.items()})


def chunk(dialect: str, text: str, number: int, *, last: bool) -> bytes:
    """One event, in the shape of docs/wire.md §5.2 and §6.2."""
    if dialect == "chat":
        made: dict[str, object] = {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion.chunk",
            "created": 1_790_000_000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": text},
                    "finish_reason": "stop" if last else None,
                }
            ],
        }
        if last:
            made["usage"] = {"prompt_tokens": 9, "completion_tokens": number, "total_tokens": 9 + number}
    else:
        candidate: dict[str, object] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        made = {
            "candidates": [candidate | ({"finishReason": "STOP"} if last else {})],
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": number,
                "totalTokenCount": 9 + number,
            },
            "modelVersion": MODEL,
            "responseId": "benchmark",
        }
    return b"data: " + json.dumps(made).encode() + b"\n\n"


def events(dialect: str, script: Script) -> list[bytes]:
    text = ("word " * (script.size // 5 + 1))[: script.size]
    made = [chunk(dialect, text, n, last=n == script.chunks) for n in range(1, script.chunks + 1)]
    return made + ([b"data: [DONE]\n\n"] if dialect == "chat" else [])


def framed(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


class Player(asyncio.Protocol):
    log: Final[list[dict[str, float]]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""
        self.times: dict[str, float] = {}
        self.handle: asyncio.TimerHandle | None = None
        self.writing: asyncio.Task[None] | None = None
        self.room = asyncio.Event()
        self.room.set()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.times["lost"] = time.monotonic()
        if self.handle:
            self.handle.cancel()
        if self.writing:
            self.writing.cancel()

    def data_received(self, received: bytes) -> None:
        self.received += received
        head, found, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if found and len(body) >= (int(length[1]) if length else 0):
            self.received = b""
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            log = json.dumps(Player.log[-100:]).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(log), log))
            return
        Player.log.append(self.times)
        script = read_script(body)
        pieces = events("native" if b"streamGenerateContent" in head else "chat", script)
        self.transport.write(_HEAD)
        self.times["asked"] = time.monotonic()
        loop = asyncio.get_running_loop()
        if script.pace:
            self.next(iter(pieces), loop.time() + script.wait, script.pace)
        else:
            self.writing = loop.create_task(self.burst(pieces, script))

    def next(self, pieces: Iterator[bytes], due: float, pace: float) -> None:
        piece = next(pieces, None)
        if piece is None:
            return self.end()
        self.handle = asyncio.get_running_loop().call_at(due, self.send, piece, pieces, due + pace, pace)
        return None

    def send(self, piece: bytes, pieces: Iterator[bytes], due: float, pace: float) -> None:
        self.times.setdefault("first", time.monotonic())
        self.transport.write(framed(piece))
        self.next(pieces, due, pace)

    async def burst(self, pieces: list[bytes], script: Script) -> None:
        if script.wait:
            await asyncio.sleep(script.wait)
        self.times["first"] = time.monotonic()
        for start in range(0, len(pieces), 64):
            await self.room.wait()
            several = pieces[start : start + 64]
            steps = range(0, len(several), script.joined)
            self.transport.write(b"".join(framed(b"".join(several[at : at + script.joined])) for at in steps))
        self.end()

    def end(self) -> None:
        self.transport.write(b"0\r\n\r\n")
        self.transport.close()


@contextmanager
def playing() -> Iterator[str]:
    """Run the upstream; gives its base URL."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.upstream"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Player, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
