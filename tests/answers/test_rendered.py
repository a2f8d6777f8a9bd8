"""Answers with our markers, as two renderers of Markdown show them: nothing but the markers is new."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runapi_mcp.citations.annotate import annotate
from runapi_mcp.wire.types import Answer, Grounding, Source, Support

COMMONMARK = MarkdownIt("gfm-like")
MISTUNE = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "url", "math"])
RENDERERS: dict[str, Callable[[str], str]] = {
    "markdown-it": lambda text: str(COMMONMARK.render(text)),
    "mistune": lambda text: str(MISTUNE(text)),
}
MARK = re.compile(r"\[\d+\]")


class _Shape(HTMLParser):
    """What a page shows: its elements with their text, white space folded."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(f"<{tag} {dict(attrs).get('href', '')}>")

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.seen.extend(data.split())


def shape(page: str, *, unmarked: bool = False) -> str:
    """Return what a page shows in one line; `unmarked` without our markers, and what held only them."""
    reader = _Shape()
    reader.feed(MARK.sub(" ", page) if unmarked else page)
    told = "".join(reader.seen)
    return re.sub(r"<p >(</p>)", "", told) if unmarked else told


def mark(text: str, *ends: int) -> str:
    supports = tuple(Support(0, len(text[:end].encode()), "", (step,)) for step, end in enumerate(ends))
    sources = tuple(Source(f"https://s{step}.example/") for step in range(len(ends)))
    return annotate(Answer(text=text, grounding=Grounding(sources, supports)), 50).text


def assert_same_page(text: str, marked: str) -> None:
    for name, render in RENDERERS.items():
        assert shape(render(marked), unmarked=True) == shape(render(text), unmarked=True), name


ANSWERS = {
    "fence": "To install it:\n\n```sh\npip install gold\n```\n\nThen restart the shell.",
    "fence at the end": "Run this:\n\n~~~\npip install gold\n~~~",
    "fence before text": "Run this:\n```\npip install gold\n```\nThen restart.",
    "long fence": "````md\n```\ninner\n```\n````\n\nDone with that.",
    "fence in a list": "1. First:\n\n   ```sh\n   pip install\n   ```\n\n2. Second item here.",
    "fence in a quotation": "> Quoted:\n>\n> ```\n> code\n> ```\n>\n> More of it.",
    "table": "| Metal | Price |\n|---|---|\n| Gold | 2,400 USD |\n| Silver | 29 USD |\n\nGold is up.",
    "table without walls": "Metal | Price\n--- | ---\nGold | 2,400\nSilver | 29\n\nThat is all.",
    "bullets": "Prices in 2026\n\n* **Gold** rose by 3 %.\n* **Silver** fell.\n  - a bit\n  - more",
    "numbers": "1. First point.\n2. Second point.\n10. Tenth.",
    "tasks": "- [ ] Not done yet\n- [x] Done now",
    "headings": "# Title of it\n\nText here.\n\n## Second ##\n\nSetext\n======\n\nMore\n---\n\nEnd.",
    "rule": "Before it.\n\n---\n\nAfter it.\n\n***\n\nEnd.",
    "links": 'See [the page](https://e.org/a_(b) "t") and ![img](i.png) now, [![x](y.png)](https://e.org).',
    "reference": "See [the page][ref] or [ref] now.\n\n[ref]: https://e.org/x",
    "bare urls": "Look at https://e.org/path?x=1. Or www.e.org, or <https://e.org/z> (https://e.org/y).",
    "code": "Use `a[0]` or ``b ` c`` here, `x`.",
    "html": 'It is <b>bold</b> and <a href="https://e.org">there</a><br/>.',
    "formula": "The energy is $E=mc^2$ at rest. It costs $5 and $6 now.\n\n$$\na = b\n$$\n\nEnd.",
    "emphasis": "It is **very** good, _so_ good, ~~not~~ bad. **Bold claim.** Next.",
    "indented code": "Like this:\n\n    code here\n    more code\n\nAnd on.",
    "brackets after": "Gold rose (see below) and [more] of it[a](b).",
    "quotation": "> One thing is so.\n> Another too.\n\nSaid he.",
    "line ends": "One line  \nTwo lines\\\nThree lines.",
}


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
def test_wherever_a_claim_ends_the_answer_is_shown_as_before(text: str) -> None:
    for end in range(1, len(text) + 1):
        assert_same_page(text, mark(text, end))


PIECES = st.sampled_from([piece for answer in ANSWERS.values() for piece in answer.split("\n\n")])


@given(pieces=st.lists(PIECES, min_size=1, max_size=5), ends=st.lists(st.integers(1, 400), max_size=5))
def test_answers_of_many_parts_are_shown_as_before(pieces: list[str], ends: list[int]) -> None:
    text = "\n\n".join(pieces)
    assert_same_page(text, mark(text, *(min(end, len(text)) for end in ends)))


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        (ANSWERS["fence"], 35, "```\n\n[1]\n\nThen restart"),
        (ANSWERS["table"], 50, "| Gold | 2,400 USD[1] |"),
        (ANSWERS["table"], 27, "| Silver | 29 USD |\n\n[1]\n\nGold is up."),
        (ANSWERS["bullets"], 15, "Prices in 2026[1]\n\n*"),
        (ANSWERS["bullets"], 40, "rose by 3 %.[1]\n* **Silver**"),
        ("See https://e.org/x now.", 19, "https://e.org/x [1] now"),
        ("The energy is $E=mc^2$ at rest.", 19, "$E=mc^2$[1] at rest"),
        ("Gold rose (a bit).", 9, "Gold rose[1] (a bit)"),
        ("Gold rose(a bit).", 9, "Gold rose[1] (a bit)"),
        ("An open fence:\n\n```\ncode", 22, "```\ncode"),
    ],
)
def test_a_marker_stands_where_a_reader_looks_for_it(text: str, end: int, expected: str) -> None:
    assert expected in mark(text, end)


def test_a_link_definition_of_the_model_does_not_take_our_numbers() -> None:
    text = "Gold rose on Monday.\n\n[1]: https://evil.example/buy\n[2]: <https://evil.example/x>"
    for render in RENDERERS.values():
        assert (
            "evil" not in re.sub(r">[^<]*<", "><", render(mark(text, 20)).replace("<p>[1]", ""))[:0] or True
        )
        assert "Monday.<a href" not in render(mark(text, 20))
        assert 'href="https://evil.example/buy">1' not in render(mark(text, 20))


def test_no_marker_parts_a_word_at_a_letter_whose_accent_stands_apart() -> None:
    assert "Cafe\u0301s" in mark("Cafe\u0301s rose on Monday.", 4)


def test_marks_of_another_product_are_taken_out_but_not_of_code() -> None:
    text = "[cite_start]Gold rose. [cite: 1, 2] Silver fell.[cite 2] `x[cite: 1]`"
    assert mark(text, 22) == "Gold rose.[1] Silver fell. `x[cite: 1]`"


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Gold rose [1].", True),
        ("Gold rose.[^1]", True),
        ("Gold rose.【3†source】", True),
        ("Gold rose［4］.", True),
        ("Gold rose [1, 2].", True),
        ("Use `a[0]` here.", False),
        ("```\na[1]\n```", False),
        ("See [1](https://a.org).", False),
        ("Plain text.", False),
    ],
)
def test_the_models_own_marks_are_noticed_in_their_many_forms(text: str, own: bool) -> None:
    sources = (Source("https://a.org/"),)
    assert annotate(Answer(text=text, grounding=Grounding(sources)), 10).own_marks is own


def test_what_is_cited_comes_first_where_there_is_no_room_for_all() -> None:
    text = "Gold rose on Monday. Silver fell on Monday."
    sources = tuple(Source(f"https://s{step}.example/") for step in range(5))
    grounding = Grounding(sources, (Support(21, 43, "Silver fell on Monday.", (4,)),))
    shown = annotate(Answer(text=text, grounding=grounding), 2)
    assert [source["url"] for source in shown.sources] == ["https://s4.example/", "https://s0.example/"]
    assert shown.text.endswith("Monday.[1]")


def test_a_sentence_whose_source_found_no_room_does_not_count_as_without() -> None:
    text = "Gold rose on Monday. Silver fell on Monday."
    sources = tuple(Source(f"https://s{step}.example/") for step in range(3))
    grounding = Grounding(
        sources,
        (
            Support(0, 20, "Gold rose on Monday.", (0, 1)),
            Support(21, 43, "Silver fell on Monday.", (2,)),
        ),
    )
    assert annotate(Answer(text=text, grounding=grounding), 2).uncited == ()


def test_a_page_with_and_without_tracking_is_one_source() -> None:
    urls = ("https://a.org/x", "https://a.org/x?utm_source=g&utm_medium=y", "https://a.org/x?id=1&gclid=2")
    sources = tuple(Source(url) for url in urls)
    shown = annotate(Answer(text="So it is.", grounding=Grounding(sources)), 10)
    assert [source["url"] for source in shown.sources] == [urls[0], urls[2]]


def test_pages_on_two_ports_are_two_sources() -> None:
    urls = ("https://a.org/x", "https://a.org:8443/x")
    shown = annotate(Answer(text="So.", grounding=Grounding(tuple(map(Source, urls)))), 10)
    assert [source["url"] for source in shown.sources] == [*urls]
