"""Defaults that RunAPI no longer serves: another answers, it is said, and nothing is paid for twice."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from runapi_mcp import models as table
from runapi_mcp.models import ANSWERING, SEARCHING, Ability, DialectName, find, is_dear
from runapi_mcp.sim import SeenCall, Simulator
from runapi_mcp.tools import Reply
from runapi_mcp.tools.coercion import Args
from runapi_mcp.tools.tool import Chosen, job_for
from runapi_mcp.wire.types import Call
from tools.calling import Desk, desk, facts

QUESTION = "Who won the Lake Vättern regatta?"
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ask_gemini": {"prompt": "Why is the sky blue?"},
    "search_web": {"query": QUESTION},
    "extract_json": {
        "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
        "text": "a: b",
    },
}
DEFAULTS = {"ask_gemini": ANSWERING, "extract_json": ANSWERING, "search_web": SEARCHING}
AFTER = datetime(2026, 12, 2, 12, tzinfo=UTC)
"""After the day on which Google ends the 2.5 models."""


@pytest.fixture
def sim(sim: Simulator) -> Simulator:
    sim.bridge = True
    return sim


def billed(sim: Simulator) -> list[SeenCall]:
    """The calls that were let in."""
    return [call for call in sim.calls if call.scenario]


def requests(sim: Simulator) -> int:
    return len(sim.calls) + len(sim.lists)


def receipt(reply: Reply) -> Any:
    assert reply.receipt is not None
    return reply.receipt


def gone(status: int) -> Callable[[Simulator, str], None]:
    def play(sim: Simulator, model: str) -> None:
        sim.roster.gone[model] = status

    return play


def refuse_ability(sim: Simulator, model: str) -> None:
    """Refuse a search, and elsewhere whatever is asked for, of the one model."""
    sim.roster.searchless.add(model)
    sim.roster.unable.add(model)


def serve_v1_only(sim: Simulator, _model: str) -> None:
    sim.roster.roots = ("/v1",)


def take_list_away(sim: Simulator, model: str) -> None:
    sim.roster.lists_away = 503
    sim.roster.gone[model] = 410


SWITCHED: dict[str, Callable[[Simulator, str], None]] = {
    "410": gone(410),
    "404": gone(404),
    "ability refused": refuse_ability,
    "list away": take_list_away,
}


def _models(tool: str, dialect: str) -> list[str]:
    """The defaults that a tool goes through on a dialect: a schema is written for the one it begins with."""
    models = DEFAULTS[tool]
    if (tool, dialect) == ("extract_json", "native"):
        return [m for m in models if (row := find(m)) is not None and "native" in row.structured]
    return list(models)


EVERY = [
    (tool, dialect, place)
    for tool in DEFAULTS
    for dialect in ("chat", "native")
    for place in range(len(_models(tool, dialect)))
]
PLACES = [(tool, dialect, place) for tool, dialect, place in EVERY if place + 1 < len(_models(tool, dialect))]
"""Those that have a next."""


def say_gone_before(sim: Simulator, at: Desk, models: list[str]) -> None:
    """Have RunAPI not serve these, and have it said so before."""
    for model in models:
        sim.roster.gone[model] = 410
        at.upstream.standing(at.settings.need_key()).gone.add(model)


@pytest.mark.parametrize("trouble", SWITCHED)
@pytest.mark.parametrize(("tool", "dialect", "place"), PLACES)
async def test_a_default_that_is_refused_gives_way_to_the_next_and_the_process_remembers(
    sim: Simulator, tool: str, place: int, dialect: str, trouble: str
) -> None:
    models = _models(tool, dialect)
    default, other = models[place], models[place + 1]
    async with desk(sim, dialect=dialect) as at:
        say_gone_before(sim, at, models[:place])
        SWITCHED[trouble](sim, default)
        reply = await at.call(tool, **ARGUMENTS[tool])
        assert not reply.is_error
        assert len(billed(sim)) == 1
        assert requests(sim) <= 3
        assert receipt(reply).model_asked == receipt(reply).model_served == other
        assert f"Answered by {other}: RunAPI " in reply.text
        assert reply.text.count("Answered by") == 1
        assert models[0] in reply.text
        dearer = is_dear(other) and not is_dear(models[0])
        assert (
            reply.text.startswith(f"[{other} was asked, which costs several times what {models[0]} does: ")
            == dearer
        )
        if reply.structured is not None:
            assert any(f"Answered by {other}" in note for note in facts(reply)["notes"])
        assert ("list of models could not be had" in reply.text) == (trouble == "list away")
        seen = requests(sim)
        again = await at.call(tool, **ARGUMENTS[tool], fresh=True)
    assert requests(sim) == seen + 1
    assert receipt(again).model_asked == other
    assert f"Answered by {other}: RunAPI " in again.text


@pytest.mark.parametrize(("tool", "dialect", "place"), EVERY)
async def test_a_503_is_never_a_reason_for_another_model(
    sim: Simulator, tool: str, dialect: str, place: int
) -> None:
    models = _models(tool, dialect)
    sim.play("unavailable seconds=90")
    async with desk(sim, dialect=dialect) as at:
        say_gone_before(sim, at, models[:place])
        reply = await at.call(tool, **ARGUMENTS[tool])
    assert reply.is_error
    assert reply.code == "unavailable"
    assert requests(sim) == 1
    assert receipt(reply).model_asked == models[place]


@pytest.mark.parametrize(("tool", "dialect", "place"), EVERY)
async def test_another_model_that_answers_in_a_ones_name_is_told(
    sim: Simulator, tool: str, dialect: str, place: int
) -> None:
    models = _models(tool, dialect)
    model = models[place]
    sim.roster.swapped[model] = "gemini-3.5-flash-lite"
    async with desk(sim, dialect=dialect) as at:
        say_gone_before(sim, at, models[:place])
        reply = await at.call(tool, **ARGUMENTS[tool])
    assert f"RunAPI says that “gemini-3.5-flash-lite” answered, though {model} was asked for." in reply.text
    assert (receipt(reply).model_asked, receipt(reply).model_served) == (model, "gemini-3.5-flash-lite")
    assert receipt(reply).swapped
    assert requests(sim) == 1


@pytest.mark.parametrize("dialect", ["chat", "native"])
@pytest.mark.parametrize("tool", ARGUMENTS)
async def test_in_the_good_case_there_is_no_request_but_the_call_and_nothing_to_say(
    sim: Simulator, tool: str, dialect: str
) -> None:
    async with desk(sim, dialect=dialect) as at:
        reply = await at.call(tool, **ARGUMENTS[tool])
    assert requests(sim) == 1
    assert "Answered by" not in reply.text
    assert "ends" not in reply.text
    assert not receipt(reply).swapped


@pytest.mark.parametrize("says", ["No route {}.", "Not Found", ""])
@pytest.mark.parametrize(("tool", "dialect", "place"), EVERY)
async def test_where_runapi_serves_v1_only_it_is_found_and_remembered(
    sim: Simulator, tool: str, dialect: str, place: int, says: str
) -> None:
    models = _models(tool, dialect)
    serve_v1_only(sim, "")
    sim.roster.no_route = says
    async with desk(sim, dialect=dialect) as at:
        say_gone_before(sim, at, models[:place])
        reply = await at.call(tool, **ARGUMENTS[tool])
        assert not reply.is_error
        assert len(billed(sim)) == 1
        assert requests(sim) <= 3
        assert receipt(reply).model_asked == models[place]
        assert ("Answered by" in reply.text) == bool(place)
        seen = requests(sim)
        await at.call(tool, **ARGUMENTS[tool], fresh=True)
        assert requests(sim) == seen + 1


@pytest.mark.parametrize("says", ["Not Found", "{}", ""])
async def test_a_404_that_may_mean_route_or_model_is_told_apart_by_the_free_list(
    sim: Simulator, says: str
) -> None:
    sim.roster.no_route = says
    sim.roster.roots = ("/v1",)
    async with desk(sim) as at:
        reply = await at.call("search_web", query=QUESTION)
        assert not reply.is_error
        assert [call.path for call in sim.lists] == ["/v1beta/openai/models"]
        assert requests(sim) == 3
        assert at.upstream.chat_path == "/v1"
        sim.roster.roots = ("/v1beta/openai",)  # and back again
        again = await at.call("search_web", query=QUESTION, fresh=True)
        assert not again.is_error
        assert at.upstream.chat_path == "/v1beta/openai"
    assert len(billed(sim)) == 2


SILENT = {"Not Found": "Not Found", "empty": "", "an object": "{}"}
"""404s that may mean the model or the route."""


@pytest.mark.parametrize("says", SILENT)
@pytest.mark.parametrize("dialect", ["chat", "native"])
@pytest.mark.parametrize("tool", ARGUMENTS)
async def test_a_404_of_the_model_that_says_nothing_costs_two_requests_more_at_most(
    sim: Simulator, tool: str, dialect: str, says: str
) -> None:
    models = _models(tool, dialect)
    sim.roster.no_model = SILENT[says]
    sim.roster.gone[models[0]] = 404
    async with desk(sim, dialect=dialect) as at:
        reply = await at.call(tool, **ARGUMENTS[tool])
        assert at.upstream.chat_path == "/v1beta/openai"
    assert receipt(reply).model_asked == models[1]
    assert requests(sim) == 3
    assert len(billed(sim)) == 1


async def test_a_second_model_that_silently_is_not_found_ends_the_call_within_the_bound(
    sim: Simulator,
) -> None:
    sim.roster.no_model = "Not Found"
    sim.roster.gone |= dict.fromkeys(SEARCHING[:2], 404)
    sim.roster.listed_anyway = set(SEARCHING)
    async with desk(sim) as at:
        reply = await at.call("search_web", query=QUESTION)
        assert requests(sim) == 3
        assert f"Call again: {SEARCHING[2]} is next; name it where " in reply.text
        again = await at.call("search_web", query=QUESTION)
    assert receipt(again).model_asked == SEARCHING[2]
    assert requests(sim) == 4


@pytest.mark.parametrize("says", SILENT)
async def test_a_route_and_a_model_that_are_gone_together_take_two_calls(sim: Simulator, says: str) -> None:
    sim.roster.no_route = sim.roster.no_model = SILENT[says]
    sim.roster.roots = ("/v1",)
    sim.roster.gone[SEARCHING[0]] = 404
    async with desk(sim) as at:
        first = await at.call("search_web", query=QUESTION)
        assert first.is_error
        assert "Call again: " in first.text
        assert requests(sim) == 3
        second = await at.call("search_web", query=QUESTION)
        assert at.upstream.chat_path == "/v1"
    assert receipt(second).model_asked == SEARCHING[1]
    assert requests(sim) == 6
    assert len(billed(sim)) == 1


@pytest.mark.parametrize("says", SILENT)
async def test_past_a_date_the_list_that_was_asked_for_serves_for_the_route_too(
    sim: Simulator, says: str
) -> None:
    sim.roster.no_route = SILENT[says]
    sim.roster.roots = ("/v1",)
    async with desk(sim, now=AFTER) as at:
        reply = await at.call("search_web", query=QUESTION)
        assert at.upstream.chat_path == "/v1"
    assert not reply.is_error
    assert requests(sim) == 3


async def test_calls_side_by_side_find_the_route_within_the_bound_each(sim: Simulator) -> None:
    sim.roster.no_route = "Not Found"
    sim.roster.roots = ("/v1",)
    replies: list[Reply] = []
    async with desk(sim) as at, anyio.create_task_group() as tasks:

        async def ask(number: int) -> None:
            replies.append(await at.call("ask_gemini", prompt=f"Question {number}"))

        for number in range(4):
            tasks.start_soon(ask, number)
    assert [reply.is_error for reply in replies] == [False] * 4
    assert len(sim.lists) == 1
    assert len(billed(sim)) == 4


@pytest.mark.parametrize("says", SILENT)
async def test_where_there_is_no_runapi_at_all_the_refusal_says_what_to_check(
    sim: Simulator, says: str
) -> None:
    sim.roster.no_route = SILENT[says]
    sim.roster.roots = ()
    async with desk(sim) as at:
        for _ in range(3):
            seen = requests(sim)
            reply = await at.call("ask_gemini", prompt="Q")
            assert reply.is_error
            assert requests(sim) - seen <= 3
            assert "RUNAPI_BASE_URL" in reply.text


async def test_where_both_routes_have_a_list_a_404_is_the_models_and_the_route_stays(sim: Simulator) -> None:
    sim.play("not-found")
    async with desk(sim) as at:
        reply = await at.call("ask_gemini", prompt="Q")
        assert at.upstream.chat_path == "/v1beta/openai"
    assert receipt(reply).model_asked == ANSWERING[1]
    assert [call.path for call in sim.lists] == ["/v1beta/openai/models"]


async def test_a_route_that_was_set_is_not_left(sim: Simulator) -> None:
    sim.roster.roots = ("/v1",)
    async with desk(sim, chat_path="/v1beta/openai") as at:
        reply = await at.call("ask_gemini", prompt="Q")
    assert reply.is_error
    assert all("/v1beta/openai/" in call.path for call in sim.calls)


async def test_a_route_that_is_nowhere_is_not_sought_with_other_models(sim: Simulator) -> None:
    sim.roster.roots = ()
    async with desk(sim) as at:
        reply = await at.call("ask_gemini", prompt="Q")
    assert reply.is_error
    assert "Call again" not in reply.text
    assert requests(sim) <= 2
    assert f"neither at /v1beta/openai nor /v1: check RUNAPI_BASE_URL (it is {sim.base_url})" in reply.text


async def test_a_path_with_a_list_and_no_chat_is_not_kept(sim: Simulator) -> None:
    sim.roster.roots = ()
    sim.roster.chatless = ("/v1",)
    async with desk(sim) as at:
        reply = await at.call("ask_gemini", prompt="Q")
        assert at.upstream.chat_path == "/v1beta/openai"
    assert reply.is_error


# ---------------------------------------------------------------- named and pinned


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("tool", ARGUMENTS)
async def test_a_model_that_was_named_or_set_is_never_left_for_another(
    sim: Simulator, tool: str, status: int
) -> None:
    default = DEFAULTS[tool][0]
    sim.roster.gone[default] = status
    setting = "search_model" if tool == "search_web" else "model"
    pin: dict[str, Any] = {setting: default}
    async with desk(sim) as at:
        named = await at.call(tool, **ARGUMENTS[tool], model=default)
    async with desk(sim, **pin) as at:
        pinned = await at.call(tool, **ARGUMENTS[tool])
    assert named.is_error
    assert pinned.is_error
    assert not billed(sim)
    assert len(sim.calls) == 2
    assert f"The model was {default}, as the call named it." in named.text
    assert "or leave model out." in named.text
    assert f"or set RUNAPI_MCP_{setting.upper()}=" in pinned.text
    assert "Its successor is gemini-3." in named.text
    assert "Its successor is gemini-3." in pinned.text


@pytest.mark.parametrize(
    ("typed", "meant"), [("gemini-2.5-flsh", "gemini-2.5-flash"), ("gemini-4-argn", "gemini-4-argon")]
)
async def test_a_mistyped_id_is_told_what_was_meant_by_the_live_list(
    sim: Simulator, typed: str, meant: str
) -> None:
    async with desk(sim) as at:
        reply = await at.call("ask_gemini", prompt="Q", model=typed)
    assert reply.is_error
    assert f"Did you mean {meant}?" in reply.text
    assert requests(sim) == 2


# ---------------------------------------------------------------- dates


async def test_a_date_alone_changes_nothing_but_is_looked_up_once_and_warned_of(sim: Simulator) -> None:
    async with desk(sim, now=AFTER) as at:
        reply = await at.call("search_web", query=QUESTION)
        assert [call.path for call in sim.lists] == ["/v1beta/openai/models"]
        assert receipt(reply).model_asked == "gemini-2.5-flash"
        assert "The day on which gemini-2.5-flash ends was 2026-12-01" in reply.text
        await at.call("search_web", query=QUESTION, fresh=True)
        answer = await at.call("ask_gemini", prompt="Q")
    assert len(sim.lists) == 1
    assert "The day on which" not in answer.text


async def test_past_its_date_a_model_that_is_not_listed_any_more_is_not_asked(sim: Simulator) -> None:
    sim.roster.unlisted["/v1beta/openai/models"] = ["gemini-2.5-flash"]
    async with desk(sim, now=AFTER) as at:
        reply = await at.call("search_web", query=QUESTION)
        await at.call("search_web", query=QUESTION, fresh=True)
    assert receipt(reply).model_asked == "gemini-3.7-flash"
    assert "Answered by gemini-3.7-flash: the day on which gemini-2.5-flash, this server's default, ends" in (
        reply.text
    )
    assert requests(sim) == 3


async def test_past_its_date_without_a_list_the_default_is_asked_and_that_is_said(sim: Simulator) -> None:
    sim.roster.lists_away = 503
    async with desk(sim, now=AFTER) as at:
        reply = await at.call("search_web", query=QUESTION)
        again = await at.call("search_web", query=QUESTION, fresh=True)
    assert receipt(reply).model_asked == "gemini-2.5-flash"
    assert "list of models could not be had" in reply.text
    assert not again.is_error
    assert len(sim.lists) == 1, "a list that cannot be had is not asked for with each call"


async def test_before_its_date_a_list_without_the_default_does_not_change_it(sim: Simulator) -> None:
    sim.roster.unlisted["/v1beta/openai/models"] = ["gemini-2.5-flash"]
    async with desk(sim) as at:
        listed = await at.call("list_models")
        reply = await at.call("search_web", query=QUESTION)
    assert "(not in this list: gemini-2.5-flash)" in listed.text
    assert receipt(reply).model_asked == "gemini-2.5-flash"


# ---------------------------------------------------------------- the ends of the list


async def test_a_list_of_defaults_that_is_wholly_gone_names_what_would_do_and_the_variable(
    sim: Simulator,
) -> None:
    sim.roster.gone |= dict.fromkeys(SEARCHING, 410)
    async with desk(sim) as at:
        for _ in SEARCHING[1:]:
            await at.call("search_web", query=QUESTION)
        reply = await at.call("search_web", query=QUESTION)
    assert reply.is_error
    assert not billed(sim)
    assert "this server knows none" in reply.text
    assert "RUNAPI_MCP_SEARCH_MODEL" in reply.text
    assert "gemini-4-argon" in reply.text


async def test_a_second_refusal_ends_the_call_and_the_next_goes_on_from_there(sim: Simulator) -> None:
    sim.roster.gone |= dict.fromkeys(SEARCHING[:2], 410)
    sim.roster.unlisted["/v1beta/openai/models"] = ()
    sim.roster.listed_anyway = set(SEARCHING)
    async with desk(sim) as at:
        first = await at.call("search_web", query=QUESTION)
        assert first.is_error
        assert requests(sim) == 3
        assert f"Call again: {SEARCHING[2]} is next; name it where " in first.text
        second = await at.call("search_web", query=QUESTION)
    assert not second.is_error
    assert receipt(second).model_asked == SEARCHING[2]
    assert second.text.startswith(f"[{SEARCHING[2]} was asked, which costs several times")


async def test_what_one_key_is_refused_is_not_held_against_another(sim: Simulator) -> None:
    from pydantic import SecretStr

    sim.roster.gone["gemini-2.5-flash"] = 410
    async with desk(sim) as at:
        await at.call("search_web", query=QUESTION)
        assert at.upstream.standing(at.settings.need_key()).gone == {"gemini-2.5-flash"}
        assert not at.upstream.standing(SecretStr("another-key-0123456789")).gone


async def test_a_search_that_is_refused_says_nothing_of_answers(sim: Simulator) -> None:
    sim.roster.searchless.add("gemini-2.5-flash")
    async with desk(sim) as at:
        await at.call("search_web", query=QUESTION)
        assert not at.upstream.standing(at.settings.need_key()).gone
        reply = await at.call("ask_gemini", prompt="Q", model="gemini-2.5-flash")
    assert not reply.is_error


async def test_a_model_that_answers_again_is_the_default_again(sim: Simulator) -> None:
    sim.roster.gone["gemini-2.5-flash"] = 404
    async with desk(sim) as at:
        await at.call("search_web", query=QUESTION)
        del sim.roster.gone["gemini-2.5-flash"]
        await at.call("search_web", query=QUESTION, model="gemini-2.5-flash", fresh=True)
        reply = await at.call("search_web", query=QUESTION, fresh=True)
    assert receipt(reply).model_asked == "gemini-2.5-flash"


@pytest.mark.parametrize(
    ("wish", "first", "second"),
    [
        ("flash", "gemini-3-flash-preview", "gemini-3.6-flash"),
        ("pro", "gemini-3.1-pro-preview", "gemini-2.5-pro"),
        ("latest", "gemini-3.7-flash", "gemini-3.6-flash"),
        ("strongest", "gemini-3.1-pro-preview", "gemini-3.7-flash"),
        ("cheapest", "gemini-3-flash-preview", "gemini-3.5-flash"),
    ],
)
async def test_a_word_for_a_model_is_found_by_the_table_and_the_list(
    sim: Simulator, wish: str, first: str, second: str
) -> None:
    async with desk(sim) as at:
        assert receipt(await at.call("ask_gemini", prompt="Q", model=wish)).model_asked == first
        sim.roster.gone[first] = 404
        reply = await at.call("ask_gemini", prompt="Q", model=wish, fresh=True)
        assert receipt(reply).model_asked == second
        assert f"Answered by {second}: RunAPI does not serve {first}, the {wish}, any more" in reply.text


# ---------------------------------------------------------------- the list


async def test_the_list_helps_to_choose(sim: Simulator) -> None:
    async with desk(sim) as at:
        reply = await at.call("list_models")
    rows = {row["id"]: row for row in facts(reply)["models"]}
    flash = rows["gemini-2.5-flash"]
    assert (flash["good_for"], flash["ends"], flash["successor"]) == (
        "web search, everyday questions",
        "2026-12-01",
        "gemini-3.5-flash-lite",
    )
    assert (flash["input_tokens"], flash["output_tokens"]) == (1_048_576, 65_536)
    assert facts(reply)["others"] == ["gpt-5.5", "claude-sonnet-5", "glm-5"]
    assert facts(reply)["pro"] == "gemini-3.1-pro-preview"
    assert "Passed through, abilities not known: gpt-5.5, claude-sonnet-5, glm-5." in reply.text
    assert "Ends 2026-12-01; successor gemini-3.5-flash-lite." in reply.text
    assert "Default: gemini-3-flash-preview; for search_web: gemini-2.5-flash; " in reply.text
    assert "1M tokens in, 64k out." in reply.text
    assert "- gemini-4-argon: abilities not known" in reply.text


async def test_past_a_models_date_the_list_says_so_and_names_what_a_search_is_answered_by(
    sim: Simulator,
) -> None:
    async with desk(sim, now=AFTER) as at:
        listed = await at.call("list_models")
        assert "Ended 2026-12-01; successor gemini-3.5-flash-lite." in listed.text
        assert {row["id"] for row in facts(listed)["models"] if row.get("ended")} == {
            "gemini-2.5-flash",
            "gemini-2.5-pro",
            "gemini-3-pro-preview",
        }
        assert facts(listed)["search_default"] == "gemini-2.5-flash"
        sim.roster.unlisted["/v1beta/openai/models"] = ["gemini-2.5-flash"]
        listed = await at.call("list_models")
        assert facts(listed)["search_default"] == "gemini-3.7-flash"
        assert "unlisted" not in facts(listed)
        assert receipt(await at.call("search_web", query=QUESTION)).model_asked == "gemini-3.7-flash"


async def test_the_list_names_the_default_that_is_used_now(sim: Simulator) -> None:
    sim.roster.gone["gemini-2.5-flash"] = 410
    async with desk(sim) as at:
        await at.call("search_web", query=QUESTION)
        reply = await at.call("list_models")
    assert facts(reply)["search_default"] == "gemini-3.7-flash"


async def test_the_list_is_had_from_the_other_path_where_the_usual_has_none(sim: Simulator) -> None:
    serve_v1_only(sim, "")
    async with desk(sim) as at:
        reply = await at.call("list_models")
    assert facts(reply)["source"] == "live"
    assert [call.path for call in sim.lists] == ["/v1beta/openai/models", "/v1/models"]


@pytest.mark.parametrize(
    ("ability", "others"),
    [
        ("structured", ("gemini-3.6-flash",)),
        ("functions", ("gemini-3.6-flash",)),
        ("files", ("gemini-3.6-flash", "chat-alone")),
    ],
)
async def test_what_is_written_for_one_dialect_goes_to_no_model_of_another(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, ability: Ability, others: tuple[str, ...]
) -> None:
    flash, chat = find("gemini-3-flash-preview"), frozenset[DialectName]({"chat"})
    assert flash is not None
    alone = replace(flash, dialects=chat, structured=chat, functions=chat, files=chat)
    monkeypatch.setitem(table._ROWS, "chat-alone", alone)
    async with desk(sim, dialect="native") as at:
        chosen = Chosen("gemini-3-flash-preview", "auto", ("gemini-3.6-flash", "chat-alone"))
        call = Call(model=chosen.model, turns=())
        job = job_for("ask_gemini", Args(), call, at.run(), chosen, needs=(ability,))
    assert (job.dialect, job.others) == ("native", others)
