"""A report's markers beside what its sources were found to say; cases from reports about other tools."""

import pytest

from runapi_mcp.citations.report import Checked, check_report
from runapi_mcp.citations.sources import Numbered
from runapi_mcp.extraction.folding import contradicts
from runapi_mcp.wire.types import Source

SAID = {
    1: ["Tern-4 circles the Earth in 97 minutes."],
    2: ["The regatta on Lake Vättern was won by Zoë Ångström in 2026. It is sailed each year."],
}


def check(report: str) -> Checked:
    return check_report(report, SAID, contradicts)


@pytest.mark.parametrize(
    ("mark", "numbers"),
    [
        ("[1]", (1,)),
        ("[1][2]", (1, 2)),
        ("[1, 2]", (1, 2)),
        ("[1-2]", (1, 2)),
        ("[1–2]", (1, 2)),
        ("[1; 2]", (1, 2)),
        ("[1 and 2]", (1, 2)),
        ("[Source 1]", (1,)),
        ("[Sources 1, 2]", (1, 2)),
        ("[^1]", (1,)),
        ("【1】", (1,)),
    ],
)
@pytest.mark.parametrize("form", ["Tern-4 circles the Earth in 97 minutes {}.", "It takes 97 minutes.{}"])
def test_marks_are_read_as_models_write_them(mark: str, numbers: tuple[int, ...], form: str) -> None:
    [(_, found)] = check(form.format(mark)).claims or [("", ())]
    assert found == numbers


def test_numbers_of_no_source_are_named_wherever_they_stand() -> None:
    # qx-labs/agents-deep-research#15: addresses were made up and listed at the end.
    made_up = "Tern-4 circles us in 97 minutes [1]. It is 42 [21].\n\n[22] https://example.com/made-up\n"
    checked = check(made_up)
    assert checked.unknown == (21, 22)
    assert checked.sentences == 2, "a line of a list of sources claims nothing"


def test_a_list_of_sources_with_numbers_of_its_own_does_not_count_as_sentences() -> None:
    # jacob-bd/gemini-notebook-mcp-cli#186: a report numbered its sources anew.
    listed = "Zoë Ångström won in 2026 [1].\n\n## Sources\n1. Regatta news, https://news.example/r\n"
    checked = check(listed)
    assert checked.unsupported == ("Zoë Ångström won in 2026 .",)
    assert not checked.uncited


@pytest.mark.parametrize(
    "sentence",
    [
        "Tern-4 does not circle the Earth in 97 minutes [1].",
        "Tern-4 never circles the Earth in 97 minutes [1].",
        "The regatta on Lake Vättern wasn't won by Zoë Ångström in 2026 [2].",
    ],
)
def test_the_contrary_of_what_a_source_says_does_not_rest_on_it(sentence: str) -> None:
    assert not check(sentence).claims
    assert len(check(sentence).unsupported) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://doi.org/10.1016/0092-8674(94)90302-6", "http://doi.org/10.1016/0092-8674(94)90302-6"),
        ("https://en.wikipedia.org/wiki/Foo_(bar)", "https://en.m.wikipedia.org/wiki/Foo_(bar)"),
        ("https://news.example/a", "https://m.news.example:443/a/?utm_source=x#:~:text=b"),
        ("https://arxiv.org/abs/2401.01234", "https://arxiv.org/pdf/2401.01234v2.pdf"),
    ],
)
def test_a_page_has_one_number_however_it_is_written(one: str, other: str) -> None:
    # ItzCrazyKns/Vane#1109: one paper four times in a list of a hundred.
    numbered = Numbered(9, lambda _host: True, {})
    assert [numbered.number(at, Source(url, "Title")) for at, url in enumerate((one, other))] == [1, 1]
    assert numbered.sources[0]["url"] == one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/p?id=1", "https://a.example/p?id=2"),
        ("https://arxiv.org/abs/2401.01234", "https://arxiv.org/abs/2401.01235"),
        ("https://a.example:8080/p", "https://a.example/p"),
        ("https://m.example/p", "https://example/p"),
    ],
)
def test_different_pages_keep_numbers_of_their_own(one: str, other: str) -> None:
    numbered = Numbered(9, lambda _host: True, {})
    assert [numbered.number(at, Source(url, "Title")) for at, url in enumerate((one, other))] == [1, 2]


def test_a_figure_that_no_source_has_rests_on_none() -> None:
    wrong = "Tern-4 circles the Earth in 96 minutes [1]."
    assert check(wrong).unsupported == ("Tern-4 circles the Earth in 96 minutes .",)
