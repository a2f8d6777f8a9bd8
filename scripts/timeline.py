"""Draw docs/never-held.svg from two real runs: ``python scripts/timeline.py`` (``--check`` only compares).

One long answer of the simulated RunAPI, asked for twice by a host that gives a call 6 s: through a server
that waits for the whole answer (``waiting_server.py``), and through this one. Seconds run to the right. The
picture holds the moments that were measured; a check measures anew and allows a second's difference.
"""

import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import anyio
from mcp import Client, MCPError, StdioServerParameters
from tools_page import clean_env

from runapi_mcp.sim import Simulator, simulate

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "never-held.svg"
LEFT, SECOND, LANE, TOP = 150, 80, 34, 40
SECONDS = 9
BUSY, FREE, STREAM, LOST = "#0b5563", "#d9e6e8", "#ffb703", "#c1121f"
BEARS, HELD = 6, 5
"""Seconds that the host gives a call, and that this server lets it wait."""
THINKS, PACE = 2, 0.55
"""Seconds until the simulated model writes, and between its ten pieces."""
ELSEWHERE = 0.8
"""Seconds that the host's own model takes to call get_result."""
MOST_OFF = 1.0


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


async def measured() -> Moments:
    """Make both calls, one after the other."""
    async with simulate(pace=PACE) as sim:
        gave_up, unheard = await _waiting(sim)
        sim.reset()
        sim.pace = PACE
        handle, again, rest, wrote, ended = await _ours(sim)
    return Moments(gave_up, unheard, handle, again, rest, wrote, ended)


async def _waiting(sim: Simulator) -> tuple[float, float]:
    async with _client(sim, "scripts/waiting_server.py") as client:
        await client.list_tools()  # its start is not what is measured
        sim.play(f"silent-thinking seconds={THINKS}")
        began = time.monotonic()
        try:
            await client.call_tool("ask", {"prompt": "Q"}, read_timeout_seconds=BEARS)
        except MCPError:
            gave_up = time.monotonic()
        else:
            raise AssertionError("the host should have given up")
        await sim.calls[0].wait_closed(30)
        assert sim.calls[0].ended == "complete"
        return gave_up - began, (sim.calls[0].closed_at or 0) - began


async def _ours(sim: Simulator) -> tuple[float, ...]:
    async with _client(sim, "-m", "runapi_mcp") as client:
        await client.call_tool("get_result", {"handle": "g_nobody"})  # its start is not what is measured
        sim.play(f"silent-thinking seconds={THINKS}")
        began = time.monotonic()
        running = await client.call_tool("ask_gemini", {"prompt": "Q"}, read_timeout_seconds=BEARS)
        handle = time.monotonic()
        receipt = (running.meta or {})["ai.runapi/receipt"]
        assert receipt["status"] == "running"
        await anyio.sleep(ELSEWHERE)
        again = time.monotonic()
        asked = {"handle": receipt["handle"]}
        whole = await client.call_tool("get_result", asked, read_timeout_seconds=BEARS)
        rest = time.monotonic()
        assert (whole.meta or {})["ai.runapi/receipt"]["complete"]
        seen = sim.calls[0]
        await seen.wait_closed(5)
        moments = (handle, again, rest, seen.first_byte_at or 0, seen.closed_at or 0)
        return tuple(moment - began for moment in moments)


def _client(sim: Simulator, *arguments: str) -> Client:
    env = {"RUNAPI_TOKEN": "simulated-key", "RUNAPI_BASE_URL": sim.base_url, "RUNAPI_MCP_HOLD": str(HELD)}
    server = StdioServerParameters(command=sys.executable, args=[*arguments], env=clean_env() | env)
    return Client(server)


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
        f'font-size="12">\n<metadata>{escape(json.dumps(asdict(at)))}</metadata>\n'
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


def drawn(picture: str) -> Moments:
    """Return the moments that a picture holds."""
    found = re.search("<metadata>(.*)</metadata>", picture)
    assert found, "the picture does not say when things happened"
    return Moments(**json.loads(found[1].replace("&quot;", '"')))


def off(then: Moments) -> float:
    """Return the most seconds by which a run now differs from another one."""
    now = asdict(anyio.run(measured))
    most: float = max(abs(now[name] - seconds) for name, seconds in asdict(then).items())
    return most


def main() -> int:
    os.chdir(ROOT)
    if "--check" in sys.argv:
        picture = PICTURE.read_text(encoding="utf-8")
        then = drawn(picture)
        # Once more: a machine may be busy for longer than the difference that is allowed.
        return int(picture != svg(then) or (off(then) > MOST_OFF and off(then) > MOST_OFF))
    moments = {name: round(seconds, 2) for name, seconds in asdict(anyio.run(measured)).items()}
    PICTURE.write_text(svg(Moments(**moments)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
