"""Draw the logo, once as SVG and once as PNG: ``python scripts/logo.py`` (``--check`` only compares).

A page on which text is arriving: two lines, a third that has just begun, and the dot that writes it.
"""

import math
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parts import only_compares

ROOT = Path(__file__).parent.parent
SVG = ROOT / "runapi_mcp" / "assets" / "logo.svg"
PACKAGING = ROOT / "packaging"
PNGS = (PACKAGING / "mcpb" / "icon.png", PACKAGING / "claude-code-plugin" / ".claude-plugin" / "icon.png")

SIDE, CORNER = 32, 7
PAGE, LINE, DOT = "#0b5563", "#ffffff", "#ffb703"
LINES = ((8, 10, 17), (8, 16, 24), (8, 22, 14))  # x from, y, x to
STROKE, DOT_AT, DOT_RADIUS = 3, (20, 22), 2.5
PIXELS = 512


@dataclass(frozen=True)
class Shape:
    """A colour, and how far outside a point lies (negative: inside), in the units of the drawing."""

    colour: str
    outside: Callable[[float, float], float]


def svg() -> str:
    strokes = "".join(f"M{start} {y}h{end - start}" for start, y, end in LINES)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">'
        f'<rect width="{SIDE}" height="{SIDE}" rx="{CORNER}" fill="{PAGE}"/>'
        f'<path d="{strokes}" stroke="#fff" stroke-width="{STROKE}" stroke-linecap="round"/>'
        f'<circle cx="{DOT_AT[0]}" cy="{DOT_AT[1]}" r="{DOT_RADIUS}" fill="{DOT}"/></svg>\n'
    )


def png() -> bytes:
    scale = PIXELS / SIDE
    rows = []
    for row in range(PIXELS):
        pixels = b"".join(
            _pixel((column + 0.5) / scale, (row + 0.5) / scale, scale) for column in range(PIXELS)
        )
        rows.append(b"\0" + pixels)
    header = struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 6, 0, 0, 0)
    body = zlib.compress(b"".join(rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _page(x: float, y: float) -> float:
    half = SIDE / 2
    right, down = abs(x - half) - half + CORNER, abs(y - half) - half + CORNER
    return math.hypot(max(right, 0), max(down, 0)) + min(max(right, down), 0) - CORNER


def _line(start: int, y: int, end: int) -> Callable[[float, float], float]:
    return lambda at_x, at_y: math.hypot(at_x - min(max(at_x, start), end), at_y - y) - STROKE / 2


def _dot(x: float, y: float) -> float:
    return math.hypot(x - DOT_AT[0], y - DOT_AT[1]) - DOT_RADIUS


SHAPES = (Shape(PAGE, _page), *(Shape(LINE, _line(*line)) for line in LINES), Shape(DOT, _dot))


def _pixel(x: float, y: float, scale: float) -> bytes:
    red = green = blue = alpha = 0.0
    for shape in SHAPES:
        cover = min(max(0.5 - shape.outside(x, y) * scale, 0.0), 1.0)
        if cover:
            above = [int(shape.colour[at : at + 2], 16) for at in (1, 3, 5)]
            red, green, blue = (
                new * cover + old * (1 - cover) if alpha else new
                for new, old in zip(above, (red, green, blue), strict=True)
            )
            alpha = cover + alpha * (1 - cover)
    return bytes((round(red), round(green), round(blue), round(alpha * 255)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def main() -> int:
    check = only_compares()
    if check:
        return int(SVG.read_text(encoding="utf-8") != svg())
    SVG.parent.mkdir(exist_ok=True)
    SVG.write_text(svg(), encoding="utf-8")
    drawn = png()
    for path in PNGS:
        path.write_bytes(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
