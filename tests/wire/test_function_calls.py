"""Function calls come in pieces, and around Gemini nothing about the pieces is certain but the arguments."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import fold

from runapi_mcp.models import DialectName
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.function_calls import GrowingCalls
from runapi_mcp.wire.types import Event, Frame, FunctionCall, FunctionCallDelta

OSLO, ROME = '{"city":"Oslo"}', '{"city":"Rome"}'
HEAD, _OSLO, _ROME = '{"city":', '"Oslo"}', '"Rome"}'


def put_together(*pieces: tuple[int | None, str, str, str]) -> list[tuple[str, str, str]]:
    """Return what calls the pieces (index, id, name, arguments) make, as (id, name, arguments)."""
    calls = GrowingCalls()
    for piece in pieces:
        calls.add(FunctionCallDelta(*piece))
    assert calls.size >= sum(len(call.name) + len(call.arguments) for call in calls.joined())
    return [(call.id, call.name, call.arguments) for call in calls.joined()]


TWO = [("a", "f", OSLO), ("b", "f", ROME)]


@pytest.mark.parametrize(
    "pieces",
    [
        # As OpenAI has it, and in turns.
        [(0, "a", "f", ""), (0, "", "", OSLO), (1, "b", "f", ""), (1, "", "", ROME)],
        [(0, "a", "f", HEAD), (1, "b", "f", HEAD), (0, "", "", _OSLO), (1, "", "", _ROME)],
        # Google's OpenAI layer: each on index 0, or on none.
        [(0, "a", "f", OSLO), (0, "b", "f", ROME)],
        [(None, "a", "f", OSLO), (None, "b", "f", ROME)],
        # The id on every piece; both begun before either goes on.
        [(0, "a", "f", HEAD), (0, "a", "", _OSLO), (0, "b", "f", HEAD), (0, "b", "", _ROME)],
        [(0, "a", "f", ""), (0, "b", "f", ""), (0, "a", "", OSLO), (0, "b", "", ROME)],
        [(None, "a", "f", HEAD), (None, "b", "f", HEAD), (None, "a", "", _OSLO),
         (None, "b", "", _ROME)],
        # The name on every piece.
        [(0, "a", "f", HEAD), (0, "", "f", _OSLO), (1, "b", "f", HEAD), (1, "", "f", _ROME)],
        # All once more at the end, in its place, on another index, spaced differently, or without an id.
        [(0, "a", "f", OSLO), (1, "b", "f", ROME), (0, "a", "f", OSLO), (1, "b", "f", ROME)],
        [(None, "a", "f", OSLO), (None, "b", "f", ROME), (0, "a", "f", OSLO), (1, "b", "f", ROME)],
        [(0, "a", "f", OSLO), (0, "b", "f", ROME), (1, "b", "f", ROME), (5, "a", "f", OSLO)],
        [(0, "a", "f", OSLO), (1, "b", "f", ROME), (1, "b", "f", '{ "city": "Rome" }')],
        [(0, "a", "f", OSLO), (1, "b", "f", ROME), (0, "", "", OSLO), (1, "", "f", ROME)],
        # A placeholder before the arguments.
        [(0, "a", "f", "{}"), (0, "", "", OSLO), (1, "b", "f", " {} "), (1, "b", "", ROME)],
    ],
)  # fmt: skip
def test_two_calls_are_two_however_they_come(pieces: list[tuple[int | None, str, str, str]]) -> None:
    assert put_together(*pieces) == TWO


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, "a", "f", ""), (0, "", "", OSLO), (0, "", "", ROME)],
        [(0, "a", "f", ""), (0, "", "", OSLO + ROME)],
        [(0, "a", "f", '{"city":'), (0, "", "", '"Oslo"} \n {"ci'), (0, "", "", 'ty":"Rome"}')],
        [(0, "a", "f", OSLO), (0, "", "f", ""), (0, "", "", ROME)],
        [(0, "a", "f", OSLO), (0, "", "f", ROME)],
        [(None, "a", "f", OSLO), (None, "", "", ROME)],
    ],
)
def test_a_second_object_without_an_id_is_a_call_of_the_same_function(
    pieces: list[tuple[int | None, str, str, str]],
) -> None:
    assert put_together(*pieces) == [("a", "f", OSLO), ("call_f_2", "f", ROME)]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([(0, "", "f", OSLO), (1, "", "f", ROME)], [("call_f_1", "f", OSLO), ("call_f_2", "f", ROME)]),
        ([(0, "", "f", ""), (0, "", "g", OSLO)], [("call_f_1", "f", ""), ("call_g_1", "g", OSLO)]),
        ([(0, "", "get", ""), (0, "", "get_city", OSLO)], [("call_get_city_1", "get_city", OSLO)]),
        ([(0, "", "f", "{}"), (0, "", "f", OSLO)], [("call_f_1", "f", "{}"), ("call_f_2", "f", OSLO)]),
        ([(0, "x", "f", OSLO), (1, "x", "f", ROME)], [("x", "f", OSLO), ("call_f_2", "f", ROME)]),
        ([(0, "x", "f", OSLO), (0, "x", "g", ROME)], [("x", "f", OSLO), ("call_g_1", "g", ROME)]),
        ([(0, "x", "f", OSLO), (0, "x", "f", ROME)], [("x", "f", OSLO), ("call_f_2", "f", ROME)]),
        ([(0, "call_f_1", "f", "{}"), (1, "", "f", "")], [("call_f_1", "f", "{}"), ("call_f_2", "f", "")]),
        ([(0, "", "f", "{}"), (1, "call_f_1", "f", "")], [("call_f_2", "f", "{}"), ("call_f_1", "f", "")]),
        ([(None, "", "f", "{}"), (None, "", "f", "{}")], [("call_f_1", "f", "{}"), ("call_f_2", "f", "{}")]),
        ([(None, "", "f", '{"a"'), (None, "", "f", ":1}")], [("call_f_1", "f", '{"a":1}')]),
        ([(1, "b", "g", "{}"), (0, "a", "f", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([(3, "a", "f", "{"), (3, "", "", "}")], [("a", "f", "{}")]),
        ([(0, "a", "f", '"{\\"x\\"'), (0, "", "", ':1}"')], [("a", "f", '{"x":1}')]),
        ([(0, "a", "f", '{"a":"}{"'), (0, "", "", ',"b":"\\"}"}')], [("a", "f", '{"a":"}{","b":"\\"}"}')]),
        ([(0, "a", "f", '{"a":'), (0, "", "", '{"a":1}'), (0, "", "", "}")], [("a", "f", '{"a":{"a":1}}')]),
        ([(0, "a", "f", '{"a":1}'), (0, "", "", "}")], [("a", "f", '{"a":1}}')]),
        ([(0, "a", "", ""), (0, "", "f", OSLO)], [("a", "f", OSLO)]),
        ([(0, "", "f", OSLO), (0, "a", "f", OSLO)], [("a", "f", OSLO)]),
        ([(0, "a", "f", '{"a": true}'), (0, "a", "f", '{"a": 1}')],
         [("a", "f", '{"a": true}'), ("call_f_2", "f", '{"a": 1}')]),
    ],
)  # fmt: skip
def test_a_call_is_told_from_another_by_whatever_there_is(
    pieces: list[tuple[int | None, str, str, str]], calls: list[tuple[str, str, str]]
) -> None:
    assert put_together(*pieces) == calls


arguments = st.dictionaries(
    st.text(max_size=3), st.text(max_size=5) | st.integers() | st.just({"{": '"'}), max_size=3
).map(lambda value: json.dumps(value, ensure_ascii=False))


@st.composite
def _asked(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[FunctionCallDelta]]:
    """Different calls as (name, arguments), and the pieces in which some upstream sends them."""
    made = draw(st.lists(st.tuples(st.sampled_from("fg"), arguments), min_size=1, max_size=5, unique=True))
    index, ids, again = draw(st.sampled_from("0n-")), draw(st.booleans()), draw(st.booleans())
    pieces = []
    for place, (name, text) in enumerate(made):
        at = None if index == "-" else place if index == "n" else 0
        cut = draw(st.integers(0, len(text)))
        call_id = f"id{place}" if ids or index != "n" else ""
        pieces.append(FunctionCallDelta(at, call_id, name, text[:cut]))
        pieces.append(FunctionCallDelta(at, "", "", text[cut:]))
        if again:
            pieces.append(FunctionCallDelta(at, call_id, name, text))
    return made, pieces


@given(_asked())
def test_no_call_is_lost_or_doubled_whoever_sends_it(
    asked: tuple[list[tuple[str, str]], list[FunctionCallDelta]],
) -> None:
    made, pieces = asked
    folded = fold(pieces).partial().function_calls
    assert [(call.name, call.arguments) for call in folded] == made
    assert len({call.id for call in folded}) == len(made)


any_pieces = st.lists(
    st.builds(
        FunctionCallDelta,
        st.none() | st.integers(-1, 2),
        *[st.sampled_from(["", "a", "b"])] * 2,
        st.sampled_from(["", "{", "}", "{}", '{"a":1}', '"', "\\", " ", "[", "x"]),
    )
)


@given(any_pieces)
def test_whatever_pieces_come_every_call_has_an_id_of_its_own(pieces: Sequence[FunctionCallDelta]) -> None:
    folded = fold(pieces)
    calls = folded.partial().function_calls
    assert len({call.id for call in calls}) == len(calls)
    assert all(call.id for call in calls)
    # An empty place in a relay's list is no call.
    assert bool(calls) is any(piece.id or piece.name or piece.arguments.strip() for piece in pieces)
    assert folded.size >= sum(len(call.name) + len(call.arguments) for call in calls)


def test_no_more_calls_are_kept_than_anybody_can_make() -> None:
    assert len(put_together((0, "a", "f", '{"a":1}' * 10_000))) == 256
    assert len(put_together(*((n, f"id{n}", "f", "{}") for n in range(1_000)))) == 256


# ---------------------------------------------------------------- on the wire


def asked_for(dialect: DialectName, *chunks: Any) -> tuple[FunctionCall, ...]:
    decoder = dialects("/v1")[dialect].decoder()
    events = [event for chunk in chunks for event in decoder.decode(Frame(json.dumps(chunk)))]
    return fold([*events, *decoder.end()]).partial().function_calls


def test_a_message_at_the_end_says_the_calls_again() -> None:
    call = {"function": {"name": "f", "arguments": OSLO}}
    other = {"function": {"name": "f", "arguments": ROME}}
    pieces = [{"choices": [{"delta": {"tool_calls": [{"index": 0, **call}, {"index": 1, **other}]}}]}]
    whole = {"choices": [{"message": {"tool_calls": [call, other]}, "finish_reason": "tool_calls"}]}
    expected = (FunctionCall("call_f_1", "f", OSLO), FunctionCall("call_f_2", "f", ROME))
    assert asked_for("chat", *pieces, whole) == expected
    assert asked_for("chat", whole) == expected


def test_two_calls_that_are_the_same_on_native_are_two() -> None:
    part = {"functionCall": {"name": "f", "args": {}}}
    chunk = {"candidates": [{"content": {"parts": [part, part]}}]}
    assert [call.id for call in asked_for("native", chunk)] == ["call_f_1", "call_f_2"]
    named = {"functionCall": {"id": "x", "name": "f", "args": {}}}
    again = {"candidates": [{"content": {"parts": [named]}, "finishReason": "STOP"}]}
    assert [call.id for call in asked_for("native", again, again)] == ["x"]


CALLED_PART = {"functionCall": {"name": "w", "args": {"c": 1}}}


@pytest.mark.parametrize("finishes", [(None, "STOP"), ("STOP", "STOP")])
def test_a_last_chunk_that_calls_again_what_was_just_called_calls_nothing_twice(
    finishes: tuple[str | None, str],
) -> None:
    decoder = dialects("/v1")["native"].decoder()
    events: list[Event] = []
    for finish in finishes:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [CALLED_PART]}}
        chunk = {"candidates": [candidate | ({"finishReason": finish} if finish else {})]}
        events += decoder.decode(Frame(json.dumps(chunk)))
    [call] = fold([*events, *decoder.end()]).partial().function_calls
    assert (call.name, call.arguments) == ("w", '{"c": 1}')


def test_two_equal_calls_in_one_chunk_are_two() -> None:
    decoder = dialects("/v1")["native"].decoder()
    candidate = {"content": {"role": "model", "parts": [CALLED_PART, CALLED_PART]}, "finishReason": "STOP"}
    events = decoder.decode(Frame(json.dumps({"candidates": [candidate]})))
    assert len(fold([*events, *decoder.end()]).partial().function_calls) == 2
