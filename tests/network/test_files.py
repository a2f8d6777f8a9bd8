"""Over the network, files come from the folders that the server was given, and from nowhere else."""

from pathlib import Path

import mcp_types as types
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from network.web_host import served
from runapi_mcp.sim import Simulator


async def _ask(url: str, kind: str, root: Path, file: Path) -> str:
    """Ask about a file, as a caller that says `root` is its own."""

    async def list_roots(context: ClientRequestContext) -> types.ListRootsResult:
        del context
        return types.ListRootsResult(roots=[types.Root(uri=root.as_uri())])  # type: ignore[arg-type]  # pydantic reads it

    transport = sse_client(f"{url}/sse") if kind == "sse" else streamable_http_client(f"{url}/mcp")
    async with Client(transport, mode="legacy", list_roots_callback=list_roots) as client:
        result = await client.call_tool("ask_gemini", {"prompt": "What is in it?", "files": [str(file)]})
    return "\n\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_root_that_a_caller_declares_allows_nothing(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    file = tmp_path / "secret.txt"
    file.write_text("Not yours.", encoding="utf-8")
    async with served(sim) as url:
        told = await _ask(url, kind, tmp_path, file)
    assert "outside the folders this server may read (there is none)" in told
    assert not sim.calls


async def test_where_the_server_was_started_allows_nothing_either(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "notes.txt"
    file.write_text("Not yours.", encoding="utf-8")
    async with served(sim) as url:
        assert "outside the folders" in await _ask(url, "http", tmp_path, file)
    assert not sim.calls


async def test_a_folder_that_the_server_was_given_is_read(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The lighthouse was painted in May.", encoding="utf-8")
    async with served(sim, env={"RUNAPI_MCP_ALLOW_DIR": str(tmp_path)}) as url:
        assert "simulated" in await _ask(url, "http", tmp_path, file)
    assert "painted in May" in str(sim.calls[-1].body)
