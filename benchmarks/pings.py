"""How long a ping waits beside work that a stranger makes.

A real server over HTTP, an upstream in a process of its own that plays what a hostile or stuck one would,
and a caller who pings every few milliseconds on a connection of their own. A figure is the longest ping while
a thing is done: 50 ms are promised, on a machine that does nothing else.
"""

import base64
import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from benchmarks.served import HEADERS, call, playing, served
from benchmarks.table import Row, Section, at_most

PROMISED_MS: Final = 50.0
_SEARCHER, _NATIVE = "gemini-2.5-flash", "gemini-3.7-flash"
_WORD: Final = "wordwordword " * 3


# ---------------------------------------------------------------- what the upstream says


def repeated(unit: str, characters: int) -> str:
    """A text of about as many characters that is nothing but one thing, and then a letter."""
    return unit * (characters // len(unit)) + "a"


TEXTS: Final[Mapping[str, str]] = {
    "dots": repeated(".", 32_000),
    "doctors": repeated("Dr. ", 64_000),
    "initials": repeated("A. ", 48_000),
    "fences": repeated("```\n", 272_000),
    "one-word": repeated("a", 400_000),
    "dots-4mb": repeated(".", 4_000_000),
    "headings-2mb": repeated("#\n", 2_000_000),
    "prose-4mb": repeated("It is a sentence of seven words here. ", 4_000_000),
    "prose-2mb": repeated("It is a sentence of seven words here. ", 2_000_000),
    "word": "word",
    "blanks": repeated("\u3000", 60_000),
    "brackets": repeated("[", 1_000_000),
    "lists": "[" + "[1]," * 250_000 + "[1]]" + " " * 20_000,
    "numbers-8mb": "[" + "1," * 4_000_000 + "1]",
}
"""What the model writes, by the name that the question has in it."""
SEARCHED: Final = tuple(name for name in TEXTS if name not in ("numbers-8mb", "prose-2mb", "word"))
EVENTS: Final[Mapping[str, Callable[[], str]]] = {
    "values-20mb": lambda: (
        '{"choices": [{"delta": {"content": "x"}}], "more": [' + "[1]," * 5_000_000 + "1]}"
    ),
    "commas-30mb": lambda: json.dumps({"choices": [{"delta": {"content": "a, [" * 7_500_000}}]}),
    "escapes-30mb": lambda: json.dumps({"choices": [{"delta": {"content": "é\n" * 3_750_000}}]}),
    "backslashes-4mb": lambda: '{"choices": [{"delta": {"content": "\\\\u0073' + "\\\\" * 1_900_000 + '"}}]}',
    "lines-4mb": lambda: "\ndata:" * 600_000,
    "names-2mb": lambda: json.dumps({"choices": [{"delta": dict.fromkeys(map(str, range(18_000)), 1)}]}),
}
"""Single events, by the name that the question has in it."""


def chunks(name: str, *, native: bool) -> Iterator[bytes]:
    """The events of an answer, 16,384 characters each; the last has sources behind a hundred stretches."""
    if name in EVENTS:
        yield b"data: " + EVENTS[name]().encode() + b"\n\n"
        return
    text = TEXTS[name]
    size = len(text.encode())
    stretches = [
        {"segment": {"startIndex": at, "endIndex": at + size // 100}, "groundingChunkIndices": [0]}
        for at in range(0, size - size // 100, max(size // 100, 1))
    ]
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://example.org/a", "title": "A"}}],
        "groundingSupports": stretches,
    }
    pieces = [text[at : at + 16_384] for at in range(0, len(text), 16_384)]
    for piece in pieces:
        last = piece is pieces[-1]
        if native:
            candidate: dict[str, Any] = {"content": {"parts": [{"text": piece}], "role": "model"}}
            candidate |= {"finishReason": "STOP", "groundingMetadata": grounding} if last else {}
            event: dict[str, Any] = {"candidates": [candidate]}
        else:
            delta = {"reasoning_content": piece} if name == "blanks" and not last else {"content": piece}
            event = {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop" if last else None}]}
            event |= {"groundingMetadata": grounding} if last else {}
        yield b"data: " + json.dumps(event).encode() + b"\n\n"
    if not native:
        yield b"data: [DONE]\n\n"


class Upstream(BaseHTTPRequestHandler):
    """Plays the text that the question names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        named = re.search(rb"\(say ([\w-]+)\)", body)
        native = "streamGenerateContent" in self.path
        if b"(say heads)" in body:
            self.wfile.write(b"HTTP/1.1 100 \r\n\r\n" * 100_000)
        if b"(say crumbs)" in body:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            crumbs = b"".join(
                b"1\r\n%c\r\n" % octet for octet in b"".join(chunks("word", native=native)) * 1_000
            )
            self.wfile.write(head + crumbs + b"0\r\n\r\n")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(ConnectionError):  # who has seen enough leaves
            if b"(say nothing)" in body:
                self.rfile.read(1)
                return
            for chunk in chunks(named[1].decode() if named else "dots", native=native):
                self.wfile.write(chunk)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


# ---------------------------------------------------------------- what a caller asks


def search(name: str) -> tuple[dict[str, str], bytes]:
    return call("search_web", query=f"(say {name})", fresh=True, wait_seconds=100)


def extract(name: str) -> tuple[dict[str, str], bytes]:
    whole = name in ("lists", "numbers-8mb")
    schema = {"type": "array"} if whole else {"type": "object", "properties": {"a": {"type": "string"}}}
    return call("extract_json", schema=schema, text=f"(say {name})", fresh=True, wait_seconds=100)


def asked(prompt: str) -> tuple[dict[str, str], bytes]:
    return call("ask_gemini", prompt=prompt, fresh=True, wait_seconds=100)


def chained() -> tuple[dict[str, str], bytes]:
    """Functions whose parameters are a chain of references of 300 kB."""
    count = 6_000
    parts = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}", "description": "x"} for n in range(count)}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/d0"}},
        "$defs": parts | {f"d{count}": {"type": "string"}},
    }
    return call(
        "ask_gemini", prompt="(say dots)", functions=[{"name": "f", "parameters": schema}], fresh=True
    )


def wide() -> tuple[dict[str, str], bytes]:
    """A schema of 5 MB."""
    schema = {
        "type": "object",
        "properties": {f"name{n}": {"type": "string", "description": "x" * 50} for n in range(50_000)},
    }
    return call("extract_json", schema=schema, text="(say dots)", fresh=True)


def images(count: int, each: int) -> tuple[dict[str, str], bytes]:
    """A question with images, of as many bytes each."""
    image = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(each)).decode()
    return call("ask_gemini", prompt="(say dots)", files=[image] * count, fresh=True)


WORK: Final[Mapping[str, Callable[[], tuple[dict[str, str], bytes]]]] = {
    **{f"search, {name}": (lambda name=name: search(name)) for name in SEARCHED},  # type: ignore[misc]
    **{f"extract, {name}": (lambda name=name: extract(name)) for name in TEXTS},  # type: ignore[misc]
    "ask, prose-4mb": lambda: call("ask_gemini", prompt="(say prose-4mb)", fresh=True, wait_seconds=100),
    **{f"ask, {name}": (lambda name=name: asked(f"(say {name})")) for name in EVENTS},  # type: ignore[misc]
    "heads of status 100": lambda: asked("(say heads)"),
    "chunks of a byte": lambda: asked("(say crumbs)"),
    "a chain of references": chained,
    "a schema of 5 MB": wide,
    "an image of 19 MB": lambda: images(1, 19_000_000),
    "images of 45 MB": lambda: images(3, 15_000_000),
    "5,000 unknown arguments": lambda: call(
        "ask_gemini", prompt="x", **{f"name{n}": n for n in range(5_000)}
    ),
    "100,000 unknown arguments": lambda: call(
        "ask_gemini", prompt="x", **{f"name{n}": n for n in range(100_000)}
    ),
    "a message of 20,000 names": lambda: call(
        "ask_gemini", prompt="x", messages=[{f"name{n}": n for n in range(20_000)}]
    ),
    "a prompt that goes on for 4 MB": lambda: call(
        "ask_gemini", prompt='</prompt><parameter name="system">' * 117_000
    ),
    "20 MB of ISO-2022-JP": lambda: call(
        "ask_gemini", prompt="x", files=["data:;charset=iso2022_jp," + "a" * 20_000_000]
    ),
    "a list of 2,000,000 items": lambda: call("ask_gemini", prompt="x", files=["a"] * 2_000_000),
    "a nested argument of 8 MB": lambda: call("ask_gemini", prompt=[[{"a": [1, 2, 3]}]] * 500_000),
    "a text of 60 MB": lambda: asked("x" * 60_000_000),
    "60 MB of blanks": lambda: asked(" " * 60_000_000),
    "60 MB of escapes": lambda: asked("é" * 10_000_000),
    "a name of 60 MB": lambda: call("ask_gemini", **{"x" * 60_000_000: 1}),
    "a file of 20 MB in escapes": lambda: call(
        "ask_gemini", prompt="x", files=["data:," + "%41" * 20_000_000]
    ),
    "20 MB of Punycode": lambda: call(
        "ask_gemini", prompt="x", files=["data:;charset=punycode,-" + "a" * 20_000_000]
    ),
    "a list of 40 MB as text": lambda: call("ask_gemini", prompt="x", files="[" + "1," * 20_000_000 + "1]"),
    "a prompt of 3,900,000 characters": lambda: call(
        "ask_gemini", prompt="(say dots)" + "é" * 3_900_000, fresh=True
    ),
}


# ---------------------------------------------------------------- measuring


class Pinger(threading.Thread):
    """Pings on a connection of its own; `longest` is in milliseconds."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.longest = 0.0
        self.ended = False
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "pings", "version": "1"},
        }
        era = {"MCP-Protocol-Version": "2025-11-25"}
        opened, _ = self._post({"id": 1, "method": "initialize", "params": params}, era)
        self._session = era | {"Mcp-Session-Id": opened}
        self._post({"method": "notifications/initialized"}, self._session)

    def _post(self, message: Mapping[str, object], headers: Mapping[str, str]) -> tuple[str, bytes]:
        self._http.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", **message}), {**HEADERS, **headers})
        answer = self._http.getresponse()
        return answer.headers.get("Mcp-Session-Id", ""), answer.read()

    def run(self) -> None:
        number = 1
        while not self.ended:
            number += 1
            began = time.perf_counter()
            self._post({"id": number, "method": "ping"}, self._session)
            self.longest = max(self.longest, (time.perf_counter() - began) * 1_000)
            time.sleep(0.002)

    def during(self, work: Callable[[], str]) -> tuple[float, float, str]:
        """The longest ping while work is done, the seconds it took, and what came of it."""
        time.sleep(0.05)
        self.longest = 0.0
        began = time.perf_counter()
        told = work()
        took = time.perf_counter() - began
        time.sleep(0.05)
        return self.longest, took, told


def ask(port: int, headers: Mapping[str, str], body: bytes) -> str:
    """Ask, read the answer, and return its status and how it begins."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/mcp", body, dict(headers))
    answer = connection.getresponse()
    said = answer.read().rpartition(b'"text":"')[2]
    connection.close()
    return f"{answer.status} {said[:60]!r}"


def idle() -> str:
    time.sleep(3)
    return ""


def section(*, quick: bool, like: str) -> Section:
    made = Section("The longest ping, while something is done")
    names = [name for name in WORK if like in name][:: 4 if quick else 1]
    with playing("benchmarks.pings") as upstream, served(upstream) as server:
        ask(server.port, *search("dots"))
        pinger = Pinger(server.port)
        pinger.start()
        quietest, _, _ = pinger.during(idle)
        made.rows.append(Row("nothing, ms", f"{quietest:.0f}"))
        most = max(PROMISED_MS, round(1.5 * quietest))
        for name in names:
            headers, body = WORK[name]()
            longest, took, told = pinger.during(partial(ask, server.port, headers, body))
            print(f"{longest:8.0f} ms  {name} ({took:.1f} s): {told}", flush=True)
            made.rows.append(at_most(f"{name}, ms", longest, most, [("seconds it took", f"{took:.1f}")]))
        pinger.ended = True
    return made


if __name__ == "__main__":
    player = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    print(f"http://127.0.0.1:{player.server_address[1]}", flush=True)
    player.serve_forever()
