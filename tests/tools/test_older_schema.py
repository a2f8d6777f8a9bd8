"""A relay that has not all words of JSON Schema: an extraction is asked again in others, once."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runapi_mcp.sim import Simulator
from tools.calling import Desk, desk, facts

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": ["string", "null"]}},
    "required": ["name"],
    "additionalProperties": False,
}
LOOP: dict[str, Any] = {
    "$ref": "#/$defs/n",
    "$defs": {
        "n": {"type": "object", "properties": {"name": {"type": "string"}, "of": {"$ref": "#/$defs/n"}}}
    },
}


@pytest.fixture(params=["chat", "native"])
async def at(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim, dialect=request.param) as opened:
        yield opened


def sent(sim: Simulator) -> list[str]:
    return [json.dumps(call.body) for call in sim.calls]


async def test_it_is_asked_again_and_the_model_is_remembered(at: Desk, sim: Simulator) -> None:
    reply = await at.call("extract_json", schema=SCHEMA, text="name: Ada [[sim:older-schema]]")
    assert not reply.is_error
    assert facts(reply)["status"] == "complete"
    wide, narrow = sent(sim)
    assert "additionalProperties" in wide
    assert "additionalProperties" not in narrow
    assert '"nullable": true' in narrow
    again = await at.call("extract_json", schema=SCHEMA, text="name: Bea [[sim:older-schema]]")
    assert not again.is_error
    assert len(sim.calls) == 3


async def test_what_has_no_older_word_is_told_in_words(at: Desk, sim: Simulator) -> None:
    reply = await at.call(
        "extract_json", schema=LOOP, text='name: Ada [[sim:older-schema text=\'{"name":"A"}\']]'
    )
    assert facts(reply)["data"] == {"name": "A"}
    assert "conforms to this JSON Schema" in sent(sim)[1]


async def test_one_that_is_refused_again_is_told_as_what_it_is(at: Desk, sim: Simulator) -> None:
    reply = await at.call("extract_json", schema=SCHEMA, text="name: Ada [[sim:older-schema any=minItems]]")
    assert reply.is_error
    assert "make the schema simpler" in reply.text
    assert len(sim.calls) == 2
    await at.call("extract_json", schema=SCHEMA, text="name: Bea")
    assert "additionalProperties" in sent(sim)[2], "nothing is to be remembered of that"


async def test_an_error_at_status_200_says_the_same(at: Desk, sim: Simulator) -> None:
    reply = await at.call("extract_json", schema=SCHEMA, text="name: Ada [[sim:older-schema status=200]]")
    assert not reply.is_error
    assert len(sim.calls) == 2


async def test_a_refusal_of_what_the_caller_wrote_is_not_asked_again(at: Desk, sim: Simulator) -> None:
    reply = await at.call("extract_json", schema=SCHEMA, text="name: Ada [[sim:error-e]]")
    assert reply.is_error
    assert len(sim.calls) == 1
