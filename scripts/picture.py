"""Record docs/demo.svg: ``python scripts/picture.py`` runs ``runapi-mcp demo`` and draws what it prints.

Times differ from run to run, so this one file is not compared by a test, only looked into.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "demo.svg"
WIDTH = 108


def printed() -> list[str]:
    """Return what the demo prints, on the simulated RunAPI."""
    env = {name: value for name, value in os.environ.items() if "RUNAPI" not in name and "GOOGLE" not in name}
    done = subprocess.run(  # our own command
        [sys.executable, "-m", "runapi_mcp", "demo"], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def styled(line: str) -> Text:
    """Return a line as it is drawn: calls stand out, progress and receipts stand back, one line each."""
    if line.startswith("──"):
        return Text(line, style="bold cyan")
    if re.match(r" +(\d+\.\d\d s|receipt)", line):
        return Text(line, style="dim")
    return Text(line)


def drawn(lines: list[str]) -> str:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, legacy_windows=False)
        for line in lines:
            text = styled(line)
            text.truncate(WIDTH, overflow="ellipsis")
            console.print(text)
        # No web fonts: the picture shows without asking another server.
        template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        return console.export_svg(title="runapi-mcp demo", code_format=template)


if __name__ == "__main__":
    PICTURE.write_text(drawn(["$ make demo", *printed()]), encoding="utf-8")
