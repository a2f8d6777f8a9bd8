"""A request is the same JSON whether it is written at one stroke or in pieces."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.wire.json_text import (
    PIECE,
    cut_long_texts,
    dump,
    dump_pieces,
    is_larger,
    put_back,
    without_surrogates,
)
from runapi_mcp.wire.types import JsonValue

LONG = st.sampled_from(["x" * (PIECE + 1), '"\\\n' * PIECE, "é\ud83d🌱" * PIECE])
MARK = "a mark"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | LONG,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


@given(VALUES)
def test_the_pieces_are_what_is_written_at_one_stroke(value: JsonValue) -> None:
    assert b"".join(dump_pieces(value)) == dump(value)


@given(VALUES, st.booleans())
def test_what_long_texts_were_cut_out_of_is_the_same_once_they_are_put_back(
    value: JsonValue, ascii_only: bool
) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "replace")
    kept, texts = cut_long_texts(document, MARK)
    whole = json.loads(document)
    assert put_back(json.loads(kept), texts) == (_repair(whole) if texts else whole)
    assert all(len(text.encode()) <= PIECE for text in re.findall(r'"[^"\\]*"', kept.decode()))


def _repair(value: JsonValue) -> JsonValue:
    """Return it without halves of surrogate pairs in its long texts."""
    match value:
        case str() if len(json.dumps(value)) > PIECE or len(json.dumps(value, ensure_ascii=False)) > PIECE:
            return without_surrogates(value)
        case list():
            return [_repair(item) for item in value]
        case dict():
            return {name: _repair(item) for name, item in value.items()}
        case _:
            return value


@pytest.mark.parametrize("before", range(14))
@pytest.mark.parametrize("unit", ["\\u00e9", "\\ud83c\\udf31", "é", "🌱", '\\"', "\\\\", "a\\n"])
def test_no_character_is_parted_where_a_long_text_is_read_in_pieces(unit: str, before: int) -> None:
    document = f'["{"x" * before}{unit * (2 * PIECE // len(unit))}"]'.encode()
    kept, texts = cut_long_texts(document, MARK)
    assert len(kept) < 100
    assert put_back(json.loads(kept), texts) == json.loads(document)


@pytest.mark.parametrize("inside", ["\\x", "\\u12", "\x01", "\\u00g0"])
def test_a_long_text_that_is_no_json_is_refused(inside: str) -> None:
    for document in (f'["{inside}{"x" * PIECE}"]', f'["{"x" * PIECE}{inside}"]', f'["{"x" * PIECE}'):
        with pytest.raises(ValueError, match=r"escape|control|not end"):
            cut_long_texts(document.encode(), MARK)


@given(VALUES)
def test_no_piece_is_much_longer_than_what_is_encoded_in_one_go(value: JsonValue) -> None:
    short = len(json.dumps(value)) < PIECE
    assert short or max(map(len, dump_pieces(value))) <= 7 * PIECE


@given(VALUES, st.integers(0, 3 * PIECE))
def test_what_is_larger_is_told_by_its_texts(value: JsonValue, most: int) -> None:
    def weigh(value: JsonValue) -> int:
        match value:
            case str():
                return len(value)
            case list():
                return sum(map(weigh, value))
            case dict():
                return sum(len(name) + weigh(item) for name, item in value.items())
            case _:
                return 0

    assert is_larger(value, most) == (weigh(value) > most)


def test_numbers_that_json_cannot_carry_are_refused_in_pieces_too() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        list(dump_pieces(["x" * (PIECE + 1), float("nan")]))
