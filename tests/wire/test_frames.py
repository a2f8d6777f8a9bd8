"""Every stream of ``frames/`` through the real path: whole, byte by byte, and cut at every byte."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import FRAMES, fold, joined, plain, read

from runapi_mcp.errors import Interrupted, RunapiError
from runapi_mcp.models import DialectName
from runapi_mcp.wire.types import Answer

NAMES = sorted(path.stem for path in FRAMES.glob("*.sse"))
SMALL = 330


def golden(name: str) -> tuple[bytes, dict[str, Any], DialectName]:
    expected = json.loads((FRAMES / f"{name}.expected.json").read_text())
    return (FRAMES / f"{name}.sse").read_bytes(), expected, expected["dialect"]


def shown(answer: Answer, asked: dict[str, Any]) -> dict[str, Any]:
    every = {
        "text": answer.text,
        "thoughts": answer.thoughts,
        "sources": [source.url for source in answer.grounding.sources],
        "calls": [[call.id, call.name, call.arguments] for call in answer.function_calls],
        "finish": answer.finish.reason if answer.finish else None,
    }
    return {key: every[key] for key in asked}


def test_every_stream_has_its_expectation_beside_it() -> None:
    assert len(NAMES) > 60
    assert {path.name.partition(".")[0] for path in FRAMES.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
async def test_a_golden_stream_gives_the_expected_events(name: str) -> None:
    octets, expected, dialect = golden(name)
    events, error = await read([octets], dialect)
    assert error is None
    assert expected["events"] == plain(joined(events))


@pytest.mark.parametrize("name", NAMES)
async def test_a_golden_stream_folds_to_the_expected_end(name: str) -> None:
    octets, expected, dialect = golden(name)
    folded = fold((await read([octets], dialect))[0])
    if "answer" in expected:
        assert shown(folded.answer(), expected["answer"]) == expected["answer"]
        return
    with pytest.raises(RunapiError) as raised:
        folded.answer()
    assert type(raised.value).__name__ == expected["error"]
    if isinstance(raised.value, Interrupted):
        assert raised.value.partial == expected["partial"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_stream_that_arrives_byte_by_byte_gives_the_same_events(name: str) -> None:
    octets, expected, dialect = golden(name)
    for content_type in ("text/event-stream", "text/plain"):
        events, error = await read((octets[i : i + 1] for i in range(len(octets))), dialect,
                                   content_type=content_type)  # fmt: skip
        assert error is None
        assert plain(joined(events)) == expected["events"]


@pytest.mark.parametrize("name", [name for name in NAMES if len(golden(name)[0]) <= SMALL])
async def test_a_stream_cut_in_two_at_any_byte_gives_the_same_events(name: str) -> None:
    octets, _, dialect = golden(name)
    whole = joined((await read([octets], dialect))[0])
    for cut in range(1, len(octets)):
        events, error = await read([octets[:cut], octets[cut:]], dialect)
        assert error is None, cut
        assert joined(events) == whole, cut


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(NAMES), cuts=st.lists(st.integers(0, 2_000), max_size=12))
async def test_a_stream_in_random_pieces_gives_the_same_events(name: str, cuts: list[int]) -> None:
    octets, expected, dialect = golden(name)
    places = sorted({0, len(octets), *(min(cut, len(octets)) for cut in cuts)})
    pieces = [octets[a:b] for a, b in pairwise(places)]
    events, error = await read(pieces, dialect)
    assert error is None
    assert plain(joined(events)) == expected["events"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_prefix_of_a_stream_is_an_answer_only_once_its_finish_has_come(name: str) -> None:
    octets, expected, dialect = golden(name)
    for cut in range(0, len(octets), 5):
        events, error = await read([octets[:cut]], dialect)
        folded = fold(events)
        if error is not None or folded.error() is not None:
            continue
        names = [type(event).__name__ for event in events]
        assert {"Finish", "PromptBlocked"} & set(names)
        assert folded.partial().text == expected["answer"]["text"]
