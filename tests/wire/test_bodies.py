import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import read

from runapi_mcp.errors import ProtocolError
from runapi_mcp.wire.chunks import TELLING, body_kind, json_frames, stray_failure
from runapi_mcp.wire.types import Failure, TextDelta


@pytest.mark.parametrize(
    ("content_type", "first", "kind"),
    [
        ("text/event-stream", b"anything", "events"),
        ("Text/Event-Stream; charset=utf-8", b"", "events"),
        ("application/json", b"{}", "json"),
        ("application/problem+json; charset=utf-8", b"", "json"),
        ("application/x-ndjson", b"", "json"),
        ("text/html", b"", "page"),
        ("application/json", b"data: {}", "events"),
        ("text/html", b": hello\n", "events"),
        ("", b"\xef\xbb\xbfdata:{}", "events"),
        ("text/plain", b"\n event: x", "events"),
        ("text/plain", b"retry: 5\n", "events"),
        ("text/plain", b'\n{"a":1}', "json"),
        ("", b"\xef\xbb\xbf[", "json"),
        ("text/plain", b"<html>", "page"),
        ("text/plain", b"hello", "unknown"),
        ("text/plain", b"database: x", "unknown"),
        ("", b"", "unknown"),
    ],
)
def test_a_body_is_known_by_its_type_or_its_first_bytes(content_type: str, first: bytes, kind: str) -> None:
    assert body_kind(content_type, first) == kind


@given(st.sampled_from([b"data:", b"event:", b"id:", b"retry:", b":"]), st.binary(max_size=20))
def test_the_telling_bytes_are_enough_to_know_an_event_stream(field: bytes, rest: bytes) -> None:
    first = b"\xef\xbb\xbf" + field + rest
    assert body_kind("", first[:TELLING]) == body_kind("", first) == "events"


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        (" \n", []),
        ('{"a":1}', ['{"a":1}']),
        ('[{"a":1},\n{"b":2}]', ['{"a":1}', '{"b":2}']),
        ('{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']),
        ('[{"a":1},{"b":', ['{"a":1}']),
        ('{"a":1} trailing words', ['{"a":1}']),
    ],
)
def test_a_json_body_is_its_documents(text: str, documents: list[str]) -> None:
    assert [frame.text for frame in json_frames(text)] == documents


@pytest.mark.parametrize("text", ["words", '{"a":', "{" * 3, '{"a":' * 100_000])
def test_a_json_body_that_is_none_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="not the JSON it says it is"):
        list(json_frames(text))


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)), max_size=5))
def test_an_array_and_its_lines_are_the_same_documents(documents: list[dict[str, object]]) -> None:
    lines = "\n".join(json.dumps(document) for document in documents)
    for text in (lines, json.dumps(documents), json.dumps(documents, indent=2)):
        assert [json.loads(frame.text) for frame in json_frames(text)] == documents


ERROR = {"error": {"code": 503, "message": "busy\u2028now"}}


@pytest.mark.parametrize("value", [ERROR, [ERROR]])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", 'data: {"a":1}\n\n', '{"cut": {"line\n\ndata: {}\n\n', ": ping\n\n"])
def test_a_raw_error_among_the_lines_of_a_stream_is_found(
    value: object, indent: int | None, end: str, before: str
) -> None:
    tail = (before + json.dumps(value, indent=indent, ensure_ascii=False)).replace("\n", end)
    assert stray_failure(tail + end + end + "data: [DONE]") == Failure("busy\u2028now", status=503)


@pytest.mark.parametrize(
    "tail", ["", "data: {}\n\n", "words", '{"answer": 1}', "{" * 50, "[" * 100_000, '{"error":{"type":"x"}}']
)
def test_stray_lines_that_report_nothing_are_no_failure(tail: str) -> None:
    assert stray_failure(tail) is None


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
async def test_a_byte_order_mark_is_no_part_of_a_json_body(content_type: str) -> None:
    body = b'{"candidates": [{"content": {"parts": [{"text": "word"}]}, "finishReason": "STOP"}]}'
    marked = await read([b"\xef\xbb\xbf" + body], "native", content_type=content_type)
    assert marked == await read([body], "native", content_type=content_type)
    assert TextDelta("word") in marked[0]
