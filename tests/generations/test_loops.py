"""Models that cannot stop are noticed, and nobody is shown what they wrote over and over."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.generations.policy import Plain, Round, find_loop, shorten_loops
from runapi_mcp.wire.types import Finish, TextDelta

SENTENCE = "The invoice is due in thirty days and nobody knows why. "


@pytest.mark.parametrize("unit", ["\\n", "\\t\\n", "\\u0000", "\\\\", "ha", SENTENCE, SENTENCE * 3])
def test_what_is_repeated_without_end_inside_a_string_is_a_loop_told_once(unit: str) -> None:
    begun = '{"name": "Ada", "note": "Well. '
    text = begun + unit * (8_000 // len(unit) + 20)
    reason = find_loop(text)
    assert reason.startswith("it repeated “")
    assert reason.endswith("times and got no further")
    shown = shorten_loops(text)
    assert shown.startswith(begun)
    assert len(shown) < len(begun) + 2 * len(unit) + 60
    gone_on_from = shorten_loops(text, told=False)
    assert text.startswith(gone_on_from)
    assert not find_loop(shown)


@pytest.mark.parametrize("blank", ["\n", " \t\n", "\r\n"])
def test_white_space_without_end_is_a_loop_and_is_not_shown(blank: str) -> None:
    text = '{"name": "Ada", ' + blank * 5_000
    assert "characters of white space and nothing else" in find_loop(text)
    assert len(shorten_loops(text)) < 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"a": [' + "0, " * 7_000,
        '{"a": [' + "null, " * 3_000,
        "[" + '{"ok": true}, ' * 1_500,
        '{"a": "' + "".join(f"Line {number} of many. " for number in range(2_000)),
        '{"a": "' + "-" * 3_000 + " and on it goes",
        '{"a": "' + SENTENCE * 12,
    ],
)
def test_a_long_list_of_equal_things_and_a_long_text_are_no_loops(text: str) -> None:
    assert find_loop(text) == ""
    assert shorten_loops(text) == text


def test_equal_rows_beyond_all_measure_are_a_loop_too() -> None:
    assert find_loop("[" + '{"ok": true}, ' * 3_000).startswith("it repeated “")


@given(
    st.text(alphabet='a"\\ \n', max_size=300),
    st.text(alphabet='ab"\\ \n', min_size=1, max_size=40),
    st.integers(0, 900),
)
def test_shortening_never_lengthens_and_is_done_once(begun: str, unit: str, times: int) -> None:
    text = begun + unit * times
    shown = shorten_loops(text)
    assert len(shown) <= len(text) + 40
    assert len(shorten_loops(text, told=False)) <= len(text)


@pytest.mark.parametrize("unit", ["a", "ab", "\\", '"', " ", "a" * 255 + "b", "\\n" * 99 + "x"])
def test_looking_for_loops_costs_little_whatever_the_text(unit: str) -> None:
    text = unit * (4_000_000 // len(unit))
    began = time.process_time()
    find_loop(text)
    shorten_loops(text)
    assert time.process_time() - began < 2.0


class WholeAtOnce(Plain):
    def is_whole(self, text: str) -> bool:
        return True


@pytest.mark.parametrize(
    ("pieces", "closed"),
    [
        ([("{}", 0.0), ("\n", 2.9)], False),
        ([("{}", 0.0), ("\n", 2.9), ("\n", 3.0)], True),
        ([("{}", 0.0), ("\n", 2.9), (',"more"', 5.0), ("\n", 7.9)], False),
        ([("{}", 0.0), (" " * 2_047, 0.1)], False),
        ([("{}", 0.0), (" " * 2_047, 0.1), (" ", 0.2)], True),
    ],
)
def test_a_whole_text_is_closed_after_two_kilobytes_or_three_seconds_of_nothing_but_white_space(
    pieces: list[tuple[str, float]], *, closed: bool
) -> None:
    called = Round(offering=False)
    for text, now in pieces:
        called.feed([TextDelta(text)], WholeAtOnce(), now)
    assert called.closed is closed


def test_a_text_that_ends_with_a_finish_of_its_own_is_not_closed() -> None:
    called = Round(offering=False)
    called.feed([TextDelta("{}")], WholeAtOnce(), 0.0)
    called.feed([TextDelta(" " * 4_000), Finish("length", "length")], WholeAtOnce(), 1.0)
    assert not called.closed
    assert called.answer().finish == Finish("length", "length")
