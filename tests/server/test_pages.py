"""Long answers come in pages, of a size that the host takes."""

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
                whole += called.text
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
