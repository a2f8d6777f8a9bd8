"""Resources: the table of models, the whole text of a generation, and what was spent."""

import json
from collections import Counter
from typing import Any

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from server.hosting import Host
from waiting import became

from runapi_mcp.models import MODELS
from runapi_mcp.sim import Simulator


async def contents(host: Host, uri: str) -> types.TextResourceContents:
    (only,) = (await host.client.read_resource(uri)).contents
    assert isinstance(only, types.TextResourceContents)
    return only


async def document(host: Host, uri: str) -> dict[str, Any]:
    read = await contents(host, uri)
    assert read.mime_type == "application/json"
    parsed: dict[str, Any] = json.loads(read.text)
    return parsed


async def test_what_is_listed_can_be_read(any_host: Host) -> None:
    listed = (await any_host.client.list_resources()).resources
    assert [resource.uri for resource in listed] == ["models://catalogue", "usage://me"]
    for resource in listed:
        assert resource.title
        assert resource.description
        assert (await contents(any_host, resource.uri)).mime_type == resource.mime_type
    (template,) = (await any_host.client.list_resource_templates()).resource_templates
    assert template.uri_template == "generation://{handle}"


async def test_the_catalogue_holds_every_model_and_learns_which_exist(
    host: Host, shared_sim: Simulator
) -> None:
    before = await document(host, "models://catalogue")
    assert [row["id"] for row in before["models"]] == [model.id for model in MODELS]
    assert before["models"][0]["search"] == ["chat"]
    ends = {row["id"]: row["ends"] for row in before["models"]}
    assert ends == {model.id: model.ends and model.ends.isoformat() for model in MODELS}
    assert any(ends.values())
    assert before["live"] is None
    assert not shared_sim.lists
    listed = await host.call("list_models")
    after = await document(host, "models://catalogue")
    assert sorted(after["live"]) == sorted(row["id"] for row in listed.facts["models"])


async def test_a_generation_is_read_whole_with_its_size_and_state(any_host: Host) -> None:
    called = await any_host.call("ask_gemini", prompt="Tell a long story about a lighthouse.")
    read = await contents(any_host, f"generation://{called.handle}")
    [answer] = called.result.content
    assert isinstance(answer, types.TextContent)
    assert read.text == answer.text
    assert read.mime_type == "text/plain"
    assert read.meta == {"ai.runapi/size": len(read.text.encode()), "ai.runapi/status": "complete"}


async def test_a_running_generation_says_that_it_is_not_whole(any_host: Host) -> None:
    called = await any_host.call("ask_gemini", prompt="Go on. [[sim:endless]]", wait_seconds=0.3)
    read = await contents(any_host, f"generation://{called.handle}")
    assert read.meta is not None
    assert read.meta["ai.runapi/status"] == "running"
    await any_host.call("get_result", handle=called.handle, cancel=True)


async def test_who_read_a_generation_whole_is_not_given_it_for_the_same_question(
    host: Host, sim: Simulator
) -> None:
    begun = await host.call("ask_gemini", prompt="Read.", wait_seconds=0)

    async def is_read() -> bool:
        meta = (await contents(host, f"generation://{begun.handle}")).meta or {}
        return bool(meta["ai.runapi/status"] == "complete")

    await became(is_read)
    await host.call("ask_gemini", prompt="Read.")
    assert len(sim.calls) == 2


@pytest.mark.parametrize(
    "uri", ["generation://g_unknown", "generation://", "models://other", "file:///etc/hosts"]
)
async def test_an_unknown_resource_is_named_in_the_error(any_host: Host, uri: str) -> None:
    with pytest.raises(MCPError) as refused:
        await any_host.client.read_resource(uri)
    assert refused.value.error.code == types.INVALID_PARAMS
    assert refused.value.error.data == {"uri": uri}


async def test_usage_is_still_found_by_its_name_before(host: Host) -> None:
    now, before = await document(host, "usage://me"), await document(host, "usage://session")
    assert before == now | {"renamed": "This resource is called usage://me now."}


async def test_usage_adds_up_what_the_receipts_say(host: Host) -> None:
    empty = await document(host, "usage://me")
    assert (empty["caller"], empty["today"], empty["earlier"]) == ("local", [], [])
    receipts = [
        (await host.call("ask_gemini", prompt="One")).receipt,
        (await host.call("search_web", query="Two?")).receipt,
    ]
    cut = await host.call("ask_gemini", prompt="Three [[sim:cut-clean]]")
    failed = await host.call("ask_gemini", prompt="Four [[sim:error-d]]")
    assert failed.failed
    rows = (await document(host, "usage://me"))["today"]
    total: Counter[str] = Counter()
    for row in rows:
        total.update({name: count for name, count in row.items() if isinstance(count, int)})
    assert {row["model"] for row in rows} == {receipt["model"] for receipt in receipts}
    assert (total["generations"], total["complete"], total["partial"], total["failed"]) == (4, 2, 1, 1)
    assert (total["requests"], total["searches"]) == (4, 1)
    told = [receipt["tokens"] for receipt in (*receipts, cut.receipt) if receipt["tokens"]]
    assert total["output_tokens"] == sum(tokens["output"] or 0 for tokens in told) > 0
    assert total["uncounted"] == 4 - len(told) - 1, "what failed costs nothing"
