"""Completion: from the table and the last live list, and never a request."""

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from server.hosting import Host

from runapi_mcp.models import MODELS
from runapi_mcp.server.prompts import MOST, complete_argument
from runapi_mcp.sim import Simulator


def values(prompt: str, name: str, typed: str, live: tuple[str, ...] = ()) -> list[str]:
    argument = types.CompletionArgument(name=name, value=typed)
    return complete_argument(types.PromptReference(name=prompt), argument, live).values


def test_without_a_live_list_the_table_and_its_aliases_are_offered() -> None:
    offered = values("second_opinion", "model", "")
    assert offered[: len(MODELS)] == [model.id for model in MODELS]
    assert "gemini-flash-latest" in offered


def test_with_a_live_list_only_models_that_exist_are_offered_known_ones_first() -> None:
    live = ("gemini-9-ultra", "gemini-2.5-pro")
    assert values("second_opinion", "model", "", live) == ["gemini-2.5-pro", "gemini-9-ultra"]


def test_for_research_no_model_is_offered_that_is_known_not_to_search() -> None:
    assert "gemini-3-flash-preview" not in values("research", "model", "")
    live = ("gemini-3-flash-preview", "gemini-9-ultra", "gemini-2.5-flash")
    assert values("research", "model", "", live) == ["gemini-2.5-flash", "gemini-9-ultra"]


def test_what_begins_with_the_text_comes_before_what_holds_it() -> None:
    live = ("gemini-2.5-flash", "flashy-gemini")
    assert values("second_opinion", "model", "FLASH", live) == ["flashy-gemini", "gemini-2.5-flash"]


@pytest.mark.parametrize(
    ("prompt", "name", "typed", "expected"),
    [
        ("research", "depth", "", ["quick", "thorough", "research"]),
        ("research", "recency", "mo", ["month"]),
        ("research", "topic", "any", []),
        ("research", "nothing", "", []),
    ],
)
def test_only_arguments_with_known_values_are_completed(
    prompt: str, name: str, typed: str, expected: list[str]
) -> None:
    assert values(prompt, name, typed) == expected


def test_an_argument_of_no_prompt_of_ours_is_refused() -> None:
    with pytest.raises(MCPError) as refused:
        values("reserch", "model", "")
    assert refused.value.error.code == types.INVALID_PARAMS
    assert "Prompts: second_opinion, research" in refused.value.error.message


def test_a_long_list_is_cut_and_says_so() -> None:
    live = tuple(f"gemini-x-{number}" for number in range(MOST + 20))
    completion = complete_argument(
        types.PromptReference(name="second_opinion"), types.CompletionArgument(name="model", value=""), live
    )
    assert len(completion.values) == MOST
    assert completion.has_more is True
    assert completion.total == MOST + 20


async def test_completion_asks_runapi_nothing_and_knows_the_list_once_it_was_fetched(
    host: Host, shared_sim: Simulator
) -> None:
    ref = types.PromptReference(name="second_opinion")
    argument = {"name": "model", "value": "gemini-"}
    before = (await host.client.complete(ref, argument)).completion.values
    assert not shared_sim.lists
    assert not shared_sim.calls
    listed = await host.call("list_models")
    live = {row["id"] for row in listed.facts["models"]}
    asked = len(shared_sim.lists)
    after = (await host.client.complete(ref, argument)).completion.values
    assert set(after) == live != set(before)
    assert len(shared_sim.lists) == asked == 1


async def test_a_handle_is_never_completed(any_host: Host) -> None:
    await any_host.call("ask_gemini", prompt="Anything")
    ref = types.ResourceTemplateReference(uri="generation://{handle}")
    completion = (await any_host.client.complete(ref, {"name": "handle", "value": "g_"})).completion
    assert completion.values == []
