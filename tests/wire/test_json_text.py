"""A request is the same JSON whether it is written at one stroke or in pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.wire.json_text import PIECE, dump, dump_pieces, is_larger
from runapi_mcp.wire.types import JsonValue

LONG = st.sampled_from(["x" * (PIECE + 1), '"\\\n' * PIECE, "é\ud83d🌱" * PIECE])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | LONG,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


@given(VALUES)
def test_the_pieces_are_what_is_written_at_one_stroke(value: JsonValue) -> None:
    assert b"".join(dump_pieces(value)) == dump(value)


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
