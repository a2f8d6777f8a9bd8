"""Try the built wheel as users get it: ``python scripts/wheel_test.py dist/runapi_mcp-….whl``.

In a clean environment each: the lowest versions that pyproject.toml allows, and the newest. Then
through uvx, as hosts start it, and as the ``.mcpb`` bundle does.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"
SMOKE = ROOT / "tests" / "wheels" / "smoke.py"
UV = Path(sys.executable).with_name("uv")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES: list[str] = PROJECT["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
RESOLUTIONS = ("lowest-direct", "highest")
# What this process runs in must not leak into the environments under test.
ENV = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}


def run(*command: str | Path) -> str:
    done = subprocess.run(  # noqa: S603  # our own commands
        [str(part) for part in command], env=ENV, cwd=BUILD, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def try_wheel(wheel: Path, resolution: str) -> None:
    home = BUILD / f"wheel-{resolution}"
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, home)
    # The dependencies again by name: "direct" is what is asked for here, not what the wheel asks for.
    run(UV, "pip", "install", "--quiet", "--resolution", resolution, "--python", home, wheel, *DEPENDENCIES)
    print(f"{resolution}:", run(binaries / "python", SMOKE, binaries / "runapi-mcp"))


def try_extras(wheel: Path, resolution: str) -> None:
    """Install every extra, and see that what it is for is there."""
    home = BUILD / f"wheel-extras-{resolution}"
    run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, home)
    wanted = [requirement for extra in EXTRAS.values() for requirement in extra]
    whole = f"{wheel}[{','.join(EXTRAS)}]"
    run(UV, "pip", "install", "--quiet", "--resolution", resolution, "--python", home, whole, *wanted)
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    run(binaries / "python", "-c", "import keyring, prometheus_client, redis, ruamel.yaml")
    print(f"extras, {resolution}:", ", ".join(EXTRAS))


def try_uvx(wheel: Path) -> None:
    print(
        "uvx:", run(UV, "tool", "run", "--python", sys.executable, "--from", wheel, "runapi-mcp", "--version")
    )


def try_bundle() -> None:
    bundle = BUILD / "mcpb"
    run(sys.executable, ROOT / "scripts" / "bundles.py", "--stage", bundle)
    run(UV, "sync", "--quiet", "--python", sys.executable, "--directory", bundle)
    python = BUILD / "wheel-highest" / "bin" / "python"
    started = run(python, SMOKE, UV, "run", "--directory", bundle, "src/server.py")
    print("bundle:", started)


def main() -> None:
    wheel = Path(sys.argv[1]).resolve()
    BUILD.mkdir(exist_ok=True)
    for resolution in RESOLUTIONS:
        try_wheel(wheel, resolution)
        try_extras(wheel, resolution)
    try_uvx(wheel)
    try_bundle()


if __name__ == "__main__":
    main()
