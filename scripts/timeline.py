"""Draw docs/never-held.svg from two real runs: ``python scripts/timeline.py`` (``--check`` only compares).

One long answer of the simulated RunAPI, asked for twice by a host that gives a call 6 s: through a server
that waits for the whole answer, and through this one. Seconds run to the right, by a scripted clock.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import anyio
import httpx
from mcp import Client, MCPError, StdioServerParameters
from mcp.server.mcpserver import MCPServer
from parts import only_compares
from scripted_clock import client_here, run, simulate_here

from runapi_mcp.sim import Simulator

PICTURE = Path(__file__).parent.parent / "docs" / "never-held.svg"
LEFT, SECOND, LANE, TOP = 150, 80, 34, 40
SECONDS = 9
BUSY, FREE, STREAM, LOST = "#0b5563", "#d9e6e8", "#ffb703", "#c1121f"
BEARS, HELD = 6, 5
"""Seconds that the host gives a call, and that this server lets it wait."""
THINKS, PACE = 2, 0.55
"""Seconds until the simulated model writes, and between its ten pieces."""
ELSEWHERE = 0.8
"""Seconds that the host's own model takes to call get_result."""


@dataclass(frozen=True)
class Moments:
    """When things happened, in seconds since the call was made.

    Attributes:
        gave_up: The host of the server that waits stopped waiting.
        unheard: That server's stream from RunAPI ended, with nobody to tell.
        handle: This server's call came back, with the text so far and a handle.
        again: The host called get_result.
        rest: That came back, with the whole answer.
        wrote: The model began to write.
        ended: The stream from RunAPI ended.
    """

    gave_up: float
    unheard: float
    handle: float
    again: float
    rest: float
    wrote: float
    ended: float


@dataclass(frozen=True)
class Bar:
    """Something that goes on from one second to another."""

    start: float
    end: float
    colour: str
    text: str = ""


@dataclass(frozen=True)
class Mark:
    """Something that happens at one second."""

    at: float
    text: str
    colour: str = BUSY


Lane = tuple[str, tuple[Bar, ...], tuple[Mark, ...]]


async def measure() -> Moments:
    """Make both calls, one after the other."""
    async with simulate_here(pace=PACE) as sim:
        async with Client(waiting_server(sim.base_url), mode="legacy") as client, seen(sim) as stream:
            began = anyio.current_time()
            try:
                await client.call_tool("ask", {"prompt": "Q"}, read_timeout_seconds=BEARS)
            except MCPError:
                gave_up = anyio.current_time() - began
            else:
                raise AssertionError("the host should have given up")
        assert sim.calls[0].ended == "complete"
        unheard = stream.ended - began
        sim.reset()
        env = {"RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": sim.base_url, "RUNAPI_MCP_HOLD": str(HELD)}
        ours = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=env)
        async with client_here(ours) as client, seen(sim) as stream:
            began = anyio.current_time()
            running = await client.call_tool("ask_gemini", {"prompt": "Q"}, read_timeout_seconds=BEARS)
            handle = anyio.current_time() - began
            receipt = (running.meta or {})["ai.runapi/receipt"]
            assert receipt["status"] == "running"
            await anyio.sleep(ELSEWHERE)
            again = anyio.current_time() - began
            asked = {"handle": receipt["handle"]}
            whole = await client.call_tool("get_result", asked, read_timeout_seconds=BEARS)
            rest = anyio.current_time() - began
            assert (whole.meta or {})["ai.runapi/receipt"]["complete"]
        return Moments(gave_up, unheard, handle, again, rest, stream.wrote - began, stream.ended - began)


def waiting_server(base_url: str) -> MCPServer:
    """Return a server that waits for the whole answer: one tool on the Python SDK."""
    server = MCPServer("waits", log_level="WARNING")

    @server.tool()
    async def ask(prompt: str) -> str:
        """Ask, and return the answer once all of it is there."""
        question = {"model": "gemini-3-flash-preview", "messages": [{"role": "user", "content": prompt}]}
        # Shielded: most such servers make a blocking call in a thread, which nothing cancels either.
        with anyio.CancelScope(shield=True):
            async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113
                response = await client.post(
                    f"{base_url}/v1beta/openai/chat/completions",
                    headers={"Authorization": "Bearer simulated-key"},
                    json=question,
                )
        return response.text

    return server


@dataclass
class Stream:
    """When the stream from RunAPI brought its first byte, and when it ended."""

    wrote: float = 0
    ended: float = 0


@asynccontextmanager
async def seen(sim: Simulator) -> AsyncGenerator[Stream]:
    """Play the long answer to the next call, and see its stream to the end before the block is left."""
    sim.play(f"silent-thinking seconds={THINKS}")
    stream = Stream()

    async def look() -> None:
        call = await sim.wait_for_call(timeout=30)
        await call.wait_first_byte(30)
        stream.wrote = anyio.current_time()
        await call.wait_closed(30)
        stream.ended = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        yield stream


def groups(at: Moments) -> tuple[tuple[str, tuple[Lane, ...]], ...]:
    """Return what is drawn: a title, and its lanes."""
    waiting: tuple[Lane, ...] = (
        ("host", (Bar(0, at.gave_up, BUSY, "waits, sees nothing"),), (Mark(at.gave_up, "gives up", LOST),)),
        (
            "server that waits",
            (Bar(0, at.unheard, BUSY, "waits for the whole answer"),),
            (Mark(at.unheard, "nobody listens", LOST),),
        ),
        ("RunAPI", (Bar(0, at.unheard, STREAM, "generates, and is paid for"),), ()),
    )
    ours: tuple[Lane, ...] = (
        (
            "host",
            (
                Bar(0, at.handle, BUSY, "waits, sees progress"),
                Bar(at.handle, at.again, FREE, "free"),
                Bar(at.again, at.rest, BUSY, "get_result"),
            ),
            (Mark(at.handle, "text so far + handle"), Mark(at.rest, "the answer")),
        ),
        ("runapi-mcp", (Bar(0, at.ended, BUSY, "reads the stream"),), ()),
        ("RunAPI", (Bar(0, at.wrote, FREE, "thinks"), Bar(at.wrote, at.ended, STREAM, "writes")), ()),
    )
    return (
        (f"A server that waits, and a host that gives a call {BEARS} s", waiting),
        (f"runapi-mcp, and the same host; it is to wait {HELD} s", ours),
    )


def svg(at: Moments) -> str:
    parts, y = [], 0.0
    for title, lanes in groups(at):
        parts.append(_text(8, y + 24, title, weight="bold"))
        parts.append(_axis(y + TOP, len(lanes)))
        for number, lane in enumerate(lanes):
            parts.append(_lane(y + TOP + number * LANE, lane))
        y += TOP + len(lanes) * LANE + 34
    width = LEFT + SECONDS * SECOND + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y:g}" font-family="sans-serif" '
        'font-size="12">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _axis(y: float, lanes: int) -> str:
    bottom = y + lanes * LANE
    lines = []
    for second in range(SECONDS + 1):
        x = LEFT + second * SECOND
        lines.append(f'<path d="M{x} {y:g}V{bottom:g}" stroke="#e5e5e5"/>')
        lines.append(_text(x, bottom + 14, f"{second} s", anchor="middle", fill="#777"))
    return "\n".join(lines)


def _lane(y: float, lane: Lane) -> str:
    name, bars, marks = lane
    parts = [_text(8, y + 20, name)]
    for bar in bars:
        x, width = LEFT + bar.start * SECOND, (bar.end - bar.start) * SECOND
        parts.append(
            f'<rect x="{x:g}" y="{y + 6:g}" width="{width:g}" height="20" rx="4" fill="{bar.colour}"/>'
        )
        parts.append(_text(x + 8, y + 20, bar.text, fill="#fff" if bar.colour == BUSY else "#222"))
    for mark in marks:
        x = LEFT + mark.at * SECOND
        parts.append(f'<circle cx="{x:g}" cy="{y + 6:g}" r="5" fill="{mark.colour}"/>')
        parts.append(_text(x + 8, y + 4, mark.text, fill=mark.colour))
    return "\n".join(parts)


def _text(
    x: float, y: float, text: str, *, fill: str = "#222", anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )


def main() -> int:
    check = only_compares()
    picture = svg(run(measure))
    if check:
        return int(PICTURE.read_text(encoding="utf-8") != picture)
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
