"""Where markers go, in every script."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runapi_mcp.citations.annotate import annotate
from runapi_mcp.citations.markdown import read_layout
from runapi_mcp.citations.markers import find_places, find_spans, is_joined, write_markers
from runapi_mcp.wire.types import Answer, Grounding, Source, Support


def support(text: str, said: str, *, shift: int = 0, told: bool = True) -> Support:
    start = len(text[: text.index(said)].encode()) + shift
    return Support(start, start + len(said.encode()), said if told else "", (0,))


def with_marks(text: str, *supports: Support) -> str:
    layout = read_layout(text)
    places = find_places(text, find_spans(text, supports), layout)
    return write_markers(text, dict.fromkeys(places, (1,)), layout)


SCRIPTS = {
    "Greek": ("Η Νάξος είναι νησί. Έχει φεστιβάλ τον Μάιο.", "Η Νάξος είναι νησί."),
    "Chinese": ("苏州新图书馆藏书两百万册。它在城市的东边。", "苏州新图书馆藏书两百万册。"),
    "Japanese": ("札幌の雪像は四十体ある。冬に溶けない。", "札幌の雪像は四十体ある。"),
    "Arabic": ("افتتح المرصد عام 2019. هل هو كبير؟ نعم.", "افتتح المرصد عام 2019."),
    "Hindi": ("यह नगर पुराना है। नदी पास है।", "यह नगर पुराना है।"),
    "Thai": ("หอสมุดนี้เปิดทุกวัน และใหญ่มาก", "หอสมุดนี้เปิดทุกวัน"),
    "Korean": ("도서관은 매일 열린다. 크다.", "도서관은 매일 열린다."),
    "emoji": ("The family 👩‍👩‍👧 waved 🇩🇪🇫🇷. Then left 👍🏽!", "The family 👩‍👩‍👧 waved 🇩🇪🇫🇷."),
    "combining marks": (
        "Zoe\u0308 A\u030angstro\u0308m won. She sailed.",
        "Zoe\u0308 A\u030angstro\u0308m won.",
    ),
}


@pytest.mark.parametrize(("text", "said"), SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("shift", [0, 1, -1])
def test_a_marker_follows_its_sentence_even_when_the_offset_is_a_byte_off(
    text: str, said: str, shift: int
) -> None:
    text = f"… {text}"
    assert with_marks(text, support(text, said, shift=shift)) == text.replace(said, f"{said}[1]", 1)


@pytest.mark.parametrize(("text", "said"), SCRIPTS.values(), ids=SCRIPTS)
def test_offsets_without_a_text_may_count_bytes_or_characters(text: str, said: str) -> None:
    expected = text.replace(said, f"{said}[1]", 1)
    in_bytes = Support(0, len(said.encode()), "", (0,))
    in_characters = Support(0, len(said), "", (0,))
    assert with_marks(text, in_bytes) == expected
    assert with_marks(text, in_characters) == expected


@pytest.mark.parametrize(("text", "said"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_missing_start_does_not_move_the_marker(text: str, said: str) -> None:
    assert with_marks(text, Support(0, len(said.encode()), said, (0,))).startswith(f"{said}[1]")


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("The sky is blue. Yes.", "The sky is blue", "The sky is blue.[1] Yes."),
        ("It costs 3.50 euros.", "It costs 3", "It costs 3.50[1] euros."),
        ("Don't panic now.", "Don", "Don't[1] panic now."),
        ("Καλημέρα κόσμε.", "Καλημ", "Καλημέρα[1] κόσμε."),
        ("مرحبا بالعالم", "مرح", "مرحبا[1] بالعالم"),
        ("He said “no.” Then left.", "He said “no", "He said “no.”[1] Then left."),
        ("**Bold claim.** Next.", "Bold claim.", "**Bold claim.**[1] Next."),
        ("See [the page](https://e.org/a) now.", "See [the", "See [the page](https://e.org/a)[1] now."),
        ("Run `a b c` twice.", "Run `a", "Run `a b c`[1] twice."),
        (
            "Look at https://e.org/path/x please.",
            "https://e.org/pa",
            "Look at https://e.org/path/x [1] please.",
        ),
    ],
)
def test_markers_go_after_whole_words_sentences_links_and_code(text: str, said: str, expected: str) -> None:
    assert with_marks(text, support(text, said)) == expected


def test_a_text_that_stands_elsewhere_once_is_found_there() -> None:
    assert with_marks("One. Two. Three.", Support(0, 4, "Two.", (0,))) == "One. Two.[1] Three."


@pytest.mark.parametrize("lost", [Support(0, 3, "Yes.", (0,)), Support(0, 3, "Never said.", (0,))])
def test_a_text_that_stands_twice_or_nowhere_gets_no_marker(lost: Support) -> None:
    text = "Ah. Yes. Yes."
    assert with_marks(text, lost) == text


SIGNS = st.text(
    st.one_of(
        st.sampled_from("ab1 .!?\n\"'*_`[](){}|،。؟"),
        st.sampled_from("éΝάξος苏州札幌ありสวนمرحباनमस्ते한글"),
        st.sampled_from("🌱👩👧🇩🇪👍🏽\u200d\ufe0f\u0308\u030a\u0323"),
    ),
    max_size=60,
)


@given(text=SIGNS, cuts=st.lists(st.tuples(st.integers(-5, 200), st.integers(-5, 200), SIGNS), max_size=6))
@example(text="🇩🇪🇫🇷🇪🇸", cuts=[(0, 4, ""), (0, 12, "")])
def test_markers_never_change_the_answers_own_characters(text: str, cuts: list[tuple[int, int, str]]) -> None:
    supports = [Support(start, end, said, (0,)) for start, end, said in cuts]
    layout = read_layout(text)
    places = find_places(text, find_spans(text, supports), layout)
    result = write_markers(text, dict.fromkeys(places, (7777,)), layout)
    assert result.count("[7777]") == len(places)
    left = iter(result.replace("[7777]", ""))
    assert all(character in left for character in text), "a character is gone or has moved"
    for place in (place.at for place in places if not place.own_line):
        inner = 0 < place < len(text)
        assert not (inner and is_joined(text, place))
        assert not (inner and unicodedata.category(text[place]) in ("Mn", "Mc", "Me"))
        assert not any(zone.start < place < zone.end for zone in layout.zones)


@given(
    words=st.lists(
        st.sampled_from(["Zoë", "Νάξος", "苏州。", "🌱", "won", "أهلا", "2.5"]), min_size=2, max_size=12
    )
)
def test_a_support_that_upstream_placed_rightly_is_never_lost(words: list[str]) -> None:
    text = " ".join(words)
    said = " ".join(words[: len(words) // 2])
    assert [p.end for p in find_spans(text, [Support(0, len(said.encode()), said, (0,))])] == [len(said)]
    assert re.sub(r"\[1\]", "", with_marks(text, support(text, said))) == text


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_byte_off_still_tells_two_equal_sentences_apart(shift: int) -> None:
    start = len("Ναι. ".encode()) + shift
    second = Support(start, start + len("Ναι.".encode()), "Ναι.", (0,))
    assert with_marks("Ναι. Ναι. Όχι.", second) == "Ναι. Ναι.[1] Όχι."


REPEATED = (
    *("[", "[a", "[a](", "[1](x", "[a](()", "![", "[![a](", "`", "` ``", "```", "```\n", "https://", "[a] ("),
    *("$", "$a", "$$ ", "\\(", "<", "<a ", "<!--", "|", "|\n|-|\n", "> ", "* ", "    a\n\n", "[1]: x\n"),
    *(
        "# ",
        "\t",
        " ",
        "\n",
        "]",
        "](",
        "---\n",
        ".",
        ". ",
        "A. ",
        "Dr. ",
        "a",
        "🇩🇪",
        "¿",
        "[cite: 1]",
        "【1",
    ),
)


@pytest.mark.parametrize("piece", REPEATED)
def test_whatever_is_repeated_is_gone_through_once(piece: str) -> None:
    """Bounds far above what one pass takes, and far below what two nested ones would."""
    text = piece * (50_000 // len(piece)) + "a"
    supports = [Support(0, 20_000 + 7 * step, "", (step,)) for step in range(200)]
    sources = tuple(Source(f"https://a.org/{step}") for step in range(200))
    began = time.thread_time()
    annotate(Answer(text=text, grounding=Grounding(sources, tuple(supports))), 50)
    assert time.thread_time() - began < 1.5


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("See [a](https://a.test/x).", "[a](https://a.test/x)"),
        (
            "See [![a](https://a.test/i.png)](https://a.test/x).",
            "[![a](https://a.test/i.png)](https://a.test/x)",
        ),
        ("See [a](https://a.test/Foo_(bar)).", "[a](https://a.test/Foo_(bar))"),
        ("See ![a](i.png).", "![a](i.png)"),
        ("See (1) and [a](b).", "[a](b)"),
    ],
)
def test_a_link_is_whole_with_all_that_is_in_it(text: str, link: str) -> None:
    assert [text[zone.start : zone.end] for zone in read_layout(text).zones] == [link]
