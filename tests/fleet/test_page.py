"""docs/fleet.md: its commands start servers, as do the commands that its files give to containers."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from ruamel.yaml import YAML
from server.hosting import CANARY

from fleet.redis_server import RedisServer
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
BLOCKS = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "runapi-mcp serve" in block]
REDIS = "redis://redis:6379/0"
ANN = "ann-0123456789abcdef0123"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
NEW = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


@asynccontextmanager
async def started(script: str, **env: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a shell script that ends in a server; give a client of it. At the end its log is searched."""
    if sys.platform == "win32":
        pytest.skip("the page's blocks are for a shell of POSIX")
    tools = str(Path(sys.executable).parent)
    process = await anyio.open_process(
        ["sh", "-euc", script],
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"} | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stderr is not None
    stderr = BufferedByteReceiveStream(process.stderr)
    log = b""
    try:
        with anyio.fail_after(60):
            while not (found := re.search(rb"http://[^ ]+:(\d+)/mcp", log)):
                log += await stderr.receive()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{int(found[1])}") as client:
                yield client
    except anyio.EndOfStream:
        raise AssertionError(log.decode()) from None
    finally:
        with anyio.CancelScope(shield=True):
            # The shell may have become the server, or still stand before it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
            with suppress(anyio.EndOfStream):
                while len(log) < 1_000_000:
                    log += await stderr.receive()
            await process.aclose()
    assert b"Traceback" not in log
    assert CANARY.encode() not in log


async def serves(client: httpx.AsyncClient, *, token: str | None) -> None:
    """It is ready, and answers those who may call, and nobody else."""
    assert (await client.get("/readyz")).status_code == 200
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/list",
    }
    message = LIST | {"params": NEW}
    if token is not None:
        stranger = await client.post("/mcp", json=message, headers=headers)
        assert stranger.status_code == 401
        headers["Authorization"] = f"Bearer {token}"
    answer = await client.post("/mcp", json=message, headers=headers)
    assert answer.status_code == 200, answer.text
    [said] = [line for line in answer.text.splitlines() if line.startswith(("{", "data: {"))]
    assert len(json.loads(said.removeprefix("data: "))["result"]["tools"]) == len(TOOLS)


def as_run_here(block: str, redis_url: str) -> str:
    """Return a block with what is another's place or secret filled in, and on a free port."""
    block = re.sub(r"^pip install .*\n", "", block, flags=re.MULTILINE)  # make wheel-test installs the extras
    block = re.sub(r" +#.*$", "", block, flags=re.MULTILINE).strip()
    block = block.replace("YOUR_RUNAPI_TOKEN", CANARY).replace(REDIS, redis_url)
    return block.replace("$(openssl rand -hex 24)", ANN) + " --port 0"


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_command_of_the_page_starts_a_server(redis: RedisServer, block: str) -> None:
    script = as_run_here(block, redis.url)
    assert "…" not in script
    async with started(script) as client:
        await serves(client, token=ANN if "--auth token" in block else None)


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl on this machine: apt-get install openssl"
)
def test_the_token_that_the_page_makes_up_is_long_enough() -> None:
    made = {found[0] for found in re.finditer(r"\$\((.*?)\)", PAGE)}
    assert made == {"$(openssl rand -hex 24)"}
    done = subprocess.run(["openssl", "rand", "-hex", "24"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"[0-9a-f]{48}\n", done.stdout)


def yaml(name: str) -> list[dict[str, object]]:
    return list(YAML(typ="safe").load_all((PACKAGING / name).read_text(encoding="utf-8")))


def composed() -> Sequence[str]:
    service = yaml("compose.yaml")[0]["services"]["runapi-mcp"]  # type: ignore[index]  # what YAML holds
    return [word.replace("${PUBLIC_HOST:-localhost}", "localhost") for word in service["command"]]


def deployed() -> Sequence[str]:
    [deployment] = [one for one in yaml("kubernetes.yaml") if one["kind"] == "Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]  # type: ignore[index]  # the same
    return [str(word) for word in container["args"]]


def built() -> Sequence[str]:
    dockerfile = (PACKAGING / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert found
    assert '\nENTRYPOINT ["runapi-mcp"]\n' in dockerfile
    words: list[str] = json.loads(found[1])
    return words


@pytest.mark.parametrize("words", [composed(), deployed(), built()], ids=["compose", "kubernetes", "image"])
async def test_what_a_container_is_told_to_run_is_a_server(
    redis: RedisServer, words: Sequence[str], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text(f"ann:{ANN}\n")
    words = [word.replace("/etc/runapi-mcp", str(tmp_path)) for word in words]
    env = {"RUNAPI_TOKEN": CANARY, "RUNAPI_MCP_TOKENS": f"ann:{ANN}", "RUNAPI_MCP_STORE": redis.url}
    # The last --port counts.
    async with started(shlex.join(["runapi-mcp", *words, "--port", "0"]), **env) as client:
        await serves(client, token=ANN)


def test_every_program_that_the_page_names_is_there() -> None:
    modules = [f"benchmarks/{name}.py" for name in re.findall(r"`python -m benchmarks (\w+)`", PAGE)]
    files = re.findall(r"-f (packaging/[\w.]+)", PAGE)
    assert modules
    assert files
    assert [path for path in (*modules, *files) if not (ROOT / path).exists()] == []
