from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.wire.thoughts import ThoughtTags
from runapi_mcp.wire.types import TextDelta, ThoughtDelta

fragments = st.sampled_from(
    ["<thought>", "</thought>", "</th", "ought>", "<tho", "ught>", "<", "/", "a", " "]
)
words = st.lists(fragments, max_size=6).map("".join)
cuts = st.lists(st.integers(0, 80), max_size=10)


def split(content: Iterable[tuple[str, bool]]) -> tuple[str, str]:
    """Return the thoughts and the text in content that comes as (chunk, flagged)."""
    tags = ThoughtTags()
    deltas = [delta for chunk, flagged in content for delta in tags.feed(chunk, flagged=flagged)]
    deltas += tags.end()
    assert all(delta.text for delta in deltas)
    thoughts = "".join(delta.text for delta in deltas if isinstance(delta, ThoughtDelta))
    return thoughts, "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def chunks(content: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(content), *(min(place, len(content)) for place in places)})
    return [content[a:b] for a, b in pairwise(ends)]


def no_tag(text: str) -> bool:
    return "<thought>" not in text and "</thought>" not in text


@given(words, cuts)
def test_an_answer_that_does_not_begin_with_the_tag_is_kept_whole(content: str, places: list[int]) -> None:
    if content.lstrip().startswith("<thought>"):
        return
    assert split((chunk, False) for chunk in chunks(content, places)) == ("", content)


@given(words.filter(no_tag), words, cuts)
def test_text_between_bare_tags_is_thought_in_any_chunking(plan: str, answer: str, places: list[int]) -> None:
    content = f"<thought>{plan}</thought>{answer}"
    assert split((chunk, False) for chunk in chunks(content, places)) == (plan, answer)


@given(words.filter(no_tag), words, cuts, cuts, st.booleans())
def test_flagged_thought_loses_only_its_tags_in_any_chunking(
    plan: str, answer: str, first: list[int], second: list[int], closed_in_flagged: bool
) -> None:
    flagged = f"<thought>{plan}" + ("</thought>" if closed_in_flagged else "")
    rest = answer if closed_in_flagged else f"</thought>{answer}"
    content = [*((c, True) for c in chunks(flagged, first)), *((c, False) for c in chunks(rest, second))]
    assert split(content) == (plan, answer)


@given(st.lists(st.tuples(words.filter(bool), st.booleans())))
def test_only_characters_of_tags_and_blanks_are_ever_lost(content: list[tuple[str, bool]]) -> None:
    tags = ThoughtTags()
    deltas = [delta for chunk, flagged in content for delta in tags.feed(chunk, flagged=flagged)]
    given_out = "".join(delta.text for delta in [*deltas, *tags.end()])
    whole = iter(whole_text := "".join(chunk for chunk, _ in content))
    assert all(character in whole for character in given_out), "not in order"
    assert given_out.count("a") == whole_text.count("a")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([("Plan.", True), ("Answer.", False)], ("Plan.", "Answer.")),
        ([("Plan.", True), ("</div>", False)], ("Plan.", "</div>")),
        ([("Plan.", True), ("<", False), ("/div>", False)], ("Plan.", "</div>")),
        ([("Plan.", True), ("</thought>", False)], ("Plan.", "")),
        ([("Plan.</thought>", True)], ("Plan.", "")),
        ([("a</tho", True)], ("a</tho", "")),
        ([("a</tho", True), ("x", False)], ("a</tho", "x")),
        ([("<th", True)], ("<th", "")),
        ([("<th", True), ("Answer", False)], ("<th", "Answer")),
        ([("<thought>", True), ("Plan", True)], ("Plan", "")),
        ([("Plan", True), ("A", False), ("more plan", True), ("end", False)], ("Planmore plan", "Aend")),
        ([("<thought>never closed", False)], ("never closed", "")),
        ([("<thought>half</thou", False)], ("half</thou", "")),
        ([("<thou", False)], ("", "<thou")),
        ([("<thou", False), ("ght>Plan", True)], ("Plan", "")),
        ([("\n <thought>Plan</thought>A", False)], ("Plan", "A")),
        ([("Use <thought> tags</thought>.", False)], ("", "Use <thought> tags</thought>.")),
    ],
)  # fmt: skip
def test_a_tag_is_believed_only_where_a_thought_can_be(
    content: list[tuple[str, bool]], expected: tuple[str, str]
) -> None:
    assert split(content) == expected


def test_no_more_than_a_little_white_space_is_kept_back() -> None:
    tags = ThoughtTags()
    given_out = [delta for _ in range(100) for delta in tags.feed(" ", flagged=False)]
    assert sum(len(delta.text) for delta in given_out) == 100
