"""The icon: ours, small, and sent once."""

import base64
import subprocess
import sys

from messages import INITIALIZE
from server.hosting import raw_host
from server.snapshots import ROOT

from runapi_mcp.server.app import LOGO, make_icon
from runapi_mcp.sim import Simulator


def test_the_icon_is_the_logo_and_small() -> None:
    data = make_icon()
    assert data.mime_type == "image/svg+xml"
    assert base64.b64decode(data.src.partition("base64,")[2]) == LOGO.read_bytes()
    assert len(data.src) < 500


def test_the_logo_is_what_its_script_draws() -> None:
    done = subprocess.run([sys.executable, "scripts/logo.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python scripts/logo.py"


async def test_only_the_introduction_carries_the_icon(shared_sim: Simulator) -> None:
    async with raw_host(shared_sim.base_url, modern=True) as host:
        results = {}
        for number, method in enumerate(("server/discover", "tools/list", "prompts/list"), 1):
            await host.send(host.request(number, method))
            results[method] = (await host.answer(number))["result"]
    stamps = {name: result["_meta"]["io.modelcontextprotocol/serverInfo"] for name, result in results.items()}
    assert stamps["server/discover"]["icons"][0]["src"] == make_icon().src
    assert "icons" not in stamps["tools/list"]
    assert "icons" not in stamps["prompts/list"]
    assert stamps["tools/list"]["name"] == "runapi-mcp"


async def test_a_handshake_carries_the_icon(shared_sim: Simulator) -> None:
    async with raw_host(shared_sim.base_url) as host:
        await host.send(INITIALIZE | {"id": 1})
        info = (await host.answer(1))["result"]["serverInfo"]
    assert info["icons"][0]["src"] == make_icon().src
