"""A field that is not what it should be costs itself, and never the text beside it."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from streams import FRAMES, fold

from runapi_mcp.errors import ProtocolError
from runapi_mcp.models import DialectName
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.types import Answer, Event, Finish, Frame, FunctionCall, Served, TextDelta, Usage

Path: TypeAlias = tuple[str | int, ...]

THE_TEXT = {
    *("choices", "delta", "message", "content", "extra_content", "google"),
    *("candidates", "parts", "text", "thought"),
}
"""Members that hold the text, or say which text it is."""
HUGE = "a number of five thousand digits"


def written(chunk: object) -> str:
    return json.dumps(chunk).replace(json.dumps(HUGE), "9" * 5_000)


def answered(dialect: DialectName, frames: list[Frame]) -> Answer:
    decoder = dialects("/v1")[dialect].decoder()
    events = [event for frame in frames for event in decoder.decode(frame)]
    return fold([*events, *decoder.end()]).partial()


def events(dialect: DialectName, *chunks: object) -> list[Event]:
    decoder = dialects("/v1")[dialect].decoder()
    found = [event for chunk in chunks for event in decoder.decode(Frame(written(chunk)))]
    return [*found, *decoder.end()]


def chunks_of(octets: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among the events of a golden stream, without another reader's help."""
    lines = octets.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    for block in lines.split("\n\n"):
        held = [line[5:] for line in block.split("\n") if line.startswith("data:")]
        try:
            chunk = json.loads("\n".join(held))
        except ValueError:
            continue
        if isinstance(chunk, dict):
            yield chunk


@cache
def golden() -> list[tuple[str, DialectName, list[dict[str, Any]]]]:
    """Return the golden streams that have text, by name, as the chunks they are made of."""
    found = []
    for path in sorted(FRAMES.glob("*.sse")):
        dialect: DialectName = json.loads(path.with_suffix(".expected.json").read_text())["dialect"]
        chunks = [*chunks_of(path.read_bytes())]
        if chunks and answered(dialect, [Frame(json.dumps(chunk)) for chunk in chunks]).text:
            found.append((path.stem, dialect, chunks))
    return found


def fields(value: object, at: Path = ()) -> Iterator[Path]:
    """Yield the place of every member of every object that is not the text, nor around it."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, (*at, index))
    if isinstance(value, dict):
        for name, member in value.items():
            if name not in THE_TEXT:
                yield (*at, name)
            yield from fields(member, (*at, name))


def replaced(value: Any, at: Path, odd: object) -> Any:
    if not at:
        return odd
    step, *rest = at
    members = enumerate(value) if isinstance(value, list) else value.items()
    changed = {key: replaced(member, tuple(rest), odd) if key == step else member for key, member in members}
    return [*changed.values()] if isinstance(value, list) else changed


oddities: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from([None, True, False, 0, -1, 7, 1.5, 10**30, 1e308, float("inf"), HUGE]),
        st.sampled_from(["", "x", "7", "\ud83d", "x" * 10_000]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["web", "name", "url", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def says_something(field: str | int, odd: object) -> bool:
    """Whether a value is not odd here: another choice's number, or a finish."""
    number = isinstance(odd, int | float | str) or odd == HUGE
    return (field == "index" and number) or (field in ("finish_reason", "finishReason") and bool(odd))


@given(st.data(), oddities)
def test_the_text_of_a_stream_survives_any_odd_field_beside_it(data: st.DataObject, odd: object) -> None:
    _, dialect, chunks = data.draw(st.sampled_from(golden()))
    place = data.draw(st.integers(0, len(chunks) - 1))
    at = data.draw(st.sampled_from([*fields(chunks[place])] or [()]))
    assume(at and not (isinstance(odd, str) and says_something(at[-1], odd)))
    assume(not says_something(at[-1], odd) or at[-1] != "index")
    told = [*chunks]
    told[place] = replaced(chunks[place], at, odd)
    before = answered(dialect, [Frame(json.dumps(chunk)) for chunk in chunks])
    assert answered(dialect, [Frame(written(chunk)) for chunk in told]).text == before.text


CHAT = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
NATIVE = {"candidates": [{"index": 0, "content": {"parts": [{"text": "a"}]}}]}
ODD = [None, 5, 1.5, "x", [], [5], {}, {"x": 5}, HUGE, float("inf")]


def at_chunk(chunk: dict[str, Any], name: str, odd: object) -> dict[str, Any]:
    return chunk | {name: odd}


def at_choice(chunk: dict[str, Any], name: str, odd: object) -> dict[str, Any]:
    return {key: [choices[0] | {name: odd}] for key, choices in chunk.items()}


def at_delta(chunk: dict[str, Any], name: str, odd: object) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": "a", name: odd}}]}


def at_part(chunk: dict[str, Any], name: str, odd: object) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": "a", name: odd}]}}]}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("dialect", "put", "name"),
    [
        *[("chat", at_chunk, name) for name in ("usage", "model", "groundingMetadata", "status", "id")],
        *[("chat", at_choice, name) for name in ("groundingMetadata", "logprobs", "error")],
        *[("chat", at_delta, name) for name in ("reasoning_content", "tool_calls", "annotations", "role")],
        *[("native", at_chunk, name) for name in ("usageMetadata", "modelVersion", "promptFeedback")],
        *[("native", at_choice, name) for name in ("finishMessage", "groundingMetadata")],
        *[("native", at_part, name) for name in ("thoughtSignature", "functionCall")],
    ],
)
def test_the_text_of_a_chunk_survives_an_odd_neighbour(
    dialect: DialectName, put: Callable[..., Any], name: str, odd: object
) -> None:
    chunk = put(CHAT if dialect == "chat" else NATIVE, name, odd)
    found = events(dialect, chunk)
    assert "".join(event.text for event in found if isinstance(event, TextDelta)) == "a"


@pytest.mark.parametrize("odd", [1.5, [], {}, True, float("inf")])
def test_a_finish_that_is_no_word_is_none_and_the_text_counts(odd: object) -> None:
    said = {"choices": [{"delta": {"content": "a"}, "finish_reason": odd}]}
    assert events("chat", said) == [TextDelta("a")]
    told = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": odd}]}
    assert events("native", told) == [TextDelta("a")]


def test_a_null_beside_the_text_is_nothing() -> None:
    assert events("chat", {"choices": [{"delta": {"content": [None, {"text": "a"}]}}]}) == [TextDelta("a")]
    assert events("chat", {"choices": [None, {"delta": {"content": "a"}}]}) == [TextDelta("a")]
    candidate = {"content": {"parts": [None, {"text": "a"}]}}
    assert events("native", {"candidates": [None, candidate]}) == [TextDelta("a")]


@pytest.mark.parametrize(
    ("dialect", "chunk"),
    [
        ("chat", {"choices": [{"delta": {"content": 5}}]}),
        ("chat", {"choices": [{"delta": {"content": [{"text": 5}]}}]}),
        ("chat", {"choices": [{"delta": {"content": ["a"]}}]}),
        ("chat", {"choices": {"0": {"delta": {"content": "a"}}}}),
        ("native", {"candidates": [{"content": {"parts": [{"text": 5}]}}]}),
        ("native", {"candidates": [{"content": {"parts": ["a"]}}]}),
        ("native", {"candidates": [{"content": "a"}]}),
    ],
)
def test_text_that_cannot_be_read_is_never_left_out_in_silence(dialect: DialectName, chunk: object) -> None:
    with pytest.raises(ProtocolError, match="could not be read"):
        events(dialect, chunk)


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 1.5, "completion_tokens": "7"}, [Usage(None, 7)]),
        ({"prompt_tokens": 3, "completion_tokens": -1, "total_tokens": 9}, [Usage(3, 0, 6)]),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": HUGE}, [Usage(3, 2)]),
        ({"prompt_tokens": 10**30, "completion_tokens": 2}, [Usage(None, 2)]),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": "x"}}, [Usage(3)]),
        ({"prompt_tokens": 3, "completion_tokens_details": [5]}, [Usage(3)]),
        ({"prompt_tokens": 1.5, "completion_tokens": []}, []),
        ({"prompt_tokens": float("inf")}, []),
        ({}, []),
        ([], []),
        ("7", []),
    ],
)
def test_usage_that_cannot_be_read_is_absent(told: object, usage: list[Usage]) -> None:
    assert events("chat", CHAT | {"usage": told}) == [*usage, TextDelta("a")]


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"promptTokenCount": 1.5, "totalTokenCount": "x"}, []),
        ({"promptTokenCount": 3, "candidatesTokenCount": 1.5}, [Usage(3)]),
        ({"promptTokenCount": 3, "toolUsePromptTokenCount": "x"}, [Usage(3)]),
        ({"promptTokenCount": -3, "thoughtsTokenCount": 2}, [Usage(thinking=2)]),
        ({"cachedContentTokenCount": 10**30, "candidatesTokenCount": 2}, [Usage(None, 2)]),
        (5, []),
    ],
)
def test_native_usage_that_cannot_be_read_is_absent(told: object, usage: list[Usage]) -> None:
    assert events("native", NATIVE | {"usageMetadata": told}) == [*usage, TextDelta("a")]


# ---------------------------------------------------------------- choices


def said(*choices: tuple[int | None, str]) -> dict[str, Any]:
    return {
        "choices": [
            {"delta": {"content": text}} | ({} if index is None else {"index": index})
            for index, text in choices
        ]
    }


def shown(*candidates: tuple[int | None, str]) -> dict[str, Any]:
    return {
        "candidates": [
            {"content": {"parts": [{"text": text}]}} | ({} if index is None else {"index": index})
            for index, text in candidates
        ]
    }


@pytest.mark.parametrize("make", [said, shown])
@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([[(0, "A1 ")], [(1, "B1 ")], [(0, "A2")]], "A1 A2"),
        ([[(1, "B"), (0, "A")], [(0, "2")]], "A2"),
        ([[(None, "A")], [(1, "B")], [(None, "2")]], "A2"),
        ([[(None, "A"), (1, "B")], [(0, "2")]], "A2"),
        ([[(None, "A"), (None, "B")]], "A"),
        ([[(1, "A")], [(1, "2")], [(None, "3")]], "A23"),
        ([[(1, "A")], [(0, "B")], [(1, "2")]], "A2"),
        ([[], [(0, "A")], [], [(1, "B")]], "A"),
        ([[(10**30, "A")], [(None, "2")]], "A2"),
    ],
)
def test_one_choice_is_read_however_many_come_and_in_which_order(
    make: Callable[..., dict[str, Any]], chunks: list[list[tuple[int | None, str]]], text: str
) -> None:
    dialect: DialectName = "chat" if make is said else "native"
    found = events(dialect, *(make(*choices) for choices in chunks))
    assert "".join(event.text for event in found if isinstance(event, TextDelta)) == text


def test_another_choices_finish_is_not_this_ones() -> None:
    other = {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}
    assert events("chat", said((0, "A")), other) == [TextDelta("A")]
    ended = {"candidates": [{"index": 1, "finishReason": "STOP"}]}
    assert events("native", shown((0, "A")), ended) == [TextDelta("A")]


# ---------------------------------------------------------------- function calls


@pytest.mark.parametrize(
    ("call", "read"),
    [
        ({"id": 5, "function": {"name": "f", "arguments": "{}"}}, [FunctionCall("call_f_1", "f", "{}")]),
        ({"id": "a", "function": {"name": 5, "arguments": "{}"}}, [FunctionCall("a", "", "{}")]),
        ({"index": "x", "id": "a", "function": {"name": "f"}}, [FunctionCall("a", "f", "")]),
        ({"id": "a", "function": {"name": "f", "arguments": 5}}, [FunctionCall("a", "f", "5")]),
        ({"id": "a", "function": {"name": "f", "arguments": [1]}}, [FunctionCall("a", "f", "[1]")]),
        ({"id": "a", "function": {"name": "f", "arguments": {}}}, [FunctionCall("a", "f", "")]),
        ({"id": "a", "function": 5}, [FunctionCall("a", "", "")]),
        (5, []),
        (None, []),
    ],
)
def test_of_a_function_call_only_what_is_odd_is_lost(call: object, read: list[FunctionCall]) -> None:
    chunk = {"choices": [{"delta": {"content": "a", "tool_calls": [call]}}]}
    assert [*answered("chat", [Frame(json.dumps(chunk))]).function_calls] == read


@pytest.mark.parametrize(
    ("call", "read"),
    [
        ({"id": 5, "name": "f", "args": {"q": 1}}, [FunctionCall("call_f_1", "f", '{"q": 1}')]),
        ({"name": "f", "args": [1]}, [FunctionCall("call_f_1", "f", "[1]")]),
        ({"name": "f", "args": None}, [FunctionCall("call_f_1", "f", "{}")]),
        ({"name": 5}, [FunctionCall("call_function_1", "", "{}")]),
        (5, []),
    ],
)
def test_of_a_native_call_only_what_is_odd_is_lost(call: object, read: list[FunctionCall]) -> None:
    chunk = {"candidates": [{"content": {"parts": [{"text": "a", "functionCall": call}]}}]}
    assert [*answered("native", [Frame(json.dumps(chunk))]).function_calls] == read


def test_an_odd_chunk_says_of_itself_what_can_be_read() -> None:
    chunk = {"model": "m", "usage": 5, **said((0, "a")), "created": HUGE}
    assert events("chat", chunk, {"choices": [{"finish_reason": "stop"}], "model": 5}) == [
        Served("m"),
        TextDelta("a"),
        Finish("stop", "stop"),
    ]
