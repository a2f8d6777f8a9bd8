"""Draw docs/never-held.svg: ``python scripts/timeline.py`` (``--check`` only compares).

A schematic of one long call, twice: with a server that waits, and with this one. Seconds run to the right.
"""

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent.parent / "docs" / "never-held.svg"
LEFT, SECOND, LANE, TOP = 150, 8, 34, 40
SECONDS = 90
BUSY, FREE, STREAM, LOST = "#0b5563", "#d9e6e8", "#ffb703", "#c1121f"


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
WAITING: tuple[Lane, ...] = (
    ("host", (Bar(0, 60, BUSY, "waits, sees nothing"),), (Mark(60, "gives up", LOST),)),
    (
        "server that waits",
        (Bar(0, 74, BUSY, "waits for the whole answer"),),
        (Mark(74, "nobody listens", LOST),),
    ),
    ("upstream", (Bar(0, 74, STREAM, "generates, and is paid for"),), ()),
)
OURS: tuple[Lane, ...] = (
    (
        "host",
        (
            Bar(0, 50, BUSY, "waits, sees progress"),
            Bar(50, 58, FREE, "free"),
            Bar(58, 74, BUSY, "get_result"),
        ),
        (Mark(50, "text so far + handle"), Mark(74, "the rest")),
    ),
    ("runapi-mcp", (Bar(0, 74, BUSY, "reads the stream; progress at least every 5 s"),), ()),
    ("RunAPI", (Bar(0, 20, FREE, "thinks"), Bar(20, 74, STREAM, "writes")), ()),
)


def svg() -> str:
    groups = (
        ("A server that waits, a host that gives a call 60 s", WAITING),
        ("runapi-mcp, the same host", OURS),
    )
    parts, y = [], 0.0
    for title, lanes in groups:
        parts.append(_text(8, y + 24, title, weight="bold"))
        parts.append(_axis(y + TOP, len(lanes)))
        for number, lane in enumerate(lanes):
            parts.append(_lane(y + TOP + number * LANE, lane))
        y += TOP + len(lanes) * LANE + 34
    width = LEFT + SECONDS * SECOND + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y:g}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _axis(y: float, lanes: int) -> str:
    bottom = y + lanes * LANE
    lines = []
    for second in range(0, SECONDS + 1, 10):
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
    if "--check" in sys.argv:
        return int(PICTURE.read_text(encoding="utf-8") != svg())
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
