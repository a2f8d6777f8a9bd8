"""Long answers come in pages, of a size that the host takes."""

from collections.abc import Callable
from typing import Any

import pytest

from runapi_mcp.citations.annotate import annotate
from runapi_mcp.sim import Simulator
from server.hosting import hosted, in_process


async def test_a_long_answer_comes_in_pages_that_join_to_the_whole(sim: Simulator) -> None:
    async with in_process(sim.base_url, RUNAPI_MCP_MAX_RESULT_CHARS="1000") as host:
        called = await host.call("ask_gemini", prompt="Pages [[sim:default words=600]]")
        assert called.receipt["complete"], called.text
        handle, whole, offset = called.handle, "", 0
        while True:
            page, _, remark = called.text.rpartition("\n\n[")
            if "offset" not in remark:
                whole += called.blocks[0]
                break
            assert len(page) <= 1_000
            following = int(remark.rpartition("offset ")[2].rstrip(".]"))
            whole += page
            assert following > offset
            offset = following
            called = await host.call("get_result", handle=handle, offset=offset)
        resource = await host.client.read_resource(f"generation://{handle}")
    text = getattr(resource.contents[0], "text", "")
    assert len(text) > 3_000
    assert "".join(whole.split()) == "".join(text.split())
    assert len(sim.calls) == 1


async def test_an_offset_past_the_end_is_taught(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        called = await host.call("ask_gemini", prompt="Short.")
        past = await host.call("get_result", handle=called.handle, offset=100_000)
    assert past.failed
    assert past.text.startswith("offset: 100,000 is past the end")


async def test_a_host_known_to_cut_gets_smaller_pages(sim: Simulator) -> None:
    async with hosted(sim.base_url, mode="legacy", name="codex-mcp-client") as codex:
        called = await codex.call("ask_gemini", prompt="Long [[sim:default words=4000]]")
    page, _, remark = called.text.rpartition("\n\n[")
    assert 8_000 < len(page) <= 11_000
    assert "offset" in remark


@pytest.mark.parametrize("by", ["pages", "resource"])
async def test_an_answer_is_kept_for_its_next_page_until_all_of_it_was_given(sim: Simulator, by: str) -> None:
    env = {"RUNAPI_MCP_MAX_RESULT_CHARS": "1000", "RUNAPI_MCP_KEEP_GENERATIONS": "1"}
    async with in_process(sim.base_url, env) as host:
        first = await host.call("ask_gemini", prompt="Pages [[sim:default words=450]]")
        assert "offset" in first.text
        await host.call("ask_gemini", prompt="Another")
        middle = await host.call("get_result", handle=first.handle, offset=900)
        assert not middle.failed
        assert "offset" in middle.text
        await host.call("ask_gemini", prompt="And another")
        if by == "pages":
            last = await host.call("get_result", handle=first.handle, offset=1_800)
            assert "offset" not in last.text
        else:
            await host.client.read_resource(f"generation://{first.handle}")
        await host.call("ask_gemini", prompt="The last")
        gone = await host.call("get_result", handle=first.handle)
    assert gone.code == "unknown_handle"


async def test_an_answer_past_its_limit_gives_out_a_next_page_that_is_there(sim: Simulator) -> None:
    env = {"RUNAPI_MCP_MAX_ANSWER_BYTES": "1048576", "RUNAPI_MCP_KEEP_BYTES": "1048576"}
    async with in_process(sim.base_url, env) as host:
        cut = await host.call("ask_gemini", prompt="Endless [[sim:endless size=400000 seconds=0.05]]")
        assert cut.receipt["status"] == "partial"
        assert "The answer was stopped at 1 MiB" in cut.text
        await host.call("ask_gemini", prompt="Another")
        page = await host.call("get_result", handle=cut.handle, offset=300_000)
    assert not page.failed


def _counting(function: Callable[..., Any], times: list[int]) -> Callable[..., Any]:
    def counted(*args: Any, **more: Any) -> Any:
        times.append(1)
        return function(*args, **more)

    return counted


async def test_an_answer_is_annotated_once_however_often_it_is_read(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[int] = []
    monkeypatch.setattr("runapi_mcp.citations.annotate.annotate", _counting(annotate, times))
    async with in_process(sim.base_url) as host:
        called = await host.call("search_web", query="When was the Example Observatory opened?")
        assert called.receipt["complete"]
        for _ in range(3):
            again = await host.call("get_result", handle=called.handle)
            assert (again.text, again.facts) == (called.text, called.facts)
    assert len(times) == 1
