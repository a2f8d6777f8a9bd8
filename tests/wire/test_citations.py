import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import fold

from runapi_mcp.models import DialectName
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.grounding import Citations
from runapi_mcp.wire.types import Frame, Grounding, Source, Support, ThoughtDelta

SOURCED = Grounding((Source("https://a", "", "relay"),))


def annotation(url: str, end: int | None = None, title: str | None = None) -> dict[str, Any]:
    return {"url_citation": {"url": url, "title": title, "end_index": end}}


def last(events: Iterable[Grounding]) -> Grounding:
    return list(events)[-1]


def test_a_page_cited_twice_is_one_source_with_two_supports() -> None:
    grounding = last(Citations().annotations([annotation("https://a", 3), annotation("https://a", 9)]))
    assert grounding == Grounding(
        (Source("https://a", "", "annotation"),), (Support(0, 3, "", (0,)), Support(0, 9, "", (0,)))
    )


def test_annotations_of_several_chunks_add_up() -> None:
    citations = Citations()
    list(citations.annotations([annotation("https://a")]))
    assert [s.url for s in last(citations.annotations([annotation("https://b")])).sources] == [
        "https://a",
        "https://b",
    ]


@pytest.mark.parametrize(
    "value",
    [None, 5, {}, [], [5], [{"url_citation": None}], [{"url_citation": {"url": ""}}], [{"file_citation": 1}]],
)
def test_annotations_that_cite_no_page_are_left_out(value: object) -> None:
    assert list(Citations().annotations(value)) == []


@pytest.mark.parametrize("value", [None, 5, {}, {"groundingChunks": 5}, {"webSearchQueries": []}])
def test_metadata_without_chunks_or_queries_says_nothing(value: object) -> None:
    assert list(Citations().metadata(value)) == []


def test_nulls_in_metadata_do_not_cost_the_sources() -> None:
    metadata = {
        "groundingChunks": [
            {"web": None},
            {"web": {"uri": None}},
            {"web": {"uri": "https://a", "title": None}},
        ],
        "groundingSupports": [
            {"segment": None},
            {"segment": {"startIndex": None, "endIndex": None, "text": None}, "groundingChunkIndices": [2]},
            {"segment": {"endIndex": 3}, "groundingChunkIndices": None},
        ],
    }  # fmt: skip
    assert list(Citations().metadata(metadata)) == [
        Grounding((Source("https://a"),), (Support(0, 0, "", (0,)),))
    ]


GOOD = {"web": {"uri": "https://good", "title": "Good"}}
CLAIM = {"segment": {"startIndex": 0, "endIndex": 5, "text": "Claim"}, "groundingChunkIndices": [0]}
WHOLE = Grounding((Source("https://good", "Good"),), (Support(0, 5, "Claim", (0,)),), ("q",))
UNTITLED = Grounding((Source("https://good"),), WHOLE.supports, WHOLE.queries)
UNSUPPORTED = Grounding(WHOLE.sources, (), WHOLE.queries)


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ({"webSearchQueries": ["q", None, 5]}, WHOLE),
        ({"webSearchQueries": 5}, Grounding(WHOLE.sources, WHOLE.supports)),
        ({"groundingChunks": [GOOD, None, 5, {"web": 5}, {"web": {"uri": 5}}]}, WHOLE),
        ({"groundingChunks": [{"web": {"uri": "https://good", "title": 5}}]}, UNTITLED),
        ({"groundingChunks": {"0": GOOD}}, Grounding(queries=("q",))),
        ({"groundingSupports": [CLAIM, None, 5, {"segment": 5}]}, WHOLE),
        ({"groundingSupports": [CLAIM | {"groundingChunkIndices": ["x", 0, None, 99, -1]}]}, WHOLE),
        ({"groundingSupports": [CLAIM | {"groundingChunkIndices": "x"}]}, UNSUPPORTED),
        ({"groundingSupports": [CLAIM | {"segment": {"startIndex": "x", "endIndex": 5}}]}, UNSUPPORTED),
        ({"groundingSupports": 5}, UNSUPPORTED),
        ({"groundingSupports": [CLAIM | {"confidenceScores": "x"}], "searchEntryPoint": 5}, WHOLE),
    ],
)
def test_an_odd_field_of_metadata_costs_itself_and_no_other_source(
    odd: dict[str, object], expected: Grounding
) -> None:
    metadata = {"webSearchQueries": ["q"], "groundingChunks": [GOOD], "groundingSupports": [CLAIM]}
    assert list(Citations().metadata(metadata | odd)) == [expected]


@pytest.mark.parametrize("odd", [None, 5, {"web": None}, {"web": {"uri": 5}}, {"image": {"uri": "x"}}])
def test_an_odd_chunk_keeps_its_place_so_that_no_claim_rests_on_another_page(odd: object) -> None:
    support = CLAIM | {"groundingChunkIndices": [1]}
    metadata = {"groundingChunks": [odd, GOOD], "groundingSupports": [CLAIM, support]}
    assert list(Citations().metadata(metadata)) == [Grounding(WHOLE.sources, WHOLE.supports)]


@pytest.mark.parametrize(
    ("odd", "title", "supports"),
    [
        ({"title": 5}, "", (Support(0, 5, "", (0,)),)),
        ({"start_index": "x"}, "Good", ()),
        ({"end_index": 1.5}, "Good", ()),
        ({"start_index": None}, "Good", (Support(0, 5, "", (0,)),)),
        ({"end_index": None}, "Good", ()),
    ],
)
def test_an_odd_field_of_an_annotation_does_not_cost_the_page(
    odd: dict[str, object], title: str, supports: tuple[Support, ...]
) -> None:
    cited = {"url": "https://good", "title": "Good", "start_index": 0, "end_index": 5}
    annotations = [None, {"url_citation": cited | odd}, {"url_citation": {"url": 5}}]
    assert last(Citations().annotations(annotations)) == Grounding(
        (Source("https://good", title, "annotation"),), supports
    )


def test_an_odd_field_of_a_relays_source_does_not_cost_it() -> None:
    told = [{"url": "https://good", "title": 5, "snippet": []}, None, 5, {"url": 5}]
    assert list(Citations().reasoning(json.dumps(told))) == [
        Grounding((Source("https://good", "", "relay"),))
    ]


def test_sources_supports_and_queries_are_bounded() -> None:
    huge = {
        "groundingChunks": [{"web": {"uri": f"https://a/{n}"}} for n in range(500)],
        "groundingSupports": [
            {"segment": {"endIndex": n}, "groundingChunkIndices": [0]} for n in range(1, 5_000)
        ],
        "webSearchQueries": [f"q{n}" for n in range(99)],
    }
    grounding = last(Citations().metadata(huge))
    assert (len(grounding.sources), len(grounding.supports), len(grounding.queries)) == (200, 2_000, 50)
    citations = Citations()
    for start in range(0, 4_000, 100):
        list(citations.annotations([annotation(f"https://a/{n}", 1) for n in range(start, start + 100)]))
    cited = Grounding()
    for start in range(0, 3_000, 100):
        for cited in citations.annotations([annotation("https://a/1", n) for n in range(start, start + 100)]):
            assert len(cited.supports) <= 2_000
    assert (len(cited.sources), len(cited.supports)) == (200, 2_000)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Plan."], [ThoughtDelta("Plan.")]),
        (["[Plan] ", "x"], [ThoughtDelta("[Plan] "), ThoughtDelta("x")]),
        (['[{"url":"https://a"}', "]"], [SOURCED]),
        ([" ", "[", '{"link":"https://a","title":"A"}] '], [Grounding((Source("https://a", "A", "relay"),))]),
        (['[{"url":"https://a"}]', "Plan."], [SOURCED, ThoughtDelta("Plan.")]),
        (['[{"a":1}]', " then"], [ThoughtDelta('[{"a":1}] then')]),
        (['[{"url":""}]'], [ThoughtDelta('[{"url":""}]')]),
        (['[{"url":'], [ThoughtDelta('[{"url":')]),
        (["Plan.", '[{"url":"https://a"}]'], [ThoughtDelta("Plan."), ThoughtDelta('[{"url":"https://a"}]')]),
    ],
)  # fmt: skip
def test_reasoning_is_thought_unless_it_is_a_list_of_sources(
    pieces: list[str], expected: list[object]
) -> None:
    citations = Citations()
    events: list[object] = [event for piece in pieces for event in citations.reasoning(piece)]
    assert [*events, *citations.end()] == expected


def test_reasoning_that_never_becomes_a_list_is_given_out_in_time_and_cheaply() -> None:
    citations, began = Citations(), time.process_time()
    pieces = ["[{", *('"a":1},]' for _ in range(10_000))]
    given_out = [event for piece in pieces for event in citations.reasoning(piece)]
    assert sum(len(event.text) for event in given_out if isinstance(event, ThoughtDelta)) > 65_536
    assert time.process_time() - began < 5.0


def test_a_deeply_nested_list_is_no_list_of_sources() -> None:
    text = "[{" + '"a":' + "[" * 100_000 + "]"
    assert list(Citations().reasoning(text)) == [ThoughtDelta(text)]
    assert list(Citations().reasoning(json.dumps([{"url": "u"}])))


# ---------------------------------------------------------------- wherever they stand


GOLD, SILVER = "https://a.example/gold", "https://b.example/silver"
CHUNKS = {"groundingChunks": [{"web": {"uri": GOLD, "title": "a.example"}}, {"web": {"uri": SILVER}}]}
SUPPORTS = {
    "groundingSupports": [
        {"segment": {"endIndex": 20, "text": "Gold rose on Monday."}, "groundingChunkIndices": [0]},
        {"segment": {"startIndex": 21, "endIndex": 33, "text": "Silver fell."}, "groundingChunkIndices": [1]},
    ]
}
BOTH = CHUNKS | SUPPORTS
SUPPORTED = (Support(0, 20, "Gold rose on Monday.", (0,)), Support(21, 33, "Silver fell.", (1,)))
CITED = {"type": "url_citation", "url": GOLD, "title": "a.example", "start_index": 0, "end_index": 20}


def found(dialect: DialectName, *chunks: Any) -> Grounding:
    decoder = dialects("/v1")[dialect].decoder()
    events = [event for chunk in chunks for event in decoder.decode(Frame(json.dumps(chunk)))]
    return fold([*events, *decoder.end()]).partial().grounding


def on_delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": "Gold rose on Monday. Silver fell.", **fields}}]}


def on_choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {}, **fields}]}


def at_root(**fields: Any) -> dict[str, Any]:
    return {"choices": [], **fields}


SNAKE = {
    "grounding_chunks": CHUNKS["groundingChunks"],
    "grounding_supports": [
        {"segment": {"end_index": 20, "text": "Gold rose on Monday."}, "grounding_chunk_indices": [0]},
        {"segment": {"start_index": 21, "end_index": 33, "text": "Silver fell."},
         "grounding_chunk_indices": [1]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("put", [on_delta, on_choice, at_root])
@pytest.mark.parametrize(
    "fields",
    [
        {"groundingMetadata": BOTH},
        {"grounding_metadata": SNAKE},
        {"vertex_ai_grounding_metadata": [BOTH]},
        {"vertexAiGroundingMetadata": [SNAKE]},
        {"provider_specific_fields": {"vertex_ai_grounding_metadata": [BOTH]}},
        {"provider_specific_fields": {"groundingMetadata": BOTH}},
        {"extra_content": {"google": {"grounding_metadata": BOTH}}},
        {"extra_content": {"vertex": {"groundingMetadata": [BOTH]}}},
        {"vertex_ai_grounding_metadata": [CHUNKS, SUPPORTS]},
    ],
)
def test_grounding_metadata_is_found_wherever_it_stands_on_chat(
    put: Callable[..., dict[str, Any]], fields: dict[str, Any]
) -> None:
    grounding = found("chat", put(**fields))
    assert [source.url for source in grounding.sources] == [GOLD, SILVER]
    assert (grounding.supports, grounding.unread) == (SUPPORTED, False)


@pytest.mark.parametrize("name", ["groundingMetadata", "grounding_metadata", "vertex_ai_grounding_metadata"])
def test_grounding_metadata_is_found_wherever_it_stands_on_native(name: str) -> None:
    text = {"content": {"parts": [{"text": "Gold rose on Monday. Silver fell."}]}}
    for chunk in ({"candidates": [text], name: BOTH}, {"candidates": [text | {name: [BOTH]}]}, {name: BOTH}):
        assert found("native", chunk).supports == SUPPORTED


@pytest.mark.parametrize("put", [on_delta, on_choice, at_root])
@pytest.mark.parametrize(
    "fields",
    [
        {"annotations": [CITED]},
        {"annotations": [{"type": "url_citation", "url_citation": CITED}]},
        {"url_citation": CITED},
        {"url_citations": [CITED]},
        {"provider_specific_fields": {"annotations": [CITED]}},
        {"citations": [{"url_citation": CITED}]},
    ],
)
def test_annotations_are_found_wherever_they_stand(
    put: Callable[..., dict[str, Any]], fields: dict[str, Any]
) -> None:
    grounding = found("chat", put(**fields))
    assert grounding.sources == (Source(GOLD, "a.example", "annotation"),)
    assert grounding.supports == (Support(0, 20, "", (0,)),)


@pytest.mark.parametrize("put", [on_delta, on_choice, at_root])
@pytest.mark.parametrize(
    "fields",
    [
        {"citations": [GOLD]},
        {"citations": [{"url": GOLD}]},
        {"search_results": [{"title": "", "url": GOLD, "date": "2026-11-01"}]},
        {"provider_specific_fields": {"citations": [GOLD]}},
        {"sources": [{"link": GOLD}, "cache"]},
    ],
)
def test_lists_of_links_are_sources_that_are_tied_to_nothing(
    put: Callable[..., dict[str, Any]], fields: dict[str, Any]
) -> None:
    assert found("chat", put(**fields)) == Grounding((Source(GOLD, "", "relay"),))


@pytest.mark.parametrize(
    "fields",
    [
        {"groundingMetadata": {"groundingChunks": [{"page": GOLD}]}},
        {"groundingMetadata": {"groundingChunks": {"0": {"web": {"uri": GOLD}}}}},
        {"groundingMetadata": {"groundingSupports": SUPPORTS["groundingSupports"]}},
        {"groundingMetadata": ["x", ["y"]]},
        {"citations": ["see page 5"]},
        {"annotations": [{"url_citation": {"url": [GOLD]}}]},
    ],
)
def test_what_looks_like_sources_and_cannot_be_read_is_told(fields: dict[str, Any]) -> None:
    assert found("chat", at_root(**fields)).unread
    assert not found("chat", at_root(**fields), at_root(citations=[GOLD])).unread


@pytest.mark.parametrize(
    "fields",
    [{}, {"groundingMetadata": {}}, {"groundingMetadata": {"webSearchQueries": ["q"]}}, {"citations": []},
     {"annotations": []}, {"sources": ["cache"]}, {"system": {"a": {"b": {"c": {"d": [1]}}}}},
     {"groundingMetadata": {"searchEntryPoint": {"renderedContent": "x"}}}],
)  # fmt: skip
def test_what_says_nothing_of_sources_is_not_told(fields: dict[str, Any]) -> None:
    assert not found("chat", at_root(**fields)).unread


# ---------------------------------------------------------------- in lots


def lot(*urls: str, supports: Sequence[tuple[int, int, list[int]]] = ()) -> dict[str, Any]:
    return {
        "groundingChunks": [{"web": {"uri": url}} for url in urls],
        "groundingSupports": [
            {"segment": {"startIndex": start, "endIndex": end}, "groundingChunkIndices": indices}
            for start, end, indices in supports
        ],
    }


@pytest.mark.parametrize(
    "lots",
    [
        [lot("a", "b", supports=[(0, 5, [0]), (5, 9, [1])])],
        [lot("a", "b"), lot(supports=[(0, 5, [0]), (5, 9, [1])])],
        [lot("a"), lot("b"), lot(supports=[(0, 5, [0]), (5, 9, [1])])],
        [lot(supports=[(0, 5, [0]), (5, 9, [1])]), lot("a", "b")],
        [lot("a", supports=[(0, 5, [0])]), lot("b", supports=[(5, 9, [0])])],
        [lot("a", supports=[(0, 5, [0])]), lot("a", "b", supports=[(0, 5, [0]), (5, 9, [1])])],
        [lot("a", supports=[(0, 5, [0])]), lot("b", supports=[(5, 9, [1])])],
        [lot("a", "b", supports=[(0, 5, [0]), (5, 9, [1])])] * 3,
        [lot("a", "b"), lot("b", "a", supports=[(0, 5, [1]), (5, 9, [0])])],
    ],
)
def test_sources_in_lots_are_merged_and_keep_what_rests_on_them(lots: list[dict[str, Any]]) -> None:
    citations = Citations()
    grounding = last(news for metadata in lots for news in citations.metadata(metadata))
    assert [source.url for source in grounding.sources] == ["a", "b"]
    assert grounding.supports == (Support(0, 5, "", (0,)), Support(5, 9, "", (1,)))
    assert [*citations.metadata(lots[-1])] == []


def test_a_source_that_is_said_twice_has_the_best_of_both() -> None:
    citations = Citations()
    list(citations.search({"citations": [GOLD]}))
    list(citations.annotations([annotation(GOLD, title="Gold")]))
    assert last(citations.metadata(lot(GOLD))).sources == (Source(GOLD, "Gold", "grounding"),)


def test_an_offset_counts_from_its_part() -> None:
    parts: list[dict[str, Any]] = [
        {"text": "Gold is noble. "},
        {"executableCode": {"code": "x"}},
        {"text": "Ünder Monday."},
    ]

    def rests(part: int, *chunks: list[dict[str, Any]], text: str = "") -> tuple[Support, ...]:
        support = {"segment": {"partIndex": part, "endIndex": 6, "text": text}, "groundingChunkIndices": [0]}
        metadata = {"groundingMetadata": {"groundingChunks": [GOOD], "groundingSupports": [support]}}
        told = [{"candidates": [{"content": {"parts": chunk}}]} for chunk in chunks]
        return found("native", *told[:-1], {"candidates": [told[-1]["candidates"][0] | metadata]}).supports

    assert rests(0, parts) == (Support(0, 6, "", (0,)),)
    assert rests(2, parts) == (Support(15, 21, "", (0,)),)
    # A stream cuts its parts into pieces: the third is where the text begins anew.
    assert rests(2, parts[:1], parts[1:2], parts[2:], [{"text": ""}]) == (Support(15, 21, "", (0,)),)
    thought = {"text": "Plan.", "thought": True}
    assert rests(1, [thought, parts[0]]) == (Support(0, 6, "", (0,)),)
    # Nothing is where nobody knows, but what has a text can be looked for.
    assert rests(7, parts) == ()
    assert rests(7, parts, text="Ünder") == (Support(0, 6, "Ünder", (0,)),)
    assert rests(0, [{"text": "<think>Plan.</think>Gold is noble."}]) == ()


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), min_size=1, max_size=5))
def test_no_source_is_lost_in_whichever_lots_they_come(lots: list[list[str]]) -> None:
    citations = Citations()
    grounding = last(news for urls in lots for news in citations.metadata(lot(*urls)))
    assert [source.url for source in grounding.sources] == [*dict.fromkeys(u for urls in lots for u in urls)]


def test_sources_deep_inside_or_among_many_values_are_looked_for_only_so_far() -> None:
    deep: dict[str, Any] = {"citations": [GOLD]}
    for _ in range(5_000):
        deep = {"x": deep}
    assert list(Citations().search(deep)) == []
    assert list(Citations().search({f"x{n}": [{"y": [n]}] for n in range(100_000)})) == []
