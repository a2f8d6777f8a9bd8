"""What is said beside an answer is what can be done about it."""

from dataclasses import replace

import pytest
from generations.played import STOP, USED, Step, bench, job
from generations.test_generation import CALLED, CUT, offering

from runapi_mcp.tools import Page
from runapi_mcp.tools.ask import ASK
from runapi_mcp.tools.reply import Paged
from runapi_mcp.wire.types import Failure, Finish, FunctionCallDelta, TextDelta


async def said(*steps: Step, functions: bool = False) -> str:
    async with bench(steps) as made:
        view = (await made.ended(offering() if functions else job())).view()
    return " ".join(Paged(view, view.answer.text, Page(40_000)).reply("").said)


async def test_a_partial_answer_can_be_continued() -> None:
    assert "resume true to continue" in await said(TextDelta("Half"), CUT)


@pytest.mark.parametrize(
    ("finish", "words"),
    [
        (Finish("error", "error"), "Partial: the model stopped before the end of its answer. Call"),
        (Finish("OTHER", "error"), "Partial: the model stopped before the end of its answer (“OTHER”). Call"),
        (Finish("MALFORMED_RESPONSE", "error", "It\nbroke."), "(“MALFORMED_RESPONSE”: “It broke.”). Call"),
        (Finish("SAFETY", "filtered"), "Partial: a safety rule stopped the answer (“SAFETY”). Call"),
        (Finish("odd", "unknown"), "Partial: the answer breaks off, and RunAPI gave another reason than its"),
        (Finish("tool_calls", "tool"), "gave another reason than its end (“tool_calls”). Call"),
    ],
)
async def test_an_answer_that_stopped_before_its_end_says_so_in_runapis_words(
    finish: Finish, words: str
) -> None:
    assert words in await said(TextDelta("Half"), finish)


async def test_a_whole_answer_says_what_is_odd_about_its_end() -> None:
    odd = await said(TextDelta("All of it."), Finish("odd", "unknown"), USED)
    assert odd == "RunAPI ended the answer with a word that is not known here (“odd”)."
    called = await said(TextDelta("All of it."), Finish("tool_calls", "tool"), USED)
    assert called.endswith("says that the model asked for a function (“tool_calls”), but no call came.")


async def test_an_error_after_the_end_is_kept_with_the_answer() -> None:
    late = Failure("busy", 503)
    whole = await said(TextDelta("All of it."), STOP, USED, late)
    assert whole == "The answer came to its end; after that RunAPI reported an error (503): “busy”."
    half = await said(TextDelta("Half of it"), STOP, USED, late)
    assert "Partial: RunAPI reported an error (503): “busy”." in half
    assert "resume true to continue" in half


async def test_half_a_function_call_cannot_be_continued_and_is_to_be_asked_for_again() -> None:
    line = await said(CALLED, CUT, functions=True)
    assert line.endswith("Ask again.")
    assert "resume" not in line


async def test_nothing_is_said_of_a_call_that_was_finished() -> None:
    assert await said(CALLED, STOP, USED, CUT, functions=True) == ""


@pytest.mark.parametrize(
    ("called", "words"),
    [
        (
            FunctionCallDelta(0, "1", "invented", "{}"),
            "invented is none of the functions that were offered: tell",
        ),
        (
            FunctionCallDelta(0, "1", "look_up", '{"q": "'),
            "The arguments of look_up are no JSON object: tell",
        ),
    ],
)
async def test_a_call_that_cannot_be_run_is_said_to_be_one(called: FunctionCallDelta, words: str) -> None:
    async with bench([called, STOP, USED]) as made:
        view = (await made.ended(offering())).view()
    assert ASK.render is not None
    assert any(words in said for said in ASK.render(view, Page(40_000)).said)


@pytest.mark.parametrize("name", ["default_api:look_up", "default_api.look_up"])
async def test_a_call_in_geminis_own_namespace_is_one_of_the_function_that_was_offered(name: str) -> None:
    async with bench([FunctionCallDelta(0, "1", name, "{}"), STOP, USED]) as made:
        view = (await made.ended(offering())).view()
    assert ASK.render is not None
    reply = ASK.render(view, Page(40_000))
    assert '[{"name": "look_up", "arguments": {}, "id": "1"}]' in reply.text
    assert not any("none of the functions" in said for said in reply.said)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (0.04, "0 s"),
        (0.5, "0.5 s"),
        (0.96, "0.9 s"),
        (3.0, "3 s"),
        (49.9, "49 s"),
        (50.0, "50 s"),
    ],
)
async def test_the_time_that_it_has_run_is_never_told_longer_than_it_was(seconds: float, said: str) -> None:
    async with bench([TextDelta("Half"), CUT]) as made:
        view = (await made.ended(job())).view()
    running = replace(view, status="running", error=None, receipt=replace(view.receipt, seconds=seconds))
    assert f"Still running after {said}. " in Paged(running, "Half", Page(40_000)).reply("Half").text
