"""Reading and writing one message: any bytes come in, a message or a refusal goes out."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import INVALID_REQUEST, PARSE_ERROR, JSONRPCRequest, JSONRPCResponse

from runapi_mcp.transports.messages import MAX_LEVELS, MAX_VALUES, LineSplitter, Refused, decode, encode, read
from runapi_mcp.wire.json_text import MAX_TEXT_CHARS, PIECE


@given(line=st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_line_is_a_message_or_a_refusal(line: bytes) -> None:
    assert decode(line) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
message_shaped = st.dictionaries(
    st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "other"]),
    st.sampled_from(["2.0", 1, "1", None, {}, {"code": 1, "message": ""}, [], 1.5, True]) | json_values,
)


@given(content=json_values | message_shaped)
def test_any_json_is_a_message_or_a_refusal_that_can_be_written(content: object) -> None:
    arrival = decode(json.dumps(content).encode())
    reply = encode(arrival.reply if isinstance(arrival, Refused) else arrival)
    assert reply.endswith(b"\n")
    assert reply.count(b"\n") == 1
    assert json.loads(reply)["jsonrpc"] == "2.0"


@pytest.mark.parametrize(
    ("line", "number", "says"),
    [
        (b'"text"', None, "object"),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None, "string or an integer"),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, "string or an integer"),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None, "string or an integer"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 1, "params"),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', 1, "method must be a string"),
        (b'{"jsonrpc":"2.0","id":1}', 1, "must have a method"),
        (b'{"jsonrpc":"2.0","id":1,"result":5}', None, "result or an error"),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', 1, '"2.0"'),
    ],
)
def test_a_refusal_says_what_is_wrong_under_the_id_it_can_trust(
    line: bytes, number: int | None, says: str
) -> None:
    arrival = decode(line)
    assert isinstance(arrival, Refused)
    assert arrival.reply.id == number
    assert arrival.reply.error.code == INVALID_REQUEST
    assert says in arrival.reply.error.message


def test_brackets_without_end_are_refused() -> None:
    arrival = decode(b"[" * 100_000)
    assert isinstance(arrival, Refused)
    assert (arrival.reply.id, arrival.reply.error.code) == (None, INVALID_REQUEST)


def test_numbers_without_end_and_what_is_no_json_are_parse_errors() -> None:
    for line in (b'{"id":' + b"9" * 5000 + b"}", b"\xff", b"{'a': 1}"):
        arrival = decode(line)
        assert isinstance(arrival, Refused)
        assert arrival.reply.error.code == PARSE_ERROR


def nested(levels: int, **rest: object) -> bytes:
    """A message of this many levels, its id behind everything else, as some hosts write it."""
    inside = levels - 2
    params = '{"text":"]}\\"","schema":' + '{"items":' * (inside - 1) + "{}" + "}" * (inside - 1) + "}"
    return f'{{"jsonrpc":"2.0","method":"tools/call","params":{params},{json.dumps(rest)[1:]}'.encode()


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 20_000, 45_000])
def test_a_request_nested_too_deep_is_refused_under_its_own_id(levels: int) -> None:
    arrival = decode(nested(levels, id=40))
    assert isinstance(arrival, Refused)
    assert (arrival.reply.id, arrival.reply.error.code) == (40, INVALID_REQUEST)
    assert f"{MAX_LEVELS} levels" in arrival.reply.error.message


def test_a_request_nested_as_deep_as_can_be_is_read() -> None:
    assert isinstance(decode(nested(MAX_LEVELS, id=40)), JSONRPCRequest)


@pytest.mark.parametrize("rest", [{}, {"id": None}, {"id": 1.5}, {"id": [[]]}])
def test_a_message_nested_too_deep_without_an_id_is_refused_without_one(rest: dict[str, object]) -> None:
    arrival = decode(nested(500, **(rest or {"other": 1})))
    assert isinstance(arrival, Refused)
    assert (arrival.reply.id, arrival.reply.error.code) == (None, INVALID_REQUEST)


def test_what_is_read_as_it_came_is_passed_on_as_it_came() -> None:
    line = b' {"id":1, "jsonrpc":"2.0","method":"ping","more":"\\ud83d\\ude00"}\r'
    assert read(line)[1] is line


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"\\ud83d", "\ufffd"),
        (b"\\ude00\\ud83d", "\ufffd\ufffd"),
        (b"\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        (b"\\\\ud83d\\\\\\ud83d", "\\ud83d\\\ufffd"),
        (b"a\xffb", "a\ufffdb"),
    ],
)
def test_what_is_repaired_can_be_read_by_anyone(sent: bytes, text: str) -> None:
    line = b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping","params":{"text":"%b"}}' % sent
    message, octets, _ = read(line)
    assert isinstance(message, JSONRPCRequest)
    assert message.params == json.loads(octets)["params"] == {"text": text}


def test_a_long_text_is_in_the_message_and_not_in_what_others_read() -> None:
    text = "é" * 100_000
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"arguments": {"prompt": text}}}
    message, octets, lacks = read(json.dumps(sent).encode())
    assert isinstance(message, JSONRPCRequest)
    assert message.params == sent["params"]
    assert lacks
    assert len(octets) < 200
    assert json.loads(octets)["params"]["arguments"].keys() == {"prompt"}


def test_no_text_passes_for_what_stands_for_another() -> None:
    sent = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": "x" * 100_000}}
    names = {json.loads(read(json.dumps(sent).encode())[1])["params"]["a"] for _ in range(9)}
    assert len(names) == 9, "who has seen one knows no other"


def test_a_long_name_is_refused_as_such_and_not_by_what_stands_for_it() -> None:
    sent = {"jsonrpc": "2.0", "id": "x" * 100_000, "method": "ping"}
    arrival = decode(json.dumps(sent).encode())
    assert isinstance(arrival, Refused)
    assert "id of a request may have" in arrival.reply.error.message


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert isinstance(decode(b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}'), JSONRPCRequest)


def test_a_refusal_never_repeats_what_was_sent() -> None:
    for line in (b'{"canary":', b'["canary"]', b'{"canary":"canary"}', b'{"id":1,"method":"canary"}'):
        arrival = decode(line)
        assert isinstance(arrival, Refused)
        assert b"canary" not in encode(arrival.reply)


def test_a_message_is_one_line_whatever_its_text() -> None:
    line = encode(JSONRPCResponse(jsonrpc="2.0", id=1, result={"text": "a\nb\r\u2028c"}))
    assert line.count(b"\n") == 1
    assert b"\r" not in line


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), size=st.integers(1, 9)
)
def test_lines_come_out_whole_however_the_bytes_are_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [line for piece in pieces for line in splitter.feed(piece)] == lines
    assert splitter.finish() == []


def test_a_line_over_the_limit_is_dropped_as_it_comes_and_the_next_is_read() -> None:
    splitter = LineSplitter(limit=10)
    assert [line for _ in range(1000) for line in splitter.feed(b"x" * 10)] == []
    assert splitter._pieces == []
    assert splitter.feed(b"x\nnext\nlast") == [None, b"next"]
    assert splitter.finish() == [b"last"]


def test_a_line_over_the_limit_is_refused() -> None:
    arrival = decode(None)
    assert isinstance(arrival, Refused)
    assert arrival.reply.error.code == PARSE_ERROR
    assert "64 MiB" in arrival.reply.error.message


@pytest.mark.parametrize("where", ["id", "method", "progressToken"])
def test_a_name_that_would_come_back_at_great_length_is_refused(where: str) -> None:
    def sent(name: str | int) -> bytes:
        given: dict[str, str | int] = {"id": "1", "method": "tools/call", "progressToken": "2"}
        given[where] = name
        params = {"_meta": {"progressToken": given.pop("progressToken")}}
        message = {"jsonrpc": "2.0", **given, "params": params}
        return json.dumps(message).encode()

    fairs: list[str | int] = ["x" * 1_000]
    longs: list[str | int] = ["x" * 1_001]
    if where != "method":
        fairs.append(10**1_000 - 1)
        longs += [10**1_000, -(10**4_000)]
    for fair in fairs:
        assert not isinstance(decode(sent(fair)), Refused)
    for long in longs:
        arrival = decode(sent(long))
        assert isinstance(arrival, Refused)
        assert "1,000 characters" in arrival.reply.error.message
        assert len(arrival.reply.model_dump_json()) < 300


@pytest.mark.parametrize("order", [("id", "params"), ("params", "id")])
@pytest.mark.parametrize(
    "values",
    [
        lambda: [1] * 400_000,
        lambda: [{"a": "b,["}] * 120_000,
        lambda: {str(n): n for n in range(200_000)},
    ],
    ids=["numbers", "objects", "members"],
)
def test_a_message_of_more_values_than_anybody_has_to_say_is_refused_under_its_own_id(
    values: Callable[[], object], order: tuple[str, str]
) -> None:
    members = {"id": 40, "params": {"arguments": {"prompt": values(), "id": 41}}}
    message = {"jsonrpc": "2.0", "method": "tools/call"} | {name: members[name] for name in order}
    arrival = decode(json.dumps(message).encode())
    assert isinstance(arrival, Refused)
    assert (arrival.reply.id, arrival.reply.error.code) == (40, INVALID_REQUEST)
    assert f"{MAX_VALUES:,} values" in arrival.reply.error.message


@pytest.mark.parametrize("order", [("id", "params"), ("params", "id")])
@pytest.mark.parametrize(
    ("arguments", "limit"),
    [({"prompt": "x" * (MAX_TEXT_CHARS + 1)}, f"{MAX_TEXT_CHARS:,}"), ({"x" * 2 * PIECE: 1}, f"{PIECE:,}")],
)
def test_a_text_or_a_name_longer_than_anybody_needs_is_refused_under_the_requests_id(
    arguments: dict[str, object], limit: str, order: tuple[str, str]
) -> None:
    members = {"id": 40, "params": {"id": 41, "arguments": arguments}}
    message = {"jsonrpc": "2.0", "method": "tools/call"} | {name: members[name] for name in order}
    arrival = decode(json.dumps(message).encode())
    assert isinstance(arrival, Refused)
    assert (arrival.reply.id, arrival.reply.error.code) == (40, INVALID_REQUEST)
    assert f"may have {limit} characters" in arrival.reply.error.message


@pytest.mark.parametrize("files", ["{}", '["{}"]', ' [{{"uri": "{}"}}]'])
def test_a_text_with_a_file_in_it_may_be_longer(files: str) -> None:
    given = files.format(f"data:image/png;base64,{'A' * MAX_TEXT_CHARS}")
    params = {"name": "ask_gemini", "arguments": {"prompt": "?", "files": given}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    arrival = decode(json.dumps(message).encode())
    assert isinstance(arrival, JSONRPCRequest)
    assert arrival.params == params


def test_an_answer_of_too_many_values_is_refused_without_its_id_which_is_one_of_ours() -> None:
    arrival = decode(json.dumps({"jsonrpc": "2.0", "result": {"a": [1] * 400_000}, "id": 7}).encode())
    assert isinstance(arrival, Refused)
    assert arrival.reply.id is None


@pytest.mark.parametrize("unit", ["a, b, ", '[{"a": 1}, ', '\\",', "{" * 9])
def test_a_text_may_have_as_many_commas_and_brackets_as_it_likes(unit: str) -> None:
    params = {"arguments": {"prompt": unit * 500_000}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    arrival = decode(json.dumps(message).encode())
    assert isinstance(arrival, JSONRPCRequest)
    assert arrival.params == params


def test_a_request_with_a_number_of_too_many_digits_is_refused_under_its_own_id() -> None:
    arrival = decode(
        b'{"jsonrpc":"2.0","id":40,"method":"tools/call","params":{"seed":' + b"9" * 5_000 + b"}}"
    )
    assert isinstance(arrival, Refused)
    assert arrival.reply.id == 40
    assert "too many digits" in arrival.reply.error.message
