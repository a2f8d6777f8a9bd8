"""Where extracted values stand: spellings, places, what follows, what stands nowhere; and a whole corpus."""

import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.extraction.evidence import find_evidence, locate_document
from runapi_mcp.extraction.folding import Folded, fold_bare, fold_plain
from runapi_mcp.extraction.matching import Source, Span
from runapi_mcp.extraction.rounds import read_material, write_material
from runapi_mcp.wire.types import Call, JsonObject, Text, Turn

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.evidence import bench, corpus
from benchmarks.evidence.held_out import held_out as held_out_documents
from benchmarks.evidence.unseen import unseen


def found(value: Any, text: str, schema: JsonObject | None = None) -> dict[str, Any]:
    """What is quoted for each value; `None` and "inferred" as they are."""
    plain = json.loads(json.dumps(value), parse_float=Decimal)
    places = find_evidence(plain, [Source("", text)], schema).places
    return {
        pointer.removeprefix("/"): text[place.start : place.end] if isinstance(place, Span) else place
        for pointer, place in places.items()
    }


def quote(value: Any, text: str) -> Any:
    return found({"v": value}, text)["v"]


@pytest.mark.parametrize(
    ("value", "text", "wanted"),
    [
        (1234.5, "Summe 1.234,50 EUR", "1.234,50"),
        (1234.5, "Total 1,234.50 USD", "1,234.50"),
        (1234.5, "Total 1 234,5 EUR", "1 234,5"),
        (1234.5, "Total 1'234.50 CHF", "1'234.50"),
        (1234567, "₹12,34,567 only", "12,34,567"),
        (3200.5, "المبلغ ٣٬٢٠٠٫٥", "٣٬٢٠٠٫٥"),
        (3200, "合計３，２００円", "３，２００"),
        (-1234.5, "Loss (1,234.50)", "(1,234.50)"),
        (-5, "Change −5 points", "−5"),
        (0.19, "VAT 19 %", "19 %"),
        (1200000, "about 1.2 million people", "1.2 million"),
        (30000, "約3万円", "3万"),
        (2, "Two of them", "Two"),
        ("2026-03-04", "am 4. März 2026", "4. März 2026"),
        ("2026-03-04", "March 4th, 2026", "March 4th, 2026"),
        ("2026-03-04", "4 DE MARZO DE 2026", "4 DE MARZO DE 2026"),
        ("2026-03-04", "令和8年3月4日", "令和8年3月4日"),
        ("2026-03-04", "04.03.2026", "04.03.2026"),
        ("2026-03-04", "03/04/26", "03/04/26"),
        ("2026-03", "im März 2026", "März 2026"),
        ("2026-03-04T14:30:00Z", "on 4 March 2026, 2:30 pm sharp", "4 March 2026, 2:30 pm"),
        ("14:30", "at 2:30 pm", "2:30 pm"),
        ("in_progress", "State: IN PROGRESS", "IN PROGRESS"),
        ("EUR", "12 €", "€"),
        ("+49301234567", "Tel. +49 (30) 123-4567", "49 (30) 123-4567"),
        ("https://example.com/a", "see example.com/a.", "example.com/a"),
        ("Ada Lovelace", "Lovelace, Ada", "Lovelace, Ada"),
        ("12 Main St, Springfield", "12 Main St\nSpringfield", "12 Main St\nSpringfield"),
        ("information", "infor-\nmation", "infor-\nmation"),
        ("Café", "Cafe\u0301 noir", "Cafe\u0301"),
        ("محمد", "مُحَمَّد", "مُحَمَّد"),
        ("東京都", "住所：東 京 都内", "東 京 都"),
        ("서울", "서울에서", "서울"),
        ("👩‍💻 done", "note: 👩‍💻 done!", "👩‍💻 done"),
        ("Northwind Traders", "N0rthwlnd Traders", "N0rthwlnd Traders"),
        ("modern government", "modem govemment", "modem govemment"),
        ("Northwind Trading Company", "Northwnid Tradng Company", "Northwnid Tradng Company"),
        ("Zoë & Söhne", "<b>Zo&euml;</b> &amp; S&#246;hne", "Zo&euml;</b> &amp; S&#246;hne"),
        ("renée", r'{"user":"ren\u00e9e"}', r"ren\u00e9e"),
        ("zoë", r'{"user":"zo\u00eb"}', r"zo\u00eb"),
        ("Harbor Street Grocery", "HARBOR ST. GROCERY", "HARBOR ST. GROCERY"),
        ("Lange Straße 12", "Lange Str. 12, Köln", "Lange Str. 12"),
        ("Organic bananas", "ORG BANANAS 2.50", "ORG BANANAS"),
        ("Mme Hélène Lefèvre", "Madame Hélène LEFÈVRE", "Hélène LEFÈVRE"),
        ("Иван Петров", "в лице Ивана Петрова", "Ивана Петрова"),
        ("+491725550142", "Mobil +49 (0)172 / 555 01 42", "49 (0)172 / 555 01 42"),
        ("+491725550142", "Mobil 0172 5550142", "0172 5550142"),
        ("每份约200克，含548大卡", "<td>每份约200克</td><td>含548大卡</td>", "每份约200克</td><td>含548大卡"),
        ("The rate was 5%.", "The **rate** was 5% [12].", "The **rate** was 5"),
        (25, "twenty-five boats", "twenty-five"),
        (110, "a hundred and ten of them", "a hundred and ten"),
        (12, "at 00:12:00 a dozen came", "a dozen"),
        (12300, "人民币壹万贰仟叁佰元整", "壹万贰仟叁佰"),
        (8047.67, "8 047 руб. 67 коп.", "8 047 руб. 67 коп."),
        ("2025-05-14", "二〇二五年五月十四日", "二〇二五年五月十四日"),
        ("2025-05-14", "๑๔ พ.ค. ๒๕๖๘", "๑๔ พ.ค. ๒๕๖๘"),
        ("2025-05-14", "१४ मई २०२५", "१४ मई २०२५"),
        ("2025-05-14", "14 במאי 2025", "14 במאי 2025"),
        ("2025-05-14", "ngày 14 tháng 5 năm 2025", "14 tháng 5 năm 2025"),
        ("2024-05-16", "от «16» мая 2024 г.", "16» мая 2024"),
        ("2003-04", "04/2003 – heute", "04/2003"),
        ("2025-06-14", "dne 14. června 2025", "14. června 2025"),
        ("2025-06-14", "14 Ιουνίου 2025", "14 Ιουνίου 2025"),
        ("2025-06-14", "১৪ জুন ২০২৫", "১৪ জুন ২০২৫"),
        (2.5, "2½ cups, and 21 more", "2½"),
        (2500000, "2,5 triệu đồng", "2,5 triệu"),
        ("031-3355", "تلفن ۰۳۱-۳۳۵۵", "۰۳۱-۳۳۵۵"),
        ("O’Neill & Co", "<a name='O&#x2019;Neill &amp; Co'/>", "O&#x2019;Neill &amp; Co"),
        ("00:01:09", "00:01:10 --> 00:01:09,900", "00:01:09,900"),
    ],
)
def test_a_value_is_quoted_as_it_is_written(value: Any, text: str, wanted: str) -> None:
    assert quote(value, text) == wanted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12, "the year 2012 and 12.5"),
        ("Ann", "Annual report"),
        ("INV-117", "INV-118"),
        ("Invoice 2026-117-A", "Invoice 2026-118-A"),
        ("2026-03-04", "2026-03-05"),
        ("राम", "रमा"),
        (1234.5, "1.234.500"),
        ("é", "e"),
        ("the landlord is permitted to terminate", "The landlord is not permitted to terminate."),
        ("the landlord is ... permitted to terminate", "The landlord is not permitted to terminate."),
        ("Das Gericht hat die Klage zugelassen", "Das Gericht hat die Klage nicht zugelassen"),
        ("The board did approve the budget", "The board didn't approve the budget"),
        ("approved", "The claim was disapproved"),
        ("Manhattan Street", "12 Man Street"),
        ("Cable 2 m", "2 lamps, 2 bolts"),
        ("Room 12", "page 12"),
        ("North Station", "No Station"),
        ("本公司承担全部责任", "合同规定本公司不承担全部责任。"),
        ("The valve is active", "The valve is inactive"),
        ("00:01:09", "00:01:10"),
    ],
)
def test_what_is_only_like_a_value_is_no_evidence(value: Any, text: str) -> None:
    assert quote(value, text) is None


def test_a_repeated_value_is_taken_from_its_own_row_and_label() -> None:
    text = "Subtotal: 100.00\nTotal: 100.00\n1 Bolt 2 5.00\n2 Lamp 2 7.00\n3 Bolt 2 5.00\n"
    value = {
        "total": 100,
        "items": [
            {"name": "Bolt", "quantity": 2, "price": 5},
            {"name": "Lamp", "quantity": 2, "price": 7},
            {"name": "Bolt", "quantity": 2, "price": 5},
        ],
    }
    places = find_evidence(value, [Source("", text)]).places
    lines = {
        pointer: text.count("\n", 0, place.start)
        for pointer, place in places.items()
        if isinstance(place, Span)
    }
    assert lines["/total"] == 1
    for item in range(3):
        assert {lines[f"/items/{item}/{name}"] for name in ("name", "quantity", "price")} == {2 + item}
    ends = [place.start for place in places.values() if isinstance(place, Span)]
    assert len({*ends}) == len(ends), "no place is taken twice"


def test_items_that_are_said_more_than_once_have_their_places_in_order() -> None:
    text = "aspirin, then ibuprofen, then aspirin, then aspirin"
    value = ["aspirin", "ibuprofen", "aspirin", "aspirin"]
    starts = [
        place.start
        for place in find_evidence(value, [Source("", text)]).places.values()
        if isinstance(place, Span)
    ]
    assert starts == [0, 14, 30, 44]


def test_what_is_written_as_it_is_is_no_other_order_of_its_words() -> None:
    assert quote("Total $1,234.00", "for $1,234.00. Total $1,234.00 due") == "Total $1,234.00"


def test_what_follows_from_the_text_is_inferred_and_the_rest_stands_nowhere() -> None:
    text = "Lines: 20.50 and 30.25 for Ada. Paid in full. Everything arrived late and broken, sadly."
    value = {
        "lines": [20.5, 30.25],
        "sum": 50.75,
        "count": 2,
        "ok": True,
        "language": "en",
        "mood": "negative",
        "state": "settled",
        "buyer": "Grace Hopper",
        "tax": 77.5,
        "nothing": None,
        "blank": "",
    }
    schema: JsonObject = {
        "properties": {"state": {"$ref": "#/$defs/s"}},
        "$defs": {"s": {"enum": ["settled"]}},
    }
    told = found(value, text, schema)
    inferred = {name for name, one in told.items() if one == "inferred"}
    assert inferred == {"sum", "count", "ok", "language", "mood", "state"}
    assert {name for name, one in told.items() if one is None} == {"buyer", "tax"}
    assert "nothing" not in told
    assert "blank" not in told, "null and empty values claim nothing"


def test_a_word_of_an_enum_is_inferred_wherever_the_schema_has_it() -> None:
    word: JsonObject = {"enum": ["open", "settled"]}
    schema: JsonObject = {
        "properties": {
            "list": {"items": word},
            "pair": {"prefixItems": [{}, word]},
            "old": {"items": [{}, word], "additionalItems": word},
            "map": {"additionalProperties": word},
            "either": {"anyOf": [{"type": "null"}, {"allOf": [word]}]},
        },
    }
    value = {
        "list": ["open"],
        "pair": ["Ada", "open"],
        "old": ["Ada", "open", "open"],
        "map": {"n": "open"},
        "either": "open",
        "other": "open",
    }
    told = found(value, "Ada", schema)
    assert {name for name, one in told.items() if one == "inferred"} == {
        *("list/0", "pair/1", "old/1", "old/2", "map/n", "either")
    }


def test_files_are_named_and_offsets_count_from_the_beginning_of_each() -> None:
    folder = "Files of notes:\n\nFile a.txt:\n\nAda\n\nFile b.txt:\n\nBorn 1815\n"
    parts = (Text("File c.md:\n\n# Grace\n"), Text(folder), *write_material(None, "years"))
    material = read_material(Call("m", (Turn("user", parts),)))
    assert material.sources == (("c.md", "# Grace"), ("a.txt", "Ada"), ("b.txt", "Born 1815"))
    kept: Any = locate_document('{"born": 1815, "name": "Grace"}', material.sources, {})
    assert kept["places"] == {
        "/born": {"start": 5, "end": 9, "file": "b.txt"},
        "/name": {"start": 2, "end": 7, "file": "c.md"},
    }


@pytest.mark.parametrize("instructions", [None, "Find.\n\nMaterial:\nnot this"])
def test_instructions_are_no_material(instructions: str | None) -> None:
    parts = write_material("Material:\nthis", instructions)
    assert read_material(Call("m", (Turn("user", parts),))).sources == (("", "Material:\nthis"),)


@pytest.fixture(scope="module")
def documents() -> list[corpus.Document]:
    return corpus.documents()


@pytest.fixture(scope="module")
def held_out() -> list[corpus.Document]:
    return held_out_documents()


def test_every_quote_is_the_slice_that_it_says(
    documents: list[corpus.Document], held_out: list[corpus.Document]
) -> None:
    assert len(documents) >= 200
    assert len(held_out) >= 60
    quoted = 0
    for document in (*documents, *held_out, *unseen()):
        kept: Any = locate_document(json.dumps(document.value), [["", document.text]], document.schema)
        values = dict(bench.leaves(document.value, ""))
        for pointer, place in kept["places"].items():
            if isinstance(place, dict):
                quoted += 1
                cut = document.text[place["start"] : place["end"]]
                assert cut == place.get("quote", str(values[pointer])), (document.name, pointer)
    assert quoted > 4_000


def test_the_corpus_is_placed_well(documents: list[corpus.Document]) -> None:
    counts, _ = bench.measure(bench.ours, documents)
    standing = counts["right"] + counts["false null"] + counts["wrong place"]
    assert counts["right"] >= 0.97 * standing, counts
    assert counts["false null"] <= 0.01 * standing, counts
    assert counts["false span"] == 0, counts


def test_documents_of_other_kinds_are_placed_as_well(held_out: list[corpus.Document]) -> None:
    counts, misses = bench.measure(bench.ours, held_out)
    standing = counts["right"] + counts["false null"] + counts["wrong place"]
    assert counts["right"] >= 0.98 * standing, misses
    assert counts["false span"] == 0, misses


def test_texts_of_other_documents_are_placed_in_none() -> None:
    looked, found = bench.place_strangers(bench.mixed()[::2])
    assert looked > 2_000
    # A date without its year is one of every year.
    assert {*found} <= {"'2025-07-18': '18JUL'"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 3000) | st.text("aB1 ,.é日\u0301-", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.text() | st.text("aB1 ,.é日\u0301-\n\u00a0\u200d٣/:€ﬁ½”"))
def test_a_value_is_folded_as_the_text_is_in_which_it_is_looked_for(value: str) -> None:
    folded = Folded(value).fold_plain()
    assert fold_plain(value) == folded.text.strip()
    assert fold_bare(value) == folded.fold_bare().text


@given(JSON, st.text("aB1 ,.é日\u0301-\n٣/:€👩‍💻", max_size=60))
def test_any_values_in_any_text_get_spans_within_it_or_none(value: Any, text: str) -> None:
    kept: Any = locate_document(json.dumps(value), [["", text]], {})
    kinds = Counter(type(place).__name__ for place in kept["places"].values())
    assert sum(kinds.values()) == kept["count"]
    for place in kept["places"].values():
        if isinstance(place, dict):
            assert 0 <= place["start"] < place["end"] <= len(text)
            assert (
                place.get("quote", text[place["start"] : place["end"]]) == text[place["start"] : place["end"]]
            )


def place(value: Any, text: str, pointer: str) -> int:
    """Where the value at a pointer was found to begin."""
    at = find_evidence(json.loads(json.dumps(value), parse_float=Decimal), [Source("", text)]).places[pointer]
    assert isinstance(at, Span)
    return at.start


def test_a_number_is_no_part_of_a_word_where_it_also_stands_alone() -> None:
    text = "Count: A-57. In the second row of the table there are 57 more."
    assert place({"count": 57}, text, "/count") == text.index("57 more")


def test_two_values_of_a_record_do_not_stand_in_one_place_if_there_are_two() -> None:
    text = "Ann Lee (call her Ann) came."
    assert place({"short": "Ann", "name": "Ann Lee"}, text, "/short") == text.index("Ann)")


def test_a_value_is_not_taken_from_the_next_record() -> None:
    text = "Ada 5\nBob price 5 n 7\n"
    value = [{"name": "Ada", "unit price": 5}, {"name": "Bob", "n": 7}]
    assert place(value, text, "/0/unit price") == text.index("5\nBob")
