"""Whatever a chunk holds: events and an answer of ours, or a protocol error. Never anything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import fold

from runapi_mcp.errors import ProtocolError, UpstreamError
from runapi_mcp.models import DialectName
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.fold import is_whole
from runapi_mcp.wire.types import Answer, Event, Frame

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 7, -1, 1.5, "", "x", "null", [], {}, [None], [{}], {"x": 1}, "</think>", "\ud83d", 10**30]
)
words: st.SearchStrategy[Any] = st.sampled_from(
    [
        "word ",
        "<think>",
        "</think>",
        "<thou",
        "ght>",
        "</thought>",
        "<thinking a=b>",
        "Half of it that ",
        "",
        ".",
    ]
)
finishes: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "stop",
        "STOP",
        "SAFETY",
        "content_filter: SPII",
        "OTHER",
        "null",
        "length",
        "tool_calls",
        "error",
        7,
    ]
)
URLS: st.SearchStrategy[Any] = st.sampled_from(["https://a.example", "https://b.example", "", "x"])


def shape(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object around the text, which is no chunk at all where it is odd."""
    return st.fixed_dictionaries({}, optional=fields)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields) | odd


def several(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(item, max_size=3) | odd


numbers = st.integers(-1, 40) | odd
web = some(web=some(uri=URLS, title=odd), url=URLS)
support = some(
    segment=some(startIndex=numbers, endIndex=numbers, partIndex=numbers, text=words),
    groundingChunkIndices=several(numbers),
)
grounding = some(
    groundingChunks=several(web), groundingSupports=several(support), webSearchQueries=several(words)
)
cited = some(url=URLS, title=odd, start_index=numbers, end_index=numbers)
sourced: dict[str, st.SearchStrategy[Any]] = {
    "groundingMetadata": grounding,
    "vertex_ai_grounding_metadata": several(grounding),
    "annotations": several(cited | some(url_citation=cited)),
    "citations": several(URLS | cited),
    "provider_specific_fields": some(grounding_metadata=grounding, citations=several(URLS)),
}
arguments = st.sampled_from(["", "{}", "{", "}", '{"a":', '"b"}', '{"a":1}{"b":2}', "null", '"'])
called = some(
    index=st.sampled_from([0, 0, 1, None]),
    id=st.sampled_from(["", "a", "b"]),
    function=some(name=st.sampled_from(["f", "g", ""]), arguments=arguments, thought_signature=odd),
    extra_content=some(google=some(thought=st.booleans(), thought_signature=words), vertex=odd),
)
blocks = st.lists(shape(type=st.sampled_from(["thinking", "text"]), text=words, thinking=words), max_size=3)
said: dict[str, st.SearchStrategy[Any]] = {
    "content": words | words | blocks,
    "reasoning_content": words,
    "reasoning": odd,
    "reasoning_details": blocks,
    "thinking_blocks": blocks,
    "tool_calls": several(called),
    "extra_content": some(google=some(thought=st.booleans())),
    "refusal": odd,
}
choice = shape(
    index=st.just(0),
    delta=shape(**said, **sourced),
    message=shape(**said, **sourced),
    finish_reason=finishes,
    finishReason=finishes,
    native_finish_reason=finishes,
    safety_ratings=several(some(category=words, blocked=st.booleans())),
    content_filter_results=odd,
    **sourced,
)
_COUNTS = (
    "prompt_tokens completion_tokens total_tokens promptTokenCount candidatesTokenCount totalTokenCount "
    "thoughtsTokenCount"
)
counts: dict[str, st.SearchStrategy[Any]] = {
    name: st.sampled_from([0, 5, 40, None, "x"]) for name in _COUNTS.split()
}
feedback = some(block_reason=finishes, blockReason=finishes, safetyRatings=odd)
chats = shape(
    choices=st.lists(choice, min_size=1, max_size=2),
    usage=some(**counts),
    model=odd,
    object=odd,
    prompt_feedback=feedback,
    error=odd,
    **sourced,
)
part = shape(
    text=words,
    thought=st.booleans() | odd,
    functionCall=some(id=odd, name=words, args=odd),
    executableCode=odd,
    thoughtSignature=odd,
)
candidate = shape(
    index=st.just(0),
    content=shape(parts=st.lists(part, max_size=3), role=odd),
    finishReason=finishes,
    finishMessage=odd,
    safetyRatings=odd,
    **sourced,
)
natives = shape(
    candidates=st.lists(candidate, min_size=1, max_size=2),
    usageMetadata=some(**counts),
    modelVersion=odd,
    promptFeedback=feedback,
    error=odd,
    **sourced,
)


def judged(dialect: DialectName, chunks: list[Any], *, done: bool) -> Answer | None:
    """Return the answer in a stream of these chunks; `None` if one of them is no chunk at all."""
    decoder = dialects("/v1")[dialect].decoder()
    frames = [Frame(json.dumps(chunk)) for chunk in chunks] + [Frame("[DONE]")] * done
    try:
        events: list[Event] = [event for frame in frames for event in decoder.decode(frame)]
    except ProtocolError:
        return None
    folded = fold([*events, *decoder.end()])
    assert folded.error() is None or isinstance(folded.error(), UpstreamError)
    answer = folded.partial()
    for support in answer.grounding.supports:
        assert all(0 <= index < len(answer.grounding.sources) for index in support.sources)
    assert len({source.url for source in answer.grounding.sources}) == len(answer.grounding.sources)
    assert len({call.id for call in answer.function_calls}) == len(answer.function_calls)
    assert not is_whole(answer) or answer.finish is not None
    return answer


@given(st.lists(chats, max_size=4), st.booleans())
def test_any_chat_stream_is_an_answer_or_a_protocol_error(chunks: list[Any], done: bool) -> None:
    judged("chat", chunks, done=done)


@given(st.lists(natives, max_size=4))
def test_any_native_stream_is_an_answer_or_a_protocol_error(chunks: list[Any]) -> None:
    judged("native", chunks, done=False)


@given(st.lists(words, min_size=1, max_size=6), st.sampled_from(["chat", "native"]), finishes)
def test_no_text_is_lost_but_tags_and_the_gaps_after_them(
    texts: list[str], dialect: DialectName, finish: Any
) -> None:
    parts = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in texts]
    deltas = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    last = {"choices": [{"delta": {}, "finish_reason": finish}]}
    answer = judged(dialect, [*deltas, last] if dialect == "chat" else parts, done=False)
    assert answer is not None
    given_out = answer.thoughts + answer.text
    for text in texts:
        if text in ("word ", "Half of it that "):
            assert given_out.count(text.strip()) == sum(other.strip() == text.strip() for other in texts)


@pytest.mark.parametrize("dialect", ["chat", "native"])
def test_a_chunk_that_is_nested_thousands_of_levels_deep_is_read_or_refused(dialect: DialectName) -> None:
    deep = '{"x":' * 5_000 + "1" + "}" * 5_000
    where = '{"choices":[{"delta":' if dialect == "chat" else '{"candidates":[{"content":'
    decoder = dialects("/v1")[dialect].decoder()
    try:
        events = decoder.decode(Frame(f"{where}{deep}}}]}}"))
    except ProtocolError:
        return
    assert [*events] == []
