import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp import errors
from runapi_mcp.errors import KeyMissing, RateLimited, RunapiError, StreamCut
from runapi_mcp.printable import one_line, quote_text, remove_unseen

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RunapiError) and kind is not RunapiError
]


@pytest.mark.parametrize("kind", TREE)
def test_the_tree_in_the_docstring_is_the_tree(kind: type[RunapiError]) -> None:
    def drawn(line: str) -> tuple[int, str]:
        name = re.search(r"[A-Z]\w+", line)
        assert name
        return name.start(), name[0]

    lines = [drawn(line) for line in (errors.__doc__ or "").splitlines() if re.match(r"    [│├└ R]", line)]
    place = next(i for i, (_, name) in enumerate(lines) if name == kind.__name__)
    parent = next(name for indent, name in reversed(lines[:place]) if indent < lines[place][0])
    assert kind.__mro__[1].__name__ == parent


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in TREE]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)


def test_an_error_says_what_happened_and_then_what_to_do() -> None:
    assert str(RunapiError("It broke.", advice="Mend it.")) == "It broke. Mend it."
    assert str(RunapiError("It broke.")) == "It broke."
    assert "Set RUNAPI_TOKEN".lower() in str(KeyMissing("No key.")).lower()
    assert str(RateLimited("Slow.", advice="", request_id="r-1")) == "Slow. (request id r-1)"


def test_an_interrupted_stream_keeps_its_text_out_of_its_message() -> None:
    cut = StreamCut("Cut.", partial="the secret text", status=503, retry_after=1.0)
    assert cut.partial == "the secret text"
    assert "secret" not in f"{cut} {cut!r}"


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_line_within_its_limit_with_nothing_unseen(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == remove_unseen(line)
    assert line == " ".join(line.split())


@given(st.text(alphabet="ab ", max_size=20))
def test_a_short_text_keeps_its_words(text: str) -> None:
    assert one_line(text, 50).split() == text.split()


def test_a_cut_is_marked_and_a_huge_text_costs_no_more() -> None:
    assert one_line("abcdef", 4) == "abc…"
    assert one_line(" " * 1_000 + "a", 10) == "…"
    assert one_line("x" * 50_000_000, 5) == "xxxx…"


def test_a_quotation_is_marked_as_one() -> None:
    assert quote_text("bad\nthing\x1b[31m") == "“bad thing [31m”"
    assert len(quote_text("x" * 1_000)) == 302
