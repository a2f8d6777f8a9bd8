"""The machinery of `make eval`: what it asks, how it judges, what it says before it costs anything."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.eval import __main__ as program
from benchmarks.eval import ask
from benchmarks.eval.judge import judge_answer, judge_document, schema_of, wanted
from runapi_mcp.sim import Simulator


async def test_the_simulator_is_asked_all_of_it_and_what_is_wrong_with_its_answers_is_counted() -> None:
    said: list[str] = []
    async with ask.simulated() as (sim, env):
        answered = await ask.ask_all(env, together=1, say=said.append, sim=sim)
    assert Counter(one.verdict for one in answered.questions) == {"right": 27, "wrong": 1, "none": 2}
    assert Counter(one.verdict for one in answered.documents) == {"right": 16, "wrong": 3, "none": 1}
    off = " ".join(one.said for one in answered.documents if one.said)
    assert off == "/rebate: made up (7) /shop: wrong ('Somewhere else') partial /city: missing (None)"
    assert answered.documents[2].receipt["requests"] == 2, "what does not conform is asked for again"
    assert len(said) == 50
    table = program.write_table(answered, "the simulator")
    assert "| questions answered right | 27 of 30 | 90% |" in table
    assert "| fields made up that stand nowhere | 1 of 20 | 5% |" in table


async def test_nothing_is_asked_before_what_it_costs_was_said_and_agreed_to(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNAPI_TOKEN", "sk-canary-0123456789")
    monkeypatch.setenv("RUNAPI_BASE_URL", sim.base_url)
    given = argparse.Namespace(simulated=False, yes=False, out=tmp_path / "eval.json")
    with pytest.raises(SystemExit, match="Nothing was asked"):
        await program.evaluate(given)
    said = capsys.readouterr().out
    assert "This costs money: 30 calls of gemini-2.5-flash, about 75,000 tokens" in said
    assert "20 calls of gemini-3-flash-preview" in said
    assert not sim.calls
    assert not given.out.exists(), "and nothing is written"


@pytest.mark.parametrize(
    ("answer", "accept", "right"),
    [
        ("It was signed in **1648**.[1]", ["1648"], True),
        ("In 16480 BC", ["1648"], False),
        ("A height of 8,848.86 m", ["8848.86", "8,848.86"], True),
        ("Antonin DVORAK wrote it", ["Dvořák"], True),
        ("最も深い湖は田沢湖です。", ["田沢湖"], True),
        ("It is licensed as Apache-2.0", ["Apache-2.0"], True),
        ("The twenty-two moons", ["2"], False),
    ],
)
def test_an_answer_is_right_where_an_accepted_word_stands_in_it(
    answer: str, accept: list[str], *, right: bool
) -> None:
    told = {"status": "complete", "answer": answer}
    assert judge_answer("q", accept, told).verdict == ("right" if right else "wrong")


def test_an_answer_rests_on_a_source_where_the_stretch_that_has_it_does() -> None:
    told: dict[str, Any] = {
        "status": "complete",
        "answer": "It was Pei. He was born in 1917.",
        "sources": [{}],
    }
    elsewhere = [{"text": "He was born in 1917.", "sources": [1]}]
    assert not judge_answer("q", ["Pei"], told | {"supports": elsewhere}).counts["rests"]
    there = [{"text": "It was Pei.", "sources": [1]}]
    assert judge_answer("q", ["Pei"], told | {"supports": there}).counts["rests"] == 1


def test_every_document_is_asked_for_what_stands_in_it_and_for_what_does_not() -> None:
    papers = ask.documents()
    assert len(papers) == 20
    assert len(ask.QUESTIONS) == 30
    for paper in papers:
        assert None in wanted(paper).values()
        evidence: dict[str, Any] = {
            pointer: {"start": place[0], "end": place[1]} for pointer, place in wanted(paper).items() if place
        }
        told = {"status": "complete", "data": paper.value}
        judged = judge_document(paper, told, evidence)
        assert judged.counts["right"] == judged.counts["placed"] == len(evidence)
        assert judged.counts["made up"] == len(wanted(paper)) - len(evidence)
        assert schema_of(paper)["type"] == "object"
