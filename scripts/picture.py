"""Draw docs/demo.svg: ``python scripts/picture.py`` (``--check`` only compares).

What ``runapi-mcp demo`` prints in a terminal, from a real run by a scripted clock.
"""

import re
import sys
from functools import partial
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from parts import only_compares
from rich.console import Console
from rich.text import Text
from scripted_clock import client_here, run, simulate_here
from tools_page import HANDLE, clean_env

from runapi_mcp.cli.demo import run_demo
from runapi_mcp.settings import Settings

PICTURE = Path(__file__).parent.parent / "docs" / "demo.svg"
WIDTH = 108


def play() -> list[str]:
    """Return what the demo prints, on the simulated RunAPI."""
    lines: list[str] = []
    with patch("mcp.Client", client_here), patch("runapi_mcp.sim.simulate", simulate_here):
        failed = run(partial(run_demo, clean_env(), Settings(), lines.append))
    assert not failed, lines
    said = re.sub(r"\(g_[A-Za-z0-9_-]{6}\)", f"({HANDLE[:8]})", "\n".join(lines))
    return re.sub(r"g_[A-Za-z0-9_-]{20,}", HANDLE, said).splitlines()


def styled(line: str) -> Text:
    """Return a line as it is drawn: calls stand out, progress and receipts stand back."""
    if line.startswith("──"):
        return Text(line, style="bold cyan")
    if re.match(r" +(\d+\.\d\d s|receipt)", line):
        return Text(line, style="dim")
    return Text(line)


def draw(lines: list[str]) -> str:
    console = Console(record=True, width=WIDTH, file=StringIO(), legacy_windows=False)
    for line in lines:
        console.print(styled(line), overflow="fold")
    # No web fonts: the picture shows without asking another server.
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="runapi-mcp demo"), flags=re.DOTALL)


def main() -> int:
    check = only_compares()
    picture = draw(["$ make demo", *play()])
    if check:
        return int(PICTURE.read_text(encoding="utf-8") != picture)
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
