"""A host of the handshake era that declares roots lets the server read files under them."""

from pathlib import Path

import mcp_types as types
from mcp import Client
from mcp.client import ClientRequestContext
from pydantic import SecretStr

from runapi_mcp.server import build_server, opened
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator


async def ask(sim: Simulator, file: Path, *roots: str, local: bool = True) -> str:
    async def list_roots(context: ClientRequestContext) -> types.ListRootsResult:
        del context
        return types.ListRootsResult(roots=[types.Root.model_validate({"uri": root}) for root in roots])

    settings = Settings(key=SecretStr("sk-canary-roots"), base_url=sim.base_url, working_dir_files=local)
    async with opened(settings) as app:
        server = build_server(app)
        async with Client(server, mode="legacy", list_roots_callback=list_roots) as client:
            result = await client.call_tool("ask_gemini", {"prompt": "What is in it?", "files": [str(file)]})
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


async def test_a_file_under_a_root_of_the_host_is_read(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The lighthouse was painted in May.", encoding="utf-8")
    assert "simulated" in await ask(sim, file, tmp_path.as_uri())
    assert "painted in May" in str(sim.calls[-1].body)


async def test_a_file_outside_every_root_is_refused(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    file = tmp_path / "outside.txt"
    file.write_text("Not yours.", encoding="utf-8")
    assert "outside the folders" in await ask(sim, file, (tmp_path / "inside").as_uri())
    assert not sim.calls


async def test_a_root_that_is_the_whole_file_system_or_elsewhere_allows_nothing(
    sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not yours.", encoding="utf-8")
    told = await ask(sim, file, "file:///", f"file://elsewhere{tmp_path}")
    assert "outside the folders" in told
    assert not sim.calls


async def test_a_host_on_another_machine_is_not_asked_for_its_roots(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not yours.", encoding="utf-8")
    assert "outside the folders" in await ask(sim, file, tmp_path.as_uri(), local=False)
