"""extract_json over the real upstream path, on both dialects."""

import json
import re
import shlex
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runapi_mcp.errors import InputError
from runapi_mcp.extraction import rounds, worker
from runapi_mcp.extraction.rounds import Extraction
from runapi_mcp.extraction.verdict import Verdict
from runapi_mcp.extraction.worker import Checked
from runapi_mcp.sim import Simulator
from runapi_mcp.wire.types import JsonObject
from tools.calling import Desk, desk, facts

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "total": {"type": "number", "exclusiveMinimum": 0},
        "currency": {"enum": ["EUR", "USD"]},
    },
    "required": ["name", "total", "currency"],
    "additionalProperties": False,
}
TEXT = "Invoice of Northwind, name: Ada Example, total: 129.5 EUR."
GOOD = {"name": "Ada Example", "total": 129.5, "currency": "EUR"}


@pytest.fixture(params=["chat", "native"])
async def at(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim, dialect=request.param) as opened:
        yield opened


def saying(answer: Any) -> str:
    """The scenario in which the model says this."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return f"default text={shlex.quote(text)}"


async def test_both_halves_hold_the_json(at: Desk) -> None:
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    assert json.loads(reply.text) == GOOD, "the text is the JSON and nothing else"
    found = facts(reply)
    assert found["data"] == GOOD
    assert found["status"] == "complete"
    assert found["receipt"]["repairs"] == 0
    assert set(found["receipt"]["checked_here"]) == {
        "/properties/name/minLength",
        "/properties/total/exclusiveMinimum",
    }
    assert not reply.is_error


async def test_a_schema_is_rewritten_once_however_often_its_result_is_read(
    at: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[JsonObject] = []

    async def counted(request: JsonObject, owner: str) -> Checked:
        asked.append(request)
        return await worker.check_elsewhere(request, owner)

    monkeypatch.setattr(rounds, "check_elsewhere", counted)
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    again = await at.call("get_result", handle=reply.handle)
    assert facts(again)["receipt"] == facts(reply)["receipt"]
    assert facts(again)["receipt"]["checked_here"]
    assert ["dialect" in request for request in asked] == [True, False, False]
    assert ["document" in request for request in asked] == [False, False, True]


async def test_a_schema_may_be_json_text(at: Desk) -> None:
    reply = await at.call("extract_json", schema=json.dumps(SCHEMA), text=TEXT)
    assert facts(reply)["data"] == GOOD


async def test_numbers_keep_their_precision(at: Desk, sim: Simulator) -> None:
    digits = ("0.1000000000000000055", "12345678901234567890.123", "12345678901234567890", "2.50")
    sim.play(
        saying(
            "{" + ", ".join(f'"{name}": {digit}' for name, digit in zip("abcd", digits, strict=True)) + "}"
        )
    )
    reply = await at.call("extract_json", schema={"type": "object"}, text=TEXT)
    for digit in digits:
        assert f": {digit}" in reply.text
    found = facts(reply)
    assert found["data"] == {"a": 0.1, "b": 12345678901234567890.123, "c": 12345678901234567890, "d": 2.5}
    assert found["exact_numbers"] == {
        "/a": "0.1000000000000000055",
        "/b": "12345678901234567890.123",
        "/c": "12345678901234567890",
    }
    assert type(found["data"]["a"]) is float


async def test_a_wrong_answer_is_repaired_with_its_violations_by_pointer(at: Desk, sim: Simulator) -> None:
    sim.play("wrong-json-once")
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    assert facts(reply)["data"] == GOOD
    assert facts(reply)["receipt"]["repairs"] == 1
    assert reply.receipt is not None
    assert reply.receipt.rounds == 2
    assert reply.receipt.tokens is not None
    asked = json.dumps(sim.calls[-1].body)
    assert "does not conform to the schema" in asked
    assert "/total" in asked or "(root)" in asked
    body: Any = sim.calls[-1].body
    turns = body.get("messages") or body.get("contents")
    roles = [turn["role"] for turn in turns if turn["role"] != "system"]
    assert roles in (["user", "assistant", "user"], ["user", "model", "user"]), "the wrong answer is shown"


@pytest.mark.parametrize("repairs", [0, 1, 2])
async def test_repairs_are_bounded_and_what_is_still_wrong_is_an_error(
    at: Desk, sim: Simulator, repairs: int
) -> None:
    wrong = {"name": "x", "total": 5, "currency": "EUR", "more": 1}
    sim.play(*[saying(wrong)] * 4)
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT, max_repairs=repairs)
    assert reply.is_error
    assert len(sim.calls) == repairs + 1
    found = facts(reply)
    assert found["receipt"]["repairs"] == repairs
    assert any(line.startswith("/name: ") for line in found["violations"])
    assert json.loads(found["raw"]) == wrong
    assert found["valid_part"] == {"total": 5, "currency": "EUR"}
    for said in (*found["violations"], '"more": 1', "The part that conforms"):
        assert said in reply.text, "the text half says it all as well"


@pytest.mark.parametrize(
    "scenario", ["duplicate-keys-json", "nan-json", "broken-json", "prose-instead-of-json"]
)
async def test_what_is_no_json_is_an_error_with_its_raw_text(at: Desk, sim: Simulator, scenario: str) -> None:
    sim.play(scenario, scenario)
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    assert reply.is_error
    assert facts(reply)["violations"][0].startswith("(root): not JSON")
    assert facts(reply)["raw"] in reply.text


async def test_the_part_that_conforms_shows_no_key_that_nobody_asked_for(at: Desk, sim: Simulator) -> None:
    open_ended = {key: value for key, value in SCHEMA.items() if key != "additionalProperties"}
    sim.play(*[saying({"unexpected": 1})] * 2)
    reply = await at.call("extract_json", schema=open_ended, text=TEXT)
    assert reply.is_error
    assert "valid_part" not in facts(reply)
    assert "The part that conforms" not in reply.text


async def test_a_refused_answer_takes_no_more_than_two_pages_whatever_of_it_conforms(sim: Simulator) -> None:
    wrong = {"name": 1, "currency": " ".join(map(str, range(3_000)))}
    sim.play(saying(wrong))
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "currency": {"type": "string"}},
        "required": ["name"],
    }
    async with desk(sim, max_result_chars=2_000) as at:
        reply = await at.call("extract_json", schema=schema, text=TEXT, max_repairs=0)
    assert reply.is_error
    assert len(reply.text) + len(json.dumps(facts(reply))) < 2 * (2 * 2_000 + 1_000)
    assert "The part that conforms has 1" in reply.text


async def test_json_in_a_fence_is_read(at: Desk, sim: Simulator) -> None:
    sim.play("fenced-json")
    assert facts(await at.call("extract_json", schema=SCHEMA, text=TEXT))["data"] == GOOD


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("I would rather talk about the invoice at length. " * 100, "prose"),
        ([GOOD] * 100, "a list of several"),
    ],
)
async def test_an_answer_that_can_no_longer_be_right_is_stopped_early_and_repaired(
    at: Desk, sim: Simulator, answer: Any, why: str
) -> None:
    sim.pace = 0.005
    sim.play(saying(answer), "default")
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    assert facts(reply)["data"] == GOOD
    assert facts(reply)["receipt"]["repairs"] == 1
    await sim.calls[0].wait_closed()
    assert sim.calls[0].ended == "client left", "the rest was not paid for"
    sim.play(saying(answer))
    given_up = await at.call("extract_json", schema=SCHEMA, text=TEXT + "!", max_repairs=0)
    assert given_up.is_error
    assert why in given_up.text


async def test_progress_names_the_fields_that_are_done(at: Desk, sim: Simulator) -> None:
    sim.pace = 0.02
    long = {"type": "object", "properties": {f"field{n}": {"type": "string"} for n in range(40)}}
    reply = await at.call(
        "extract_json", schema=long | {"required": [f"field{n}" for n in range(40)]}, text=TEXT
    )
    assert facts(reply)["status"] == "complete"
    said = [note for note in at.notes if " of 40 fields: … field" in note]
    assert said, at.notes


MANY = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def test_many_gives_a_list_of_items(at: Desk, sim: Simulator) -> None:
    sim.play(saying([{"n": 1}, {"n": 2}, {"n": 3}]))
    reply = await at.call("extract_json", schema=MANY, text="1, 2 or 3", many=True)
    assert json.loads(reply.text) == facts(reply)["data"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    body: Any = sim.calls[-1].body
    wire = (
        body["response_format"]["json_schema"]["schema"]
        if "messages" in body
        else body["generationConfig"]["responseJsonSchema"]
    )
    assert wire["type"] == "array"


async def test_bad_items_are_repaired_alone(at: Desk, sim: Simulator) -> None:
    sim.play(saying([{"n": 1}, {"n": "two"}, {"n": 3}, {}]), saying([{"n": 2}, {"n": 4}]))
    reply = await at.call("extract_json", schema=MANY, text=TEXT, many=True)
    assert facts(reply)["data"] == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    asked = json.dumps(sim.calls[-1].body)
    assert "item 1: /n" in asked
    assert "item 3: (root)" in asked


async def test_good_items_are_kept_when_others_stay_bad(at: Desk, sim: Simulator) -> None:
    sim.play(saying([{"n": 1}, {"n": "two"}, {"n": 3}]), saying([{"n": "still"}]))
    reply = await at.call("extract_json", schema=MANY, text=TEXT, many=True)
    found = facts(reply)
    assert found["data"] == [{"n": 1}, {"n": 3}]
    assert [row["index"] for row in found["rejected"]] == [1]
    assert "1 of 3 items did not conform" in reply.text
    assert 'Item 1, counted from 0: /n: "still"' in reply.text


@pytest.mark.parametrize("scenario", ["cut-clean", "cut-rst", "length"])
async def test_good_items_are_kept_when_the_stream_is_cut(at: Desk, sim: Simulator, scenario: str) -> None:
    rows = [{"n": n} for n in range(40)]
    sim.play(f"{scenario} text={shlex.quote(json.dumps(rows))}")
    reply = await at.call("extract_json", schema=MANY, text=TEXT, many=True)
    found = facts(reply)
    assert found["status"] == "partial"
    assert 0 < len(found["data"]) < 40
    assert found["data"] == rows[: len(found["data"])]
    assert "resume" in reply.text


async def test_a_cut_list_is_resumed_whether_the_model_goes_on_or_begins_anew(
    at: Desk, sim: Simulator
) -> None:
    rows = [{"n": n} for n in range(40)]
    for anew in (False, True):
        sim.play(f"length text={shlex.quote(json.dumps(rows))}")
        cut = await at.call("extract_json", schema=MANY, text=f"{TEXT} {anew}", many=True)
        known = len(facts(cut)["data"])
        sim.play(saying(rows[known:]) if anew else f"default text={shlex.quote(json.dumps(rows))}")
        rest = await at.call("get_result", handle=cut.handle, resume=True)
        assert facts(rest)["data"] == rows


async def test_a_running_extraction_gives_what_there_is_in_both_halves(at: Desk, sim: Simulator) -> None:
    sim.pace = 0.1
    wide = {
        "type": "object",
        "required": [f"f{n}" for n in range(8)],
        "properties": {f"f{n}": {"type": "string"} for n in range(8)},
    }
    reply = await at.call("extract_json", schema=wide, text=TEXT, wait_seconds=0.5)
    found = facts(reply)
    assert found["status"] == "running"
    assert found["raw"] in reply.text
    assert found["handle"] in reply.text
    sim.pace = 0
    rest = await at.call("get_result", handle=found["handle"])
    assert facts(rest)["status"] == "complete"
    assert set(facts(rest)["data"]) == set(wide["properties"])


async def test_a_repair_that_fails_keeps_the_answer_before_it(at: Desk, sim: Simulator) -> None:
    wrong = {"name": "x", "total": 5, "currency": "EUR"}
    sim.play(saying(wrong), "html-500")
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    assert json.loads(facts(reply)["raw"]) == wrong
    assert facts(reply)["valid_part"] == {"total": 5, "currency": "EUR"}
    assert "500" in reply.text


async def test_a_long_document_is_given_in_pages_that_add_up(sim: Simulator) -> None:
    rows = [{"n": n} for n in range(300)]
    sim.play(saying(rows))
    async with desk(sim, max_result_chars=1000) as at:
        reply = await at.call("extract_json", schema=MANY, text=TEXT, many=True)
        whole = facts(reply)["raw"]
        offset = facts(reply)["next_offset"]
        while offset is not None:
            page = facts(await at.call("get_result", handle=reply.handle, offset=offset))
            whole += page["raw"]
            offset = page.get("next_offset")
        with pytest.raises(InputError, match="past the end"):
            await at.call("get_result", handle=reply.handle, offset=len(whole) + 1)
    assert json.loads(whole) == rows


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"name": "string", "total": "number"}, "schema: 'name' is no keyword of JSON Schema"),
        ({"title": "string", "year": "number"}, "schema: 'year' is no keyword of JSON Schema"),
        ('{"name": "string"}', "schema: 'name' is no keyword of JSON Schema"),
        ({"$schema": [], "type": "string"}, "schema: $schema must be a string"),
        ({}, "schema: it asks for nothing: any JSON would conform."),
        ({"title": "Anything"}, "schema: it asks for nothing"),
        ({"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False}, "'a'"),
        (
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            "asks for nothing",
        ),
    ],
)
async def test_what_is_no_schema_is_refused_before_any_request(
    at: Desk, sim: Simulator, schema: Any, said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        await at.call("extract_json", schema=schema, text=TEXT)
    assert sim.calls == []


@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "x-order": 1}])
async def test_a_schema_that_asks_for_little_is_still_one(at: Desk, schema: Any) -> None:
    assert not (await at.call("extract_json", schema=schema, text=TEXT)).is_error


async def test_a_remote_reference_is_refused_before_any_request(at: Desk, sim: Simulator) -> None:
    with pytest.raises(InputError, match="points outside the schema"):
        await at.call("extract_json", schema={"$ref": "https://example.org/schema"}, text=TEXT)
    assert sim.calls == []


# ---------------------------------------------------------------- checks that take long

ENDLESS: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
LONG = {"a": "a" * 40 + "!"}


async def test_what_could_not_be_checked_in_time_is_given_and_says_so(
    at: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runapi_mcp.extraction.worker.SECONDS", 0.3)
    sim.play(saying(LONG))
    reply = await at.call("extract_json", schema=ENDLESS, text=TEXT, evidence=False)
    again = await at.call("get_result", handle=reply.handle)
    why = "it took more than 0.3 s and was stopped"
    for told in (reply, again):
        found = facts(told)
        assert (found["data"], found["unchecked"], found["status"]) == (LONG, why, "complete")
        assert "checked_here" not in found["receipt"]
        assert found["notes"] == [f"Not checked in full against the schema: {why}."]
        assert f"[Not checked in full against the schema: {why}. (g_" in told.text
        assert not told.is_error
    assert len(sim.calls) == 1, "what is not known to be wrong is not sent back"


async def test_what_is_no_json_and_could_not_be_checked_is_given_as_it_is(
    at: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runapi_mcp.extraction.worker.SECONDS", 0.3)
    sim.play(saying(json.dumps(LONG)[:-1] + ', "b": '))
    reply = await at.call("extract_json", schema=ENDLESS, text=TEXT, max_repairs=0)
    found = facts(reply)
    assert found["raw"] == reply.text[: len(found["raw"])]
    assert found["unchecked"] == "it took more than 0.3 s and was stopped"
    assert "data" not in found
    assert not reply.is_error


async def test_a_check_elsewhere_repairs_and_conforms_as_one_here(at: Desk, sim: Simulator) -> None:
    sim.play(saying({"a": "b"}), saying({"a": "aaa"}))
    reply = await at.call("extract_json", schema=ENDLESS, text=TEXT)
    assert facts(reply)["data"] == {"a": "aaa"}
    assert facts(reply)["receipt"]["repairs"] == 1
    assert "unchecked" not in facts(reply)
    assert "does not match" in json.dumps(sim.calls[-1].body)


async def test_a_verdict_is_reached_once_however_often_its_result_is_read(
    at: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[list[str]] = []
    judge = Extraction.judge

    async def counted(self: Extraction, texts: list[str], begin: str, owner: str) -> Verdict:
        rounds.append(texts)
        return await judge(self, texts, begin, owner)

    monkeypatch.setattr(Extraction, "judge", counted)
    sim.play(saying({"name": "x"}), saying(GOOD))
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    for _ in range(3):
        again = await at.call("get_result", handle=reply.handle)
        assert facts(again)["data"] == GOOD
    assert [len(texts) for texts in rounds] == [1, 2]


@pytest.mark.parametrize("most", [20_000, 10])
async def test_a_list_that_still_grows_is_given_unjudged_and_says_so(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("runapi_mcp.tools.extract._MOST_READ", most)
    rows = [{"n": n} for n in range(9_000)]
    sim.play(f"slow seconds=20 text={shlex.quote(json.dumps(rows))}")
    async with desk(sim) as at:
        reply = await at.call("extract_json", schema=ENDLESS, text=TEXT, many=True, wait_seconds=1)
        while not (found := facts(reply)).keys() & {"data", "raw"}:  # nothing has come yet
            reply = await at.call("get_result", handle=reply.handle, wait_seconds=1)
        assert found["status"] == "running"
        if most > 10:
            assert found["data"] == rows[: len(found["data"])]
            assert found["unchecked"] == "the list is still being written"
        else:
            assert json.dumps(rows).startswith(found["raw"])
            assert "data" not in found, "what is long is not read while others wait"
        await at.call("get_result", handle=reply.handle, cancel=True)


# ---------------------------------------------------------------- as it was meant


async def test_a_value_in_a_wrapping_is_taken_once_and_said_in_both_halves(at: Desk, sim: Simulator) -> None:
    sim.play(saying([GOOD]))
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    found = facts(reply)
    assert found["data"] == GOOD
    assert len(sim.calls) == 1
    [note] = found["notes"]
    assert note == "The model wrote the value in a list of one; it conforms without."
    assert note in reply.text
    again = await at.call("get_result", handle=reply.handle)
    assert facts(again)["notes"] == [note]


async def test_a_preface_is_not_taken_for_prose_without_an_end(at: Desk, sim: Simulator) -> None:
    preface = "<thinking>" + "Let me look at the invoice once more. " * 60 + "</thinking>\n\nHere it is:\n"
    sim.play(saying(f"{preface}{json.dumps(GOOD)}"))
    reply = await at.call("extract_json", schema=SCHEMA, text=TEXT)
    assert facts(reply)["data"] == GOOD
    assert len(sim.calls) == 1


@pytest.mark.parametrize("answer", ["12", "12.5", "-1"])
async def test_a_number_alone_that_was_cut_is_given_as_no_part(at: Desk, sim: Simulator, answer: str) -> None:
    sim.play(f"length text={answer}")
    reply = await at.call("extract_json", schema={"type": "number"}, text=TEXT)
    assert facts(reply)["status"] == "partial"
    assert "valid_part" not in facts(reply)
    assert "The part that conforms" not in reply.text


async def test_the_part_of_a_cut_answer_names_its_exact_numbers(at: Desk, sim: Simulator) -> None:
    cut = '{"id": 653247040368672769, "total": 12.50, "more": "' + "x" * 400
    sim.play(f"length text={shlex.quote(cut)}")
    schema = {"type": "object", "required": ["id", "total", "more"]}
    reply = await at.call("extract_json", schema=schema, text=TEXT)
    found = facts(reply)
    assert found["valid_part"] == {"id": 653247040368672769, "total": 12.5}
    assert found["exact_numbers"] == {"/id": "653247040368672769"}
    assert '"total": 12.50' in reply.text


async def test_a_stream_that_was_closed_early_says_that_its_tokens_were_not_all_counted(at: Desk) -> None:
    reply = await at.call("extract_json", schema=SCHEMA, text=f"{TEXT} [[sim:blank-json]]")
    assert facts(reply)["data"] == GOOD
    assert facts(reply)["notes"] == [
        "After the JSON came only white space, so the stream was closed; not all tokens were counted."
    ]
    assert "not all tokens were counted. (" in reply.text.splitlines()[-1]
