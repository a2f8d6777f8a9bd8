import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.wire.chunks import ThoughtTags, split_thoughts
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import TextDelta, ThoughtDelta

fragments = st.sampled_from(
    ["<thought>", "</thought>", "</th", "ought>", "<tho", "ught>", "<think>", "</THINK>", "<", "/", "a", " "]
)
words = st.lists(fragments, max_size=6).map("".join)
cuts = st.lists(st.integers(0, 80), max_size=10)
names = st.sampled_from(["think", "thinking", "thought", "Think", "THOUGHT"])


def split(content: Iterable[tuple[str, bool]], *, followed: bool = False) -> tuple[str, str]:
    """Return the thoughts and the text in content that comes as (chunk, flagged)."""
    tags, fold = ThoughtTags(), Fold()
    deltas = [delta for chunk, flagged in content for delta in tags.feed(chunk, flagged=flagged)]
    deltas += tags.end(followed=followed)
    for delta in deltas:
        assert delta.text or not isinstance(delta, TextDelta | ThoughtDelta)
        fold.feed(delta)
    return fold.partial().thoughts, fold.partial().text


def chunks(content: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(content), *(min(place, len(content)) for place in places)})
    return [content[a:b] for a, b in pairwise(ends)]


def no_tag(text: str) -> bool:
    return not re.search("</?(think|thinking|thought)>", text, re.IGNORECASE)


def opens(text: str) -> bool:
    return bool(re.match(r"\s*<(think|thinking|thought)>", text, re.IGNORECASE))


@given(words, cuts)
def test_an_answer_that_does_not_begin_with_a_tag_is_kept_whole(content: str, places: list[int]) -> None:
    if not opens(content):
        assert split((chunk, False) for chunk in chunks(content, places)) == ("", content)


@given(names, words.filter(no_tag), words, cuts)
def test_text_between_bare_tags_is_thought_in_any_chunking(
    name: str, plan: str, answer: str, places: list[int]
) -> None:
    if not opens(answer) and answer.strip():
        content = f"<{name}>{plan}</{name.lower()}>{answer}"
        assert split((chunk, False) for chunk in chunks(content, places)) == (plan, answer.lstrip())
        assert split_thoughts(content) == (plan, answer.lstrip())


@given(names, words.filter(no_tag), cuts, st.booleans(), st.sampled_from(["", " ", "\n\n"]))
def test_a_tag_that_is_not_closed_or_has_nothing_after_it_is_text(
    name: str, plan: str, places: list[int], closed: bool, blank: str
) -> None:
    content = f"<{name}>{plan}" + (f"</{name}>" if closed else "")
    given_out = split((chunk, False) for chunk in chunks(content + (blank if closed else ""), places))
    assert given_out == ("", content)
    assert split_thoughts(content) == ("", content)


@given(names, words.filter(no_tag), cuts)
def test_a_call_is_something_that_follows(name: str, plan: str, places: list[int]) -> None:
    content = f"<{name}>{plan}</{name}>"
    assert split(((chunk, False) for chunk in chunks(content, places)), followed=True) == (plan, "")


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
    given_out = "".join(delta.text for delta in [*deltas, *tags.end(followed=False)])
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
        ([("<thought>never closed", False)], ("", "<thought>never closed")),
        ([("<thought>half</thou", False)], ("", "<thought>half</thou")),
        ([("<think>a</think>\n<thinking>b</thinking>\n\nA", False)], ("ab", "A")),
        ([("<think>a</think><thinking>b", False)], ("a", "<thinking>b")),
        ([("<think>a</think>The <think> tag</think>.", False)], ("a", "The <think> tag</think>.")),
        ([("<think>a</thinking></think>A", False)], ("a</thinking>", "A")),
        ([("<think>a</think> <th", False)], ("a", "<th")),
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


def test_more_blocks_of_thinking_than_anybody_writes_are_read_in_a_row_and_cheaply() -> None:
    thoughts, text = split([("<think>a</think>" * 100_000, False)])
    assert (len(thoughts), text[:7]) == (8, "<think>")


def test_a_tag_with_a_relays_attributes_opens_a_thought_too() -> None:
    tags = ThoughtTags()
    found = [*tags.feed('<thinking signature="abc">so</thinking>yes'), *tags.end(followed=False)]
    assert [event.text for event in found if isinstance(event, ThoughtDelta)] == ["so"]
    assert [event.text for event in found if isinstance(event, TextDelta)] == ["yes"]
