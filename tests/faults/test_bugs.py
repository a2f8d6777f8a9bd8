"""A bug of ours ends the call it happens in, and nothing else."""

from typing import NoReturn

import pytest
from server.hosting import in_process

from runapi_mcp.sim import Simulator
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.fold import Fold


def _broken(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(("owner", "name"), [(Upstream, "redirects"), (Fold, "feed"), (Upstream, "stream")])
async def test_a_bug_ends_its_own_call_only_and_says_whose_it_is(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    env = {"RUNAPI_MCP_DIALECT": "native", "RUNAPI_MCP_SEARCH_MODEL": "gemini-3.7-flash"}
    async with in_process(sim.base_url, env) as host:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, _broken)
            broken = await host.call("search_web", query="When was the Example Observatory opened?")
        whole = await host.call("search_web", query="When was the Example Observatory opened?")
    assert broken.failed
    assert broken.code == "bug"
    assert "not caused by the arguments" in broken.text
    assert "ZeroDivisionError" not in broken.text
    assert not whole.failed
