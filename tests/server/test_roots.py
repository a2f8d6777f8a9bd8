"""A host of the handshake era that declares roots lets the server read files under them."""

from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.session import ListRootsFnT
from pydantic import SecretStr

from runapi_mcp.server import app as roots
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator


class Listed(types.ListRootsResult):
    """What a host may send instead of what the protocol asks for."""

    roots: list[Any]


def listing(*uris: str) -> ListRootsFnT:
    """A host that says these are its roots, whatever they are."""

    async def list_roots(context: ClientRequestContext) -> types.ListRootsResult:
        del context
        return Listed(roots=[{"uri": uri} for uri in uris])

    return list_roots


async def refusing(context: ClientRequestContext) -> types.ErrorData:
    del context
    return types.ErrorData(code=types.INTERNAL_ERROR, message="No roots today.")


async def silent(context: ClientRequestContext) -> types.ErrorData:
    del context
    await anyio.sleep_forever()
    raise AssertionError("it sleeps for ever")


async def ask(sim: Simulator, file: Path, host: ListRootsFnT, *, local: bool = True) -> str:
    settings = Settings(key=SecretStr("sk-canary-roots"), base_url=sim.base_url, working_dir_files=local)
    async with open_app(settings) as app:
        server = build_server(app)
        async with Client(server, mode="legacy", list_roots_callback=host) as client:
            result = await client.call_tool("ask_gemini", {"prompt": "What is in it?", "files": [str(file)]})
    block, *_own = result.content
    assert isinstance(block, types.TextContent)
    return block.text


async def test_a_file_under_a_root_of_the_host_is_read(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The lighthouse was painted in May.", encoding="utf-8")
    assert "simulated" in await ask(sim, file, listing(tmp_path.as_uri()))
    assert "painted in May" in str(sim.calls[-1].body)


async def test_a_file_outside_every_root_is_refused(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    file = tmp_path / "outside.txt"
    file.write_text("Not yours.", encoding="utf-8")
    assert "outside the folders" in await ask(sim, file, listing((tmp_path / "inside").as_uri()))
    assert not sim.calls


@pytest.mark.parametrize("root", ["file:///", "file:////", "file:///tmp/..", "file://elsewhere{tmp_path}"])
async def test_a_root_that_is_the_whole_file_system_or_elsewhere_allows_nothing(
    sim: Simulator, tmp_path: Path, root: str
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not yours.", encoding="utf-8")
    told = await ask(sim, file, listing(root.format(tmp_path=tmp_path)))
    assert "outside the folders" in told
    assert not sim.calls


@pytest.mark.parametrize(
    "host",
    [
        listing("https://example.org/"),
        listing("not a uri"),
        listing("file:///tmp/%00"),
        listing("file://[half"),
        refusing,
        silent,
    ],
    ids=["another scheme", "no uri", "no path", "no machine", "refusing", "silent"],
)
async def test_a_host_that_does_not_say_its_roots_has_none_and_is_not_the_models_fault(
    sim: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: ListRootsFnT,
) -> None:
    monkeypatch.setattr(roots, "_SECONDS", 0.2)
    file = tmp_path / "notes.txt"
    file.write_text("Not yours.", encoding="utf-8")
    told = await ask(sim, file, host)
    assert told.startswith("files[0]")
    assert "outside the folders" in told
    assert "root" not in told.replace(str(tmp_path), "")


async def test_what_a_host_says_instead_of_its_roots_is_logged(
    sim: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="runapi_mcp")
    await ask(sim, tmp_path / "notes.txt", listing("https://example.org/"))
    (line,) = [record for record in caplog.records if record.message == "roots unknown"]
    assert getattr(line, "facts") == {"error": "ValidationError"}  # noqa: B009  # given by `extra`


async def test_a_host_on_another_machine_is_not_asked_for_its_roots(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not yours.", encoding="utf-8")
    assert "outside the folders" in await ask(sim, file, listing(tmp_path.as_uri()), local=False)
