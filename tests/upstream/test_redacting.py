"""The key never comes back in an answer, however upstream cuts it up."""

import re
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from runapi_mcp.upstream import redact as redacting
from runapi_mcp.upstream.redact import Redacting, redact
from runapi_mcp.wire.types import Done, Event, TextDelta, ThoughtDelta

SECRET = "sk-sk-abab"
PIECES = st.lists(
    st.tuples(st.booleans(), st.text(alphabet="skab-x", min_size=1, max_size=12) | st.just(SECRET)),
    max_size=12,
)


def shown(events: list[Event], secret: str = SECRET) -> list[Event]:
    redacting = Redacting(SecretStr(secret))
    return [*(out for event in events for out in redacting.feed([event])), *redacting.end()]


def text_of(events: list[Event], kind: type[TextDelta] | type[ThoughtDelta]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


@given(PIECES)
def test_no_way_of_cutting_lets_the_key_through_or_changes_other_text(pieces: list[tuple[bool, str]]) -> None:
    text = "".join(piece for _, piece in pieces)
    found = text_of(shown([TextDelta(piece) for _, piece in pieces]), TextDelta)
    assert found == text.replace(SECRET, "[key]")


@given(PIECES)
def test_text_and_thoughts_are_kept_apart_and_in_order(pieces: list[tuple[bool, str]]) -> None:
    kinds = [TextDelta if answer else ThoughtDelta for answer, _ in pieces]
    found = shown([kind(piece) for kind, (_, piece) in zip(kinds, pieces, strict=True)])
    runs = [type(event) for event in found if isinstance(event, TextDelta | ThoughtDelta)]
    assert [kind for n, kind in enumerate(runs) if not n or runs[n - 1] is not kind] == [
        kind for n, kind in enumerate(kinds) if not n or kinds[n - 1] is not kind
    ]


def test_what_could_have_been_the_key_comes_out_before_what_follows_it() -> None:
    assert shown([TextDelta("ask s"), Done()]) == [TextDelta("ask "), TextDelta("s"), Done()]


def test_what_could_have_been_the_key_stays_of_its_kind() -> None:
    told: list[Event] = [TextDelta("ask s"), ThoughtDelta("hm"), TextDelta("k")]
    assert shown(told) == [TextDelta("ask "), TextDelta("s"), ThoughtDelta("hm"), TextDelta("k")]


def test_a_key_too_short_to_be_one_is_left_alone() -> None:
    assert shown([TextDelta("a b c")], secret="b") == [TextDelta("a b c")]


ESCAPES: dict[str, Callable[[str], str]] = {
    "itself": lambda sign: sign,
    "json": lambda sign: f"\\u{ord(sign):04x}",
    "json, upper case": lambda sign: f"\\u{ord(sign):04X}",
    "json in json": lambda sign: f"\\\\u{ord(sign):04x}",
    "json in json in json": lambda sign: f"\\\\\\\\u{ord(sign):04x}",
    "a url": lambda sign: f"%{ord(sign):02X}",
    "a url in a url": lambda sign: f"%25{ord(sign):02x}",
    "a url in a url in a url": lambda sign: f"%2525{ord(sign):02X}",
    "json in a url": lambda sign: f"%5Cu{ord(sign):04x}",
    "html": lambda sign: f"&#{ord(sign)};",
    "html, long": lambda sign: f"&#{ord(sign):07};",
    "html in html": lambda sign: f"&amp;#{ord(sign)};",
    "html by its name": lambda sign: {"/": "&sol;", "=": "&equals;"}.get(sign, sign),
    "html, hexadecimal": lambda sign: f"&#x{ord(sign):x};",
    "python": lambda sign: f"\\x{ord(sign):02x}",
}


@given(
    st.lists(st.sampled_from(sorted(ESCAPES)), min_size=20, max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_the_key_is_found_whatever_escapes_its_characters_are_in(
    how: list[str], before: str, after: str
) -> None:
    key = "sk-canary-0123/456=9"
    echoed = "".join(ESCAPES[name](sign) for name, sign in zip(how, key, strict=True))
    shown = redact(f"{before}<{echoed}>{after}", SecretStr(key))
    assert shown == f"{before}<[key]>{after}"


UNSEEN = "\x00\x07\x1b\x7f\x9b\xad\u200b\u200d\u202e\u2060\u2066\ufe0f\ufeff\U000e0041"
SEEN = str.maketrans("", "", UNSEEN)


def spell(between: list[str]) -> str:
    return "".join(f"{sign}{unseen}" for sign, unseen in zip(SECRET, between, strict=True))


def gaps(most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.text(alphabet=UNSEEN, max_size=most), min_size=len(SECRET), max_size=len(SECRET))


@given(gaps(32))
def test_the_key_is_found_whatever_stands_unseen_between_its_characters(between: list[str]) -> None:
    assert redact(f"bad {spell(between)}.", SecretStr(SECRET)).translate(SEEN) == "bad [key]."


@pytest.mark.parametrize("unseen", [chr(number) for number in [*range(32), *range(127, 160)]])
def test_the_key_is_found_whatever_control_character_stands_in_it(unseen: str) -> None:
    broken = unseen in "\t\n\r"  # which is seen, and parts two words
    assert ("[key]" in redact(f"bad {SECRET[:4]}{unseen}{SECRET[4:]}.", SecretStr(SECRET))) is not broken


@given(st.lists(st.text(alphabet="skab-x", max_size=4) | gaps(3).map(spell), max_size=6), st.data())
def test_no_way_of_cutting_lets_it_through_with_something_unseen_in_it(
    parts: list[str], data: st.DataObject
) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    found = text_of(shown([TextDelta(piece) for piece in pieces]), TextDelta)
    assert found.translate(SEEN) == text.translate(SEEN).replace(SECRET, "[key]")


@given(st.text(max_size=300))
def test_text_without_the_key_is_left_as_it_is(text: str) -> None:
    assert redact(text, SecretStr("sk-canary-0123456789")) is text


@pytest.mark.parametrize(
    "hostile",
    [
        "\\u0073" * 150_000,
        "\\" * 1_000_000 + "u0073",
        "%73" * 300_000,
        "&#" * 500_000,
        "&amp;" * 300_000,
        "s\u202e" * 300_000,
        "\\u0073" + "\\" * 1_000_000,
        "%5c" * 300_000,
        "%255C\\" * 150_000,
    ],
)
def test_looking_for_it_costs_little(hostile: str) -> None:
    began = time.process_time()
    redact(hostile, SecretStr("sk-canary-0123456789"))
    assert time.process_time() - began < 2.0


ECHOED = st.sampled_from(
    [SECRET, "\\u0073k-sk-abab", "sk-\u200bsk-abab", "s\\\\u006b-sk-aba%62", "sk-sk-abab%"]
)


@given(
    st.lists(st.text(alphabet="skab-x\\%\u200b", max_size=6) | ECHOED, max_size=8),
    st.integers(1, 9),
)
@example(["\\u0073k-sk-abab"], 1)
def test_a_text_that_is_searched_in_pieces_reads_as_one_that_is_searched_whole(
    parts: list[str], piece: int
) -> None:
    text = "".join(parts)
    whole = redact(text, SecretStr(SECRET))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runapi_mcp.upstream.redact._SEARCHED", piece)
        patch.setattr("runapi_mcp.upstream.redact.PIECE", piece)
        assert redact(text, SecretStr(SECRET)) == whole


def test_no_search_goes_through_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class Watched:
        """A pattern that notes through how much it searches: it holds Python's lock meanwhile."""

        def __init__(self, pattern: re.Pattern[str]) -> None:
            self._pattern = pattern

        def search(self, text: str, start: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
            nonlocal longest
            longest = max(longest, min(end, len(text)) - start)
            return self._pattern.search(text, start, end)

    pattern = redacting._pattern_of(SECRET)
    monkeypatch.setattr(redacting, "_HIDDEN", Watched(redacting._HIDDEN))
    monkeypatch.setattr(redacting, "_ESCAPE", Watched(redacting._ESCAPE))
    monkeypatch.setattr(redacting, "_pattern_of", lambda _: Watched(pattern))
    assert redact("x\u200b%\n" * 100_000, SecretStr(SECRET)) == "x\u200b%\n" * 100_000
    assert 0 < longest <= 65_537
