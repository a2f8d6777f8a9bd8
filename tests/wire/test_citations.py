import json
import time
from collections.abc import Iterable
from typing import Any

import pytest

from runapi_mcp.wire.grounding import Citations
from runapi_mcp.wire.types import Grounding, Source, Support, ThoughtDelta

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


@pytest.mark.parametrize("odd", [None, 5, {"web": None}, {"web": {"uri": 5}}, {"maps": {"uri": "x"}}])
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
    web = {"web": {"uri": "https://a"}}
    support = {"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}
    huge = {
        "groundingChunks": [web] * 500,
        "groundingSupports": [support] * 5_000,
        "webSearchQueries": ["q"] * 99,
    }
    grounding = last(Citations().metadata(huge))
    assert (len(grounding.sources), len(grounding.supports), len(grounding.queries)) == (200, 2_000, 50)
    citations = Citations()
    for start in range(0, 4_000, 100):
        list(citations.annotations([annotation(f"https://a/{n}", 1) for n in range(start, start + 100)]))
    for _ in range(30):
        list(citations.annotations([annotation("https://a/1", 1)] * 100))
    cited = last(citations.annotations([annotation("https://a/1", 1)]))
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
