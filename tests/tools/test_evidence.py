"""extract_json says where its values stand: little of it at once, more to programs, all to who asks."""

import base64
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools.extract import EVIDENCE
from tools.calling import Desk, desk, facts

TEXT = "Rechnung 17 vom 4. März 2026: 1.234,50 € für Ada."
ANY: dict[str, Any] = {"type": "object"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
VALUE = {"number": 17, "date": "2026-03-04", "total": 1234.5, "currency": "EUR", "name": "Ada", "paid": True}


@pytest.fixture
async def at(sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim) as opened:
        yield opened


def saying(answer: Any) -> str:
    return f"default text={shlex.quote(json.dumps(answer))}"


async def test_a_few_values_come_with_their_places_and_quotes_that_differ(at: Desk, sim: Simulator) -> None:
    sim.play(saying(VALUE))
    reply = await at.call("extract_json", schema=ANY, text=TEXT)
    evidence: Any = facts(reply)["evidence"]
    assert json.loads(reply.text) == VALUE, "the text has the JSON alone"
    assert evidence["/name"] == {"start": 45, "end": 48}
    assert evidence["/date"]["quote"] == "4. März 2026"
    assert evidence["/total"]["quote"] == "1.234,50"
    assert evidence["/currency"]["quote"] == "€"
    assert evidence["/paid"] == "inferred"
    for place in evidence.values():
        if isinstance(place, dict) and "quote" in place:
            assert TEXT[place["start"] : place["end"]] == place["quote"]
    assert reply.meta == {}


async def test_what_stands_nowhere_is_named_in_one_sentence_in_both_halves(at: Desk, sim: Simulator) -> None:
    sim.play(saying({**VALUE, "due": "2031-01-01", "order": "PO-9"}))
    reply = await at.call("extract_json", schema=ANY, text=TEXT)
    said = "2 of 8 values stand nowhere in the text: /due, /order."
    assert facts(reply)["notes"] == [said]
    assert said in reply.said
    assert facts(reply)["evidence"]["/due"] is None


async def test_evidence_is_left_out_if_not_wanted(at: Desk, sim: Simulator) -> None:
    sim.play(saying({"name": "Grace"}))
    reply = await at.call("extract_json", schema=ANY, text=TEXT, evidence=False)
    assert "evidence" not in facts(reply)
    assert "notes" not in facts(reply)
    with pytest.raises(InputError, match="the call left it out"):
        await at.call("get_result", handle=reply.handle, evidence=True)


async def test_much_evidence_goes_to_programs_and_to_who_asks(at: Desk, sim: Simulator) -> None:
    rows = [{"name": f"Item {number}", "price": number} for number in range(100, 160)]
    text = "\n".join(f"Item {number}: {number},00 EUR" for number in range(100, 160))
    sim.play(saying(rows))
    reply = await at.call("extract_json", schema=ANY, text=text, many=True)
    told = facts(reply)["evidence"]
    assert told == f"get_result with handle {reply.handle} and evidence true has it"
    places: Any = reply.meta[EVIDENCE]
    assert len(places) == 120
    asked = await at.call("get_result", handle=reply.handle, evidence=True)
    assert facts(asked)["evidence"] == json.loads(asked.text) == places


async def test_evidence_that_does_not_fit_a_page_is_given_in_pages(sim: Simulator) -> None:
    rows = [{"name": f"Item {number}"} for number in range(1000, 3000)]
    sim.play(saying(rows))
    async with desk(sim) as at:
        text = "\n".join(f"Item {number}" for number in range(1000, 3000))
        reply = await at.call("extract_json", schema=ANY, text=text, many=True)
        assert EVIDENCE not in reply.meta, "so much is for nobody who did not ask"
        whole, offset = "", 0
        while True:
            page = facts(await at.call("get_result", handle=reply.handle, evidence=True, offset=offset))
            whole += page["raw"]
            if "next_offset" not in page:
                break
            offset = page["next_offset"]
    assert len(json.loads(whole)) == 2_000


async def test_of_images_evidence_is_null_and_that_is_said_once(at: Desk, sim: Simulator) -> None:
    pixel = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    sim.play(saying({"name": "Ada"}))
    reply = await at.call("extract_json", schema=ANY, files=[pixel])
    assert facts(reply)["evidence"] is None
    assert facts(reply)["notes"] == ["Evidence is null: the material is no text."]


async def test_of_files_the_file_is_named(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ada was here\n", "utf-8")
    (tmp_path / "b.txt").write_text("\n\nBorn in 1815\n", "utf-8")
    sim.play(saying({"name": "Ada", "born": 1815}))
    async with desk(sim, allow_dirs=(tmp_path,)) as at:
        reply = await at.call(
            "extract_json", schema=ANY, files=[str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
        )
    assert facts(reply)["evidence"] == {
        "/name": {"start": 0, "end": 3, "file": "a.txt"},
        "/born": {"start": 10, "end": 14, "file": "b.txt"},
    }


async def test_evidence_of_another_tool_is_refused(at: Desk) -> None:
    reply = await at.call("ask_gemini", prompt="Q")
    with pytest.raises(InputError, match="the handle is of ask_gemini"):
        await at.call("get_result", handle=reply.handle, evidence=True)
