"""A conversation goes on from a handle: what goes upstream is the earlier request and the new turns."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from server.hosting import Host, in_process

from runapi_mcp.sim import Simulator
from tools.calling import desk, facts


@pytest.fixture(params=["chat", "native"])
async def host(request: pytest.FixtureRequest, sim: Simulator, tmp_path: Path) -> AsyncIterator[Host]:
    env = {"RUNAPI_MCP_DIALECT": request.param, "RUNAPI_MCP_ALLOW_DIR": str(tmp_path)}
    async with in_process(sim.base_url, **env) as host:
        yield host


def said_to(sim: Simulator) -> list[str]:
    """What each call said to the model, as it went over the wire, without the list's end."""
    bodies: list[Any] = [call.body for call in sim.calls]
    return [json.dumps(body.get("messages") or body["contents"], ensure_ascii=False)[:-1] for body in bodies]


async def test_each_turn_sends_the_earlier_request_and_what_is_new(host: Host, sim: Simulator) -> None:
    asked = await host.call("ask_gemini", prompt="First?", system="Be brief.", model="gemini-3-flash-preview")
    for number in range(3):
        asked = await host.call("ask_gemini", prompt=f"And {number}?", continue_from=asked.handle)
        assert not asked.failed, asked.text
    said = said_to(sim)
    assert len(said) == 4
    for earlier, later in pairwise(said):
        assert later.startswith(earlier)
    bodies: list[Any] = [call.body for call in sim.calls]
    assert all("Be brief." in json.dumps(body) for body in bodies)
    rest = [{k: v for k, v in body.items() if k not in ("messages", "contents")} for body in bodies]
    assert rest == [rest[0]] * 4


async def test_a_turn_is_gone_on_from_more_than_once_and_no_branch_hears_of_another(
    host: Host, sim: Simulator
) -> None:
    """Elsewhere one had the other's turns (danny-avila/LibreChat#14467, microsoft/agent-framework#8618)."""
    first = await host.call("ask_gemini", prompt="First?")
    branches: dict[str, str] = {}

    async def go_on(word: str) -> None:
        branches[word] = (await host.call("ask_gemini", prompt=word, continue_from=first.handle)).handle

    async with anyio.create_task_group() as tasks:
        for word in ("left", "right", "right"):
            tasks.start_soon(go_on, word)
    assert len(sim.calls) == 3, "the same turn asked twice at once is asked once"
    for word, other in (("left", "right"), ("right", "left")):
        await host.call("ask_gemini", prompt="And then?", continue_from=branches[word])
        said = said_to(sim)[-1]
        assert "First?" in said
        assert word in said
        assert other not in said


async def test_an_answer_says_how_to_ask_on_in_the_last_line_of_its_last_block(host: Host) -> None:
    short = await host.call("ask_gemini", prompt="Why?")
    assert "continue_from" not in short.text, "a short question is as soon told again"
    asked = await host.call("ask_gemini", prompt=f"Why? {'Because. ' * 300}")
    last = asked.result.content[-1].text  # type: ignore[union-attr]  # it is text
    assert last.splitlines()[-1] == f'[To ask on: ask_gemini with continue_from "{asked.handle}".]'
    messages = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "A."}]
    talk = await host.call("ask_gemini", prompt="B?", messages=messages)
    assert "continue_from" in talk.text, "so are not all of its turns"
    found = await host.call("search_web", query="What?")
    assert found.facts["continue_from"] == found.handle


async def test_a_later_turn_brings_what_the_first_one_did_not_need(sim: Simulator, tmp_path: Path) -> None:
    """On a dialect, or to a model, that could carry the first turn and not this one."""
    pdf, weather = tmp_path / "plan.pdf", {"name": "weather", "description": "Of a place."}
    pdf.write_bytes(b"%PDF-1.4")
    async with in_process(sim.base_url, RUNAPI_MCP_ALLOW_DIR=str(tmp_path)) as host:
        turn = await host.call("ask_gemini", prompt="First?")
        later: list[dict[str, Any]] = [{"functions": [weather]}, {"files": [str(pdf)]}, {}]
        for more in later:
            turn = await host.call("ask_gemini", prompt="And?", continue_from=turn.handle, **more)
            assert not turn.failed, turn.text
            assert "Answered by" not in turn.text
    chat, native = (
        "/v1beta/openai/chat/completions",
        "/v1beta/models/gemini-3-flash-preview:streamGenerateContent",
    )
    assert [call.path for call in sim.calls] == [chat, chat, native, native]


async def test_a_model_that_nobody_named_gives_way_to_one_that_can_do_what_a_later_turn_needs(
    sim: Simulator, tmp_path: Path
) -> None:
    pdf = tmp_path / "plan.pdf"
    pdf.write_bytes(b"%PDF-1.4")
    async with in_process(sim.base_url, RUNAPI_MCP_ALLOW_DIR=str(tmp_path)) as host:
        found = await host.call("search_web", query="Who won?")
        await host.call("ask_gemini", prompt="Is it in there?", continue_from=found.handle, files=[str(pdf)])
        assert sim.calls[-1].path == "/v1beta/models/gemini-3.7-flash:streamGenerateContent"
        named = await host.call("search_web", query="Who won?", model="gemini-2.5-flash")
        calls = len(sim.calls)
        refused = await host.call("ask_gemini", prompt="So?", continue_from=named.handle, files=[str(pdf)])
        assert "gemini-2.5-flash does not have" in refused.text
        assert len(sim.calls) == calls, "one that was named is not left for another"


async def test_the_model_that_answered_goes_on_and_not_the_one_that_gave_way_to_it(
    sim: Simulator, tmp_path: Path
) -> None:
    """The next server does not know that the first one was refused."""
    state = str(tmp_path / "state")
    async with in_process(sim.base_url, RUNAPI_MCP_STORE=state) as host:
        sim.play("model-retired", "default")
        first = await host.call("ask_gemini", prompt="First?")
        assert "Answered by gemini-3.6-flash" in first.text
        again = await host.call("ask_gemini", prompt="Again?", continue_from=first.handle)
        assert "Answered by" not in again.text
    async with in_process(sim.base_url, RUNAPI_MCP_STORE=state) as host:
        last = await host.call("ask_gemini", prompt="Still?", continue_from=first.handle)
        assert not last.failed, last.text
        sim.play("model-retired")
        gone = await host.call(
            "ask_gemini", prompt="And?", continue_from=first.handle, model="gemini-2.5-pro"
        )
        assert "as the call named it" in gone.text
        onward = await host.call("ask_gemini", prompt="And?", continue_from=last.handle)
        assert not onward.failed, onward.text
    bodies: list[Any] = [call.body for call in sim.calls]
    assert [body["model"] for body in bodies] == [
        "gemini-3-flash-preview",
        *["gemini-3.6-flash"] * 3,
        "gemini-2.5-pro",
        "gemini-3.6-flash",
    ]


async def test_a_model_that_answered_before_and_is_gone_is_no_default(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        first = await host.call("ask_gemini", prompt="First?", model="gemini-2.5-pro")
        sim.play("model-retired")
        gone = await host.call("ask_gemini", prompt="And?", continue_from=first.handle)
        assert "The model was gemini-2.5-pro, which answered before." in gone.text
        assert "RUNAPI_MCP_MODEL" not in gone.text


async def test_functions_are_written_anew_for_another_dialect(sim: Simulator) -> None:
    place = {"type": "object", "properties": {"at": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    weather = {"name": "weather", "description": "Of a place.", "parameters": place}
    asked: list[Any] = []
    for dialect, model in (("chat", None), ("native", "gemini-unheard-of")):
        async with in_process(sim.base_url, RUNAPI_MCP_DIALECT=dialect) as host:
            first = await host.call("ask_gemini", prompt="Rain?", functions=[weather])
            await host.call("ask_gemini", prompt="And?", continue_from=first.handle, model=model)
            asked.append(sim.calls[-1].body)
    assert asked[0]["tools"] == asked[1]["tools"]


async def test_what_a_later_turns_model_ignores_is_said(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        first = await host.call("ask_gemini", prompt="First?", temperature=0.2)
        assert "ignores" not in first.text
        model = "gemini-3.6-flash"
        then = await host.call("ask_gemini", prompt="And?", continue_from=first.handle, model=model)
        assert "gemini-3.6-flash ignores temperature." in then.text


async def test_a_search_is_asked_on_with_its_filters(host: Host, sim: Simulator) -> None:
    found = await host.call("search_web", query="Who won?", exclude_domains=["example.org"])
    more = await host.call("search_web", query="And second?", continue_from=found.handle)
    assert not more.failed, more.text
    assert "exclude_domains" in more.facts["filters"]
    told = await host.call("ask_gemini", prompt="In one word?", continue_from=more.handle)
    assert not told.failed, told.text
    said = said_to(sim)
    assert said[1].startswith(said[0])
    assert said[2].startswith(said[1])


async def test_a_search_is_asked_on_from_research(sim: Simulator) -> None:
    """What bounds research alone does not go on with it."""
    async with in_process(sim.base_url) as host:
        report = await host.call("search_web", query="Who won?", depth="research", max_searches=2)
        more = await host.call("search_web", query="And the latest?", continue_from=report.handle)
        assert not more.failed, more.text
        assert "As of" in more.text
        last = await host.call("search_web", query="And third?", continue_from=more.handle)
        assert not last.failed, last.text


async def test_files_are_read_again_and_a_change_or_a_loss_is_said(
    host: Host, sim: Simulator, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("The harbour is blue.", encoding="utf-8")
    asked = await host.call("ask_gemini", prompt="Which colour?", files=[str(notes)])
    again = await host.call("ask_gemini", prompt="Sure?", continue_from=asked.handle)
    assert "Changed since" not in again.text
    said = said_to(sim)
    assert "The harbour is blue." in said[1]
    assert said[1].startswith(said[0])
    notes.write_text("The harbour is red.", encoding="utf-8")
    changed = await host.call("ask_gemini", prompt="And now?", continue_from=again.handle)
    assert "Changed since it was sent, and sent as it is now: notes.txt." in changed.text
    notes.unlink()
    gone = await host.call("ask_gemini", prompt="Still?", continue_from=changed.handle)
    assert gone.failed
    assert "notes.txt cannot be read again" in gone.text
    assert "Give it again in files" in gone.text
    other = tmp_path / "moved" / "notes.txt"
    other.parent.mkdir()
    other.write_text("The harbour is red.", encoding="utf-8")
    back = await host.call("ask_gemini", prompt="Still?", files=[str(other)], continue_from=changed.handle)
    assert not back.failed, back.text
    assert said_to(sim)[-1].count('"File notes.txt') == 1


async def test_a_file_that_moved_is_given_again_under_another_name_or_changed_under_its_own(
    host: Host, sim: Simulator, tmp_path: Path
) -> None:
    """It stands where the first one stood, byte for byte as long as it is the same."""
    notes, plan = tmp_path / "notes.txt", tmp_path / "plan.md"
    notes.write_text("The harbour is blüe.", encoding="utf-8")
    plan.write_text("Paint it.", encoding="utf-8")
    asked = await host.call("ask_gemini", prompt="Which colour?", files=[str(notes), str(plan)])
    moved = notes.rename(tmp_path / "harbour.txt")
    (tmp_path / "old").mkdir()
    plan = plan.rename(tmp_path / "old" / "plan.md")
    plan.write_text("Paint it red.", encoding="utf-8")
    turn: dict[str, Any] = {"prompt": "Sure?", "continue_from": asked.handle}
    other = tmp_path / "other.txt"
    other.write_text("The harbour is green", encoding="utf-8")
    for wrong in ([], [str(moved)], [str(plan)], [str(other), str(plan)]):
        refused = await host.call("ask_gemini", files=wrong, **turn)
        assert refused.failed
        assert "cannot be read again" in refused.text
    again = await host.call("ask_gemini", files=[str(plan), str(moved), str(other)], **turn)
    assert not again.failed, again.text
    assert "Changed since it was sent, and sent as it is now: plan.md." in again.text
    first, then = said_to(sim)
    same, _ = first.split("Paint it.")
    assert then.startswith(same + "Paint it red.")
    assert "harbour.txt" not in then
    body: Any = sim.calls[-1].body
    new = json.dumps((body.get("messages") or body["contents"])[-1], ensure_ascii=False)
    assert [text in new for text in ("blüe", "red", "green")] == [False, False, True]
    last = await host.call("ask_gemini", prompt="Still?", continue_from=again.handle)
    assert "Changed" not in last.text
    assert said_to(sim)[-1].startswith(then)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"continue_from": "g_nobody"}, "no generation"),
        ({"continue_from": "{handle}", "messages": [{"role": "user", "content": "x"}]}, "come with continue"),
    ],
)
async def test_what_cannot_go_on_says_why(host: Host, more: dict[str, Any], why: str) -> None:
    asked = await host.call("ask_gemini", prompt="First?")
    more = {k: v.replace("{handle}", asked.handle) if isinstance(v, str) else v for k, v in more.items()}
    refused = await host.call("ask_gemini", prompt="And?", **more)
    assert refused.failed
    assert why in refused.text


async def test_one_that_still_runs_is_to_be_waited_for(host: Host) -> None:
    running = await host.call("ask_gemini", prompt="Long [[sim:slow seconds=20]]", wait_seconds=0.05)
    refused = await host.call("ask_gemini", prompt="And?", continue_from=running.handle)
    assert "still being written" in refused.text
    await host.call("get_result", handle=running.handle, cancel=True)


async def test_a_search_does_not_ask_on_from_another_tool(host: Host) -> None:
    asked = await host.call("ask_gemini", prompt="First?")
    refused = await host.call("search_web", query="And?", continue_from=asked.handle)
    assert refused.failed
    assert "an answer of ask_gemini, and no search" in refused.text


async def test_functions_are_carried_with_their_signatures(host: Host, sim: Simulator) -> None:
    weather = {"name": "weather", "description": "Of a place.", "parameters": {"type": "object"}}
    long = "Because. " * 300
    asked = await host.call("ask_gemini", prompt=f"Rain? [[sim:tool-call]] {long}", functions=[weather])
    calls = json.loads(asked.text.split("functions to be run:\n")[1].splitlines()[0])
    assert f'continue_from "{asked.handle}" and messages: {{"role": "function"' in asked.blocks[-1]
    assert "To ask on" not in asked.text, "a question alone is refused"
    refused = await host.call("ask_gemini", prompt="Well?", continue_from=asked.handle)
    assert "waits for what came of its functions" in refused.text
    results = [
        {"role": "function", "name": c["name"], "id": c.get("id", ""), "content": "dry"} for c in calls
    ]
    told = await host.call("ask_gemini", messages=results, continue_from=asked.handle)
    assert not told.failed, told.text
    said = said_to(sim)
    assert said[-1].startswith(said[0])
    for call in calls:
        assert call.get("signature", "") in said[-1]


async def test_the_signature_of_a_text_goes_back_with_it_to_the_model_that_gave_it(
    sim: Simulator, tmp_path: Path
) -> None:
    """The native dialect sends one with the last, empty piece of a text; chat shows none of texts."""
    async with in_process(sim.base_url, RUNAPI_MCP_DIALECT="native") as host:
        think = "[[sim:thinking seconds=0 n=2]]"
        asked = await host.call("ask_gemini", prompt=f"Why? {think}", model="gemini-3-flash-preview")
        again = await host.call("ask_gemini", prompt=f"And? {think}", continue_from=asked.handle)
        await host.call("ask_gemini", prompt="So?", continue_from=again.handle)
        await host.call("ask_gemini", prompt="So?", continue_from=again.handle, model="gemini-3.5-flash")
    bodies: list[Any] = [call.body for call in sim.calls]
    answers = [[turn["parts"] for turn in body["contents"] if turn["role"] == "model"] for body in bodies]
    assert answers[2] == [[{"text": reply.blocks[0], "thoughtSignature": "QUJD"}] for reply in (asked, again)]
    assert answers[3] == [[{"text": reply.blocks[0]}] for reply in (asked, again)]


@pytest.mark.parametrize("tool", ["extract_json", "search_web"])
async def test_a_question_goes_on_from_an_extraction_and_from_a_search(
    host: Host, sim: Simulator, tool: str
) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    arguments: dict[str, Any] = (
        {"query": "Who?"} if tool == "search_web" else {"text": "Ada", "schema": schema}
    )
    first = await host.call(tool, **arguments)
    assert not first.failed, first.text
    told = await host.call("ask_gemini", prompt="Sure?", continue_from=first.handle)
    assert not told.failed, told.text
    said = said_to(sim)
    assert said[1].startswith(said[0])
    bodies: list[Any] = [call.body for call in sim.calls]
    rest = [
        {k: v for k, v in body.items() if k not in ("messages", "contents", "response_format")}
        | body.get("generationConfig", {})
        for body in bodies
    ]
    assert not {"response_format", "responseJsonSchema", "responseMimeType"} & {*bodies[1], *rest[1]}
    assert rest[1].get("tools") == rest[0].get("tools")
    assert ("oogle" in json.dumps(rest[1])) == (tool == "search_web")


async def test_a_search_that_is_asked_on_another_day_sends_the_first_day_as_it_was(sim: Simulator) -> None:
    """A day that is written anew costs the whole cache of a prefix (anthropics/claude-code#86299)."""
    week: dict[str, Any] = {"recency": "week", "include_domains": ["example.org"]}
    async with desk(sim) as at:
        found = await at.call("search_web", query="What is new?", **week)
        at.clock.now += timedelta(days=1)
        later = await at.call("search_web", query="And since?", continue_from=facts(found)["continue_from"])
        at.clock.now += timedelta(days=1)
        await at.call("search_web", query="Today?", continue_from=facts(later)["continue_from"], **week)
    first, second, third = said_to(sim)
    assert second.startswith(first)
    assert third.startswith(second)
    assert [day in third for day in ("2026-11-28", "2026-11-29", "2026-11-30")] == [True] * 3
