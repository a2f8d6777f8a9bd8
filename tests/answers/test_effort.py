"""Which regular expressions may be tried on the event loop: told from the expression, and never wrongly."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runapi_mcp.extraction.effort import MOST, effort, is_quick_to_read


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", "2024-01-31"),
        (r"^[A-Z]{3}$", "EUR"),
        (r"^(INV|CR)-\d+$", "INV-2024-00017"),
        (r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", "someone@mail.example.org"),
        (r"^\d{1,3}(,\d{3})*(\.\d+)?$", "12,345.67"),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "1234567.89"),
        (r"^\+?[1-9]\d{1,14}$", "+4912345678901"),
        ("", "anything"),
    ],
)
def test_what_invoices_are_checked_by_may_be_tried_at_once(pattern: str, text: str) -> None:
    assert effort(pattern, len(text)) <= MOST


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("(a+)+$", 25),
        ("^([A-Z]+)*$", 27),
        ("(a|a)*b", 30),
        ("(a|b|ab)*c", 40),
        ("(.*)*x", 30),
        ("(?:a?){30}a{30}", 30),
        (".*.*.*=", 500),
        (r"\s*\s*\s*$", 2_000),
        (r"^(.+)\1$", 20),
        ("(?m)^(a+)+$", 25),
        ("(?=(a+)+$)x", 25),
        ("(", 1),
    ],
)
def test_what_may_take_for_ever_is_not_tried(pattern: str, length: int) -> None:
    assert effort(pattern, length) > MOST


def test_what_takes_long_to_compile_is_not_read_either() -> None:
    assert not is_quick_to_read("(?i)[\\x00-\\U0010ffff]")
    assert not is_quick_to_read("(?s-i:a)(?si:b)")
    assert not is_quick_to_read("a" * 2_000)
    assert is_quick_to_read(r"^(?:[a-z]+)(?=x)\d$")


ATOMS = st.sampled_from(["a", "b", ".", r"\w", "[ab]", "^", "$"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map(lambda part: f"(?!{part})"),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, st.text("ab", max_size=40))
def test_what_may_be_tried_is_through_soon(pattern: str, text: str) -> None:
    if effort(pattern, len(text)) <= MOST:
        began = time.thread_time()
        re.search(pattern, text)
        assert time.thread_time() - began < 0.2
