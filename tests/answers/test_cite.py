"""Sources, claims and what is said of them; pure."""

from dataclasses import replace
from unicodedata import normalize

import pytest

from runapi_mcp.citations.annotate import annotate, find_sentences
from runapi_mcp.citations.markers import find_spans
from runapi_mcp.citations.sources import plain_title, safe_url, source_lines
from runapi_mcp.tools.search import Filters
from runapi_mcp.wire.types import Answer, Grounding, Source, Support

REDIRECT = "https://vertexaisearch.cloud.google.com/grounding-api-redirect/"


def answer(text: str, *urls: str, claims: dict[str, tuple[int, ...]] | None = None) -> Answer:
    sources = tuple(Source(url) for url in urls)
    supports = tuple(Support(0, 0, said, by) for said, by in (claims or {}).items())
    return Answer(text=text, grounding=Grounding(sources, supports))


TWO = "The tower was built in 1889. It is very tall indeed."


@pytest.mark.parametrize(
    ("claims", "grounded", "uncited"),
    [
        ({"The tower was built in 1889.": (0,), "It is very tall indeed.": (0,)}, True, ()),
        ({"The tower was built in 1889.": (0,)}, "partly", ("It is very tall indeed.",)),
        ({}, "partly", ("The tower was built in 1889.", "It is very tall indeed.")),
    ],
)
def test_grounded_means_that_every_sentence_has_a_source(
    claims: dict[str, tuple[int, ...]], grounded: object, uncited: tuple[str, ...]
) -> None:
    found = annotate(answer(TWO, "https://a.org/", claims=claims), 10)
    assert (found.grounded, found.uncited) == (grounded, uncited)


def test_links_in_the_text_are_listed_and_do_not_ground_it() -> None:
    found = annotate(answer("It is so ([A page](https://a.org/x)). See https://b.org/y."), 10)
    assert [(s["url"], s["title"], s["origin"]) for s in found.sources] == [
        ("https://a.org/x", "A page", "link"),
        ("https://b.org/y", "b.org", "link"),
    ]
    assert found.grounded is False
    assert "not a citation" in source_lines(found.sources)


def test_sources_know_their_claims_and_claims_their_sources() -> None:
    claims = {"The tower was built in 1889.": (0, 1), "It is very tall indeed.": (1,)}
    found = annotate(answer(TWO, "https://a.org/", "https://b.org/", claims=claims), 10)
    assert [s["claims"] for s in found.sources] == [[0], [0, 1]]
    assert [c["sources"] for c in found.claims] == [[1, 2], [2]]
    assert found.text == "The tower was built in 1889.[1][2] It is very tall indeed.[2]"


def test_sources_that_lead_to_the_same_page_are_one() -> None:
    urls = (REDIRECT + "A", REDIRECT + "B", "https://www.a.org/x/", "https://a.org/x#part")
    links = {REDIRECT + "A": "https://a.org/x", REDIRECT + "B": "https://b.org/"}
    found = annotate(answer("So.", *urls), 10, links=links)
    assert [s["url"] for s in found.sources] == ["https://a.org/x", "https://b.org/"]
    assert not any(s["redirect"] for s in found.sources)


def test_a_redirect_that_was_not_resolved_is_kept_and_labelled() -> None:
    grounding = Grounding((Source(REDIRECT + "A", "example.org"),))
    found = annotate(Answer(text="So.", grounding=grounding), 10)
    assert (found.sources[0]["domain"], found.sources[0]["redirect"]) == ("example.org", True)
    assert "redirect" in source_lines(found.sources)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,hi",
        "file:///etc/passwd",
        "ftp://a.org/",
        "https://",
        "https://a.org@evil.org/",
        "https://a.org/\u202egpj.exe",
        "https://a.org/a b",
        "https://a.org/\nx",
        "https:\\\\a.org",
        "http://[broken",
        "https://a.org/" + "x" * 5000,
    ],
)
def test_urls_that_are_not_plain_http_are_not_shown(url: str) -> None:
    assert safe_url(url) == ""
    assert annotate(answer("So.", url), 10).sources == ()


def test_what_markdown_or_html_would_take_for_its_own_is_encoded_in_urls() -> None:
    assert safe_url('https://a.org/<img src="x">'.replace(" ", "")) == "https://a.org/%3Cimgsrc=%22x%22%3E"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("A [link](https://evil.org/x)", "A [link] (evil.org/x)"),
        ("x](javascript:alert(1))", "x] (alert(1))"),
        ("one\ntwo\x00\x1b[31m three", "one two [31m three"),
        ("safe \u202eevil\u202c", "safe evil"),
        ("t" * 400, "t" * 159 + "…"),
    ],
)
def test_titles_are_one_harmless_line(title: str, shown: str) -> None:
    assert plain_title(title) == shown


def test_titles_are_escaped_where_they_stand_in_text() -> None:
    grounding = Grounding((Source("https://a.org/", "*bold* <b>`x`</b> [y](z)"),))
    line = source_lines(annotate(Answer(text="So.", grounding=grounding), 10).sources)
    assert line == r"[1] \*bold\* \<b\>\`x\`\</b\> \[y\] (z) - https://a.org/"


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (Filters(include=("a.org",)), ["https://a.org/1", "https://sub.a.org/2"]),
        (Filters(exclude=("a.org",)), ["https://b.org/3", "https://nota.org/4"]),
        (Filters(include=("a.org",), exclude=("sub.a.org",)), ["https://a.org/1"]),
        (Filters(include=("νάξος.gr",)), ["https://xn--hxakic4aa.gr/5"]),
    ],
)
def test_domain_filters_are_enforced_on_the_sources(filters: Filters, kept: list[str]) -> None:
    naxos = "https://" + "νάξος.gr".encode("idna").decode() + "/5"
    urls = ["https://a.org/1", "https://sub.a.org/2", "https://b.org/3", "https://nota.org/4", naxos]
    if filters.exclude and not filters.include:
        urls.pop()
    found = annotate(answer(TWO, *urls, claims={"It is very tall indeed.": (0, 1, 2, 3)}), 10, filters.allows)
    kept = [naxos if "xn--" in url else url for url in kept]
    assert [s["url"] for s in found.sources] == kept
    assert found.removed == len(urls) - len(kept)
    numbers = {number for claim in found.claims for number in claim["sources"]}
    assert numbers <= set(range(1, len(kept) + 1))


def test_an_unresolved_redirect_without_a_known_site_does_not_pass_an_include_filter() -> None:
    found = annotate(answer("So.", REDIRECT + "A"), 10, Filters(include=("a.org",)).allows)
    assert (found.sources, found.removed, found.grounded) == ((), 1, False)


def test_sources_beyond_the_limit_are_counted_and_their_markers_left_out() -> None:
    found = annotate(
        answer(TWO, "https://a.org/", "https://b.org/", claims={"It is very tall indeed.": (0, 1)}), 1
    )
    assert (len(found.sources), found.beyond) == (1, 1)
    assert found.text.endswith("indeed.[1]")


def test_what_rests_on_a_source_that_there_was_no_room_for_rests_on_one() -> None:
    claims: dict[str, tuple[int, ...]] = {
        "The tower was built in 1889.": (0,),
        "It is very tall indeed.": (1,),
    }
    found = annotate(answer(TWO, "https://a.org/", "https://b.org/", claims=claims), 1)
    assert (found.beyond, found.uncited, found.grounded) == (1, (), True)


def test_the_models_own_numbers_in_brackets_are_told_from_ours() -> None:
    grounded = answer("It is tall [1].", "https://a.org/")
    assert annotate(grounded, 10).own_marks
    assert not annotate(replace(grounded, text="It is [tall](https://a.org)."), 10).own_marks


def test_a_relays_card_is_cut_without_moving_the_markers() -> None:
    text = "http://googleusercontent.com/card_content/0\n" + TWO
    end = len("http://googleusercontent.com/card_content/0\nThe tower was built in 1889.")
    grounding = Grounding((Source("https://a.org/"),), (Support(44, end, "", (0,)),))
    assert annotate(Answer(text=text, grounding=grounding), 10).text == TWO.replace("1889.", "1889.[1]")


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("# Heading\n\nThis is a claim here. Is it so?\n\nSee below:\n- A first point made.", 2),
        ("Dr. Ada Example met e.g. Bob Example there. They talked a lot.", 2),
        ("苏州新图书馆藏书两百万册。它在城市的东边。", 2),
        ("ប៉មនេះត្រូវបានសាងសង់នៅឆ្នាំ១៨៨៩។", 1),
        ("```\nthis is code here.\n```\nThis is a claim here.", 1),
        ("Yes, indeed. So it is. Not quite so.", 2),
        ("1. First point is made here.\n2. Second point is made here.", 2),
        ("", 0),
    ],
)
def test_sentences_are_claims_not_headings_questions_or_code(text: str, claims: int) -> None:
    assert len(list(find_sentences(text))) == claims


def test_a_host_is_spelled_in_one_way_in_time_that_its_length_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(form: str, text: str) -> str:
        seen.append(len(text))
        return normalize(form, text)  # type: ignore[arg-type]  # the form is the caller's

    seen: list[int] = []
    monkeypatch.setattr("runapi_mcp.tools.search.normalize", counted)
    filters = Filters(include=tuple(f"ﷺ{n}.example.org" for n in range(50)))
    for n in range(200):
        assert not filters.allows(f"ﷺ{n}." * 800 + "example.com")
        assert filters.allows(f"{n}.ﷺ7.EXAMPLE。org")
    assert sum(seen) < 250 * 253, "each name once, and none that is too long for a name"
    assert Filters(exclude=("evil.example",)).allows("good.example")
    assert not Filters(exclude=("evil.example",)).allows("a." * 2_000 + "evil.example")


def test_an_answer_longer_than_any_model_writes_is_kept_whole_and_read_in_part() -> None:
    long = TWO + " " + "And so on and on. " * 60_000
    cited = annotate(answer(long, "https://a.org/1", claims={"The tower was built in 1889.": (0,)}), 10)
    assert cited.text == long.replace("1889.", "1889.[1]", 1)
    assert cited.grounded == "partly"
    assert cited.sentences < 40_000


def test_of_an_answer_that_is_read_in_part_not_every_sentence_is_known_to_rest_on_something() -> None:
    begun = "The tower was built in 1889."
    cited = annotate(answer(begun + "\n" * 600_000, "https://a.org/1", claims={begun: (0,)}), 10)
    assert cited.grounded == "partly"


def test_a_stretch_of_markup_alone_is_no_claim() -> None:
    text = "It won **500** euros in the end."
    grounding = Grounding((Source("https://a.org/"),), (Support(7, 9, "**", (0,)),))
    found = annotate(Answer(text=text, grounding=grounding), 10)
    assert (found.text, found.claims) == (text, ())


def test_stretches_that_say_something_are_told_from_markup_wherever_they_stand() -> None:
    text = "**Six** a **-** b **-**"
    stretches = [(15, 18), (0, 2), (2, 5), (5, 9), (18, 23), (10, 15), (5, 7)]
    found = find_spans(text, [Support(start, end, text[start:end], (0,)) for start, end in stretches])
    assert [text[span.start : span.end] for span in found] == [" b ", "Six", "** a"]
