"""Two minutes of hostile traffic, an honest caller beside it.

A real server over HTTP with two principals. One half-sends bodies, drips bodies, opens sessions by the
hundred, sends bodies that are compressed twice, costly schemas, answers that repeat themselves for 200,000
characters, open calls that it leaves, forged tokens, bursts of connections, messages of a million values and
bodies in chunks of a byte. The other asks, extracts and lists, and so does a probe of health. Every honest
request is to be answered in time and, when it is quiet again, nothing left over: descriptors, threads, helper
processes, memory.
"""

import json
import os
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
import httpx

from benchmarks.served import HEADERS, Served, call, served
from benchmarks.table import Row, Section, at_most
from runapi_mcp.sim import simulate
from runapi_mcp.wire.types import JsonValue

SECONDS: Final = 120.0
IN_TIME: Final = {"health": 5.0, "models": 10.0, "ask": 10.0, "extract": 30.0}
"""Seconds in which an honest request must be answered, on a machine that all of this shares.

An extraction may have to wait for one of two processes, each of which may be in a check of 8 s.
"""
SHARED: Final = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""How many times as long everything takes because of what else the machine does as this begins."""
ADA, MALLORY = "token-of-ada-0123456789", "token-of-mallory-0123456789"
INITIALIZE: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        },
    }
).encode()
SETTINGS: Final = {
    "RUNAPI_MCP_MEMORY_BYTES": str(256 << 20),
    "RUNAPI_MCP_KEEP_SECONDS": "20",
    "RUNAPI_MCP_DEADLINE": "15",
    "RUNAPI_MCP_TOKENS": f"ada:{ADA}\nmallory:{MALLORY}",
}
MOST_GROWTH: Final = 256 << 20
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Seen:
    """What came of it: seconds of each honest request by kind, what was wrong, what the attacker was told."""

    took: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)


def client(url: str, token: str) -> httpx.AsyncClient:
    # Without TLS's certificates, which take longer to load than most answers here.
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
        verify=_NO_TLS,
    )


# ---------------------------------------------------------------- the honest caller


SCHEMA: Final[JsonValue] = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
}
HONEST: Final[dict[str, tuple[str, dict[str, JsonValue]]]] = {
    "ask": ("ask_gemini", {"prompt": "Why is the sky blue?", "fresh": True}),
    "extract": ("extract_json", {"schema": SCHEMA, "text": "name: Ada Example.", "fresh": True}),
    "models": ("list_models", {}),
}


async def honest(url: str, kind: str, seen: Seen, pause: float) -> None:
    """Ask one thing again and again."""
    tool, arguments = HONEST[kind]
    async with client(url, ADA) as http:
        while True:
            headers, body = call(tool, **arguments)
            await timed(kind, seen, partial(http.post, "/mcp", content=body, headers=headers))
            await anyio.sleep(pause)


async def probe(url: str, seen: Seen) -> None:
    """Ask for health, each time on a connection of its own."""
    while True:
        async with client(url, ADA) as http:
            await timed("health", seen, partial(http.get, "/healthz"))
        await anyio.sleep(0.2)


async def timed(kind: str, seen: Seen, ask: Callable[[], Awaitable[httpx.Response]]) -> None:
    began = time.monotonic()
    try:
        answer = await ask()
    except httpx.HTTPError as error:
        seen.wrong.append(f"{kind}: {type(error).__name__}")
        return
    took = time.monotonic() - began
    seen.took.setdefault(kind, []).append(took)
    if answer.status_code != 200 or '"isError":true' in answer.text:
        seen.wrong.append(f"{kind}: {answer.status_code} {answer.text[:200]}")
    elif took > IN_TIME[kind] * SHARED:
        seen.wrong.append(f"{kind}: took {took:.1f} s")


# ---------------------------------------------------------------- the other one


async def half_send(url: str, seen: Seen) -> None:
    """Send the half of a large body, and wait."""
    host, _, port = url.removeprefix("http://").partition(":")
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {MALLORY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {60 << 20}\r\n\r\n"
    )
    with suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode())
            for _ in range(160):
                await stream.send(b" " * 65_536)
            seen.told[(await stream.receive(20))[9:12].decode()] += 1


async def drip(url: str, seen: Seen) -> None:
    """Send a body byte by byte."""
    host, _, port = url.removeprefix("http://").partition(":")
    kind = "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    head = f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\n{kind}"
    with suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream), anyio.move_on_after(5):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode())
            for _ in range(10):
                await stream.send(b" ")
                await anyio.sleep(0.3)
            seen.told[(await stream.receive(20))[9:12].decode()] += 1


async def post(url: str, seen: Seen, body: bytes, *, token: str = MALLORY, **headers: str) -> None:
    with suppress(httpx.HTTPError):
        async with client(url, token) as http:
            answer = await http.post("/mcp", content=body, headers=HEADERS | headers)
            seen.told[str(answer.status_code)] += 1


async def sessions(url: str, seen: Seen) -> None:
    for _ in range(20):
        headers = {"MCP-Protocol-Version": "2025-11-25"}
        await post(url, seen, INITIALIZE, **headers)


async def forged(url: str, seen: Seen) -> None:
    await post(url, seen, INITIALIZE, token="forged-" + "x" * 40)


async def compressed(url: str, seen: Seen) -> None:
    await post(url, seen, INITIALIZE, **{"Content-Encoding": "gzip, gzip"})


async def ask(url: str, seen: Seen, tool: str, **arguments: JsonValue) -> None:
    headers, body = call(tool, **arguments)
    with anyio.move_on_after(20):
        await post(url, seen, body, **headers)


def _costly() -> JsonValue:
    """Return a schema that no time suffices for, of some thousand subschemas."""
    schema: JsonValue = {"type": "string", "pattern": "^(a|a)*(b|b)*(a|a)*$"}
    for _ in range(10):
        schema = {"anyOf": [schema, {"type": "object", "properties": {"x": schema}}]}
    return schema


COSTLY: Final = _costly()


async def costly(url: str, seen: Seen) -> None:
    await ask(url, seen, "extract_json", schema=COSTLY, text="aaaa", fresh=True)


async def repeated(url: str, seen: Seen) -> None:
    text = "." * 200_000 + "a"
    await ask(url, seen, "search_web", query=f"Dots? [[sim:default text={text} pace=0]]", fresh=True)


async def left(url: str, seen: Seen) -> None:
    """Begin a call, and go away."""
    headers, body = call("ask_gemini", prompt="Slow [[sim:slow seconds=9]]", fresh=True)
    with suppress(httpx.HTTPError), anyio.move_on_after(0.3):
        async with client(url, MALLORY) as http:
            await http.post("/mcp", content=body, headers=headers)
    seen.told["left"] += 1


_LISTS: Final = b", ".join([b"[1, 2, 3]"] * 250_000)
CROWDED: Final = call("ask_gemini", prompt="?")[1].replace(b'"?"', b"[%b]" % _LISTS)
CRUMBS: Final = b"1\r\n \r\n" * 50_000
"""Made once."""


async def crowd(url: str, seen: Seen) -> None:
    """Send a million values in one message."""
    await post(url, seen, CROWDED)


async def crumble(url: str, seen: Seen) -> None:
    """Send a body in chunks of a byte."""
    host, _, port = url.removeprefix("http://").partition(":")
    head = f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode() + CRUMBS)
            seen.told[(await stream.receive(20))[9:12].decode()] += 1


async def burst(url: str, seen: Seen) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(forged, url, seen)


ATTACKS: Final = (
    half_send,
    drip,
    sessions,
    forged,
    compressed,
    costly,
    repeated,
    left,
    burst,
    crowd,
    crumble,
)


async def attacked(url: str, seconds: float, seen: Seen) -> None:
    """Have all of it done in a process of its own, whose work holds up no honest caller in this one."""
    command = [sys.executable, "-m", "benchmarks.hostile", url, str(seconds)]
    done = await anyio.run_process(command, stderr=None)
    seen.told.update(json.loads(done.stdout))


async def attack_all(url: str, seconds: float) -> int:
    """Do all of it at once, and print what was answered."""
    seen = Seen()
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for how in ATTACKS:
                group.start_soon(attack, url, seen, how)
    print(json.dumps(seen.told))
    return 0


async def attack(url: str, seen: Seen, how: Callable[[str, Seen], Awaitable[None]]) -> None:
    while True:
        await how(url, seen)
        await anyio.sleep(0.1)


# ---------------------------------------------------------------- all of it


def section(*, quick: bool) -> Section:
    seconds = SECONDS / 4 if quick else SECONDS
    return anyio.run(hostile, seconds)


async def hostile(seconds: float) -> Section:
    """Run it, and return what came of it."""
    seen = Seen()
    async with simulate(pace=0.001) as sim:
        with served(sim.base_url, "--auth", "token", **SETTINGS) as server:
            async with client(server.url, ADA) as http:
                for tool, arguments in HONEST.values():
                    headers, body = call(tool, **arguments)
                    await http.post("/mcp", content=body, headers=headers)
            await anyio.sleep(1)
            before, memory = server.left(), server.resident()
            most = [memory]
            async with anyio.create_task_group() as group:
                for kind, pause in (("ask", 0.3), ("extract", 1.0), ("models", 0.5)):
                    group.start_soon(honest, server.url, kind, seen, pause)
                group.start_soon(probe, server.url, seen)
                group.start_soon(weigh, server, most)
                await attacked(server.url, seconds, seen)
                group.cancel_scope.cancel()
            left_over = await quiet(server, before)
            after = server.resident()
    made = Section(
        f"{seconds:.0f} s of hostile traffic, {len(ATTACKS)} ways at once, and an honest caller beside it"
    )
    for kind, promised in IN_TIME.items():
        took = seen.took.get(kind, [])
        wrong = [each for each in seen.wrong if each.startswith(kind)]
        for each in wrong:
            print(f"  {each}")
        row = Row(
            f"{kind}: the longest of all honest requests, s",
            f"{max(took, default=0.0):.2f}",
            [("requests", str(len(took))), ("not answered, or late", str(len(wrong)))],
            f"all, ≤ {promised * SHARED:.0f}",
            bool(took) and not wrong,
        )
        made.rows.append(row)
    room = MOST_GROWTH + (64 << 20)
    made.rows.extend(
        [
            at_most(
                "memory at most, MiB more than before",
                (max(most) - memory) >> 20,
                room >> 20,
                [("before", f"{memory >> 20}"), ("when it is quiet again", f"{after >> 20}")],
            ),
            Row(
                "left over when it is quiet again: descriptors, threads, helpers",
                ", ".join(f"{count} {name}" for name, count in left_over.items()) or "nothing",
                [],
                "nothing",
                not left_over,
            ),
        ]
    )
    told = ", ".join(f"{status} {count:,} times" for status, count in seen.told.most_common())
    made.notes.append(f"The attacker was told {told}.")
    return made


async def weigh(server: Served, found: list[int]) -> None:
    """Note how much memory it has."""
    while True:
        await anyio.sleep(0.25)
        found.append(server.resident())


async def quiet(server: Served, before: dict[str, int]) -> dict[str, int]:
    """Wait until nothing is left of the traffic; return what is after half a minute."""
    allowed = {"descriptors": before["descriptors"] + 8, "threads": before["threads"] + 8, "helpers": 2}
    over: dict[str, int] = {}
    for _ in range(60):
        await anyio.sleep(0.5)
        over = {name: count for name, count in server.left().items() if count > allowed[name]}
        if not over:
            break
    return over


if __name__ == "__main__":
    sys.exit(anyio.run(attack_all, sys.argv[1], float(sys.argv[2])))
