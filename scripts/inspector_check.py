"""Have the MCP Inspector's command line list and call every tool, over every transport.

The tools' schemas must pass its ``--strict`` lint, which knows what makes hosts refuse a schema. Then a
client of the TypeScript SDK takes results of every tool in every state: it refuses one that is not as the
schema says.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio import TemporaryDirectory
from anyio.streams.text import TextReceiveStream
from node_tools import node, script

from runapi_mcp.sim import simulate
from runapi_mcp.tools import TOOLS

SERVER = Path(sys.executable).with_name("runapi-mcp")
CALLS: dict[str, dict[str, Any]] = {
    name: tool.example for name, tool in TOOLS.items() if name != "get_result"
}
ERAS = ("legacy", "modern")
EXAMPLE = Path(__file__).parent.parent / "examples" / "inspector.sh"
RECEIPT = "ai.runapi/receipt"


def inspected(target: list[str], method: str, *more: str) -> tuple[int, dict[str, Any], str]:
    """Return the exit code, the result and what was said on stderr."""
    command = [
        str(node()),
        str(script("inspector")),
        "--cli",
        *target,
        "--method",
        method,
        "--format",
        "json",
    ]
    done = subprocess.run(  # noqa: S603  # our own command
        [*command, *more], capture_output=True, text=True, timeout=120, check=False
    )
    told = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, told.get("result", told), done.stderr


def check(name: str, target: list[str], *, eras: tuple[str, ...] = ERAS) -> None:
    for era in eras:
        code, listed, said = inspected(target, "tools/list", "--strict", "--protocol-era", era)
        assert code == 0, f"{name}: {era}: tools/list --strict: {code}\n{said}"
        assert [tool["name"] for tool in listed["tools"]] == list(TOOLS), listed
    handle = ""
    for tool, arguments in CALLS.items():
        result = called(name, target, tool, arguments)
        assert not result.get("isError"), result
        handle = handle or (result.get("_meta") or {}).get(RECEIPT, {}).get("handle", "")
    # Over stdio every run has a server of its own; what one was asked, the next one knows.
    result = called(name, target, "get_result", {"handle": handle})
    assert not result.get("isError"), result
    for method in ("prompts/list", "resources/list", "resources/templates/list"):
        code, result, said = inspected(target, method)
        assert code == 0, f"{name}: {method}: {said}"
    print(f"{name}: {len(CALLS) + 1} tools listed, linted and called", flush=True)


ITEM: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CUT, SLOW, EMPTY, BROKE = (
    f" [[sim:{cue}]]" for cue in ("cut-clean", "slow seconds=1", "empty-stop", "no-credit")
)


def in_every_state(tool: str, field: str, **more: object) -> list[tuple[str, dict[str, Any]]]:
    """Return calls after which a tool's results were in every state that they can be in."""
    said = f"{field} {sorted(more)}"  # the same question again would be joined
    return [
        (tool, {field: f"1 {said}", **more}),
        (tool, {field: f"2 {said}{CUT}", **more}),
        ("get_result", {"handle": "last"}),
        (tool, {field: f"3 {said}{SLOW}", "wait_seconds": 0, **more}),
        ("get_result", {"handle": "last", "wait_seconds": 0}),
        ("get_result", {"handle": "last"}),
        ("get_result", {"handle": "last", "offset": 1}),
        (tool, {field: f"4 {said}{SLOW}", "wait_seconds": 0.3, **more}),
        ("get_result", {"handle": "last", "cancel": True}),
        (tool, {field: f"5 {said}{EMPTY}", **more}),
        (tool, {field: f"6 {said}{BROKE}", **more}),
        (tool, {"colour": "red"}),
    ]


STATES = [
    *in_every_state("ask_gemini", "prompt"),
    *in_every_state("search_web", "query"),
    *in_every_state("search_web", "query", schema=ITEM),
    *in_every_state("search_web", "query", depth="research"),
    *in_every_state("extract_json", "text", schema=ITEM),
    *in_every_state("extract_json", "text", schema=ITEM, many=True),
    ("list_models", {}),
    ("search_web", {"query": "Q7 [[sim:no-sources]]"}),
    ("search_web", {"query": "Q8", "include_domains": ["nowhere.example"]}),
    ("extract_json", {"text": "Q9 [[sim:wrong-json]]", "schema": ITEM}),
    ("extract_json", {"text": "Q10", "schema": {"type": "string"}}),
    ("ask_gemini", {"prompt": "Q11 [[sim:tool-call]]", "functions": [{"name": "get_weather"}]}),
    ("get_result", {"handle": "g_nobody"}),
]


def check_with_sdk(env: dict[str, str]) -> None:
    """Have a client that validates take results in every state."""
    package = script("sdk").parents[3]
    command = [str(node()), str(Path(__file__).with_name("sdk_client.mjs")), str(package), str(SERVER)]
    done = subprocess.run(  # noqa: S603  # our own command
        [*command, json.dumps(STATES)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(STATES), done.stderr
    assert not [call for call in told if "refused" in call], done.stdout
    seen = {(call["tool"], call["state"]) for call in told}
    wanted = {"complete", "partial", "running", "error"}
    missing = {(tool, state) for tool in ("search_web", "extract_json") for state in wanted} - seen
    assert not missing, (missing, done.stdout)
    print(f"typescript sdk: {len(STATES)} results taken, {len(seen)} tools and states", flush=True)


def called(name: str, target: list[str], tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    code, result, said = inspected(
        target, "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)
    )
    assert "content" in result, f"{name}: {tool}: {code}\n{said}"
    return result


def run_example(env: dict[str, str]) -> None:
    """Run the example that is a shell script."""
    given = {**os.environ, **env, "INSPECTOR": f"{node()} {script('inspector')}", "SERVER": str(SERVER)}
    subprocess.run(["/bin/sh", EXAMPLE], env=given, timeout=120, check=True)  # noqa: S603  # our own


@asynccontextmanager
async def served(env: dict[str, str]) -> AsyncIterator[str]:
    """Serve over HTTP and give the base URL."""
    command = [str(SERVER), "serve", "--http", "--port", "0"]
    async with await anyio.open_process(command, env={**os.environ, **env}, stdout=None) as process:
        assert process.stderr is not None
        with anyio.fail_after(30):
            async for text in TextReceiveStream(process.stderr):
                if found := re.search(r"(http://[^/\s]+)/mcp", text):
                    break
            else:
                raise AssertionError("the server did not say where it listens")
        yield found[1]
        process.terminate()


async def main() -> None:
    async with simulate() as sim, TemporaryDirectory() as store:
        env = {
            "RUNAPI_TOKEN": "sk-canary-inspector",
            "RUNAPI_BASE_URL": sim.base_url,
            "RUNAPI_MCP_STORE": store,
        }
        flags = [part for name, value in env.items() for part in ("-e", f"{name}={value}")]
        check("stdio", [*flags, str(SERVER)])
        run_example(env)
        check_with_sdk(env)
        async with served(env) as url:
            check("streamable http", [f"{url}/mcp", "--transport", "http"])
            check("sse", [f"{url}/sse", "--transport", "sse"], eras=ERAS[:1])


if __name__ == "__main__":
    anyio.run(main)
